"""The order in which devices are prepared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.model.domain.graphics import DBusGraphics

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["devices_of"]


def devices_of(domain: Domain) -> list[object]:
    """Devices that may need something of the host. They are released in reverse order."""
    devices = domain.devices
    assert devices is not None
    return [
        *devices.leases,
        *devices.hostdevs,
        *devices.tpms,
        *devices.filesystems,
        *devices.videos,
        *sorted(devices.graphics, key=lambda one: not isinstance(one, DBusGraphics)),  # others are served on its bus
        *devices.interfaces,
        *devices.disks,
        *devices.memory,
        *devices.serials,
        *devices.parallels,
        *devices.channels,
        *devices.consoles,
    ]
