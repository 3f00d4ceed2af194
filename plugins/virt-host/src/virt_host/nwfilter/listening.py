"""Listening to the frames of an interface: a packet socket with a filter in the kernel, read in the core loop."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from virtcore.errors import SystemError

__all__ = ["Frame", "Listener", "for_addresses", "for_dhcp"]

_EVERYTHING = 3  # ETH_P_ALL
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_OUTGOING = 4  # PACKET_OUTGOING
_LONGEST = 2048
#: Frames in a second that are looked at; a guest that sends more is not listened to until the next.
_RATE = 50


class Frame(NamedTuple):
    """A frame.

    :ivar sent: by the guest, or to it.
    """

    data: bytes
    sent: bool


class Listener:
    """Hands over the frames of an interface that pass a program, until it is closed. Lives in the core loop.

    :param deliver: called with each; must not wait.
    :param below: the interface is the device below the guest's own (a macvtap's), else the host's end of that.
    :raises SystemError: the interface is not there, or the kernel refuses.
    """

    def __init__(
        self, interface: str, program: bytes, deliver: Callable[[Frame], None], *, below: bool = False
    ) -> None:
        self._deliver = deliver
        self._below = below
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._second, self._seen = 0.0, 0
        self._socket = _open(interface, program)
        self._loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Listen no more. A second call does nothing."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        if self._pause is not None:
            self._pause.cancel()

    def _read(self) -> None:
        while self._socket.fileno() >= 0:
            if not self._may_read():
                return
            try:
                data, address = self._socket.recvfrom(_LONGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENETDOWN:  # it is off, or has gone: then nothing comes any more
                    self.close()
                return
            self._deliver(Frame(data, (address[2] == _OUTGOING) == self._below))

    def _may_read(self) -> bool:
        now = self._loop.time()
        if now - self._second >= 1.0:
            self._second, self._seen = now, 0
        self._seen += 1
        if self._seen <= _RATE:
            return True
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_at(self._second + 1.0, self._go_on)
        return False

    def _go_on(self) -> None:
        self._pause = None
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._read)


def _open(interface: str, program: bytes) -> socket.socket:
    try:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        try:
            code = ctypes.create_string_buffer(program, len(program))
            described = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
            opened.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, described)
            opened.bind((interface, _EVERYTHING))  # only now does it get frames
        except BaseException:
            opened.close()
            raise
    except OSError as error:
        raise SystemError(f"cannot listen to interface '{interface}': {error.strerror}") from error
    return opened


# ------------------------------------------------------------------------------------- programs of the kernel's filter

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_LOAD_HALF_INDEXED, _INDEX_HEADER = 0x48, 0xB1
_EQUAL, _ANY_OF, _RETURN = 0x15, 0x45, 0x06
#: Where a program goes on.
_ACCEPT, _REFUSE, _NEXT = "accept", "refuse", ""

_IPV4, _ARP, _UDP = 0x0800, 0x0806, 17
_CLIENT_PORT, _SERVER_PORT = 68, 67


class _Line(NamedTuple):
    code: int
    value: int
    then: str = _NEXT
    otherwise: str = _NEXT
    label: str = ""


def _assemble(lines: Sequence[_Line]) -> bytes:
    whole = [*lines, _Line(_RETURN, _LONGEST, label=_ACCEPT), _Line(_RETURN, 0, label=_REFUSE)]
    places = {line.label: number for number, line in enumerate(whole) if line.label}

    def jump(number: int, label: str) -> int:
        return places[label] - number - 1 if label else 0

    return b"".join(
        struct.pack("=HBBI", line.code, jump(number, line.then), jump(number, line.otherwise), line.value)
        for number, line in enumerate(whole)
    )


def _address(offset: int, mac: str, then: str, otherwise: str, label: str = "") -> list[_Line]:
    """Whether a MAC address is in a place of the frame."""
    raw = bytes.fromhex(mac.replace(":", ""))
    high, low = struct.unpack("!IH", raw)
    return [
        _Line(_LOAD_WORD, offset, label=label),
        _Line(_EQUAL, high, otherwise=otherwise),
        _Line(_LOAD_HALF, offset + 4),
        _Line(_EQUAL, low, then, otherwise),
    ]


def for_addresses(mac: str) -> bytes:
    """IPv4 and ARP from a guest, or to it or to all."""
    return _assemble(
        [
            _Line(_LOAD_HALF, 12),
            _Line(_EQUAL, _IPV4, "from"),
            _Line(_EQUAL, _ARP, "from", _REFUSE),
            *_address(6, mac, _ACCEPT, "to", "from"),
            *_address(0, mac, _ACCEPT, "all", "to"),
            *_address(0, "ff:ff:ff:ff:ff:ff", _ACCEPT, _REFUSE, "all"),
        ]
    )


def for_dhcp(mac: str) -> bytes:
    """What a guest asks of servers of DHCP, and what servers answer whomever."""
    return _assemble(
        [
            _Line(_LOAD_HALF, 12),
            _Line(_EQUAL, _IPV4, otherwise=_REFUSE),
            _Line(_LOAD_BYTE, 23),
            _Line(_EQUAL, _UDP, otherwise=_REFUSE),
            _Line(_LOAD_HALF, 20),
            _Line(_ANY_OF, 0x1FFF, _REFUSE),  # the rest of a fragmented packet has no ports
            _Line(_INDEX_HEADER, 14),
            _Line(_LOAD_HALF_INDEXED, 14),
            _Line(_EQUAL, _SERVER_PORT, "answer"),
            _Line(_EQUAL, _CLIENT_PORT, otherwise=_REFUSE),
            _Line(_LOAD_HALF_INDEXED, 16),
            _Line(_EQUAL, _SERVER_PORT, otherwise=_REFUSE),
            *_address(6, mac, _ACCEPT, _REFUSE),
            _Line(_LOAD_HALF_INDEXED, 16, label="answer"),
            _Line(_EQUAL, _CLIENT_PORT, _ACCEPT, _REFUSE),
        ]
    )
