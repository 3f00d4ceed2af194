"""What dnsmasq is told about a virtual network: its configuration, and the files with its hosts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from virt_host.network.namespace import options_of
from virtcore.errors import ConfigUnsupported, InternalError, XMLError
from virtcore.model.network import ForwardMode

if TYPE_CHECKING:
    from virtcore.model.network import DHCPHost, DNSService, Lease, Network, NetworkIP

__all__ = ["DnsmasqFiles", "dnsmasq_files"]

_HEAD = """\
##WARNING:  THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE
##OVERWRITTEN AND LOST.  Changes to this configuration should be made using:
##    virsh net-edit {name}
## or other application using the libvirt API.
##
## dnsmasq conf file created by libvirt
strict-order
"""


@dataclass(frozen=True, slots=True)
class DnsmasqFiles:
    """The files dnsmasq reads for a network.

    :ivar configuration: text of its configuration.
    :ivar hosts_path: where it looks for guests with an address of their own.
    :ivar hosts: text of that file; None when there are none.
    :ivar names_path: where it looks for names.
    :ivar names: text of that file; None when there are none.
    """

    configuration: str
    hosts_path: str
    hosts: str | None
    names_path: str
    names: str | None


def dnsmasq_files(network: Network, folder: str, *, pidfile: str | None = None) -> DnsmasqFiles:
    """The files dnsmasq needs to serve a network.

    :param network: complete and valid, its bridge with a name.
    :param folder: where the files are, absolute.
    :param pidfile: where dnsmasq notes its process.
    :raises ConfigUnsupported: DHCP is asked for on several addresses of a family, or a reverse zone cannot be named.
    :raises XMLError: a value would end its line.
    """
    # The name becomes part of a file's name as libvirt writes it: escaped as in XML.
    base = f"{folder}/{escape(network.name, {chr(34): '&quot;', chr(39): '&apos;'})}"
    hosts_path, names_path = f"{base}.hostsfile", f"{base}.addnhosts"
    served = [_serving(network, version) for version in (4, 6)]
    lines = [*_names(network)]
    if pidfile is not None:
        lines.append(f"pid-file={pidfile}")
    bridge = network.bridge.name if network.bridge is not None else None
    if bridge is None:
        raise InternalError(f"network '{network.name}' does not have a bridge name.")
    lines += ["except-interface=lo", "bind-dynamic", f"interface={bridge}"]
    if network.mode is ForwardMode.NONE:
        # No default route, no questions to the world, and no IPv6 route through the host.
        lines += ["dhcp-option=3", "no-resolv", "ra-param=*,0,0"]
    wants_dns = network.dns is None or network.dns.enable is not False
    if wants_dns:
        lines += _records(network)
    lines += _tftp(network)
    leases = 0
    for ip in served:
        if ip is not None:
            lines += _dhcp(ip)
            assert ip.dhcp is not None
            for each in ip.dhcp.ranges:
                leases += int(ipaddress.ip_address(each.end)) - int(ipaddress.ip_address(each.start)) + 1
    if leases:
        lines.append(f"dhcp-lease-max={leases}")
    if any(served):
        lines.append(f"dhcp-hostsfile={hosts_path}")
    if wants_dns:
        lines.append(f"addn-hosts={names_path}")
    if network.mtu:
        lines.append(f"dhcp-option=option:mtu,{network.mtu}")
    if served[1] is not None:
        lines.append("enable-ra")
    else:
        lines += [f"dhcp-range={ip.address},ra-only" for ip in network.ips if ip.parsed.version == 6]
    lines += options_of(network)
    _refuse_line_ends(network, lines)
    hosts = [_host(host, ip) for ip in served if ip is not None and ip.dhcp is not None for host in ip.dhcp.hosts]
    # Each word ends with a tab, as in libvirt's own files.
    names = (
        ["".join(f"{word}\t" for word in (host.ip, *host.hostnames)) for host in network.dns.hosts]
        if network.dns
        else []
    )
    _refuse_line_ends(network, hosts + names)
    return DnsmasqFiles(
        configuration=_HEAD.format(name=network.name) + "".join(f"{line}\n" for line in lines),
        hosts_path=hosts_path,
        hosts="".join(f"{line}\n" for line in hosts) or None,
        names_path=names_path,
        names="".join(f"{line}\n" for line in names) or None,
    )


def _refuse_line_ends(network: Network, lines: list[str]) -> None:
    for line in (network.name, *lines):
        if "\n" in line or "\r" in line:
            raise XMLError(f"a value in network '{network.name}' has a line break", value=line)


def _serving(network: Network, version: int) -> NetworkIP | None:
    """The one address of a family that hands out addresses."""
    found = [ip for ip in network.ips if ip.parsed.version == version and ip.serves_dhcp]
    if len(found) > 1:
        raise ConfigUnsupported(f"For IPv{version}, multiple DHCP definitions cannot be specified.")
    return found[0] if found else None


def _names(network: Network) -> Iterator[str]:
    """Where names come from."""
    dns, domain = network.dns, network.domain
    if dns is not None and dns.enable is False:
        yield "port=0"
    elif dns is not None:
        for forwarder in dns.forwarders:
            zone = "" if forwarder.domain is None else f"/{forwarder.domain}/"
            yield f"server={zone}{forwarder.addr or '#'}"
        # Somebody answers whatever nobody else does: the host's own servers are not asked.
        if any(forwarder.domain is None for forwarder in dns.forwarders):
            yield "no-resolv"
    if domain is not None and domain.name is not None:
        if domain.local_only:
            yield f"local=/{domain.name}/"
        yield f"domain={domain.name}"
        yield "expand-hosts"
    if dns is not None and dns.enable is False:
        return
    for ip in network.ips:
        if ip.local_ptr:
            yield f"local=/{_reverse_zone(ip)}/"
    if dns is not None and dns.forward_plain_names is False:
        yield "domain-needed"
        yield "local=//"


def _reverse_zone(ip: NetworkIP) -> str:
    """The zone with the names of a network's addresses."""
    address, prefix = ip.parsed, ip.prefix_length or 0
    step = 8 if address.version == 4 else 4
    if not 0 < prefix < address.max_prefixlen or prefix % step:
        raise ConfigUnsupported(
            f"PTR domain for IPv{address.version} network with prefix {prefix} cannot be automatically created"
        )
    labels = address.reverse_pointer.split(".")
    return ".".join(labels[(address.max_prefixlen - prefix) // step :])


def _records(network: Network) -> Iterator[str]:
    if network.dns is None:
        return
    for text in network.dns.texts:
        yield f"txt-record={text.name},{text.value}"
    for service in network.dns.services:
        yield _service(service)


def _service(record: DNSService) -> str:
    line = f"srv-host=_{record.service}._{record.protocol}"
    if record.domain is not None:
        line += f".{record.domain}"
    # Without a target the service is not to be had.
    if record.target is None or record.target == ".":
        return line
    line += f",{record.target}"
    # What comes later in the line needs what comes before it.
    if record.port or record.priority or record.weight:
        line += f",{record.port or 1}"
    if record.priority or record.weight:
        line += f",{record.priority or 0}"
    if record.weight:
        line += f",{record.weight}"
    return line


def _tftp(network: Network) -> Iterator[str]:
    roots = [ip.tftp_root for ip in network.ips if ip.tftp_root is not None and ip.parsed.version == 4]
    if roots:
        yield "enable-tftp"
    for root in roots:
        yield f"tftp-root={root}"


def _dhcp(ip: NetworkIP) -> Iterator[str]:
    dhcp, address, prefix = ip.dhcp, ip.parsed, ip.prefix_length
    assert dhcp is not None
    if prefix is None:
        raise InternalError(f"bridge has an invalid netmask or IP address, {address}")
    size = str(ipaddress.ip_network((0, prefix)).netmask) if address.version == 4 else str(prefix)
    for served in dhcp.ranges:
        yield f"dhcp-range={served.start},{served.end},{size}{_lease(served.lease)}"
    if not dhcp.ranges:
        # Only for guests with an address of their own.
        yield f"dhcp-range={ip.address},static" + (f",{prefix}" if address.version == 6 else "")
    if address.version == 4:
        yield "dhcp-no-override"
        yield "dhcp-authoritative"
        if dhcp.bootp is not None:
            server = "" if dhcp.bootp.server is None else f",,{dhcp.bootp.server}"
            yield f"dhcp-boot={dhcp.bootp.file}{server}"


def _lease(lease: Lease | None) -> str:
    if lease is None:
        return ""
    if not lease.expiry:
        return ",infinite"
    return f",{lease.expiry}{str(lease.unit)[0]}"


def _host(host: DHCPHost, ip: NetworkIP) -> str:
    """A guest with an address of its own."""
    parts: tuple[str | None, ...]
    if ip.parsed.version == 6:
        parts = (None if host.id is None else f"id:{host.id}", host.name, f"[{host.ip}]")
    elif host.mac is None:
        parts = (host.name, host.ip, None)
    else:
        parts = (host.mac, host.ip, host.name)
    return ",".join(part for part in parts if part is not None) + _lease(host.lease)
