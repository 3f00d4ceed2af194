"""``<link>``: state and speed of a network interface of the host."""

from __future__ import annotations

from enum import StrEnum

from virtcore.xml import attribute, element

__all__ = ["InterfaceLink", "LinkState"]


class LinkState(StrEnum):
    """Operational state of a link (RFC 2863)."""

    UNKNOWN = "unknown"
    NOT_PRESENT = "notpresent"
    DOWN = "down"
    LOWER_LAYER_DOWN = "lowerlayerdown"
    TESTING = "testing"
    DORMANT = "dormant"
    UP = "up"


@element("link", since="1.2.3")
class InterfaceLink:
    """State of a link."""

    speed: int | None = attribute(omit=0, doc="Mbit/s")
    state: LinkState | None = attribute(blank=False, doc="operational state")
