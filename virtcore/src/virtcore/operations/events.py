"""Events: what drivers emit and subscribers receive. Plain values, one class per kind."""

from __future__ import annotations

from typing import NamedTuple

from virtcore.enums.domain_events import DomainEventType
from virtcore.types import DomainRef

__all__ = ["DomainLifecycleEvent", "DomainRebootEvent", "Event", "GapEvent"]


class DomainLifecycleEvent(NamedTuple):
    """A domain was defined, undefined, started, suspended, resumed, stopped, shut down, ... (id 0).

    ``detail`` has the value of a member of the enumeration that belongs to the type, such as
    ``DomainEventStartedDetailType(detail)``. It is an ``int``, since a newer daemon may have details that virtcore
    does not know.
    """

    domain: DomainRef
    type: DomainEventType
    detail: int


class DomainRebootEvent(NamedTuple):
    """The guest rebooted (id 1)."""

    domain: DomainRef


class GapEvent(NamedTuple):
    """Events were lost before this one (a subscriber that is too slow, a reconnection): look at the state afresh."""

    lost: int


Event = DomainLifecycleEvent | DomainRebootEvent | GapEvent
