"""Persistent storage for crash dumps: ``<pstore>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.model.domain.address import Device
from virtcore.xml import attribute, element, leaf, scaled

__all__ = [
    "Pstore",
    "PstoreBackend",
]


class PstoreBackend(StrEnum):
    """Device the guest sees."""

    ACPI_ERST = "acpi-erst"


@element("pstore")
class Pstore(Device):
    """A small store that survives a crash of the guest's kernel."""

    backend: PstoreBackend = attribute(required=True, doc="device the guest sees")
    path: str | None = leaf(doc="path of the backing file; generated when absent")
    size: int | None = leaf(codec=scaled("KiB", xpath="./size"), required=True, doc="size in KiB")
