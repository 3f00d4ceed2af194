"""The registers by which a PCI device is configured: what it can, read from the kernel's copy."""

from __future__ import annotations

import os
from pathlib import Path

from virtcore.errors import InternalError

__all__ = ["ADVANCED_FEATURES", "BRIDGE", "CARDBUS", "ENDPOINT", "EXPRESS", "EXTENDED_ACS", "PCIConfig"]

#: Kinds of headers.
ENDPOINT, BRIDGE, CARDBUS = 0, 1, 2
#: Capabilities.
POWER_MANAGEMENT, EXPRESS, ADVANCED_FEATURES = 0x01, 0x10, 0x13
EXTENDED_ACS = 0x0D
_CONVENTIONAL = 256
"""Bytes of registers that a device without PCI Express has."""
_INTEGRATED, _EVENT_COLLECTOR = 0x9, 0xA


class PCIConfig:
    """The registers of a device.

    :ivar data: those that could be read.
    :ivar size: how many there are.
    """

    def __init__(self, data: bytes, size: int | None = None) -> None:
        self.data = data
        self.size = len(data) if size is None else size

    @classmethod
    def read(cls, file: str | Path, *, extended: bool = False) -> PCIConfig:
        """Those of a device's file ``config``.

        :param extended: also those that only PCI Express has; to ask a device takes its time.
        :raises OSError: it cannot be read.
        """
        with open(file, "rb", buffering=0) as config:
            return cls(config.read(4096 if extended else _CONVENTIONAL), os.fstat(config.fileno()).st_size)

    def number(self, offset: int, size: int) -> int:
        """A register.

        :raises EOFError: it could not be read.
        """
        if len(self.data) < offset + size:
            raise EOFError
        return int.from_bytes(self.data[offset : offset + size], "little")

    def header(self, address: str) -> int:
        """Kind of the device: :data:`ENDPOINT`, :data:`BRIDGE` or :data:`CARDBUS`.

        :raises InternalError: it is something else.
        """
        try:
            kind = self.number(0x0E, 1) & 0x7F
        except EOFError:
            raise InternalError(f"Failed to read PCI config space for {address}") from None
        if kind > CARDBUS:
            raise InternalError(f"Unknown PCI header type '{kind}' for device '{address}'")
        return kind

    @property
    def has_capabilities(self) -> bool:
        """Whether there is a list of them."""
        return bool(self.number(0x06, 2) & 0x10)

    def capability(self, wanted: int) -> int | None:
        """Where one of the device's capabilities is; None without it.

        :raises EOFError: the list could not be read.
        """
        if not self.has_capabilities:
            return None
        position, seen = self.number(0x34, 1), set[int]()
        while 0x40 <= position != 0xFF and position not in seen:
            if self.number(position, 1) == wanted:
                return position
            seen.add(position)
            position = self.number(position + 1, 1)
        return None

    def extended_capability(self, wanted: int) -> int | None:
        """The same of those that only PCI Express has.

        :raises EOFError: the list could not be read.
        """
        position, seen = 0x100, set[int]()
        while position >= 0x100 and position not in seen:
            header = self.number(position, 4)
            if header & 0xFFFF == wanted:
                return position
            seen.add(position)
            position = header >> 20 & ~3
        return None

    # -- PCI Express

    @property
    def is_express(self) -> bool:
        """Whether it speaks PCI Express; one whose capabilities do not say so is taken for it by the number of its
        registers."""
        try:
            found = self.capability(EXPRESS) is not None
        except EOFError:
            found = False
        return found or self.size != _CONVENTIONAL

    @property
    def link(self) -> int | None:
        """Where the registers of its link to the device above are; None where it has none."""
        express = self.capability(EXPRESS)
        if express is None:
            return None
        return None if self.number(express + 2, 2) >> 4 & 0xF in (_INTEGRATED, _EVENT_COLLECTOR) else express

    # -- resets

    @property
    def resets_functions(self) -> bool:
        """Whether one function of the device can be reset by itself (FLR)."""
        express = self.capability(EXPRESS)
        if express is not None and self.number(express + 4, 4) & 1 << 28:
            return True
        features = self.capability(ADVANCED_FEATURES)
        return features is not None and bool(self.number(features + 3, 1) & 0x02)

    @property
    def power_management(self) -> int | None:
        """Where the registers are by which a function is put to sleep, when it forgets its state in that; else None."""
        position = self.capability(POWER_MANAGEMENT)
        if position is None or self.number(position + 4, 2) & 0x08:  # it keeps its state
            return None
        return position
