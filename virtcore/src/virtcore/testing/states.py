"""States on demand: a guest of ``test:///`` crashes, is paused by an I/O error, or powers itself off.

::

    inject_state(connection.lookup_domain(name="test"), DomainState.CRASHED, DomainCrashedReason.PANICKED)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.enums.domain import DomainState
from virtcore.enums.domain_events import (
    DomainEventCrashedDetailType,
    DomainEventPMSuspendedDetailType,
    DomainEventResumedDetailType,
    DomainEventShutdownDetailType,
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
)
from virtcore.errors import InvalidArg, OperationInvalid
from virtcore.runtime.methods import Method, Style

if TYPE_CHECKING:
    from virtcore.api.sync import Domain
    from virtcore.builtin.test.driver import TestDriver

__all__ = ["inject_state"]

_Events = DomainEventType
#: State -> the event that tells of it, where it is not the guest's end.
_EVENTS = {
    DomainState.RUNNING: (_Events.RESUMED, DomainEventResumedDetailType.UNPAUSED),
    DomainState.PAUSED: (_Events.SUSPENDED, DomainEventSuspendedDetailType.PAUSED),
    DomainState.SHUTDOWN: (_Events.SHUTDOWN, DomainEventShutdownDetailType.GUEST),
    DomainState.CRASHED: (_Events.CRASHED, DomainEventCrashedDetailType.PANICKED),
    DomainState.PMSUSPENDED: (_Events.PMSUSPENDED, DomainEventPMSuspendedDetailType.MEMORY),
}


def inject_state(domain: Domain, state: DomainState, reason: int = 0, *, detail: int | None = None) -> None:
    """Have a running guest of the test driver come into a state by itself; subscribers are told.

    :param state: ``SHUTOFF`` ends the guest, a transient domain with it.
    :param reason: of the enumeration that belongs to the state.
    :param detail: of the event; the usual one by default.
    :raises InvalidArg: the domain is not the test driver's.
    :raises OperationInvalid: it does not run, or cannot come into that state by itself.
    """
    from virtcore.builtin.test.driver import TestDriver

    session = domain.connection.session
    session.driver.complete()
    driver: object = session.driver
    if not isinstance(driver, TestDriver):
        raise InvalidArg("states can be injected into guests of the test driver only")
    session.run_here(_INJECT, (driver, domain.ref, state, reason, detail))


async def _inject(driver: TestDriver, ref: object, state: DomainState, reason: int, detail: int | None) -> None:
    obj = driver.domain(ref)  # type: ignore[arg-type]  # a reference, as the session passes it on
    obj.require_active()
    if state is DomainState.SHUTOFF:
        told = DomainEventStoppedDetailType.SHUTDOWN if detail is None else DomainEventStoppedDetailType(detail)
        await driver.state.stopped(obj, reason, told)  # type: ignore[arg-type]  # any reason may be injected
        return
    if state not in _EVENTS:
        raise OperationInvalid(f"a guest cannot come into state {state!r} by itself")
    event, usual = _EVENTS[state]
    driver.state.set_state(obj, state, reason)
    driver.state.emit(obj, event, usual if detail is None else detail)


_INJECT = Method("inject_state", True, Style.ASYNC, _inject)
