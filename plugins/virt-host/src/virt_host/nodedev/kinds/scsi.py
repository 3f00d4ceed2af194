"""SCSI hosts, targets and units, fibre channel adapters among them."""

from __future__ import annotations

import os
import re

from virt_host.nodedev.kernel_device import HostFiles, KernelDevice
from virt_host.nodedev.kinds import Described, Host, NotShown, name_of
from virtcore.model.nodedev import (
    FCHostCapability,
    FCRemotePortCapability,
    SCSICapability,
    SCSIGenericCapability,
    SCSIHostCapability,
    SCSITargetCapability,
    VportOpsCapability,
)

__all__ = ["FC_HOSTS", "SCSI_HOSTS", "generic", "host", "target", "unit"]

FC_HOSTS, SCSI_HOSTS = "/sys/class/fc_host", "/sys/class/scsi_host"
_REMOTE_PORTS = "/sys/class/fc_remote_ports"
_UNIT = re.compile(r"(\d+):(\d+):(\d+):(\d+)")
#: Kinds of units by their number (SPC, table of peripheral device types).
_UNITS = {
    0: "disk",
    1: "tape",
    3: "processor",
    4: "worm",
    5: "cdrom",
    6: "scanner",
    7: "mod",
    8: "changer",
    12: "raid",
    13: "enclosure",
}


def _name(files: HostFiles, path: str) -> str | None:
    """A world wide name, without what says that it is hexadecimal."""
    text = files.text(path)
    return None if text is None else text.strip().removeprefix("0x")


def host(device: KernelDevice, host: Host) -> Described:
    number = re.fullmatch(r"host(\d+)", device.name)
    if number is None:
        raise NotShown
    unique = device.files.text(f"{SCSI_HOSTS}/{device.name}/unique_id")
    capability = SCSIHostCapability(
        host=int(number[1]), unique_id=int(unique) if unique is not None and unique.isdigit() else None
    )
    capability.capabilities = [*_adapter(device), *_vports(device)]
    return Described(name_of(device), capability)


def _adapter(device: KernelDevice) -> list[FCHostCapability]:
    folder = f"{FC_HOSTS}/{device.name}"
    if not device.files.exists(folder):
        return []
    port, node = _name(device.files, f"{folder}/port_name"), _name(device.files, f"{folder}/node_name")
    if port is None or node is None:
        return []
    return [FCHostCapability(wwnn=node, wwpn=port, fabric_wwn=_name(device.files, f"{folder}/fabric_name"))]


def _vports(device: KernelDevice) -> list[VportOpsCapability]:
    for folder in (f"{FC_HOSTS}/{device.name}", f"{SCSI_HOSTS}/{device.name}"):
        if device.files.exists(f"{folder}/vport_create"):
            numbers = [device.files.text(f"{folder}/{name}") for name in ("max_npiv_vports", "npiv_vports_inuse")]
            if None in numbers:
                return []
            most, there = (int(number) for number in numbers if number is not None)
            return [VportOpsCapability(max_vports=most, vports=there)]
    return []


def target(device: KernelDevice, host: Host) -> Described:
    capability = SCSITargetCapability(target=device.name)
    port = os.path.basename(os.path.dirname(device.path))
    if port.startswith("rport") and device.files.exists(f"{_REMOTE_PORTS}/{port}"):
        name = device.files.text(f"{_REMOTE_PORTS}/{port}/port_name")
        if name is not None:
            capability.capabilities = [FCRemotePortCapability(rport=port, wwpn=name.strip())]
    return Described(name_of(device), capability)


def unit(device: KernelDevice, host: Host) -> Described:
    place = _UNIT.fullmatch(device.name)
    if place is None:
        raise NotShown
    adapter, bus, number, lun = map(int, place.groups())
    kind = device.number("type")
    capability = SCSICapability(
        host=adapter, bus=bus, target=number, lun=lun, type=None if kind is None else _UNITS.get(kind)
    )
    return Described(name_of(device), capability)


def generic(device: KernelDevice, host: Host) -> Described:
    if device.node is None:
        raise NotShown
    return Described(name_of(device), SCSIGenericCapability(char=device.node))
