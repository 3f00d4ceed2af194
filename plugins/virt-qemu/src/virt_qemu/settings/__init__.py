"""``qemu.conf``: the driver's settings, under libvirt's names and in its format."""

from __future__ import annotations

from virt_qemu.settings.file import example, load, parse
from virt_qemu.settings.table import QemuSettings

__all__ = ["QemuSettings", "example", "load", "parse"]
