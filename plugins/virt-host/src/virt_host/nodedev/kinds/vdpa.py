"""Devices whose data path guests drive by themselves (vDPA)."""

from __future__ import annotations

from virt_host.nodedev.kernel_device import KernelDevice
from virt_host.nodedev.kinds import Described, Host, NotShown, name_of
from virtcore.model.nodedev import VDPACapability

__all__ = ["vdpa"]


def vdpa(device: KernelDevice, host: Host) -> Described:
    node = next((name for name in device.files.entries(device.path) if name.startswith("vhost-vdpa")), None)
    if node is None or not device.files.exists(f"/dev/{node}"):
        raise NotShown
    return Described(name_of(device), VDPACapability(chardev=f"/dev/{node}"))
