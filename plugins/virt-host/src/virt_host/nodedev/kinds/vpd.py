"""Vital product data (PCI 2.2, appendix I): what a vendor has written into a device about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from virtcore.model.nodedev import ReadOnlyFields, ReadWriteFields, SystemField, VendorField, VPDCapability

__all__ = ["read_vpd"]

#: Kinds of resources; the small one ends them.
_END, _NAME, _READ_ONLY, _READ_WRITE = 0x0F, 0x82, 0x90, 0x91
_LONGEST = 0xFFFF
_READ_ONLY_FIELDS = {"EC": "change_level", "MN": "manufacture_id", "PN": "part_number", "SN": "serial_number"}


class _Field(NamedTuple):
    keyword: str
    value: bytes
    start: int


def _resources(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, place and content of each.

    :raises ValueError: they do not end as they should.
    """
    position = 0
    while position < len(data):
        tag = data[position]
        if tag & 0x80:
            if len(data) < position + 3:
                raise ValueError("the header of a resource is cut off")
            size, start, kind = int.from_bytes(data[position + 1 : position + 3], "little"), position + 3, tag
        else:
            size, start, kind = tag & 7, position + 1, tag >> 3
            if kind == _END:
                return
        if start + size > len(data):
            raise ValueError("a resource is cut off")
        yield kind, start, data[start : start + size]
        position = start + size
    raise ValueError("there is no end")


def _fields(content: bytes, start: int) -> Iterator[_Field]:
    position = 0
    while position + 3 <= len(content):
        size = content[position + 2]
        value = content[position + 3 : position + 3 + size]
        if len(value) != size:
            raise ValueError("a field is cut off")
        yield _Field(content[position : position + 2].decode("ascii"), value, start + position + 3)
        position += 3 + size


def _text(value: bytes) -> str | None:
    """A field's text; None where it has other than printable characters."""
    if not all(0x20 <= byte < 0x7F for byte in value):
        return None
    return value.decode("ascii").strip()


def _is_index(char: str) -> bool:
    return "0" <= char <= "9" or "A" <= char <= "Z"


def _vendor_index(keyword: str) -> bool:
    return keyword[0] == "V" and _is_index(keyword[1])


def _system_index(keyword: str) -> bool:
    return keyword[0] == "Y" and _is_index(keyword[1]) and keyword[1] != "A"


def _read_only(data: bytes, content: bytes, start: int) -> ReadOnlyFields:
    fields, checked = ReadOnlyFields(), False
    for field in _fields(content, start):
        if field.keyword == "RV":  # with it, what was before sums up to nothing
            if not field.value or sum(data[: field.start + 1]) & 0xFF:
                raise ValueError("the checksum is wrong")
            checked = True
            break
        text = _text(field.value)
        if text is None:
            continue
        if field.keyword in _READ_ONLY_FIELDS:
            setattr(fields, _READ_ONLY_FIELDS[field.keyword], text)
        elif _vendor_index(field.keyword):
            fields.vendor_fields.append(VendorField(index=field.keyword[1], value=text or None))
    if not checked:
        raise ValueError("there is no checksum")
    return fields


def _read_write(content: bytes, start: int) -> ReadWriteFields:
    fields = ReadWriteFields()
    for field in _fields(content, start):
        if field.keyword == "RW":  # the rest is free
            break
        text = _text(field.value)
        if text is None:
            continue
        if field.keyword == "YA":
            fields.asset_tag = text
        elif _vendor_index(field.keyword):
            fields.vendor_fields.append(VendorField(index=field.keyword[1], value=text or None))
        elif _system_index(field.keyword):
            fields.system_fields.append(SystemField(index=field.keyword[1], value=text or None))
    return fields


def read_vpd(data: bytes) -> VPDCapability | None:
    """A device's product data; None where it has none that can be understood."""
    name: str | None = None
    read_only: ReadOnlyFields | None = None
    read_write: ReadWriteFields | None = None
    try:
        for kind, start, content in _resources(data):
            if kind == _NAME:
                name = _text(content)
                if name is None:
                    return None
            elif kind == _READ_ONLY:
                read_only = _read_only(data, content, start)
            elif kind == _READ_WRITE:
                read_write = _read_write(content, start)
    except (ValueError, UnicodeDecodeError):
        return None
    if name is None or read_only is None:
        return None
    kept: list[ReadOnlyFields | ReadWriteFields] = [read_only] if read_only != ReadOnlyFields() else []
    kept += [read_write] if read_write not in (None, ReadWriteFields()) else []
    return VPDCapability(name=name, fields=kept)
