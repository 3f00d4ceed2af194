"""A driver for tests of the runtime and the API: its methods wait, block, fail and nest as told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from virtcore.driver import Credential, Driver, OpenRequest, Subscription, inline
from virtcore.driver.loader import registered
from virtcore.errors import NoDomain, OpenFailed
from virtcore.operations.events import DomainLifecycleEvent, DomainRebootEvent, Event
from virtcore.operations.values import NodeInfo
from virtcore.runtime.jobs import DeadlineExpired
from virtcore.types import DomainRef

ONLY = DomainRef("only", "6695eb01-f6a4-8304-79aa-97f2502e193f")


class World:
    """What the tests tell the driver, and what it did."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        #: Changes that have begun do not end.
        self.holding = False
        self.release = threading.Event()
        #: Threads that wait for it.
        self.stuck: list[int] = []
        self.asked = threading.Event()
        self.cancelled = threading.Event()
        self.closed = 0
        self.nested: Callable[[], object] = lambda: None
        self.barrier: threading.Barrier | None = None
        self.subscribers: list[Callable[[Event], None]] = []
        self.answers: list[Sequence[str] | None] = []

    def emit(self, event: Event) -> None:
        """Deliver an event from the core loop."""
        from virtcore.runtime.loop import core_loop

        core_loop().call_soon(self._deliver, event)

    def _deliver(self, event: Event) -> None:
        for deliver in list(self.subscribers):
            deliver(event)


world = World()


class EchoStream:
    """Gives back what was written."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False
        self.aborted = False
        self.changed = asyncio.Event()

    async def read(self, size: int) -> bytes:
        while not self.data and not self.ended:
            self.changed.clear()
            await self.changed.wait()
        data = bytes(self.data[:size])
        del self.data[:size]
        return data

    async def write(self, data: bytes) -> None:
        self.data += data
        self.changed.set()

    async def finish(self) -> None:
        self.ended = True
        self.changed.set()

    async def abort(self) -> None:
        self.aborted = self.ended = True
        self.changed.set()


class ToyDriver(Driver):
    """Serves ``toy:///...``."""

    name = "Toy"

    @classmethod
    async def open(cls, request: OpenRequest) -> ToyDriver:
        if request.uri.path == "/slow":
            await asyncio.sleep(60)
        if request.uri.path == "/refused":
            raise OpenFailed("no")
        if request.uri.path == "/auth":
            assert request.auth is not None
            world.answers.append(await request.auth([Credential(5, "Password", None, None)]))
        return cls()

    async def close(self) -> None:
        world.closed += 1

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        world.subscribers.append(deliver)
        return Subscription(lambda: world.subscribers.remove(deliver))

    # inline

    @inline
    def connection_hostname(self) -> str:
        return "toy"

    @inline
    def connection_list_domains(self, flags: int = 0) -> list[DomainRef]:
        return [ONLY]

    @inline
    def connection_lookup_domain(
        self, name: str | None = None, uuid: str | None = None, id: int | None = None
    ) -> DomainRef:
        if name != ONLY.name:
            raise NoDomain(f"no domain with matching name '{name}'")
        return ONLY

    @inline
    def connection_node_info(self) -> NodeInfo:
        time.sleep(0.02)  # as an inline method must not
        return NodeInfo("x86_64", 1, 1, 1, 1, 1, 1, 1)

    @inline
    def domain_xml(self, domain: DomainRef, flags: int = 0) -> str:
        return f"<domain>{int(flags)}</domain>"

    @inline
    def connection_domain_stats(self, domains: Any = None, stats: int = 0, flags: int = 0) -> list[Any]:
        return [domains]

    # coroutines

    async def connection_lib_version(self) -> int:
        await asyncio.sleep(0)
        return 11003000

    async def connection_sysinfo(self, flags: int = 0) -> str:
        world.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            world.cancelled.set()
        return ""

    async def domain_create(self, domain: DomainRef, flags: int = 0) -> DomainRef:
        world.steps.append("begun")
        try:
            while world.holding:
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            world.steps.append("rolled back")
            raise
        world.steps.append("ended")
        self_event = DomainLifecycleEvent(domain, 2, 0)  # type: ignore[arg-type]
        world._deliver(self_event)
        return domain._replace(id=7)

    async def domain_destroy(self, domain: DomainRef, flags: int = 0) -> None:
        world.steps.append("begun")
        while world.holding:
            await asyncio.sleep(0.005)
        raise NoDomain("it went away")

    async def domain_open_console(self, domain: DomainRef, device: str | None = None, flags: int = 0) -> EchoStream:
        return EchoStream()

    # plain methods

    def connection_version(self) -> int:
        return 7

    def connection_capabilities(self) -> str:
        world.stuck.append(threading.get_ident())
        world.release.wait(60)
        return "<capabilities/>"

    def connection_node_free_memory(self) -> int:
        if world.barrier is not None:
            world.barrier.wait(60)
        world.nested()
        return 1

    def domain_set_autostart(self, domain: DomainRef, autostart: bool) -> None:
        world.steps.append("begun")
        while world.holding:
            time.sleep(0.005)
        world.steps.append("ended")

    def domain_os_type(self, domain: DomainRef) -> Any:
        return self.connection_lib_version()  # forgot to be a coroutine function


@contextmanager
def toy() -> Iterator[World]:
    """A fresh world, in which ``toy:`` URIs work."""
    world.__init__()  # type: ignore[misc]
    with registered("toy", ToyDriver):
        try:
            yield world
        finally:
            world.holding = False
            world.release.set()


def expired(change: Callable[[float], object]) -> DeadlineExpired:
    """Have a deadline pass during a change that does not end.

    On a busy machine it may pass before the change has begun, which is then withdrawn: the next one is longer. Where
    that was long enough for all of the change, it begins anew.
    """
    deadline = 0.05
    while True:
        try:
            change(deadline)
        except DeadlineExpired as error:
            if error.job is not None:
                return error
            deadline *= 2
        else:
            deadline = 0.05


REBOOT = DomainRebootEvent(ONLY)
