"""The sync face: calls from threads, loops, callbacks and forked children, deadlines and Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

import virtcore
from support import eventually
from toydriver import ONLY, REBOOT, EchoStream, World, expired
from virtcore.enums import DomainXMLFlags
from virtcore.errors import (
    InternalError,
    InvalidArg,
    InvalidConn,
    NoDomain,
    NoSupport,
    OpenFailed,
    OperationAborted,
    OperationDenied,
    OperationInvalid,
    OperationTimeout,
)
from virtcore.runtime.calls import wait_here
from virtcore.runtime.loop import core_loop


@pytest.fixture
def connection(world: World) -> Iterator[virtcore.Connection]:
    with virtcore.connect("toy:///x") as opened:
        yield opened


def test_each_style_of_method(connection: virtcore.Connection) -> None:
    assert connection.type() == "Toy"
    assert connection.hostname() == "toy"
    assert connection.version() == 7
    assert connection.lib_version() == 11003000


def test_objects(connection: virtcore.Connection) -> None:
    (domain,) = connection.list_domains()
    assert (domain.name, domain.uuid, domain.id, domain.ref) == (ONLY.name, ONLY.uuid, -1, ONLY)
    assert domain == connection.lookup_domain(name="only")
    assert domain == connection.domain(ONLY)
    assert hash(domain) == hash(connection.domain(ONLY))
    assert domain != ONLY
    assert domain.xml(DomainXMLFlags.INACTIVE) == "<domain>2</domain>"
    domain.create()
    assert domain.id == 7
    assert repr(domain) == "<Domain 'only' 6695eb01-f6a4-8304-79aa-97f2502e193f>"
    assert connection.domain_stats([domain]) == [[domain.ref]]
    assert connection.domain_stats() == [None]


def test_errors_of_the_driver(connection: virtcore.Connection) -> None:
    with pytest.raises(NoDomain) as caught:
        connection.lookup_domain(name="none")
    assert str(caught.value) == "Domain not found: no domain with matching name 'none'"
    with pytest.raises(NoSupport) as missing:
        connection.domain(ONLY).reset()
    assert str(missing.value) == "this function is not supported by the connection driver: virDomainReset"
    with pytest.raises(InternalError, match="must be 'async def'"):
        connection.domain(ONLY).os_type()


def test_supports(connection: virtcore.Connection) -> None:
    assert connection.supports("domain_create")
    assert not connection.supports("domain_reset")
    with pytest.raises(InvalidArg) as caught:
        connection.supports("domain_creat")
    assert caught.value.nearest == "domain_create"


def test_opening(world: World) -> None:
    with pytest.raises(OpenFailed):
        virtcore.connect("toy:///refused")
    with pytest.raises(OperationTimeout, match="connection_open"):
        virtcore.connect("toy:///slow", deadline=0.1)
    with pytest.raises(InvalidArg, match="deadline"):
        virtcore.connect("toy:///x", deadline=-1)


def test_credentials_are_asked_for(world: World) -> None:
    asked = []

    def auth(credentials: list[virtcore.Credential]) -> list[str]:
        asked.append((threading.current_thread() is threading.main_thread(), credentials[0].prompt))
        return ["secret"]

    virtcore.connect("toy:///auth", auth=auth).close()
    assert asked == [(False, "Password")]
    assert world.answers == [["secret"]]


def test_closing(world: World) -> None:
    connection = virtcore.connect("toy:///x")
    connection.close()
    connection.close()
    assert connection.closed
    assert world.closed == 1
    with pytest.raises(InvalidConn) as caught:
        connection.hostname()
    assert str(caught.value) == "invalid connection pointer in virConnectGetHostname"


def test_closing_cancels_queries_and_leaves_changes(world: World) -> None:
    world.holding = True
    connection = virtcore.connect("toy:///x")
    with ThreadPoolExecutor(2) as pool:
        query = pool.submit(connection.sysinfo)
        change = pool.submit(connection.domain(ONLY).create)
        eventually(lambda: world.steps and world.asked.is_set())
        connection.close()
        with pytest.raises(InvalidConn):
            query.result(60)
        assert world.closed == 0
        world.holding = False
        change.result(60)
    eventually(lambda: world.closed == 1)


def test_a_change_that_begins_after_the_close_is_refused(world: World) -> None:
    connection = virtcore.connect("toy:///x")
    session = connection.session
    planned = session._call(session._admit("domain_create", (ONLY, 0), {}), (ONLY, 0), {})  # as another thread would
    connection.close()
    with pytest.raises(InvalidConn):
        wait_here(planned, 60)
    assert not world.steps


def test_a_forgotten_connection_is_closed(world: World) -> None:
    connection = virtcore.connect("toy:///x")
    del connection
    eventually(lambda: world.closed == 1)


def test_what_a_connection_made_keeps_it_open(world: World) -> None:
    stream = virtcore.connect("toy:///x").domain(ONLY).open_console()
    events = virtcore.connect("toy:///x").events()
    got: list[virtcore.Event] = []
    subscription = virtcore.connect("toy:///x").on_event(got.append)
    gc.collect()
    assert world.closed == 0
    stream.write(b"x")
    assert stream.read() == b"x"
    world.emit(REBOOT)
    assert events.get(60) == REBOOT
    eventually(lambda: got)
    del stream, events, subscription
    eventually(lambda: world.closed == 3)


def test_readonly_is_refused_by_libvirts_rules(world: World) -> None:
    with virtcore.connect("toy:///x", readonly=True) as connection:
        domain = connection.domain(ONLY)
        with pytest.raises(OperationDenied) as caught:
            domain.create()
        assert str(caught.value) == "operation forbidden: read only access prevents virDomainCreateWithFlags"
        assert domain.xml() == "<domain>0</domain>"
        with pytest.raises(OperationDenied, match="virDomainGetXMLDesc"):
            domain.xml(DomainXMLFlags.SECURE)
        assert connection.readonly
        assert world.steps == []


def test_nested_calls_from_all_workers_at_once(world: World, connection: virtcore.Connection) -> None:
    # Four workers stand in the driver at the same time, and each calls the connection again in every style.
    world.barrier = threading.Barrier(4)
    results = []

    def nested() -> None:
        results.append((connection.version(), connection.hostname(), connection.lib_version()))

    world.nested = nested
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(connection.node_free_memory) for _ in range(8)]
        assert [call.result(60) for call in calls] == [1] * 8
    assert results == [(7, "toy", 11003000)] * 8


def test_a_stuck_plain_query_does_not_starve_others(world: World, connection: virtcore.Connection) -> None:
    for _ in range(6):  # more than there are workers
        with pytest.raises(OperationTimeout):
            connection.capabilities(deadline=0.05)
    assert connection.version() == 7
    world.release.set()
    assert connection.capabilities() == "<capabilities/>"


def test_use_in_a_thread_pool(connection: virtcore.Connection) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: connection.hostname(), range(200))) == {"toy"}


def test_use_under_somebodys_running_loop(world: World) -> None:
    async def main() -> None:
        with virtcore.connect("toy:///x") as connection:
            assert connection.hostname() == "toy"
            assert connection.version() == 7
            connection.domain(ONLY).create()

    asyncio.run(main())
    assert world.steps == ["begun", "ended"]


def test_a_sync_call_on_the_core_loop_raises(connection: virtcore.Connection) -> None:
    async def wrong() -> str:
        return connection.hostname()

    future = asyncio.run_coroutine_threadsafe(wrong(), core_loop().loop)
    with pytest.raises(OperationInvalid) as caught:
        future.result(60)
    assert "would wait for itself" in str(caught.value)
    assert any("connect_async" in note for note in caught.value.__notes__)


CHANGES: dict[str, Callable[[virtcore.Domain, float], None]] = {
    "create": lambda domain, deadline: domain.create(deadline=deadline),
    "set_autostart": lambda domain, deadline: domain.set_autostart(True, deadline=deadline),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_deadline_between_two_steps_ends_the_wait_only(
    world: World, connection: virtcore.Connection, change: str
) -> None:
    world.holding = True
    error = expired(partial(CHANGES[change], connection.domain(ONLY)))
    assert world.steps == ["begun"]
    assert re.search(rf"domain_{change} of 'only' did not end within [0-9.]+ s", str(error))
    job = error.job
    assert job is not None
    assert any(f"job {job.number}" in note for note in error.__notes__)
    assert [running.number for running in connection.jobs()] == [job.number]
    assert (job.operation, job.subject, job.done) == (f"domain_{change}", "only", False)
    with pytest.raises(virtcore.DeadlineExpired):
        job.wait(0.01)
    world.holding = False
    job.wait(60)
    assert world.steps == ["begun", "ended"]
    assert job.done
    assert connection.jobs() == []


def test_a_job_that_fails_tells_those_who_wait(
    world: World, connection: virtcore.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    world.holding = True
    job = expired(lambda deadline: connection.domain(ONLY).destroy(deadline=deadline)).job
    assert job is not None
    world.holding = False
    with pytest.raises(NoDomain):
        job.wait(60)
    assert isinstance(job.error, NoDomain)
    eventually(lambda: "it went away" in caplog.text)
    with pytest.raises(OperationInvalid, match="cannot be aborted"):
        job.abort()


def test_a_job_can_be_aborted(world: World, connection: virtcore.Connection) -> None:
    world.holding = True
    job = expired(lambda deadline: connection.domain(ONLY).create(deadline=deadline)).job
    assert job is not None
    assert job.abortable
    job.abort()
    with pytest.raises(OperationAborted):
        job.wait(60)
    assert world.steps == ["begun", "rolled back"]


def test_a_query_is_cancelled_at_its_deadline(world: World, connection: virtcore.Connection) -> None:
    while not world.asked.is_set():  # on a busy machine a deadline may pass before the query has begun
        with pytest.raises(virtcore.DeadlineExpired) as caught:
            connection.sysinfo(deadline=0.05)
        assert caught.value.job is None
    assert world.cancelled.wait(60)


def test_the_connections_deadline_holds_for_queries(world: World) -> None:
    with virtcore.connect("toy:///x", deadline=1) as connection:
        with pytest.raises(OperationTimeout):
            connection.sysinfo()
        world.holding = True
        threading.Timer(1.2, setattr, (world, "holding", False)).start()
        connection.domain(ONLY).create()  # takes longer, and may
        with pytest.raises(InvalidArg):
            connection.hostname(deadline=float("nan"))
        with pytest.raises(InvalidArg, match="not '5'"):
            connection.hostname(deadline="5")  # type: ignore[arg-type]


def test_a_change_that_has_not_begun_is_withdrawn(
    world: World, connection: virtcore.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    domain = connection.domain(ONLY)
    with ThreadPoolExecutor(4) as pool:
        stuck = [pool.submit(connection.capabilities) for _ in range(4)]  # every worker
        eventually(lambda: len(world.stuck) == 4)
        with pytest.raises(virtcore.DeadlineExpired) as caught:
            domain.set_autostart(True, deadline=0.1)
        world.release.set()
        assert [call.result(60) for call in stuck] == ["<capabilities/>"] * 4
    assert caught.value.job is None
    assert any("nothing changed" in note for note in caught.value.__notes__)
    assert connection.version() == 7
    assert world.steps == []
    assert caplog.text == ""


@contextmanager
def interrupted_when(condition: Callable[[], object]) -> Iterator[pytest.ExceptionInfo[KeyboardInterrupt]]:
    """Press Ctrl-C as soon as something holds, in a block that is then left by it."""

    def press() -> None:
        eventually(condition)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        yield caught
    pressing.join()


def test_ctrl_c_during_a_change_ends_the_wait_only(world: World, connection: virtcore.Connection) -> None:
    world.holding = True
    with interrupted_when(lambda: world.steps) as caught:
        connection.domain(ONLY).create()
    assert world.steps == ["begun"]
    (job,) = connection.jobs()
    assert any(f"job {job.number}" in note for note in caught.value.__notes__)
    world.holding = False
    job.wait(60)
    assert world.steps == ["begun", "ended"]


def test_ctrl_c_during_a_query_cancels_it(world: World, connection: virtcore.Connection) -> None:
    with interrupted_when(world.asked.is_set):
        connection.sysinfo()
    assert world.cancelled.wait(60)
    assert connection.hostname() == "toy"


def test_streams(connection: virtcore.Connection) -> None:
    with connection.domain(ONLY).open_console() as stream:
        stream.write(b"hello")
        assert stream.read(2) == b"he"
        assert stream.read() == b"llo"
        with pytest.raises(OperationTimeout):
            stream.read(deadline=0.05)
        stream.write(b"again")
        stream.finish()
        assert list(stream) == [b"again"]
    with pytest.raises(ZeroDivisionError), connection.domain(ONLY).open_console() as stream:
        raise ZeroDivisionError
    assert stream._stream.aborted  # type: ignore[attr-defined]


class HoledStream(EchoStream):
    """Carries holes: a number stands for one."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes | int] = []

    async def read_sparse(self, size: int) -> bytes | int:
        return self.parts.pop(0) if self.parts else b""

    async def write_hole(self, length: int) -> None:
        self.parts.append(length)

    async def write(self, data: bytes) -> None:
        self.parts.append(data)


def test_a_sparse_stream_has_holes(connection: virtcore.Connection) -> None:
    stream = virtcore.Stream(connection, HoledStream())
    stream.write(b"data")
    stream.write_hole(4096)
    assert [stream.read_sparse(), stream.read_sparse(), stream.read_sparse()] == [b"data", 4096, b""]


def test_other_streams_have_none(connection: virtcore.Connection) -> None:
    stream = virtcore.Stream(connection, EchoStream())
    stream.write(b"data")
    assert stream.read_sparse(2) == b"da"
    with pytest.raises(NoSupport, match="virStreamSendHole"):
        stream.write_hole(1)


def test_operations_that_libvirt_has_not_got_are_refused_by_their_kind() -> None:
    with virtcore.connect("test:///default", readonly=True) as connection:
        assert [row.domain.name for row in connection.recent_stats()] == ["test"]
