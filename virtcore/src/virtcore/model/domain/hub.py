"""USB hubs: ``<hub>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import Device
from virtcore.xml import attribute, element

__all__ = [
    "Hub",
    "HubType",
]


class HubType(StrEnum):
    """Kind of hub."""

    USB = "usb"


@element("hub")
class Hub(Device):
    """A hub with more ports."""

    type: HubType = attribute(
        required=True,
        missing="missing hub device type",
        missing_code=ErrorCode.INTERNAL_ERROR,
        invalid="unknown hub device type '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="kind of hub",
    )
