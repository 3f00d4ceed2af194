"""Disks and drives."""

from __future__ import annotations

from virt_host.nodedev.kernel_device import KernelDevice
from virt_host.nodedev.kinds import Described, Host, NotShown, name_of
from virtcore.model.nodedev import RemovableCapability, StorageCapability

__all__ = ["disk"]

#: What udev calls a drive by saying 1 -> kind of drive.
_DRIVES = {"ID_DRIVE_FLOPPY": "floppy", "ID_CDROM": "cd", "ID_DRIVE_FLASH_SD": "sd"}
#: What device files are called whose kind udev does not know -> kind of drive.
_NAMES = {"/dev/vd": "disk", "/dev/nvme": "disk"}
_DASD = "/dev/dasd"
_SIMPLE = frozenset({"disk", "sd", "dasd"})


def _flag(device: KernelDevice, key: str) -> bool:
    return int(device.property(key) or "0", 0) == 1


def _kind(device: KernelDevice, node: str) -> str | None:
    if node.startswith(_DASD):
        return "dasd"
    kind = device.property("ID_TYPE")
    if kind is None or kind == "generic":
        kind = next((kind for key, kind in _DRIVES.items() if _flag(device, key)), None)
        kind = kind or next((kind for start, kind in _NAMES.items() if node.startswith(start)), None)
    return kind


def _trimmed(text: str | None) -> str | None:
    return None if text is None else text.rstrip()


def disk(device: KernelDevice, host: Host) -> Described:
    node = device.node
    kind = None if node is None else _kind(device, node)
    if node is None or kind is None:
        raise NotShown
    serial = device.property("ID_SERIAL") if kind != "dasd" else device.attribute("device/uid")
    if kind == "dasd" and serial is None:
        raise NotShown
    capability = StorageCapability(
        block=node,
        bus=device.property("ID_BUS"),
        drive_type="cdrom" if kind == "cd" else kind,
        model=_trimmed(device.attribute("device/model")),
        vendor=_trimmed(device.attribute("device/vendor")),
        serial=serial,
    )
    blocks, size = device.number("size", bits=64) or 0, device.number("queue/logical_block_size", bits=64) or 0
    if kind in _SIMPLE:
        capability.size, capability.logical_block_size, capability.num_blocks = blocks * size, size, blocks
    elif kind not in ("cd", "floppy"):
        raise NotShown
    elif device.number("removable") == 1:
        capability.capabilities = [_medium(device, kind, blocks, size)]
    elif _has_medium(device, kind):
        capability.size, capability.logical_block_size, capability.num_blocks = 0, size, blocks
    else:
        capability.size = 0
    return Described(name_of(device, serial), capability)


def _has_medium(device: KernelDevice, kind: str) -> bool:
    if kind == "cd":
        return int(device.property("ID_CDROM_MEDIA") or "0", 0) != 0
    return device.property("ID_FS_LABEL") is not None


def _medium(device: KernelDevice, kind: str, blocks: int, size: int) -> RemovableCapability:
    if not _has_medium(device, kind):
        return RemovableCapability(media_available=False, media_size=0)
    return RemovableCapability(
        media_available=True,
        media_size=blocks * size,
        media_label=device.property("ID_FS_LABEL"),
        logical_block_size=size,
        num_blocks=blocks,
    )
