"""The firewall of virtual networks: what the reference outputs have no case for."""

from __future__ import annotations

import pytest

from virt_host.network.firewall import iptables_commands, nft_commands
from virtcore.errors import VirtError
from virtcore.model.network import Network, load_network

V4 = "<ip address='10.0.0.1' prefix='24'/>"
V6 = "<ip family='ipv6' address='fd00::1' prefix='64'/>"


def network(content: str, attributes: str = "") -> Network:
    return load_network(f"<network{attributes}><name>n</name><bridge name='b'/>{content}</network>")


def iptables(content: str, attributes: str = "") -> list[str]:
    return [" ".join(command) for command in iptables_commands(network(content, attributes))]


def nft(content: str, attributes: str = "") -> list[str]:
    return [" ".join(command) for command in nft_commands(network(content, attributes))]


def test_guests_get_addresses_of_their_own() -> None:
    sources_and_ports = "<nat><address start='1.2.3.4' end='1.2.3.9'/><port start='5' end='9'/></nat>"
    nat = f"<forward mode='nat'>{sources_and_ports}</forward>{V4}"
    sources = [line for line in iptables(nat) if "SNAT" in line]
    assert [line.rpartition(" --jump ")[2] for line in sources] == [
        "SNAT --to-source 1.2.3.4-1.2.3.9",
        "SNAT --to-source 1.2.3.4-1.2.3.9:5-9",
        "SNAT --to-source 1.2.3.4-1.2.3.9:5-9",
    ]
    assert [line.rpartition(" counter ")[2] for line in nft(nat) if "snat" in line] == [
        "snat to 1.2.3.4-1.2.3.9",
        "snat to 1.2.3.4-1.2.3.9:5-9",
        "snat to 1.2.3.4-1.2.3.9:5-9",
    ]


def test_ipv6_is_routed_unless_its_translation_is_asked_for() -> None:
    routed = [line for line in nft(f"<forward/>{V4}{V6}") if " ip6 " in line and "fd00" in line]
    assert routed == [
        "nft -ae insert rule ip6 libvirt_network guest_output ip6 saddr fd00::/64 iif b counter accept",
        "nft -ae insert rule ip6 libvirt_network guest_input ip6 daddr fd00::/64 oif b counter accept",
    ]
    translated = nft(f"<forward><nat ipv6='yes'/></forward>{V4}{V6}")
    assert sum("masquerade" in line and "fd00" in line for line in translated) == 3


def test_ipv6_among_guests_only() -> None:
    # Without an IPv6 address guests may still talk to each other, and the host serves nothing.
    lines = [line for line in iptables(V4, " ipv6='yes'") if line.startswith("ip6tables")]
    assert [line.split()[5] for line in lines] == ["LIBVIRT_FWO", "LIBVIRT_FWI", "LIBVIRT_FWX"]
    assert not [line for line in iptables(V4) if line.startswith("ip6tables")]


def test_files_are_served_where_there_are_some() -> None:
    tftp = "<ip address='10.0.0.1' prefix='24'><tftp root='/t'/></ip>"
    assert [line.split()[5] for line in iptables(tftp) if "port 69" in line] == ["LIBVIRT_INP", "LIBVIRT_OUT"]
    assert not [line for line in iptables(V4) if "port 69" in line]


def test_checksums_are_filled_in_for_dhcp_only() -> None:
    assert not [line for line in (*iptables(V4), *nft(V4)) if "checksum" in line or line.startswith("tc ")]


@pytest.mark.parametrize("content", ["<forward mode='open'/>" + V4, "<forward mode='bridge'/>"])
def test_networks_that_are_let_alone(content: str) -> None:
    assert iptables(content) == nft(content) == []


def test_a_bridge_needs_its_name() -> None:
    unnamed = load_network("<network><name>n</name></network>")
    with pytest.raises(VirtError, match="network 'n' does not have a bridge name"):
        iptables_commands(unnamed)


def test_a_range_of_one_port_is_none() -> None:
    with pytest.raises(VirtError, match="Invalid port range '7-7'"):
        iptables(f"<forward><nat><port start='7' end='7'/></nat></forward>{V4}")
