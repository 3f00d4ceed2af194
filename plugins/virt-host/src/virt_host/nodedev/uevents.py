"""What the kernel tells of devices that come, change and go; where udevd runs, what it passes on when it is done."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Uevent", "UeventSocket", "parse_uevent"]

_NETLINK_KOBJECT_UEVENT = 15
_KERNEL, _UDEV = 1, 2
_BUFFER = 128 << 20
"""Bytes that may wait, as udevd itself has it; taken only when they are needed."""
_LARGEST = 1 << 16
#: What udevd's messages begin with: a mark, a number, and where the properties are.
_HEADER = struct.Struct("=8s4xIII")
_MARK = b"libudev\0"
_NUMBER = struct.pack("!I", 0xFEEDCAFE)


class Uevent(NamedTuple):
    """What happened to a device.

    :ivar action: ``add``, ``change``, ``remove``, ``move``, ...
    :ivar path: the device's folder in sysfs.
    :ivar old_path: where it was before it moved.
    """

    action: str
    path: str
    old_path: str | None = None
    subsystem: str | None = None


def parse_uevent(data: bytes) -> Uevent | None:
    """An event from a message of the kernel or of udevd; None for what is none."""
    if data.startswith(_MARK):
        if len(data) < _HEADER.size or data[8:12] != _NUMBER:
            return None
        _, _, start, size = _HEADER.unpack_from(data)
        body = data[start : start + size]
    else:
        body = data.partition(b"\0")[2]
    properties = dict(_properties(body))
    action, path = properties.get("ACTION"), properties.get("DEVPATH")
    if not action or not path or not path.startswith("/"):
        return None
    old = properties.get("DEVPATH_OLD")
    return Uevent(action, f"/sys{path}", f"/sys{old}" if old else None, properties.get("SUBSYSTEM"))


def _properties(body: bytes) -> Iterator[tuple[str, str]]:
    for line in body.split(b"\0"):
        key, sign, value = line.decode(errors="replace").partition("=")
        if sign:
            yield key, value


class UeventSocket:
    """Where the events come in.

    :raises OSError: the kernel does not tell us.
    """

    def __init__(self) -> None:
        # Where udevd runs, devices are told of when it has named them and written down what it knows.
        group = _UDEV if os.path.exists("/run/udev/control") else _KERNEL
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_KOBJECT_UEVENT)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            if os.geteuid() == 0:
                self._socket.setsockopt(socket.SOL_SOCKET, 33, _BUFFER)  # SO_RCVBUFFORCE
            self._socket.bind((0, group))
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Becomes readable when something happened."""
        return self._socket.fileno()

    def receive(self) -> list[Uevent] | None:
        """What happened since the last call; None when more happened than could be kept."""
        found: list[Uevent] = []
        while True:
            try:
                data, ancillary, _, sender = self._socket.recvmsg(_LARGEST, socket.CMSG_SPACE(12))
            except BlockingIOError:
                return found
            except OSError:  # ENOBUFS: the buffer was full
                return None
            if self._trusted(ancillary, sender):
                event = parse_uevent(data)
                if event is not None:
                    found.append(event)

    def _trusted(self, ancillary: list[tuple[int, int, bytes]], sender: tuple[int, int]) -> bool:
        """Whether the kernel sent it, or the administrator."""
        if sender[0] == 0:  # the kernel's own address
            return True
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                uid: int = struct.unpack("=3i", value)[1]
                return uid == 0
        return False

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
