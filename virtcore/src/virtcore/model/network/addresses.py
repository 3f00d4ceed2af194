"""IP addresses as libvirt reads and spells them."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TypeAlias

from virtcore.errors import InternalError
from virtcore.model.patterns import ANY_IP
from virtcore.xml import Codec
from virtcore.xml.scalars import Unreadable

__all__ = ["IP", "Address", "check_range", "ip_prefix", "network_of", "parse_ip", "read_ip", "spelled"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

#: What C's number-and-dots notation is made of; ``10.1`` is 10.0.0.1.
_DOTTED = re.compile(r"[0-9a-fA-FxX]+(\.[0-9a-fA-FxX]+){0,3}")

#: Where an address beyond a ``%`` holds: the name of an interface, or its index.
_SCOPE = re.compile(r"[^%/\s\x00]+")


def read_ip(text: str) -> str:
    """An address in its canonical spelling, from any spelling the C library accepts.

    :raises Unreadable: not a numeric address.
    """
    if ":" in text:
        bare, percent, scope = text.partition("%")
        try:
            packed = socket.inet_pton(socket.AF_INET6, bare)
        except (OSError, ValueError):
            raise Unreadable(text) from None
        if percent and _SCOPE.fullmatch(scope) is None:
            raise Unreadable(text)
        return socket.inet_ntop(socket.AF_INET6, packed) + percent + scope
    if _DOTTED.fullmatch(text) is None:
        raise Unreadable(text)
    try:
        return socket.inet_ntop(socket.AF_INET, socket.inet_aton(text))
    except OSError:
        raise Unreadable(text) from None


#: An IP address in its canonical spelling.
IP: Codec[str] = Codec(
    read_ip,
    str,
    datatype=f"pattern:{ANY_IP}",
    safe=True,
    message="Cannot parse socket address '{value}': Name or service not known",
    error="SYSTEM_ERROR",
)


def parse_ip(text: str) -> Address:
    """An address to calculate with, from its canonical spelling."""
    return ipaddress.ip_address(text)


def spelled(address: Address) -> str:
    """The canonical spelling of an address."""
    return socket.inet_ntop(socket.AF_INET if address.version == 4 else socket.AF_INET6, address.packed)


def ip_prefix(address: Address, netmask: str | None, prefix: int | None) -> int | None:
    """Length of the prefix that belongs to an address: the one given, the netmask's, or the one of the address' class
    (64 for IPv6); None where the netmask is none or the address has no class.
    """
    if prefix:
        return prefix
    if netmask is not None:
        bits = int(parse_ip(netmask))
        ones = bits.bit_count()
        return ones if bits == (0xFFFFFFFF << (32 - ones)) & 0xFFFFFFFF else None
    if address.version == 6:
        return 64
    first = address.packed[0]
    return 8 if first < 0x80 else 16 if first < 0xC0 else 24 if first < 0xE0 else None


def network_of(address: Address, prefix: int) -> Address:
    """The address with its host bits cleared."""
    bits = address.max_prefixlen - prefix
    return type(address)(int(address) >> bits << bits)


def check_range(start: Address, end: Address, within: tuple[Address, int | None] | None = None) -> None:
    """A range of addresses: ascending, of at most 65,535 addresses, inside its network.

    :param within: an address of the network and the length of its prefix.
    :raises InternalError: with libvirt's words.
    """
    span = f"{spelled(start)} - {spelled(end)}"
    if start.version != end.version:
        raise InternalError(f"mismatch of address family in range {span}")
    if within is not None:
        _check_inside(start, end, *within)
    common, reversed_ = (16, "is reversed ") if start.version == 4 else (112, "start larger than end")
    if network_of(start, common) != network_of(end, common):
        raise InternalError(f"range {span} is too large (> 65535)")
    if int(end) < int(start):
        raise InternalError(f"range {span} {reversed_}")


def _check_inside(start: Address, end: Address, address: Address, prefix: int | None) -> None:
    span = f"{spelled(start)} - {spelled(end)}"
    if start.version != address.version:
        raise InternalError(f"mismatch of address family in range {span} for network {spelled(address)}")
    if prefix is None or prefix > address.max_prefixlen:
        shown = -1 if prefix is None else prefix
        raise InternalError(f"bad prefix {shown} for network {spelled(address)} when checking range {span}")
    network, said = network_of(address, prefix), f"{spelled(address)}/{prefix}"
    if network_of(start, prefix) != network or network_of(end, prefix) != network:
        raise InternalError(f"range {span} is not entirely within network {said}")
    if address.version == 4:
        if start == network:
            raise InternalError(f"start of range {span} in network {said} is the network address")
        if int(end) == int(network) | ((1 << (32 - prefix)) - 1):
            raise InternalError(f"end of range {span} in network {said} is the broadcast address")
