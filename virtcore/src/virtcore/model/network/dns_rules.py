"""What libvirt's parser refuses in a network's ``<dns>``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtcore.errors import XMLDetail, XMLError

if TYPE_CHECKING:
    from virtcore.model.network.dns import DNS, DNSHost, DNSService, DNSText

__all__ = ["verify_dns", "verify_host", "verify_service", "verify_text"]

#: Longest name of a service, in bytes: a DNS message without its overhead (RFC 2782).
_LONGEST = 512 - 30
_SERVICE = re.compile("[0-9a-zA-Z_+/*-]*")
_PROTOCOL = re.compile("[0-9a-zA-Z+/-]*")


def verify_dns(dns: DNS, name: str) -> None:
    """A network's name server.

    :raises VirtError: what libvirt's parser refuses.
    """
    for forwarder in dns.forwarders:
        if forwarder.addr is None and forwarder.domain is None:
            raise XMLError("Invalid forwarder element, must contain at least one of addr or domain")
    for host in dns.hosts:
        verify_host(host, name)
    for service in dns.services:
        verify_service(service, name)
    for text in dns.texts:
        verify_text(text, name)
    if dns.enable is False and (dns.forwarders or dns.hosts or dns.services or dns.texts):
        raise XMLError(f"Extra data in disabled network '{name}'", path="/network/dns")


def verify_host(host: DNSHost, name: str, *, partial: bool = False) -> None:
    """Names of an address.

    :param partial: it only says which record is meant.
    :raises XMLDetail: what libvirt's parser refuses.
    """
    if "" in host.hostnames or not (host.hostnames or partial):
        raise XMLDetail(f"Missing hostname in network '{name}' DNS HOST record")
    if host.ip is None:
        if not partial:
            raise XMLDetail(f"Missing IP address in network '{name}' DNS HOST record")
        if not host.hostnames:
            raise XMLDetail(f"Missing ip and hostname in network '{name}' DNS HOST record")


def verify_service(record: DNSService, name: str, *, partial: bool = False) -> None:
    """An SRV record.

    :param partial: it only says which record is meant.
    :raises XMLDetail: what libvirt's parser refuses.
    """
    service, protocol = record.service, record.protocol
    if service is None:
        if not partial:
            raise XMLDetail(f"missing required service attribute in DNS SRV record of network '{name}'")
    elif len(service.encode()) > _LONGEST:
        raise XMLDetail(f"service attribute '{service}' in network '{name}' is too long, limit is {_LONGEST} bytes")
    elif _SERVICE.fullmatch(service) is None:
        raise XMLDetail(
            f"invalid character in service attribute '{service}' in DNS SRV record of network '{name}'", value=service
        )
    said = "(null)" if service is None else service
    if protocol is None:
        if not partial:
            raise XMLDetail(f"missing required protocol attribute in DNS SRV record '{said}' of network '{name}'")
    elif _PROTOCOL.fullmatch(protocol) is None:
        raise XMLDetail(
            f"invalid character in protocol attribute '{protocol}' in DNS SRV record of network '{name}'",
            value=protocol,
        )
    for attribute in ("port", "priority", "weight"):
        if getattr(record, attribute) is not None and record.target is None:
            raise XMLDetail(
                f"DNS SRV {attribute} attribute not permitted without target for service '{said}' in network '{name}'"
            )


def verify_text(record: DNSText, name: str, *, partial: bool = False) -> None:
    """A TXT record.

    :param partial: it only says which record is meant.
    :raises XMLDetail: what libvirt's parser refuses.
    """
    if re.search("[ ,]", record.name):
        raise XMLDetail(
            f"prohibited character in DNS TXT record name '{record.name}' of network {name}", value=record.name
        )
    if record.value is None and not partial:
        raise XMLDetail(f"missing required value attribute in DNS TXT record named '{record.name}' of network {name}")
