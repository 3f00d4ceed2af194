"""The host itself, at the root of the tree."""

from __future__ import annotations

from virt_host.nodedev.kernel_device import KernelDevice
from virt_host.nodedev.kinds import Host
from virtcore.model.nodedev import Firmware, Hardware, NodeDevice, SystemCapability

__all__ = ["ROOT", "computer"]

ROOT = "computer"
_TABLES = "/sys/devices/virtual/dmi/id"
_UNKNOWN = "00000000-0000-0000-0000-000000000000"


def computer(host: Host) -> NodeDevice:
    """The host as its firmware describes it."""
    tables = KernelDevice(host.files, _TABLES)
    system = SystemCapability(hardware=Hardware(uuid=_UNKNOWN), firmware=Firmware())
    if host.files.exists(_TABLES):
        system.product = tables.attribute("product_name")
        system.hardware = Hardware(
            vendor=tables.attribute("sys_vendor"),
            version=tables.attribute("product_version"),
            serial=tables.attribute("product_serial"),
            uuid=host.uuid(),
        )
        system.firmware = Firmware(
            vendor=tables.attribute("bios_vendor"),
            version=tables.attribute("bios_version"),
            release_date=tables.attribute("bios_date"),
        )
    return NodeDevice(name=ROOT, capabilities=[system])
