"""Mediated devices, and what can be divided into them."""

from __future__ import annotations

import os

from virt_host.nodedev.kernel_device import KernelDevice
from virt_host.nodedev.kinds import Described, Host, NotShown, name_of, node_name
from virtcore.model.nodedev import CapabilityType, MdevCapability, MdevType, MdevTypesCapability, PartialCapability

__all__ = ["mdev_types", "mediated", "parent"]


def mdev_types(device: KernelDevice) -> MdevTypesCapability | None:
    """What a device can be divided into; None for nothing."""
    folder = f"{device.path}/mdev_supported_types"
    found = [_type(device, f"mdev_supported_types/{name}", name) for name in device.files.entries(folder)]
    return MdevTypesCapability(types=found) if found else None


def _type(device: KernelDevice, folder: str, name: str) -> MdevType:
    api, instances = device.attribute(f"{folder}/device_api"), device.number(f"{folder}/available_instances", 10)
    if api is None or instances is None:
        raise NotShown
    return MdevType(id=name, name=device.attribute(f"{folder}/name"), device_api=api, available_instances=instances)


def parent(device: KernelDevice, host: Host) -> Described:
    types = mdev_types(device)
    if types is None:
        raise NotShown
    return Described(name_of(device), PartialCapability(type=CapabilityType.MDEV_TYPES, capabilities=[types]))


def mediated(device: KernelDevice, host: Host) -> Described:
    kind = device.files.resolved(f"{device.path}/mdev_type")
    group = device.files.link(f"{device.path}/iommu_group")
    if kind is None or group is None:
        raise NotShown
    parent = os.path.basename(os.path.dirname(device.path))
    capability = MdevCapability(
        type_id=os.path.basename(kind), uuid=device.name, parent_addr=parent, iommu_group=int(group)
    )
    return Described(node_name(f"{device.subsystem}_{device.name}_{parent}"), capability)
