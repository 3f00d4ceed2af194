"""Panic notifiers: ``<panic>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import Device
from virtcore.xml import attribute, element

__all__ = [
    "Panic",
    "PanicModel",
]


class PanicModel(StrEnum):
    """Device the guest sees."""

    DEFAULT = "default"
    ISA = "isa"
    PSERIES = "pseries"
    HYPERV = "hyperv"
    S390 = "s390"
    PVPANIC = "pvpanic"


@element("panic", empty="omit")
class Panic(Device):
    """Tells the host that the guest's kernel has crashed."""

    model: PanicModel | None = attribute(
        omit=PanicModel.DEFAULT,
        invalid="unknown panic model '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="device the guest sees",
    )
