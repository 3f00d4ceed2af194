"""The performance events that a configuration counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.enums.common import TypedParameterType
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["perf_events", "set_perf_events"]


def perf_events(domain: Domain) -> TypedParameters:
    """Which performance events are counted."""
    from virtcore.model.domain.resources import PerfEventName

    counted = {event.name for event in domain.perf.events if event.enabled} if domain.perf is not None else set()
    rows = TypedParameters()
    for name in PerfEventName:
        rows.add(str(name.value), TypedParameterType.BOOLEAN, name in counted)
    return rows


def set_perf_events(domain: Domain, params: TypedParameters) -> None:
    """Set which performance events are counted."""
    from virtcore.model.domain.resources import Perf, PerfEvent, PerfEventName

    events = {event.name: event for event in domain.perf.events} if domain.perf is not None else {}
    for name, value in params.items():
        events[PerfEventName(name)] = PerfEvent(name=PerfEventName(name), enabled=bool(value))
    domain.perf = Perf(events=[events[name] for name in PerfEventName if name in events])
