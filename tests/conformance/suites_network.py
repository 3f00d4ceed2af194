"""Networks, their ports and filters: documents read, completed, validated, updated and printed again."""

from __future__ import annotations

from typing import Any

from virtcore.enums import NetworkUpdateCommand, NetworkUpdateSection, NetworkXMLFlags
from virtcore.model.network import (
    format_network,
    format_network_port,
    load_network,
    load_network_port,
    update_network,
)
from virtcore.model.nwfilter import (
    format_nwfilter,
    format_nwfilter_binding,
    load_nwfilter,
    load_nwfilter_binding,
)

_FLAGS = {"inactive": NetworkXMLFlags.INACTIVE}


def _format_flags(case: Any) -> NetworkXMLFlags:
    flags = NetworkXMLFlags(0)
    for name in case.params["flags"]:
        flags |= _FLAGS[name]
    return flags


def network(case: Any) -> str:
    """Round trip of a network."""
    return format_network(load_network(case.text("xml")), _format_flags(case))


def network_update(case: Any) -> str:
    """A section of a network changed."""
    subject = load_network(case.text("network"))
    update_network(
        subject,
        NetworkUpdateCommand[_enum_name(case.params["command"])],
        NetworkUpdateSection[_enum_name(case.params["section"])],
        case.params["parent_index"],
        case.text("update"),
    )
    return format_network(subject, _format_flags(case))


def _enum_name(word: str) -> str:
    return word.upper().replace("-", "_")


def network_port(case: Any) -> str:
    """Round trip of a port of a network."""
    return format_network_port(load_network_port(case.text("xml")))


def nwfilter(case: Any) -> str:
    """Round trip of a network filter."""
    return format_nwfilter(load_nwfilter(case.text("xml")))


def nwfilter_binding(case: Any) -> str:
    """Round trip of a filter's binding."""
    return format_nwfilter_binding(load_nwfilter_binding(case.text("xml")))


def network_dnsmasq(case: Any) -> dict[str, Any]:
    """What dnsmasq is told about a network."""
    from virt_host.network.dnsmasq import dnsmasq_files

    files = dnsmasq_files(load_network(case.text("xml")), case.params["config_dir"], pidfile=case.params["pidfile"])
    return {"conf": files.configuration, "hostsfile": files.hosts}


def network_bandwidth(case: Any) -> list[list[str]]:
    """The commands that limit an interface."""
    from virt_host.network.bandwidth import ovs_commands, tc_commands
    from virtcore.model.network import Bandwidth
    from virtcore.xml import load

    bandwidth = load(case.text("xml"), Bandwidth) if case.has("xml") else None
    interface, swapped = case.params["interface"], "dir-swapped" in case.params["flags"]
    if case.params["backend"] == "tc":
        return tc_commands(interface, bandwidth, swapped=swapped, tc=case.params["binary"])
    return ovs_commands(
        interface, bandwidth, vm_uuid=case.params["vm_uuid"], swapped=swapped, ovs_vsctl=case.params["binary"]
    )


def network_firewall(case: Any) -> list[list[str]]:
    """The commands that set up a network's firewall."""
    from virt_host.network.firewall import iptables_commands, nft_commands

    commands = {"iptables": iptables_commands, "nftables": nft_commands}[case.params["backend"]]
    return commands(load_network(case.text("xml")))


def nwfilter_firewall(case: Any) -> list[list[str]]:
    """The commands that filter an interface's traffic."""
    from virt_host.nwfilter.rulesets import new_rules
    from virt_host.nwfilter.tree import placed_rules
    from virt_host.nwfilter.variables import collect

    def lookup(name: str) -> Any:
        return load_nwfilter(case.text(f"filter:{name}"))

    rules = list(placed_rules(load_nwfilter(case.text("xml")), collect(case.params["variables"]), lookup))
    return [step.command for step in new_rules(case.params["interface"], rules)]
