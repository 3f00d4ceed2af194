"""Any network device: whether it is there, its address, its MTU, whether it is up, the bridge it is in."""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from virtcore.errors import SystemError

__all__ = [
    "MOST_NAME",
    "add_to_bridge",
    "bridge_of",
    "delete_device",
    "exists",
    "index_of",
    "is_bridge",
    "is_macvtap",
    "mtu_of",
    "remove_from_bridge",
    "set_coalesce",
    "set_isolated",
    "set_mac",
    "set_mtu",
    "set_up",
    "virtual_functions",
]

MOST_NAME = 15
"""Bytes of a device's name at most."""
_SYSFS = "/sys/class/net"
_ETHTOOL, _GET_COALESCE, _SET_COALESCE = 0x8946, 0x0E, 0x0F
_COALESCE = struct.Struct("=23I")
"""What ethtool calls ``ethtool_coalesce``: the question, then 22 settings."""
_RECEIVED_FRAMES = 2
_GET_FLAGS, _SET_FLAGS, _SET_MTU, _SET_MAC, _ADD_PORT, _REMOVE_PORT = 0x8913, 0x8914, 0x8922, 0x8924, 0x89A2, 0x89A3
_UP = 1
_ETHERNET = 1


def _request(name: str, code: int, rest: bytes, what: str) -> bytes:
    """Ask the kernel about a device, or tell it.

    :param what: what fails where it does.
    :raises SystemError: it refuses.
    """
    encoded = os.fsencode(name)
    try:
        if not encoded or len(encoded) > MOST_NAME:
            raise OSError(19, "No such device")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            return fcntl.ioctl(asking, code, encoded.ljust(16, b"\0") + rest.ljust(24, b"\0"))
    except OSError as error:
        raise SystemError(f"{what}: {error.strerror}") from None


def _fact(name: str, path: str) -> str | None:
    try:
        with open(f"{_SYSFS}/{name}/{path}", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return None


def _safe(name: str) -> bool:
    """Whether a name can be one of a device, and not a way out of its folder."""
    return bool(name) and "/" not in name and name not in (".", "..") and len(os.fsencode(name)) <= MOST_NAME


def exists(name: str) -> bool:
    """Whether there is a device."""
    return _safe(name) and os.path.exists(f"{_SYSFS}/{name}")


def index_of(name: str) -> int:
    """Number of a device.

    :raises SystemError: there is none.
    """
    try:
        return socket.if_nametoindex(name)
    except OSError:
        raise SystemError(f"Unable to get index for interface {name}: No such device") from None


def is_bridge(name: str) -> bool:
    """Whether a device is a bridge."""
    return _safe(name) and os.path.isdir(f"{_SYSFS}/{name}/bridge")


def is_macvtap(name: str) -> bool:
    """Whether a device is a macvtap."""
    return _safe(name) and any(entry.startswith("tap") for entry in _entries(f"{_SYSFS}/{name}/macvtap"))


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def mtu_of(name: str) -> int | None:
    """Bytes of a device's packets; None where there is no device."""
    value = _fact(name, "mtu") if _safe(name) else None
    return int(value) if value is not None else None


def bridge_of(name: str) -> str | None:
    """The bridge a device is a port of."""
    if not _safe(name):
        return None
    try:
        return os.path.basename(os.readlink(f"{_SYSFS}/{name}/master"))
    except OSError:
        return None


def virtual_functions(card: str, sysfs: str = _SYSFS) -> list[tuple[str, str | None]]:
    """The virtual functions of a network card: PCI address, and name of the network device; None: it has none now.
    A card that is not there has none."""
    folder = f"{sysfs}/{card}/device"
    found = []
    for entry in () if not _safe(card) else sorted(_entries(folder), key=lambda entry: (len(entry), entry)):
        if entry.startswith("virtfn"):
            names = sorted(_entries(f"{folder}/{entry}/net"))
            found.append((os.path.basename(os.readlink(f"{folder}/{entry}")), names[0] if names else None))
    return found


def set_mac(name: str, address: str) -> None:
    """Give a device a MAC address.

    :raises SystemError: the kernel refuses.
    """
    raw = bytes.fromhex(address.replace(":", ""))
    _request(name, _SET_MAC, struct.pack("=H", _ETHERNET) + raw, f"Cannot set interface MAC to {address} on '{name}'")


def set_mtu(name: str, mtu: int) -> None:
    """Say how large a device's packets may be.

    :raises SystemError: the kernel refuses.
    """
    _request(name, _SET_MTU, struct.pack("=i", mtu), f"Cannot set interface MTU on '{name}'")


def set_up(name: str, up: bool) -> None:
    """Switch a device on or off.

    :raises SystemError: the kernel refuses.
    """
    what = f"Cannot set interface flags on '{name}'"
    now = struct.unpack_from("=H", _request(name, _GET_FLAGS, b"", what), 16)[0]
    wanted = now | _UP if up else now & ~_UP
    if wanted != now:
        _request(name, _SET_FLAGS, struct.pack("=H", wanted), what)


def add_to_bridge(name: str, bridge: str) -> None:
    """Make a device a port of a bridge.

    :raises SystemError: it cannot be one.
    """
    what = f"Unable to add bridge {bridge} port {name}"
    if not exists(name):
        raise SystemError(f"{what}: No such device")
    _request(bridge, _ADD_PORT, struct.pack("=i", index_of(name)), what)


def remove_from_bridge(name: str, bridge: str) -> None:
    """Let a device be a port of a bridge no longer.

    :raises SystemError: it is none.
    """
    what = f"Unable to remove bridge {bridge} port {name}"
    if not exists(name):
        raise SystemError(f"{what}: No such device")
    _request(bridge, _REMOVE_PORT, struct.pack("=i", index_of(name)), what)


def set_coalesce(name: str, frames: int) -> None:
    """Say how many received frames may wait for one interrupt.

    :param frames: 0 as the device likes.
    :raises SystemError: the device cannot.
    """
    import ctypes

    settings = ctypes.create_string_buffer(_COALESCE.pack(_GET_COALESCE, *([0] * 22)))
    pointer = struct.pack("=Q" if ctypes.sizeof(ctypes.c_void_p) == 8 else "=I", ctypes.addressof(settings))
    what = f"Cannot set coalesce info on '{name}'"
    _request(name, _ETHTOOL, pointer, what)
    values = list(_COALESCE.unpack(settings.raw[: _COALESCE.size]))
    values[0], values[_RECEIVED_FRAMES] = _SET_COALESCE, frames
    settings.raw = _COALESCE.pack(*values).ljust(len(settings), b"\0")
    _request(name, _ETHTOOL, pointer, what)


def set_isolated(name: str, isolated: bool) -> None:
    """Whether a port of a bridge talks to no other port that is so.

    :raises SystemError: it is no port of a bridge.
    """
    try:
        with open(f"{_SYSFS}/{name}/brport/isolated", "w", encoding="ascii") as file:
            file.write(str(int(isolated)))
    except OSError as error:
        raise SystemError(f"Unable to set bridge port {name} isolated to {int(isolated)}: {error.strerror}") from None


def delete_device(name: str) -> None:
    """Remove a device that was made; without one nothing happens.

    :raises SystemError: it stays.
    """
    if not exists(name):
        return
    from virt_host.links.netlink import delete

    delete(name)
