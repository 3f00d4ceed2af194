"""Resetting PCI devices by their registers, where the kernel's driver for guests does not do it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virt_host.pci_config import BRIDGE, ENDPOINT, PCIConfig
from virtcore.errors import InternalError, SystemError, VirtError

if TYPE_CHECKING:
    from virt_host.passthrough import DeviceTree

__all__ = ["reset_device"]

_SAVED = 256
"""Bytes of registers that a reset loses."""
_POWER, _POWER_STATE, _SLEEPING = 4, 0x3, 0x3
_BRIDGE_CONTROL, _BUS_RESET, _SECONDARY_BUS, _SUBORDINATE_BUS = 0x3E, 0x40, 0x19, 0x1A
_BRIDGE_CLASS = 0x0604
_POWER_TIME, _BUS_TIME = 0.01, 0.2
"""Seconds a device needs to wake up, or to come back behind its bus."""


def reset_device(tree: DeviceTree, address: str, set_aside: Callable[[str], bool]) -> None:
    """Reset a device. Blocks for up to half a second.

    :param set_aside: whether a device is neither the host's nor a guest's.
    :raises VirtError: there is no way to reset it without others.
    """
    try:
        config = PCIConfig.read(tree.config(address))
    except OSError as error:
        raise _cannot_open(tree, address, error) from None
    if config.header(address) != ENDPOINT:
        raise InternalError(f"Invalid attempt to reset PCI device {address}. Only PCI endpoint devices can be reset")
    if tree.is_for_guests(address):
        return  # its driver resets it whenever a guest gets or leaves it
    with _registers(tree, address):
        pass  # who may not write them may not reset it
    try:
        if config.resets_functions:
            return  # KVM does it for each guest
        power = config.power_management
    except EOFError:
        power = None
    reason = "no FLR, PM reset or bus reset available"
    if power is not None:
        _by_power(tree, address, power)
        return
    if int(address.split(":")[1], 16) != 0:  # the root bus cannot be reset
        try:
            _by_bus(tree, address, set_aside)
            return
        except VirtError as error:
            reason = str(error)
    raise InternalError(f"Unable to reset PCI device {address}: {reason}")


def _cannot_open(tree: DeviceTree, address: str, error: OSError) -> SystemError:
    return SystemError(f"Failed to open config space file '{tree.config(address)}': {error.strerror}")


@contextmanager
def _registers(tree: DeviceTree, address: str) -> Iterator[int]:
    """A device's registers, to be written."""
    try:
        descriptor = os.open(tree.config(address), os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_open(tree, address, error) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _kept(tree: DeviceTree, address: str) -> Iterator[int]:
    """A device's registers, which are afterwards what they were."""
    with _registers(tree, address) as descriptor:
        saved = os.pread(descriptor, _SAVED, 0)
        if len(saved) < _SAVED:
            raise InternalError(f"Failed to read PCI config space for {address}")
        yield descriptor
        if os.pwrite(descriptor, saved, 0) < _SAVED:
            raise InternalError(f"Failed to restore PCI config space for {address}")


def _number(descriptor: int, offset: int, size: int) -> int:
    return int.from_bytes(os.pread(descriptor, size, offset), "little")


def _by_power(tree: DeviceTree, address: str, position: int) -> None:
    """Put a device to sleep and wake it up."""
    with _kept(tree, address) as descriptor:
        awake = _number(descriptor, position + _POWER, 4) & ~_POWER_STATE
        for state in (_SLEEPING, 0):
            os.pwrite(descriptor, (awake | state).to_bytes(4, "little"), position + _POWER)
            time.sleep(_POWER_TIME)


def _by_bus(tree: DeviceTree, address: str, set_aside: Callable[[str], bool]) -> None:
    """Reset all that is on a device's bus."""
    bus = address.rpartition(":")[0]
    for other in tree.pci_devices():
        if other != address and other.rpartition(":")[0] == bus and not set_aside(other):
            raise InternalError(f"Active {other} devices on bus with {address}, not doing bus reset")
    bridge = _bridge_of(tree, address)
    if bridge is None:
        raise InternalError(f"Failed to find parent device for {address}")
    with _registers(tree, bridge) as above, _kept(tree, address):
        control = _number(above, _BRIDGE_CONTROL, 2)
        for value in (control | _BUS_RESET, control):
            os.pwrite(above, value.to_bytes(2, "little"), _BRIDGE_CONTROL)
            time.sleep(_BUS_TIME)


def _bridge_of(tree: DeviceTree, address: str) -> str | None:
    """The bridge behind which a device's bus is: its own, else the nearest of those that lead there, since functions of
    SR-IOV may be on buses that no bridge calls its own."""
    domain, bus = address.split(":")[0], int(address.split(":")[1], 16)
    found: list[tuple[int, str]] = []
    for other in tree.pci_devices():
        if other.split(":")[0] != domain or tree.pci_class(other) != _BRIDGE_CLASS:
            continue
        try:
            config = PCIConfig.read(tree.config(other))
            if config.header(other) != BRIDGE:
                continue
            first, last = config.number(_SECONDARY_BUS, 1), config.number(_SUBORDINATE_BUS, 1)
        except (OSError, EOFError, VirtError):
            continue
        if first == bus or first < bus <= last:
            found.append((first, other))
    return max(found)[1] if found else None
