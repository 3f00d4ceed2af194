"""What a device of the kernel is as a node device: a module per family of devices.

A module's functions take a device and the host and return its name and capability; :data:`_TYPES` and
:data:`_SUBSYSTEMS` say which is for which devices.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virt_host.nodedev.kernel_device import HostFiles, KernelDevice
from virtcore._lazy import imported

if TYPE_CHECKING:
    from virtcore.model.nodedev import Capability, NetFeatureName

__all__ = ["Described", "Host", "NotShown", "describer", "name_of", "node_name"]

_NO_NAME = re.compile(rb"[^0-9A-Za-z]")
_HERE = "virt_host.nodedev.kinds"
_MDEV_PARENTS = "/sys/class/mdev_bus"

#: Devices by their type within their subsystem; those of other types are not shown.
_TYPES = {
    "usb_device": "usb:device",
    "usb_interface": "usb:interface",
    "scsi_host": "scsi:host",
    "scsi_target": "scsi:target",
    "scsi_device": "scsi:unit",
    "disk": "disks:disk",
    "wlan": "net:card",
    "drm_minor": "graphics:node",
    "ap_card": "s390:ap_card",
    "ap_queue": "s390:ap_queue",
    "qeth_generic": "s390:ccwgroup",
    "qeth_layer2": "s390:ccwgroup",
    "qeth_layer3": "s390:ccwgroup",
}
#: Devices without such a type, by subsystem.
_SUBSYSTEMS = {
    "scsi_generic": "scsi:generic",
    "mdev": "mdev:mediated",
    "ccw": "s390:ccw",
    "css": "s390:css",
    "vdpa": "vdpa:vdpa",
    "matrix": "s390:ap_matrix",
}


class NotShown(Exception):
    """A device is none of those that are shown."""


class Described(NamedTuple):
    """A device's name, and what it is."""

    name: str
    capability: Capability


@dataclass(frozen=True, slots=True)
class Host:
    """The host whose devices are described.

    :ivar files: its file system.
    :ivar privileged: what only the administrator may read can be read.
    :ivar features: what a network interface does by itself.
    :ivar uuid: names the host.
    """

    files: HostFiles
    privileged: bool
    features: Callable[[str], list[NetFeatureName]]
    uuid: Callable[[], str]


#: Describes a device of one kind. Raises :exc:`NotShown`, or ``ValueError`` where the kernel's files say nonsense.
Describer = Callable[[KernelDevice, Host], Described]


def name_of(device: KernelDevice, suffix: str | None = None) -> str:
    """Name of a node device.

    :param suffix: what tells it from others of its name.
    """
    return node_name(f"{device.subsystem}_{device.name}" + ("" if suffix is None else f"_{suffix}"))


def node_name(text: str) -> str:
    """A text as a node device's name."""
    return _NO_NAME.sub(b"_", text.encode()).decode()


def describer(device: KernelDevice) -> Describer | None:
    """What describes a device; None for one that is not shown."""
    kind = device.type
    if kind is not None:
        where = _TYPES.get(kind)
    else:
        where = _SUBSYSTEMS.get(device.subsystem or "")
        if where is None and device.property("INTERFACE") is not None:
            where = "net:card"
        if where is None and device.property("PCI_CLASS") is not None:
            where = "pci:function"
    if where is None and device.files.exists(f"{_MDEV_PARENTS}/{device.name}"):
        where = "mdev:parent"
    if where is None:
        return None
    module, _, function = where.partition(":")
    found: Describer = getattr(imported(f"{_HERE}.{module}"), function)
    return found
