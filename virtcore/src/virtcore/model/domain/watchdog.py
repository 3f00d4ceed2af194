"""Watchdogs: ``<watchdog>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.model.domain.address import Device
from virtcore.xml import attribute, element

__all__ = [
    "Watchdog",
    "WatchdogAction",
    "WatchdogModel",
]


class WatchdogModel(StrEnum):
    """Device the guest sees."""

    I6300ESB = "i6300esb"
    IB700 = "ib700"
    DIAG288 = "diag288"
    ITCO = "itco"


class WatchdogAction(StrEnum):
    """What happens when it expires."""

    RESET = "reset"
    SHUTDOWN = "shutdown"
    POWEROFF = "poweroff"
    PAUSE = "pause"
    DUMP = "dump"
    NONE = "none"
    INJECT_NMI = "inject-nmi"


@element("watchdog")
class Watchdog(Device):
    """A timer the guest has to reset."""

    model: WatchdogModel = attribute(required=True, doc="device the guest sees")
    action: WatchdogAction | None = attribute(doc="what happens when it expires; reset by default")
