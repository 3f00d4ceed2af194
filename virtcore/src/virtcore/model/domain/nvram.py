"""Non-volatile memory of pSeries guests: ``<nvram>`` below ``<devices>``."""

from __future__ import annotations

from virtcore.model.domain.address import Device
from virtcore.xml import element

__all__ = [
    "NVRAM",
]


@element("nvram", empty="keep")
class NVRAM(Device):
    """The address of the firmware's non-volatile memory."""
