"""VirtualBox's settings files (``.vbox``): a machine, its media and its snapshots, to look into and to change."""

from __future__ import annotations

from virt_vbox.settings.file import read_settings, write_settings
from virt_vbox.settings.machine import HardDisk, HardDisks, Machine, MediaRegistry, Snapshot, VirtualBox

__all__ = [
    "HardDisk",
    "HardDisks",
    "Machine",
    "MediaRegistry",
    "Snapshot",
    "VirtualBox",
    "read_settings",
    "write_settings",
]
