"""Devices whose data path guests drive by themselves (vDPA)."""

from __future__ import annotations

from virt_host.nodedev.kernel_device import KernelDevice
from virt_host.nodedev.kinds import Described, Host, NotShown, name_of
from virtcore.model.nodedev import VDPACapability

__all__ = ["vdpa"]


def vdpa(device: KernelDevice, host: Host) -> Described:
    node = next((name for name in device.files.entries(device.path) if name.startswith("vhost-vdpa")), None)
    path = None if node is None else f"/dev/{node}"
    if path is not None and not device.files.exists(path):
        raise NotShown
    return Described(name_of(device), VDPACapability(chardev=path))
