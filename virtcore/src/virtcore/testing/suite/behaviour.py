"""What goes across operations: events, read-only connections, persistence, deadlines, concurrency."""

from __future__ import annotations

import queue
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import DomainEventType, DomainState, DomainXMLFlags
from virtcore.operations.events import DomainLifecycleEvent, Event
from virtcore.testing.suite.target import Target, needs

if TYPE_CHECKING:
    from virtcore.api.aio import AsyncConnection
    from virtcore.api.sync import Connection, Domain

__all__ = ["TestConcurrency", "TestDeadlines", "TestEvents", "TestPersistence", "TestReadOnly"]

#: Events that some hypervisors emit on the way.
_ON_THE_WAY = (DomainEventType.RESUMED, DomainEventType.SUSPENDED, DomainEventType.SHUTDOWN)


class TestEvents:
    """Subscribers are told what happened, in order."""

    @needs("connection_define_domain", "domain_create", "domain_destroy", "domain_undefine")
    def test_events_tell_what_happened(self, connection: Connection, target: Target) -> None:
        events: queue.Queue[Event] = queue.Queue()
        connection.on_event(events.put, DomainLifecycleEvent)
        domain = connection.define_domain(target.domain("compliance"))
        domain.create()
        domain.destroy()
        domain.undefine()
        kinds = DomainEventType
        for expected in (kinds.DEFINED, kinds.STARTED, kinds.STOPPED, kinds.UNDEFINED):
            event = events.get(timeout=target.event_wait)
            while isinstance(event, DomainLifecycleEvent) and event.type in _ON_THE_WAY:
                event = events.get(timeout=target.event_wait)
            assert isinstance(event, DomainLifecycleEvent)
            assert (event.type, event.domain.name) == (expected, "compliance")

    @needs("domain_create", "domain_destroy", "domain_suspend", "domain_resume")
    def test_pauses_are_told(self, connection: Connection, target: Target, defined: Domain) -> None:
        events: queue.Queue[Event] = queue.Queue()
        defined.create()
        connection.on_event(events.put, DomainLifecycleEvent)
        defined.suspend()
        defined.resume()
        for expected in (DomainEventType.SUSPENDED, DomainEventType.RESUMED):
            event = events.get(timeout=target.event_wait)
            while isinstance(event, DomainLifecycleEvent) and event.type is DomainEventType.STARTED:
                event = events.get(timeout=target.event_wait)
            assert isinstance(event, DomainLifecycleEvent)
            assert (event.type, event.domain.uuid) == (expected, defined.uuid)

    @needs("connection_define_domain", "domain_undefine")
    def test_who_has_left_is_told_nothing(self, connection: Connection, target: Target) -> None:
        left: queue.Queue[Event] = queue.Queue()
        stays: queue.Queue[Event] = queue.Queue()
        subscription = connection.on_event(left.put, DomainLifecycleEvent)
        connection.on_event(stays.put, DomainLifecycleEvent)
        subscription.cancel()
        connection.define_domain(target.domain("compliance"))
        assert isinstance(stays.get(timeout=target.event_wait), DomainLifecycleEvent)
        assert left.empty()

    @needs("connection_define_domain", "domain_undefine")
    def test_other_connections_are_told(self, connection: Connection, target: Target, uri: str) -> None:
        events: queue.Queue[Event] = queue.Queue()
        with virtcore.connect(uri, readonly=True) as other:
            other.on_event(events.put, DomainLifecycleEvent)
            connection.define_domain(target.domain("compliance"))
            event = events.get(timeout=target.event_wait)
            assert isinstance(event, DomainLifecycleEvent)
            assert event.type is DomainEventType.DEFINED


class TestReadOnly:
    """Read-only connections change nothing and hide secrets."""

    @needs("connection_lookup_domain")
    def test_readonly_connections_change_nothing(self, uri: str, target: Target, defined: Domain) -> None:
        with virtcore.connect(uri, readonly=True) as connection:
            domain = connection.lookup_domain(uuid=defined.uuid)
            for change in (domain.undefine, domain.create, domain.destroy):
                with pytest.raises(errors.OperationDenied):
                    change()
            with pytest.raises(errors.OperationDenied):
                connection.define_domain(target.domain("compliance-denied"))
        assert defined.is_persistent()
        assert not defined.is_active()

    @needs("connection_lookup_domain", "domain_xml")
    def test_readonly_connections_see_no_secrets(self, uri: str, defined: Domain) -> None:
        with virtcore.connect(uri, readonly=True) as connection:
            domain = connection.lookup_domain(uuid=defined.uuid)
            assert domain.xml()
            with pytest.raises(errors.OperationDenied):
                domain.xml(DomainXMLFlags.SECURE)


class TestPersistence:
    """What was acknowledged is there when the driver is opened again."""

    @needs("connection_define_domain", "domain_undefine", "domain_xml", "connection_lookup_domain")
    def test_definitions_survive(self, uri: str, target: Target) -> None:
        if not target.persistent:
            pytest.skip("the target says that nothing survives its last connection")
        with virtcore.connect(uri) as connection:
            domain = connection.define_domain(target.domain("compliance"))
            text = domain.xml(DomainXMLFlags.SECURE)
        try:
            with virtcore.connect(uri) as connection:
                again = connection.lookup_domain(uuid=domain.uuid)
                assert (again.name, again.xml(DomainXMLFlags.SECURE)) == ("compliance", text)
        finally:
            with virtcore.connect(uri) as connection:
                connection.lookup_domain(uuid=domain.uuid).undefine()
        with virtcore.connect(uri) as connection, pytest.raises(errors.NoDomain):
            connection.lookup_domain(uuid=domain.uuid)


class TestDeadlines:
    """A deadline ends the wait, not the work."""

    @needs("domain_create", "domain_destroy", "domain_state")
    def test_a_change_past_its_deadline_goes_on_as_a_job(self, defined: Domain, target: Target) -> None:
        deadline = 0.01
        while True:
            try:
                defined.create(deadline=deadline)
            except virtcore.DeadlineExpired as late:
                if late.job is None:  # withdrawn before it began, on a busy machine
                    assert not defined.is_active()
                    deadline *= 2
                    continue
                late.job.wait(target.event_wait)
            assert defined.is_active()
            break

    @needs("domain_create", "domain_destroy", "domain_state")
    def test_queries_do_not_wait_for_changes(self, defined: Domain, target: Target) -> None:
        with ThreadPoolExecutor(1) as pool:
            started = pool.submit(defined.create)
            while not started.done():
                assert defined.state(deadline=target.answer_wait).state in DomainState
            started.result()
        assert defined.is_active()

    @needs("connection_list_domains")
    def test_a_deadline_that_is_met_changes_nothing(self, connection: Connection, target: Target) -> None:
        assert connection.list_domains(deadline=target.answer_wait) == connection.list_domains(deadline=None)

    def test_nonsense_is_no_deadline(self, connection: Connection) -> None:
        for nonsense in (-1, float("nan"), "soon"):
            with pytest.raises(errors.InvalidArg):
                connection.type(deadline=nonsense)  # type: ignore[arg-type]


class TestConcurrency:
    """Many at once: every answer is whole, nothing is lost."""

    @needs("connection_define_domain", "domain_undefine", "connection_list_domains", "domain_create", "domain_destroy")
    def test_fifty_threads_live_fifty_lives(self, connection: Connection, target: Target) -> None:
        """Each defines, starts, ends and undefines; every second one starts its domain twice, and keeps it."""

        def live(number: int) -> None:
            domain = connection.define_domain(target.domain(f"compliance-{number}"))
            for _ in range(1 + number % 2):
                domain.create()
                assert domain.is_active()
                domain.destroy()
            if number % 2 == 0:
                domain.undefine()

        with ThreadPoolExecutor(50) as pool:
            for _ in pool.map(live, range(50)):
                pass
        kept = {f"compliance-{number}" for number in range(1, 50, 2)}
        found = {domain.name: domain for domain in connection.list_domains() if domain.name.startswith("compliance")}
        assert found.keys() == kept
        assert not any(domain.is_active() for domain in found.values())

    @needs("connection_define_domain", "domain_undefine", "connection_list_domains", "domain_create", "domain_destroy")
    def test_fifty_tasks_live_fifty_lives(self, uri: str, connection: Connection, target: Target) -> None:
        import asyncio

        async def live(shared: AsyncConnection, number: int) -> None:
            domain = await shared.define_domain(target.domain(f"compliance-{number}"))
            await domain.create()
            assert await domain.is_active()
            await domain.destroy()
            if number % 2 == 0:
                await domain.undefine()

        async def main() -> None:
            async with virtcore.connect_async(uri) as shared:
                await asyncio.gather(*(live(shared, number) for number in range(50)))

        asyncio.run(main())
        kept = {f"compliance-{number}" for number in range(1, 50, 2)}
        found = {domain.name: domain for domain in connection.list_domains() if domain.name.startswith("compliance")}
        assert found.keys() == kept
        assert not any(domain.is_active() for domain in found.values())

    @needs("connection_define_domain", "domain_undefine", "connection_list_domains")
    def test_a_name_is_given_once(self, connection: Connection, target: Target) -> None:
        """Many define the same name with UUIDs of their own: one wins, the others are told."""

        def define(number: int) -> str | None:
            uuid = f"c0ffee00-0000-4000-8000-{number:012}"
            try:
                return connection.define_domain(target.domain("compliance-one", uuid)).uuid
            except errors.VirtError:
                return None

        with ThreadPoolExecutor(50) as pool:
            winners = [uuid for uuid in pool.map(define, range(50)) if uuid is not None]
        assert winners == [domain.uuid for domain in connection.list_domains() if domain.name == "compliance-one"]

    @needs("domain_xml")
    def test_many_threads_ask_at_once(self, defined: Domain) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(lambda _: defined.xml(), range(64)))
        assert len(answers) == 1

    @needs("connection_define_domain", "domain_undefine", "connection_list_domains")
    def test_many_threads_define_and_undefine(self, connection: Connection, target: Target) -> None:
        names = [f"compliance-{number}" for number in range(16)]
        with ThreadPoolExecutor(8) as pool:
            domains = list(pool.map(lambda name: connection.define_domain(target.domain(name)), names))
            assert {domain.name for domain in connection.list_domains()} >= set(names)
            for _ in pool.map(lambda domain: domain.undefine(), domains):
                pass
        assert not {domain.name for domain in connection.list_domains()} & set(names)

    @needs("domain_create", "domain_destroy")
    def test_one_of_many_starts_wins(self, defined: Domain) -> None:
        def start(_: int) -> bool:
            try:
                defined.create()
            except errors.VirtError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(start, range(8))) == 1
        assert defined.is_active()
