"""Devices of definitions that change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virt_qemu.hotplug.graphics import find_graphics
from virt_qemu.hotplug.session import kind_of
from virtcore.driver.toolkit.configuration.devices import (
    LoadedDevice,
    check_boot_order,
    devices_of,
    matching,
    update_disk,
)
from virtcore.errors import InvalidArg, OperationUnsupported

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["update"]


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
            module = next((one for one in devices_of(config, loaded.field) if _is_meant(one, new)), None)
            if module is None:
                raise InvalidArg(f"memory '{new.alias or '<null>'}' not found")
            _replace(config, loaded, module)
        case _:
            raise OperationUnsupported(f"persistent update of device '{loaded.kind}' is not supported")


def _replace(config: Domain, loaded: LoadedDevice, old: Any) -> None:
    check_boot_order(config, loaded.device, old)
    held = devices_of(config, loaded.field)
    held[:] = [loaded.device if one is old else one for one in held]


def _is_meant(one: Any, wanted: Any) -> bool:
    if wanted.alias is not None and one.alias is not None:
        return bool(one.alias == wanted.alias)
    return wanted.address is not None and one.address == wanted.address
