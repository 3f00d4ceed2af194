"""What frames say about a guest's address: messages of DHCP, ARP, IPv4."""

from __future__ import annotations

import ipaddress
import struct
from enum import IntEnum
from typing import NamedTuple

from virt_host.nwfilter.listening import Frame

__all__ = ["DHCPMessage", "DHCPType", "address_in", "dhcp_message"]

_IPV4, _ARP, _VLAN = 0x0800, 0x0806, 0x8100
_UDP = 17
_BOOT_REPLY = 2
_MAGIC = bytes((99, 130, 83, 99))
_PAD, _REQUESTED, _LEASE_TIME, _TYPE, _SERVER, _END = 0, 50, 51, 53, 54, 255


class DHCPType(IntEnum):
    """What a message of DHCP is."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class DHCPMessage(NamedTuple):
    """A message between a guest and a server of DHCP.

    :ivar reply: a server's.
    :ivar client: the guest's MAC address, as the message says.
    :ivar address: the guest's address that it is about; None where it says none.
    :ivar server: the server's; None where it does not say.
    :ivar lease: seconds for which the guest may have the address; None where it does not say.
    """

    type: int
    reply: bool
    client: str
    address: str | None
    server: str | None
    lease: int | None


def _payload(data: bytes) -> tuple[int, bytes]:
    """What a frame carries, behind a tag of VLAN if it has one."""
    if len(data) < 14:
        return 0, b""
    kind, start = int.from_bytes(data[12:14]), 14
    if kind == _VLAN and len(data) >= 18:
        kind, start = int.from_bytes(data[16:18]), 18
    return kind, data[start:]


def _mac(raw: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in raw)


def _ip(raw: bytes) -> str | None:
    return str(ipaddress.IPv4Address(raw)) if any(raw) else None


def dhcp_message(data: bytes) -> DHCPMessage | None:
    """The message a frame carries; None where it carries none that is whole."""
    kind, packet = _payload(data)
    if kind != _IPV4 or len(packet) < 20 or packet[9] != _UDP:
        return None
    header = (packet[0] & 0x0F) * 4
    if header < 20:
        return None
    ports, message = packet[header : header + 4], packet[header + 8 :]
    if ports not in (b"\0\x43\0\x44", b"\0\x44\0\x43") or len(message) < 240 or message[236:240] != _MAGIC:
        return None
    options = _options(message[240:])
    if options is None or len(options.get(_TYPE, b"")) != 1:
        return None
    lease = options.get(_LEASE_TIME)
    return DHCPMessage(
        type=options[_TYPE][0],
        reply=message[0] == _BOOT_REPLY,
        client=_mac(message[28:34]),
        # Given by the server, asked for by the guest, or used by the guest.
        address=_ip(message[16:20]) or _option_address(options, _REQUESTED) or _ip(message[12:16]),
        server=_option_address(options, _SERVER) or _ip(message[20:24]),
        lease=struct.unpack("!I", lease)[0] if lease is not None and len(lease) == 4 else None,
    )


def _options(data: bytes) -> dict[int, bytes] | None:
    """The options of a message; None where they are damaged, or one is there twice."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        if at + 1 >= len(data) or at + 2 + data[at + 1] > len(data):
            return None
        code, length = data[at], data[at + 1]
        if code in found and code in (_TYPE, _LEASE_TIME):
            return None
        found[code] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return found


def _option_address(options: dict[int, bytes], code: int) -> str | None:
    value = options.get(code, b"")
    return _ip(value) if len(value) == 4 else None


def address_in(frame: Frame, mac: str) -> str | None:
    """The address that a guest has, says a frame: one it uses, or one a server of DHCP gives it.

    :param mac: the guest's.
    """
    data = frame.data
    if not frame.sent:
        message = dhcp_message(data)
        if message is None or not message.reply or message.client != mac:
            return None
        return message.address if message.type in (DHCPType.OFFER, DHCPType.ACK) else None
    if _mac(data[6:12]) != mac:
        return None
    kind, packet = _payload(data)
    raw = b""
    if kind == _IPV4 and len(packet) >= 20:
        raw = packet[12:16]
    elif kind == _ARP and len(packet) >= 28 and packet[:6] == b"\0\x01\x08\0\x06\x04":
        raw = packet[14:18]
    if not any(raw) or raw[0] >= 224:  # none yet, or none a guest can have
        return None
    return _ip(raw)
