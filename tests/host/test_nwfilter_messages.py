"""What frames tell of a guest's address, whatever is wrong with them."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from virt_host.nwfilter.leases import FOREVER, Lease
from virt_host.nwfilter.listening import Frame
from virt_host.nwfilter.traffic import DHCPMessage, DHCPType, address_in, dhcp_message

GUEST, SERVER = "52:54:00:00:00:01", "52:54:00:00:00:fe"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(sender: str, receiver: str, kind: int, packet: bytes, *, vlan: bool = False) -> bytes:
    tag = b"\x81\x00\x00\x07" if vlan else b""
    return mac(receiver) + mac(sender) + tag + kind.to_bytes(2) + packet


def ip(source: str, data: bytes, protocol: int = 17, *, options: bytes = b"") -> bytes:
    first = 0x45 + len(options) // 4
    head = struct.pack("!BBHHHBBH", first, 0, 20 + len(options) + len(data), 0, 0, 64, protocol, 0)
    return head + socket.inet_aton(source) + bytes(4) + options + data


def dhcp(options: bytes, *, reply: bool, own: str = "0.0.0.0", given: str = "0.0.0.0") -> bytes:
    ports = (67, 68) if reply else (68, 67)
    head = struct.pack("!BBBBIHH", 2 if reply else 1, 1, 6, 0, 7, 0, 0)
    head += socket.inet_aton(own) + socket.inet_aton(given) + bytes(8) + mac(GUEST)
    return struct.pack("!4H", *ports, 0, 0) + head.ljust(236, b"\0") + bytes((99, 130, 83, 99)) + options


ACK = bytes((0, 53, 1, 5, 51, 4, 0, 0, 14, 16, 54, 4, 10, 0, 0, 254, 255))


def test_a_server_gives_an_address() -> None:
    given = dhcp(ACK, reply=True, given="10.0.0.7")
    for frame in (
        ethernet(SERVER, GUEST, 0x0800, ip("10.0.0.254", given)),
        ethernet(SERVER, "ff:ff:ff:ff:ff:ff", 0x0800, ip("10.0.0.254", given, options=bytes(8)), vlan=True),
    ):
        assert dhcp_message(frame) == DHCPMessage(DHCPType.ACK, True, GUEST, "10.0.0.7", "10.0.0.254", 3600)
        assert address_in(Frame(frame, False), GUEST) == "10.0.0.7"
        assert address_in(Frame(frame, False), "52:54:00:00:00:02") is None
        assert address_in(Frame(frame, True), GUEST) is None, "a guest is no server"


def test_a_guest_gives_one_back_or_does_not_want_it() -> None:
    release = dhcp(bytes((53, 1, 7, 255)), reply=False, own="10.0.0.7")
    decline = dhcp(bytes((53, 1, 4, 50, 4, 10, 0, 0, 8, 255)), reply=False)
    for data, kind, address in ((release, DHCPType.RELEASE, "10.0.0.7"), (decline, DHCPType.DECLINE, "10.0.0.8")):
        found = dhcp_message(ethernet(GUEST, SERVER, 0x0800, ip("10.0.0.7", data)))
        assert found is not None
        assert (found.type, found.reply, found.address) == (kind, False, address)


@pytest.mark.parametrize(
    "options",
    [
        b"",
        b"\xff",
        bytes((53, 1, 5, 53, 1, 5)),
        bytes((53, 9, 5)),
        bytes((53,)),
        bytes((51, 4, 0, 0, 0, 1)),
        bytes((53, 0)),
    ],
)
def test_a_damaged_message_tells_nothing(options: bytes) -> None:
    data = dhcp(options, reply=True, given="10.0.0.7")
    assert dhcp_message(ethernet(SERVER, GUEST, 0x0800, ip("10.0.0.254", data))) is None


@pytest.mark.parametrize(
    ("frame", "address"),
    [
        (ethernet(GUEST, SERVER, 0x0800, ip("10.0.0.7", b"", 1)), "10.0.0.7"),
        (ethernet(GUEST, SERVER, 0x0800, ip("10.0.0.7", b"", 1), vlan=True), "10.0.0.7"),
        (ethernet(GUEST, SERVER, 0x0800, ip("0.0.0.0", b"")), None),
        (ethernet(GUEST, SERVER, 0x0800, ip("224.0.0.1", b"")), None),
        (ethernet(SERVER, GUEST, 0x0800, ip("10.0.0.7", b"", 1)), None),
        (ethernet(GUEST, SERVER, 0x86DD, bytes(40)), None),
    ],
)
def test_what_a_guest_uses(frame: bytes, address: str | None) -> None:
    assert address_in(Frame(frame, True), GUEST) == address
    assert address_in(Frame(frame, False), GUEST) is None, "somebody else who says that he is the guest"


def test_nothing_breaks_it() -> None:
    chance = random.Random(1)
    whole = ethernet(SERVER, GUEST, 0x0800, ip("10.0.0.254", dhcp(ACK, reply=True, given="10.0.0.7")))
    for _ in range(3000):
        frame = bytearray(whole[: chance.randrange(len(whole) + 1)])
        for _ in range(chance.randrange(4)):
            if frame:
                frame[chance.randrange(len(frame))] = chance.randrange(256)
        address_in(Frame(bytes(frame), False), GUEST)
        dhcp_message(bytes(frame))


def test_a_lease_that_does_not_end() -> None:
    assert not Lease("10.0.0.7", FOREVER, "10.0.0.254").over
    assert Lease("10.0.0.7", 1, "10.0.0.254").over
