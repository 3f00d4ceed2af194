"""An event is of the kind that was asked for, for type checkers too (`./dev types` looks at these)."""

from __future__ import annotations

from typing import assert_type

import virtcore
from virtcore import DomainLifecycleEvent, GapEvent, NetworkLifecycleEvent
from virtcore.operations.events import Event


def test_one_kind() -> None:
    with virtcore.connect("test:///default") as connection:
        domain = connection.lookup_domain("test")
        seen: list[DomainLifecycleEvent | GapEvent] = []
        with connection.events(DomainLifecycleEvent) as events:
            subscription = connection.on_event(seen.append, DomainLifecycleEvent)
            domain.suspend()
            event = events.get(60)
            assert_type(event, DomainLifecycleEvent | GapEvent)
            assert isinstance(event, DomainLifecycleEvent)
            subscription.cancel()


def test_several_kinds() -> None:
    with virtcore.connect("test:///default") as connection:
        domain = connection.lookup_domain("test")
        with connection.events(DomainLifecycleEvent, NetworkLifecycleEvent, of=domain) as events:
            domain.suspend()
            event = events.get(60)
            assert_type(event, Event)
            assert isinstance(event, DomainLifecycleEvent)
