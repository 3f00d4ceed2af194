"""Taps and macvtaps: network devices whose packets a program reads and writes."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import stat
import struct
import time

from virt_host.links.devices import set_mac
from virtcore.errors import InternalError, SystemError

__all__ = [
    "NEW_MACVTAP",
    "NEW_TAP",
    "create_macvtap",
    "delete_macvtap",
    "name_of",
    "open_macvtap",
    "open_tap",
    "receive_tap",
    "tap_mac",
]

NEW_TAP = "vnet"
"""Names of taps begin so where nobody says another."""
NEW_MACVTAP = "macvtap"
"""Names of macvtaps begin so where nobody says another."""

_SET_INTERFACE, _GET_INTERFACE, _SET_HEADER_SIZE = 0x400454CA, 0x800454D2, 0x400454D8
_TAP, _NO_INFO, _HEADER, _SEVERAL = 0x0002, 0x1000, 0x4000, 0x0100
_HEADER_SIZE = 12
_RESERVED = 0xFE
#: Seconds that the device file of a new macvtap may take to come.
_DEVICE_LIMIT = 5.0
#: The next number to be tried, by beginning. Numbers are not used again soon: somebody may still ask for the old one.
_next: dict[str, int] = {}


def tap_mac(guest: str) -> str:
    """MAC address of the host's end: the guest's with the highest of first bytes, so that no bridge takes it over.

    :raises InternalError: the guest's has that byte itself.
    """
    first, rest = guest.split(":", 1)
    if int(first, 16) == _RESERVED:
        raise InternalError(f"Unable to use MAC address starting with reserved value 0xFE - '{guest}' - ")
    return f"{_RESERVED:02x}:{rest}"


def open_tap(
    name: str | None, queues: int = 1, *, header: bool = True, device: str = "/dev/net/tun"
) -> tuple[str, list[int]]:
    """Make a tap, or open one that is there; it goes with its last descriptor unless somebody made it to stay.

    :param name: None or a name with ``%d``: a new one.
    :param queues: descriptors that share its packets.
    :param header: packets have a header of virtio before them.
    :returns: its name, and the descriptors.
    :raises SystemError: it cannot be opened.
    """
    if name is not None and "%" not in name:
        return name, _open_queues(name, queues, header, device)
    beginning = name.partition("%")[0] if name is not None else NEW_TAP
    for candidate in _candidates(beginning):
        try:
            return candidate, _open_queues(candidate, queues, header, device)
        except SystemError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in (errno.EBUSY, errno.EEXIST):
                raise
    raise InternalError(f"no unused {beginning} names available")


def _candidates(beginning: str) -> list[str]:
    taken = {name for _, name in socket.if_nameindex()}
    found: list[str] = []
    number = _next.get(beginning, 0)
    while len(found) < 16:
        if f"{beginning}{number}" not in taken:
            found.append(f"{beginning}{number}")
        number += 1
    _next[beginning] = int(found[0].removeprefix(beginning)) + 1
    return found


def _open_queues(name: str, queues: int, header: bool, device: str) -> list[int]:
    found: list[int] = []
    try:
        for _ in range(queues):
            try:
                descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            except OSError as error:
                raise SystemError(f"Unable to open {device}, is tun module loaded?: {error.strerror}") from error
            found.append(descriptor)
            flags = _TAP | _NO_INFO | (_HEADER if header else 0) | (_SEVERAL if queues > 1 else 0)
            try:
                fcntl.ioctl(descriptor, _SET_INTERFACE, struct.pack("=16sH22x", os.fsencode(name), flags))
            except OSError as error:
                raise SystemError(f"Unable to create tap device {name}: {error.strerror}") from error
    except SystemError:
        for descriptor in found:
            os.close(descriptor)
        raise
    return found


def name_of(descriptor: int) -> str:
    """Name of the tap behind a descriptor.

    :raises SystemError: it is none.
    """
    try:
        answer = fcntl.ioctl(descriptor, _GET_INTERFACE, bytes(40))
    except OSError as error:
        raise SystemError(f"Unable to query tap interface name: {error.strerror}") from None
    return os.fsdecode(answer[:16].rstrip(b"\0"))


def receive_tap(connection: socket.socket) -> int | None:
    """The descriptor of a tap that a helper sends; None where it sends none."""
    fds = array.array("i")
    _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(fds.itemsize), socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: fds.itemsize])
            return fds[0]
    return None


# ---------------------------------------------------------------------------------------------------- macvtap


def create_macvtap(name: str | None, lower: str, mode: str, mac: str) -> str:
    """Make a macvtap on a device of the host; it stays until it is deleted.

    :param name: None: a new one.
    :param mode: as domains call it.
    :returns: its name.
    :raises SystemError: it cannot be made.
    """
    from virt_host.links.netlink import create_macvtap as create

    kernel_mode = "passthru" if mode == "passthrough" else mode
    if kernel_mode == "passthru":
        set_mac(lower, mac)  # there the two are one
    for candidate in [name] if name is not None else _candidates(NEW_MACVTAP):
        try:
            create(candidate, lower, kernel_mode, mac)
        except FileExistsError:
            continue
        return candidate
    raise SystemError(f"Unable to create macvlan device {name or NEW_MACVTAP}: File exists")


def open_macvtap(name: str, queues: int = 1, *, header: bool = True) -> list[int]:
    """Open the device file of a macvtap, once a queue.

    :raises SystemError: it cannot be opened.
    """
    path = _device_file(name)
    found: list[int] = []
    try:
        for _ in range(queues):
            found.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
            flags = _TAP | _NO_INFO | (_HEADER if header else 0) | (_SEVERAL if queues > 1 else 0)
            fcntl.ioctl(found[-1], _SET_INTERFACE, struct.pack("=16sH22x", os.fsencode(name), flags))
            if header:
                fcntl.ioctl(found[-1], _SET_HEADER_SIZE, struct.pack("=i", _HEADER_SIZE))
    except OSError as error:
        for descriptor in found:
            os.close(descriptor)
        raise SystemError(f"cannot open macvtap tap device {path}: {error.strerror}") from None
    return found


def _device_file(name: str) -> str:
    """The device file of a macvtap, which udev or the kernel makes; where neither does it is made here."""
    path = f"/dev/tap{socket.if_nametoindex(name)}"
    numbers = f"/sys/class/net/{name}/macvtap/{os.path.basename(path)}/dev"
    end = time.monotonic() + (_DEVICE_LIMIT if os.path.isdir("/run/udev") else 0.2)
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)
    if not os.path.exists(path):
        try:
            with open(numbers, encoding="ascii") as file:
                major, minor = map(int, file.read().split(":"))
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(major, minor))
        except OSError as error:
            raise SystemError(f"cannot open macvtap tap device {path}: {error.strerror}") from None
    return path


def delete_macvtap(name: str) -> None:
    """Remove a macvtap and its device file; without one nothing happens.

    :raises VirtError: it stays.
    """
    from virt_host.links.devices import delete_device, exists

    if not exists(name):
        return
    path = f"/dev/tap{socket.if_nametoindex(name)}"
    delete_device(name)
    try:
        os.unlink(path)  # where nobody else takes care of it
    except FileNotFoundError:
        pass
