"""Hands events of shared state to every connection that subscribed."""

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Callable
from virtcore.driver.base import Subscription

if TYPE_CHECKING:
    from virtcore.operations.events import Event

__all__ = ["EventHub"]


class EventHub:
    """Subscribers of one driver's events. Used in the core loop only; delivery never blocks."""

    def __init__(self) -> None:
        self._subscribers: dict[int, Callable[[Event], None]] = {}
        self._next = 0

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        """Register; events are delivered in the order they are emitted until the subscription is cancelled."""
        key, self._next = self._next, self._next + 1
        self._subscribers[key] = deliver
        return Subscription(lambda: self._cancel(key))

    def _cancel(self, key: int) -> None:
        self._subscribers.pop(key, None)

    @property
    def heard(self) -> bool:
        """Whether anybody is subscribed."""
        return bool(self._subscribers)

    def emit(self, event: Event) -> None:
        """Deliver an event to everyone subscribed now."""
        for deliver in list(self._subscribers.values()):
            deliver(event)
