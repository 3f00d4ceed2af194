"""``<sysinfo>``: what the guest's firmware tells about the machine."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.xml import UUID, attribute, child, children, element, leaf, text

__all__ = [
    "BaseBoard",
    "Chassis",
    "FirmwareConfigEntry",
    "FirmwareConfigInfo",
    "MemoryDeviceInfo",
    "ProcessorInfo",
    "SMBIOSInfo",
    "Sysinfo",
    "SysinfoType",
    "SystemBIOS",
    "SystemInfo",
]


class SysinfoType(StrEnum):
    """How the guest sees it."""

    SMBIOS = "smbios"
    FWCFG = "fwcfg"


def _entry(name: str) -> str | None:
    """One of libvirt's named entries: ``<entry name='…'>text</entry>``."""
    entry: str | None = leaf("entry", entry=("name", name))
    return entry


@element("bios", doc="SMBIOS type 0.")
class SystemBIOS:
    vendor: str | None = _entry("vendor")
    version: str | None = _entry("version")
    date: str | None = _entry("date")
    release: str | None = _entry("release")


@element("system", doc="SMBIOS type 1.")
class SystemInfo:
    manufacturer: str | None = _entry("manufacturer")
    product: str | None = _entry("product")
    version: str | None = _entry("version")
    serial: str | None = _entry("serial")
    uuid: str | None = leaf(
        "entry",
        entry=("name", "uuid"),
        codec=UUID,
        invalid="malformed <sysinfo> uuid element",
        code=ErrorCode.XML_DETAIL,
        doc="The domain's UUID.",
    )
    sku: str | None = _entry("sku")
    family: str | None = _entry("family")


@element("baseBoard", doc="SMBIOS type 2.", since="1.2.18")
class BaseBoard:
    manufacturer: str | None = _entry("manufacturer")
    product: str | None = _entry("product")
    version: str | None = _entry("version")
    serial: str | None = _entry("serial")
    asset: str | None = _entry("asset")
    location: str | None = _entry("location")


@element("chassis", doc="SMBIOS type 3.", since="4.1.0")
class Chassis:
    manufacturer: str | None = _entry("manufacturer")
    version: str | None = _entry("version")
    serial: str | None = _entry("serial")
    asset: str | None = _entry("asset")
    sku: str | None = _entry("sku")


@element("processor", doc="SMBIOS type 4; a host's only.")
class ProcessorInfo:
    socket_destination: str | None = _entry("socket_destination")
    type: str | None = _entry("type")
    family: str | None = _entry("family")
    manufacturer: str | None = _entry("manufacturer")
    signature: str | None = _entry("signature")
    version: str | None = _entry("version")
    external_clock: str | None = _entry("external_clock")
    max_speed: str | None = _entry("max_speed")
    status: str | None = _entry("status")
    serial_number: str | None = _entry("serial_number")
    part_number: str | None = _entry("part_number")


@element("memory_device", doc="SMBIOS type 17; a host's only.")
class MemoryDeviceInfo:
    size: str | None = _entry("size")
    form_factor: str | None = _entry("form_factor")
    locator: str | None = _entry("locator")
    bank_locator: str | None = _entry("bank_locator")
    type: str | None = _entry("type")
    type_detail: str | None = _entry("type_detail")
    speed: str | None = _entry("speed")
    manufacturer: str | None = _entry("manufacturer")
    serial_number: str | None = _entry("serial_number")
    part_number: str | None = _entry("part_number")


@element("sysinfo", tag=SysinfoType.SMBIOS, doc="SMBIOS tables.")
class SMBIOSInfo:
    bios: SystemBIOS | None = child("bios")
    system: SystemInfo | None = child("system")
    base_boards: list[BaseBoard] = children("baseBoard")
    chassis: Chassis | None = child("chassis")
    processors: list[ProcessorInfo] = children("processor")
    memory_devices: list[MemoryDeviceInfo] = children("memory_device")
    oem_strings: list[str] = leaf("entry", within="oemStrings", blank=True, doc="SMBIOS type 11.", since="4.1.0")


@element("entry", doc="A file in QEMU's firmware configuration device.")
class FirmwareConfigEntry:
    name: str = attribute(required=True, missing="Firmware entry is missing 'name' attribute")
    file: str | None = attribute(doc="Host file with the content.")
    value: str | None = text(shown=lambda self: self.file is None, doc="The content itself.")


@element("sysinfo", tag=SysinfoType.FWCFG, doc="Files in QEMU's firmware configuration device.", since="6.5.0")
class FirmwareConfigInfo:
    entries: list[FirmwareConfigEntry] = children("entry")


Sysinfo = SMBIOSInfo | FirmwareConfigInfo
