"""What ``dmidecode`` says of the firmware's SMBIOS tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from virtcore.model.domain.sysinfo import (
    BaseBoard,
    Chassis,
    MemoryDeviceInfo,
    ProcessorInfo,
    SMBIOSInfo,
    SystemBIOS,
    SystemInfo,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DMIDECODE_TYPES", "garbled_oem_strings", "parse_dmidecode"]

T = TypeVar("T")

#: The tables that are asked for.
DMIDECODE_TYPES = "0,1,2,3,4,11,17"

_BIOS = {"vendor": "Vendor", "version": "Version", "date": "Release Date", "release": "BIOS Revision"}
_SYSTEM = {
    "manufacturer": "Manufacturer",
    "product": "Product Name",
    "version": "Version",
    "serial": "Serial Number",
    "uuid": "UUID",
    "sku": "SKU Number",
    "family": "Family",
}
_BASE_BOARD = {
    "manufacturer": "Manufacturer",
    "product": "Product Name",
    "version": "Version",
    "serial": "Serial Number",
    "asset": "Asset Tag",
    "location": "Location In Chassis",
}
_CHASSIS = {
    "manufacturer": "Manufacturer",
    "version": "Version",
    "serial": "Serial Number",
    "asset": "Asset Tag",
    "sku": "SKU Number",
}
_PROCESSOR = {
    "socket_destination": "Socket Designation",
    "type": "Type",
    "family": "Family",
    "manufacturer": "Manufacturer",
    "signature": "Signature",
    "version": "Version",
    "external_clock": "External Clock",
    "max_speed": "Max Speed",
    "status": "Status",
    "serial_number": "Serial Number",
    "part_number": "Part Number",
}
_MEMORY_DEVICE = {
    "size": "Size",
    "form_factor": "Form Factor",
    "locator": "Locator",
    "bank_locator": "Bank Locator",
    "type": "Type",
    "type_detail": "Type Detail",
    "speed": "Speed",
    "manufacturer": "Manufacturer",
    "serial_number": "Serial Number",
    "part_number": "Part Number",
}


def parse_dmidecode(text: str, oem_strings: Mapping[int, str] | None = None) -> SMBIOSInfo:
    """The tables from dmidecode's output.

    :param oem_strings: number -> OEM string, where it is known better than from the output
        (:func:`garbled_oem_strings`).
    """
    bios, system = _tables(text, "BIOS Information", _BIOS), _tables(text, "System Information", _SYSTEM)
    devices = _tables(text, "Memory Device", _MEMORY_DEVICE)
    better = oem_strings or {}
    return SMBIOSInfo(
        bios=SystemBIOS(**bios[0]) if bios and bios[0] else None,
        system=SystemInfo(**system[0]) if system and system[0] else None,
        base_boards=[BaseBoard(**row) for row in _tables(text, "Base Board Information", _BASE_BOARD) if row],
        chassis=next((Chassis(**row) for row in _tables(text, "Chassis Information", _CHASSIS) if row), None),
        processors=[ProcessorInfo(**row) for row in _tables(text, "Processor Information", _PROCESSOR)],
        memory_devices=[MemoryDeviceInfo(**row) for row in devices if row.get("size") != "No Module Installed"],
        oem_strings=[better.get(number, value) for number, value in _oem_strings(text)],
    )


def garbled_oem_strings(text: str) -> list[int]:
    """Numbers of OEM strings that may have lost something: dmidecode writes a dot for what it cannot print.

    Asked for one by one (``dmidecode --oem-string N``) they come as they are.
    """
    return [number for number, value in _oem_strings(text) if "." in value]


def _tables(text: str, title: str, names: Mapping[str, str]) -> list[dict[str, str]]:
    """The tables of one kind, each as the values of its entries.

    As libvirt reads them: an entry that a table lacks is taken from the next one that has it.
    """
    found = []
    for match in re.finditer(re.escape(title), text):
        row = {}
        for field, name in names.items():
            start = text.find(f"{name}: ", match.end())
            value = text[start + len(name) + 2 :].partition("\n")[0].rstrip() if start >= 0 else ""
            if value:
                row[field] = value
        found.append(row)
    return found


def _oem_strings(text: str) -> Iterator[tuple[int, str]]:
    start = text.find("OEM Strings")
    for match in re.finditer(r"^\s+String (\d+): (.*)$", text[start:] if start >= 0 else "", re.MULTILINE):
        value = match[2].rstrip()
        if value:
            yield int(match[1]), value
