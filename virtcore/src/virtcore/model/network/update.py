"""Changes of one section of a virtual network (``virNetworkUpdate``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from virtcore.enums import NetworkUpdateCommand, NetworkUpdateSection
from virtcore.errors import ErrorDomain, OperationInvalid, OperationUnsupported, XMLError
from virtcore.model.network import dhcp_rules, dns_rules
from virtcore.model.network.addresses import parse_ip
from virtcore.model.network.dns import DNS, DNSHost, DNSService, DNSText
from virtcore.model.network.forward import Forward, ForwardInterface, ForwardMode
from virtcore.model.network.ip import DHCP, DHCPHost, DHCPRange
from virtcore.model.network.network import PortGroup
from virtcore.model.network.rules import settle_portgroup
from virtcore.xml import MAC, declaration
from virtcore.xml.document import document
from virtcore.xml.reader import read_node

if TYPE_CHECKING:
    from lxml.etree import _Element

    from virtcore.model.network.ip import NetworkIP
    from virtcore.model.network.network import Network

__all__ = ["update_network"]

T = TypeVar("T")

_ADD = (NetworkUpdateCommand.ADD_FIRST, NetworkUpdateCommand.ADD_LAST)
_DELETE = NetworkUpdateCommand.DELETE
_MODIFY = NetworkUpdateCommand.MODIFY


def update_network(
    network: Network,
    command: NetworkUpdateCommand,
    section: NetworkUpdateSection,
    parent_index: int,
    xml: str | bytes,
) -> None:
    """Changes one section of a network in place; a refusal changes nothing.

    :param network: complete and valid.
    :param command: what to do with the element.
    :param section: what kind of element it is.
    :param parent_index: which ``<ip>`` a DHCP entry belongs to, from 0; -1: the one that has entries already, or else
        the first one.
    :param xml: the element.
    :raises OperationUnsupported: that section or command cannot be.
    :raises OperationInvalid: there is no such entry, or one already.
    :raises VirtError: the element is malformed, or refused by libvirt's parser.
    """
    node = document(xml, "network_update_xml")
    change = _SECTIONS.get(section)
    if change is None:
        name = _FIXED.get(section)
        if name is None:
            raise OperationUnsupported("can't update unrecognized section of network")
        raise OperationUnsupported(f"can't update '{name}' section of network '{network.name}'")
    change(network, command, parent_index, node)


def _expect(network: Network, node: _Element, cls: type) -> None:
    section = declaration(cls).name
    if node.tag != section:
        found = str(node.tag).rpartition("}")[2]
        raise XMLError(
            f"unexpected element <{found}>, expecting <{section}>, while updating network '{network.name}'",
            domain=ErrorDomain.NETWORK,
            path=f"/{found}",
        )


def _read(network: Network, node: _Element, cls: type[T]) -> T:
    """The element as one of the network, whose name messages mention."""
    from lxml import etree

    whole = etree.Element("network")
    etree.SubElement(whole, "name").text = network.name
    whole.append(node)
    return read_node(node, cls)


def _unknown(command: int) -> OperationUnsupported:
    return OperationUnsupported(f"unrecognized network update command code {int(command)}")


def _insert(entries: list[T], entry: T, command: NetworkUpdateCommand) -> None:
    entries.insert(0 if command == NetworkUpdateCommand.ADD_FIRST else len(entries), entry)


# ----------------------------------------------------------------------------------------------------------------- DHCP


def _find_ip(network: Network, index: int) -> NetworkIP:
    if index >= 0:
        if index >= len(network.ips):
            raise OperationInvalid(
                f"couldn't update dhcp host entry - no <ip> element found at index {index} in network '{network.name}'"
            )
        return network.ips[index]
    ordered = sorted(network.ips, key=lambda ip: ip.parsed.version)
    found = next((ip for ip in network.ips if ip.serves_dhcp), ordered[0] if ordered else None)
    if found is None:
        raise OperationInvalid(f"couldn't update dhcp host entry - no <ip> element found in network '{network.name}'")
    return found


def _refuse_second_dhcp(network: Network, ip: NetworkIP) -> None:
    version = ip.parsed.version
    for other in network.ips:
        if other is not ip and other.parsed.version == version and other.serves_dhcp:
            raise OperationInvalid(f"dhcp is supported only for a single IPv{version} address on each network")


def _dhcp_of(ip: NetworkIP) -> DHCP:
    if ip.dhcp is None:
        ip.dhcp = DHCP()
    return ip.dhcp


def _shown(text: str | None) -> str:
    return "(null)" if text is None else text


def _update_host(network: Network, command: NetworkUpdateCommand, index: int, node: _Element) -> None:
    _expect(network, node, DHCPHost)
    ip = _find_ip(network, index)
    host = _read(network, node, DHCPHost)
    partial = command == _DELETE
    dhcp_rules.verify_host(host, ip, network.name, partial=partial)
    host.lease = dhcp_rules.settle_lease(host.lease)
    if not partial and parse_ip(str(host.ip)).version != ip.parsed.version:
        raise OperationInvalid(
            "the address family of a host entry IP must match the address family of the dhcp element's parent"
        )
    hosts = ip.dhcp.hosts if ip.dhcp is not None else []
    alike = next((n for n, other in enumerate(hosts) if _alike(host, other)), None)
    mac = "unknown" if host.mac is None else host.mac
    name, address = _shown(host.name), "unknown" if host.ip is None else host.ip
    if command == _MODIFY:
        if alike is None:
            raise OperationInvalid(
                f"couldn't locate an existing dhcp host entry with \"mac='{mac}'\" \"name='{name}'\" "
                f"\"ip='{address}'\" in network '{network.name}'"
            )
        hosts[alike] = host
    elif command in _ADD:
        _refuse_second_dhcp(network, ip)
        if alike is not None:
            raise OperationInvalid(
                f"there is an existing dhcp host entry in network '{network.name}' that matches "
                f"\"<host mac='{mac}' name='{name}' ip='{address}'/>\""
            )
        _insert(_dhcp_of(ip).hosts, host, command)
    elif command == _DELETE:
        found = next((n for n, other in enumerate(hosts) if _meant(host, other)), None)
        if found is None:
            raise OperationInvalid(f"couldn't locate a matching dhcp host entry in network '{network.name}'")
        del hosts[found]
    else:
        raise _unknown(command)


def _same_mac(one: str, two: str) -> bool:
    return MAC.read(one) == MAC.read(two)


def _alike(host: DHCPHost, other: DHCPHost) -> bool:
    """Whether two entries cannot stand side by side: one of their attributes is the same."""
    return (
        (host.mac is not None and other.mac is not None and _same_mac(host.mac, other.mac))
        or (host.name is not None and host.name == other.name)
        or (host.ip is not None and host.ip == other.ip)
    )


def _meant(host: DHCPHost, other: DHCPHost) -> bool:
    """Whether an entry has all attributes that are given."""
    return (
        (host.mac is None or other.mac is None or _same_mac(host.mac, other.mac))
        and host.name in (None, other.name)
        and host.ip in (None, other.ip)
    )


def _update_range(network: Network, command: NetworkUpdateCommand, index: int, node: _Element) -> None:
    _expect(network, node, DHCPRange)
    ip = _find_ip(network, index)
    if command == _MODIFY:
        raise OperationUnsupported("dhcp ranges cannot be modified, only added or deleted")
    served = _read(network, node, DHCPRange)
    dhcp_rules.verify_range(served, ip)
    served.lease = dhcp_rules.settle_lease(served.lease)
    ranges = ip.dhcp.ranges if ip.dhcp is not None else []
    found = next((n for n, one in enumerate(ranges) if (one.start, one.end) == (served.start, served.end)), None)
    if command in _ADD:
        _refuse_second_dhcp(network, ip)
        if found is not None:
            raise OperationInvalid(
                f"there is an existing dhcp range entry in network '{network.name}' that matches "
                f"\"<range start='{served.start}' end='{served.end}'/>\""
            )
        _insert(_dhcp_of(ip).ranges, served, command)
    elif command == _DELETE:
        if found is None:
            raise OperationInvalid(f"couldn't locate a matching dhcp range entry in network '{network.name}'")
        del ranges[found]
    else:
        raise _unknown(command)


# -------------------------------------------------------------------------------------------------------------- forward


def _update_interface(network: Network, command: NetworkUpdateCommand, index: int, node: _Element) -> None:
    _expect(network, node, ForwardInterface)
    if command == _MODIFY:
        raise OperationUnsupported("forward interface entries cannot be modified, only added or deleted")
    if node.get("dev") is None:
        raise XMLError("missing dev attribute in <interface> element", path="/interface/@dev")
    interface = _read(network, node, ForwardInterface)
    interfaces = network.forward.interfaces if network.forward is not None else []
    found = next((n for n, other in enumerate(interfaces) if other.dev == interface.dev), None)
    if command in _ADD:
        if found is not None:
            raise OperationInvalid(
                f"there is an existing interface entry in network '{network.name}' that matches "
                f"\"<interface dev='{interface.dev}'>\""
            )
        if network.forward is None:
            # Of an isolated network: it has the interface and, being isolated, does not show it.
            network.forward = Forward(mode=ForwardMode.NONE)
        _insert(network.forward.interfaces, interface, command)
    elif command == _DELETE:
        if found is None:
            raise OperationInvalid(
                f"couldn't find an interface entry in network '{network.name}' matching "
                f"<interface dev='{interface.dev}'>"
            )
        connections = interfaces[found].connections
        if connections:
            raise OperationInvalid(
                f"unable to delete interface '{interface.dev}' in network '{network.name}'. It is currently being "
                f"used by {connections} domains."
            )
        del interfaces[found]
    else:
        raise _unknown(command)
    if network.forward is not None:
        network.forward.dev = network.forward.first_device()


def _update_portgroup(network: Network, command: NetworkUpdateCommand, index: int, node: _Element) -> None:
    _expect(network, node, PortGroup)
    group = _read(network, node, PortGroup)
    settle_portgroup(group)
    groups = network.portgroups
    found = next((n for n, other in enumerate(groups) if other.name == group.name), None)
    if found is None and command in (_MODIFY, _DELETE):
        raise OperationInvalid(
            f"couldn't find a portgroup entry in network '{network.name}' matching <portgroup name='{group.name}'>"
        )
    if found is not None and command in _ADD:
        raise OperationInvalid(
            f"there is an existing portgroup entry in network '{network.name}' that matches "
            f"\"<portgroup name='{group.name}'>\""
        )
    default = next((n for n, other in enumerate(groups) if other.default), found)
    if command != _DELETE and group.default and default != found:
        raise OperationInvalid(
            f"a different portgroup entry in network '{network.name}' is already set as the default. Only one "
            "default is allowed."
        )
    if command in _ADD:
        _insert(groups, group, command)
    elif command == _MODIFY and found is not None:
        groups[found] = group
    elif command == _DELETE and found is not None:
        del groups[found]
    else:
        raise _unknown(command)


# ------------------------------------------------------------------------------------------------------------------ DNS


def _dns_of(network: Network) -> DNS:
    if network.dns is None:
        network.dns = DNS()
    return network.dns


def _update_dns_host(network: Network, command: NetworkUpdateCommand, index: int, node: _Element) -> None:
    _expect(network, node, DNSHost)
    host = _read(network, node, DNSHost)
    dns_rules.verify_host(host, network.name, partial=command not in _ADD)
    hosts = network.dns.hosts if network.dns is not None else []
    found = [
        n
        for n, other in enumerate(hosts)
        if (host.ip is not None and host.ip == other.ip)
        or (command == _DELETE and not set(host.hostnames).isdisjoint(other.hostnames))
    ]
    if command in _ADD:
        if found:
            raise OperationInvalid(
                f"there is already at least one DNS HOST record with a matching field in network {network.name}"
            )
        _insert(_dns_of(network).hosts, host, command)
    elif command in (_DELETE, _MODIFY):
        if not found:
            raise OperationInvalid(f"couldn't locate a matching DNS HOST record in network {network.name}")
        if len(found) > 1:
            raise OperationInvalid(f"multiple matching DNS HOST records were found in network {network.name}")
        if command == _DELETE:
            del hosts[found[0]]
        else:
            hosts[found[0]] = host
    else:
        raise _unknown(command)


def _update_dns_service(network: Network, command: NetworkUpdateCommand, index: int, node: _Element) -> None:
    if command == _MODIFY:
        raise OperationUnsupported("DNS SRV records cannot be modified, only added or deleted")
    _expect(network, node, DNSService)
    record = _read(network, node, DNSService)
    dns_rules.verify_service(record, network.name, partial=command not in _ADD)
    records = network.dns.services if network.dns is not None else []
    found = [
        n
        for n, other in enumerate(records)
        if all(
            getattr(record, name) in (None, getattr(other, name))
            for name in ("domain", "service", "protocol", "target")
        )
    ]
    if command in _ADD:
        if found:
            raise OperationInvalid(
                f"there is already at least one DNS SRV record matching all specified fields in network {network.name}"
            )
        _insert(_dns_of(network).services, record, command)
    elif command == _DELETE:
        if not found:
            raise OperationInvalid(f"couldn't locate a matching DNS SRV record in network {network.name}")
        if len(found) > 1:
            raise OperationInvalid(
                f"multiple DNS SRV records matching all specified fields were found in network {network.name}"
            )
        del records[found[0]]
    else:
        raise _unknown(command)


def _update_dns_text(network: Network, command: NetworkUpdateCommand, index: int, node: _Element) -> None:
    _expect(network, node, DNSText)
    record = _read(network, node, DNSText)
    dns_rules.verify_text(record, network.name, partial=command not in _ADD)
    records = network.dns.texts if network.dns is not None else []
    found = next((n for n, other in enumerate(records) if other.name == record.name), None)
    if command in _ADD:
        if found is not None:
            raise OperationInvalid(
                f"there is already a DNS TXT record with name '{record.name}' in network {network.name}"
            )
        _insert(_dns_of(network).texts, record, command)
    elif command in (_DELETE, _MODIFY):
        if found is None:
            raise OperationInvalid(f"couldn't locate a matching DNS TXT record in network {network.name}")
        if command == _DELETE:
            del records[found]
        elif record.value is None:
            raise OperationInvalid(f"missing value of modifying DNS TXT record in network {network.name}")
        else:
            records[found].value = record.value
    else:
        raise _unknown(command)


_Change = Callable[["Network", NetworkUpdateCommand, int, "_Element"], None]

_SECTIONS: dict[NetworkUpdateSection, _Change] = {
    NetworkUpdateSection.IP_DHCP_HOST: _update_host,
    NetworkUpdateSection.IP_DHCP_RANGE: _update_range,
    NetworkUpdateSection.FORWARD_INTERFACE: _update_interface,
    NetworkUpdateSection.PORTGROUP: _update_portgroup,
    NetworkUpdateSection.DNS_HOST: _update_dns_host,
    NetworkUpdateSection.DNS_TXT: _update_dns_text,
    NetworkUpdateSection.DNS_SRV: _update_dns_service,
}

#: Sections that nothing can change.
_FIXED = {
    NetworkUpdateSection.BRIDGE: "bridge",
    NetworkUpdateSection.DOMAIN: "domain",
    NetworkUpdateSection.IP: "ip",
    NetworkUpdateSection.FORWARD: "forward",
    NetworkUpdateSection.FORWARD_PF: "forward pf",
}
