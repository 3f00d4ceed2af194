"""Devices of definitions that change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virt_qemu.command.memory import align_module
from virt_qemu.hotplug.graphics import find_graphics
from virt_qemu.hotplug.memory import check_total
from virt_qemu.hotplug.session import kind_of
from virt_qemu.hotplug.update import is_meant
from virtcore.driver.toolkit.configuration.devices import (
    LoadedDevice,
    check_boot_order,
    devices_of,
    matching,
    same_device,
    update_disk,
)
from virtcore.errors import InvalidArg, OperationFailed, OperationInvalid, OperationUnsupported
from virtcore.model.domain.chardev import Console, ConsoleTargetType
from virtcore.model.domain.memory_device import DIMM, NVDIMM

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["check_attached", "update"]


def check_attached(config: Domain, loaded: LoadedDevice) -> None:
    """Refuse a device that cannot join a definition, in the words of libvirt's QEMU driver.

    :raises VirtError: it cannot.
    """
    device, present = loaded.device, devices_of(config, loaded.field)
    match loaded.kind:
        case "disk":
            name = device.target.dev
            if any(disk.target is not None and disk.target.dev == name for disk in present):
                raise OperationInvalid(f"target {name} already exists")
        case "memory":
            align_module(config, device)
            check_total(config, device)
            slots = sum(isinstance(one, DIMM | NVDIMM) for one in present)
            if isinstance(device, DIMM | NVDIMM) and config.max_memory and slots == config.max_memory.slots:
                raise OperationFailed("no free memory device slot available")
        case "chr":
            if isinstance(device, Console) and (
                device.target is None or device.target.type is ConsoleTargetType.SERIAL
            ):
                raise OperationUnsupported("attaching serial console is not supported")
            if any(same_device(one, device) for one in present):
                raise OperationInvalid("chardev already exists")


def update(config: Domain, loaded: LoadedDevice) -> None:
    """Put a device into the place of the one it is meant for (``qemuDomainUpdateDeviceConfig``).

    :raises VirtError: there is none, or devices of the kind do not change so.
    """
    new = loaded.device
    match loaded.kind:
        case "disk":
            update_disk(config, loaded)
        case "graphics":
            present = devices_of(config, loaded.field)
            graphics = find_graphics(present, new)
            if graphics is None:
                raise InvalidArg(f"cannot find existing graphics type '{kind_of(new)}' device to modify")
            _replace(config, loaded, graphics)
        case "interface":
            _replace(config, loaded, matching(config, loaded).device)
        case "memory":
            module = next((one for one in devices_of(config, loaded.field) if is_meant(one, new)), None)
            if module is None:
                raise InvalidArg(f"memory '{new.alias or '<null>'}' not found")
            _replace(config, loaded, module)
        case _:
            raise OperationUnsupported(f"persistent update of device '{loaded.kind}' is not supported")


def _replace(config: Domain, loaded: LoadedDevice, old: Any) -> None:
    check_boot_order(config, loaded.device, old)
    held = devices_of(config, loaded.field)
    held[:] = [loaded.device if one is old else one for one in held]
