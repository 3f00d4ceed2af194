"""Frames that are wrong, for clients of every kind, without sockets: whatever comes in, what goes out is checked.

The daemon's own objects serve (:class:`Daemon`, its servers, endpoints and clients); transports and drivers are made
here. A second, simpler reading of the same bytes says which calls there were: each is answered once, with what decodes,
and nothing else is sent but streams, events and signs of life. What a kind of client may not do is looked for in what
the driver was asked to do, and a secret in what was logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import threading
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from remote.wrong_frames import PASSWORD, PROGRAMS, REMOTE, ROWS, WrongFrames, calls_of
from virt_remote.protocol import (
    BODY,
    CALL,
    CALL_WITH_FDS,
    ERROR,
    EVENT,
    FDS_MAX,
    HEADER,
    KEEPALIVE_PROGRAM,
    OK,
    REPLY,
    REPLY_WITH_FDS,
    STREAM,
    STREAM_HOLE,
    Frames,
    decode_error,
    without_files,
)
from virt_remote.sasl import Credentials, credentials
from virt_remote.server.access import AccessControl, Request
from virt_remote.server.client import Client
from virt_remote.server.daemon import Daemon
from virt_remote.server.endpoint import Endpoint
from virt_remote.server.identity import Identity
from virt_remote.server.settings import Places, Settings
from virtcore.builtin.test.driver import TestDriver
from virtcore.driver.base import OpenRequest, inline
from virtcore.operations.declare import Kind, all_operations
from virtcore.operations.procedures import program
from virtcore.operations.spellings import needs_write
from virtcore.operations.values import MonitorReply
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.events import EVENTS
from virtcore.operations.wire.mapping import server_call
from virtcore.runtime.loop import CoreLoop
from virtcore.runtime.session import Session
from virtcore.uri import ConnectionURI
from wholedriver import FOUND, EmptyStream, WholeDriver
from wire_samples import sample_event

# -- what serves


class Users:
    """One user, whose password is the secret."""

    def __init__(self) -> None:
        self._known = credentials("fred", PASSWORD, iterations=4096, digest=True)

    def find(self, user: str) -> Credentials | None:
        return self._known if user == "fred" else None

    def salt_of(self, user: str) -> bytes:
        return user.encode("utf-8", "surrogatepass")[:16].ljust(16, b"*")


class InlineDriver(WholeDriver):
    """Answers queries without waiting."""


def _inline(name: str) -> Any:
    coroutine = getattr(WholeDriver, name)

    def method(self: WholeDriver, *arguments: Any) -> Any:
        try:
            coroutine(self, *arguments).send(None)
        except StopIteration as told:
            return told.value
        raise AssertionError(f"{name} waits")

    method.__name__ = name
    return inline(method)


for _name, _operation in all_operations().items():
    if _operation.kind is Kind.QUERY:
        setattr(InlineDriver, _name, _inline(_name))


class FilesDriver(WholeDriver):
    """Gives descriptors that are real."""

    async def domain_open_graphics_fd(self, *arguments: Any) -> int:
        return os.open(os.devnull, os.O_RDONLY)

    async def domain_lxc_open_namespace(self, *arguments: Any) -> list[int]:
        return [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]

    async def domain_qemu_monitor_command_with_files(self, *arguments: Any) -> MonitorReply:
        return MonitorReply("{}", [os.open(os.devnull, os.O_RDONLY)])


class Denies:
    """An access driver that lets clients in while it is open, and then denies everything."""

    name = "test"

    def __init__(self) -> None:
        self.open = False

    async def allows(self, request: Request) -> bool:
        return self.open


class Given:
    """Descriptors that came with a flow of bytes, as the socket of a client keeps them."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.sent = 0

    def expect(self) -> None:
        pass

    def give(self, count: int) -> None:
        """Have some come."""
        self.received += [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]

    def take(self, count: int) -> list[int]:
        if count > len(self.received):
            raise LookupError(f"{count} descriptors announced, {len(self.received)} came")
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def attach(self, descriptors: Sequence[int], ahead: int) -> None:
        self.sent += len(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def close(self) -> None:
        for descriptor in self.received:
            os.close(descriptor)
        self.received.clear()


class Role(NamedTuple):
    """A kind of client."""

    name: str
    programs: tuple[str, ...] = ("remote", "remote", "remote", "remote", "qemu", "lxc", "admin")
    auth: str = "none"
    readonly: bool = False
    #: Flags of its open call; None where it opens nothing.
    flags: int | None = 0
    denied: bool = False
    passes: bool = False
    driver: type[WholeDriver] | None = WholeDriver


ROLES: Final = (
    Role("all may be done"),
    Role("queries do not wait", driver=InlineDriver),
    Role("a real driver", driver=None),
    Role("descriptors", passes=True, driver=FilesDriver),
    Role("a read-only socket", readonly=True),
    Role("opened read-only", flags=1, driver=InlineDriver),
    Role("not authenticated", auth="sasl", flags=None),
    Role("not opened", flags=None),
    Role("everything denied", denied=True),
    Role("administration", programs=("admin", "admin", "admin", "remote"), flags=None),
)


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.reading = True
        self.ended = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    def close(self) -> None:
        self.ended = self.ended or "closed"


class Log(logging.Handler):
    """Looks at what is logged instead of keeping it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.records = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.records += 1
        text = record.getMessage()
        if PASSWORD in text:
            self.found.append(f"a secret is logged: {text}")
        if record.exc_info:
            self.found.append(logging.Formatter().format(record))


# -- the second reading


class Reading(NamedTuple):
    """What a flow of bytes holds: its whole messages, and why there are no more."""

    frames: list[bytes]
    #: A length that cannot be.
    broken: bool
    #: Bytes of the last one that are there.
    pending: int


def read(flow: bytes, limit: int) -> Reading:
    """Cut a flow into messages, as the protocol's description has it."""
    frames: list[bytes] = []
    at = 0
    while len(flow) - at >= 4:
        size = int.from_bytes(flow[at : at + 4], "big")
        if not 28 <= size <= limit:
            return Reading(frames, True, 0)
        descriptors = 0
        if len(flow) - at >= 20 and int.from_bytes(flow[at + 16 : at + 20], "big") in (CALL_WITH_FDS, REPLY_WITH_FDS):
            if size < 32:
                return Reading(frames, True, 0)
            if len(flow) - at >= 32:
                descriptors = int.from_bytes(flow[at + 28 : at + 32], "big")
                if descriptors > FDS_MAX:
                    return Reading(frames, True, 0)
        if len(flow) - at < size + descriptors:
            break
        frames.append(flow[at : at + size])
        at += size + descriptors
    return Reading(frames, False, len(flow) - at)


Call = tuple[int, int, int, int]


def calls_in(frames: Sequence[bytes]) -> Counter[Call]:
    """Which calls messages are: program, version, procedure, serial."""
    found: Counter[Call] = Counter()
    for frame in frames:
        _, number, version, procedure, kind, serial, _ = HEADER.unpack_from(frame)
        if kind in (CALL, CALL_WITH_FDS):
            found[number, version, procedure, serial] += 1
    return found


# -- a client


class Wrong(AssertionError):
    """The daemon did what it must not, with the bytes that made it."""


class Target:
    """A client of one kind, always there: another one comes when it has to go."""

    def __init__(self, fuzz: Fuzz, role: Role) -> None:
        self.fuzz = fuzz
        self.role = role
        self.driver = role.driver() if role.driver is not None else None
        self.clients = 0
        #: How often it has opened a connection.
        self.opened = 0
        self.given = Given() if role.passes else None
        daemon = fuzz.daemon(denied=role.denied)
        server = daemon.admin if role.name == "administration" else daemon.server
        self.endpoint = Endpoint(server, "unix", fuzz.socket, role.auth, readonly=role.readonly)
        self.server = server
        self.streams: deque[tuple[int, int, int, int]] = deque(maxlen=20)
        self.client: Client
        self.transport: Transport

    async def come(self) -> None:
        """Connect, and open what it may."""
        if len(self.server.clients) >= self.server.max_clients:
            self.server.set_limits(100, 50)  # an administrator has changed it
        self.clients += 1
        self.streams.clear()
        self.opened = 0
        self.client = Client(self.endpoint, Identity("unix", pid=1, uid=1000, gid=1000, readonly=self.role.readonly))
        self.client.passing = self.given  # type: ignore[assignment]
        self.transport = Transport()
        self.client.connection_made(self.transport)
        self.fuzz.here = self
        if self.role.flags is not None:
            body = codec("remote", "remote_connect_open_args").encode((None, self.role.flags))
            self.client.data_received(HEADER.pack(BODY + len(body), *REMOTE, 1, CALL, 0, OK) + body)
            self.fuzz.denies.open = True
            await self.settle()
            self.fuzz.denies.open = False
            self.check(Counter([(*REMOTE, 1, 0)]), exact=True)
            if self.client.session is None:
                raise Wrong("it was not opened")

    async def leave(self) -> None:
        self.client.connection_lost(None)
        await self.settle()
        if self.given is not None:
            self.given.close()

    async def settle(self) -> None:
        """Wait until nothing is under way any more that a call began."""
        client = self.client
        for turn in range(20_000):
            if not client._running and not client._backlog and not self.server.daemon._last:
                return
            await asyncio.sleep(0 if turn < 200 else 0.001)  # a password is looked at in a thread
        raise Wrong(f"{client._running} calls never end, {len(client._backlog)} messages never have their turn")

    async def feed(self, flow: bytes, source: random.Random) -> None:
        """Send bytes in pieces of any size, and look at what comes."""
        client = self.client
        reading = read(flow, client._frames.limit)
        authenticated = client.authenticated
        at = 0
        while at < len(flow) and not self.transport.ended and not client.closing:
            size = source.choice((len(flow), 1 + source.randrange(200))) if at else source.randrange(1, 2 * len(flow))
            client.data_received(flow[at : at + size])
            at += size
            if not self.transport.reading:
                await self.settle()
                client.resume_writing()
                await asyncio.sleep(0)
                if not self.transport.reading and not self.transport.ended:
                    raise Wrong(f"it is never read again: held by {client._held_by}")
        await self.settle()
        expected = calls_in(reading.frames)
        whole = not self.transport.ended and not client.closing
        if reading.broken and whole:
            raise Wrong("a length that cannot be did not end the connection")
        if whole and client._frames.pending != reading.pending and client.authenticated == authenticated:
            raise Wrong(f"{client._frames.pending} bytes wait, not {reading.pending}")
        self.check(expected, exact=whole)
        self.fuzz.sent += len(reading.frames) if whole else 1
        self.may_have_been_done()
        if not whole or reading.pending or client.authenticated != authenticated:
            await self.leave()
            if self.server.pending_memory:
                raise Wrong(f"{self.server.pending_memory} bytes are left of a client that is gone")
            await self.come()

    # -- what comes back

    def check(self, expected: Counter[Call], *, exact: bool) -> None:
        """Look at all that was sent: one reply for each call, and each of them decodes."""
        written = b"".join(self.transport.written)
        self.transport.written.clear()
        frames = Frames()
        got: Counter[Call] = Counter()
        for frame in frames.feed(written):
            _, number, version, procedure, kind, serial, status = HEADER.unpack_from(frame)
            key = (number, version, procedure, serial)
            if kind in (REPLY, REPLY_WITH_FDS):
                got[key] += 1
                self.look_at_reply(frame, key, status)
            elif kind in (STREAM, STREAM_HOLE):
                if procedure not in STREAMS.get(number, ()):
                    raise Wrong(f"a packet of a stream that nobody opened: {key}")
            elif kind != EVENT:
                raise Wrong(f"a message of type {kind}")
            elif number != KEEPALIVE_PROGRAM:
                self.look_at_event(frame, number, procedure)
        if frames.pending:
            raise Wrong("half a message was sent")
        missing, more = expected - got, got - expected
        if more or (exact and missing):
            raise Wrong(f"calls without a reply: {missing}, replies without a call: {more}")

    def look_at_reply(self, frame: bytes, key: Call, status: int) -> None:
        self.fuzz.replies[self.role.name] += 1
        if status == ERROR:
            code, _, text, *_ = decode_error(frame)
            if not code or not text:
                raise Wrong(f"an error that tells nothing: {code} {text!r}")
            self.fuzz.errors[self.role.name] += 1
            return
        row = ROWS.get(key[:3])
        if status != OK or row is None:
            raise Wrong(f"a reply of status {status} to {key}")
        if self.role.auth == "sasl" and not row.name.startswith("AUTH_"):
            raise Wrong(f"{row.name} was done for somebody who has not authenticated")
        if row.ret is not None:
            data = without_files(frame)[0] if frame[16:20] == REPLY_WITH_FDS.to_bytes(4, "big") else frame
            codec(row.program, row.ret).decode(data, BODY)
        if row.stream is not None:
            self.streams.append(key)
        self.opened += row.name == "CONNECT_OPEN"
        self.fuzz.answered.add(f"{row.program}.{row.name}")

    def look_at_event(self, frame: bytes, number: int, procedure: int) -> None:
        row = EVENT_ROWS.get((number, procedure))
        if row is None:
            raise Wrong(f"an event that is none: {number} {procedure}")
        if row.args is not None:
            codec(row.program, row.args).decode(frame, BODY)
        self.fuzz.events += 1

    def may_have_been_done(self) -> None:
        """Whether the driver was asked for nothing that this client may not have."""
        if self.driver is None:
            return
        readonly = self.role.readonly or (self.role.flags == 1 and self.opened == 1)
        for name, arguments in self.driver.calls:
            if not self.opened:
                raise Wrong(f"{name} was done for somebody who has opened nothing")
            if self.role.denied and name not in FOUND and name not in FREE:
                raise Wrong(f"{name} was done for somebody to whom everything is denied")
            if readonly and needs_write(name, dict(zip(PARAMETERS[name], arguments, strict=False))):
                raise Wrong(f"{name}{arguments} was done on a read-only connection")
        self.fuzz.done += len(self.driver.calls)
        self.driver.calls.clear()


EVENT_ROWS: Final = {
    (program(name).number, row.number): row
    for name in PROGRAMS
    for row in program(name).procedures()
    if row.kind != "call"
}
STREAMS: Final = {
    program(name).number: {row.number for row in calls_of(name) if row.stream is not None} for name in PROGRAMS
}
#: Operations that need no permission.
FREE: Final = {
    found.operation.name
    for row in ROWS.values()
    if not row.permissions and (found := server_call(f"{row.program}.{row.name}")) is not None
}
PARAMETERS: Final = {name: list(operation.parameters) for name, operation in all_operations().items()}


class Fuzz:
    """Sends what is wrong to clients of every kind, the same for the same seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        #: Messages that were taken, and the one that ended a connection.
        self.sent = 0
        self.source = random.Random(seed)
        self.folder = folder
        self.frames = WrongFrames(self.source)
        self.socket = socket.socket(socket.AF_UNIX)
        self.log = Log()
        self.denies = Denies()
        self.here: Target | None = None
        self.daemons: dict[bool, Daemon] = {}
        self.events = 0
        self.done = 0
        self.replies: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.answered: set[str] = set()

    def daemon(self, *, denied: bool) -> Daemon:
        """The daemon that a kind of client comes to."""
        if denied not in self.daemons:
            made = Daemon(Places.below(self.folder), Settings(audit_logging=True, slow_call_log=0))
            made.server.access = AccessControl([self.denies]) if denied else None
            vars(made)["users"] = Users()  # in the place of the file's, which is read at first use
            made.open_session = self.open_session  # type: ignore[method-assign]
            self.daemons[denied] = made
        return self.daemons[denied]

    async def open_session(self, name: str, readonly: bool) -> Session:
        """Open the driver of whoever asks, whatever it asks for."""
        assert self.here is not None
        ConnectionURI.parse(name or "whole:///")
        core = CoreLoop(asyncio.get_running_loop(), threading.get_ident(), None)
        if self.here.driver is None:
            request = OpenRequest(ConnectionURI.parse("test:///default"), readonly=readonly, auth=None)
            driver: Any = await TestDriver.open(request)
            return Session(core, driver, readonly=readonly, deadline=None)
        return Session(core, self.here.driver, readonly=readonly, deadline=None)

    def disturb(self, target: Target) -> None:
        """What comes from elsewhere: events of the driver, a client that takes no replies for a while."""
        draw = self.source.random()
        if draw < 0.2 and target.driver is not None and target.driver.subscribers:
            for _ in range(10):
                event = sample_event(self.source.choice(EVENTS).event)
                for deliver in list(target.driver.subscribers):
                    deliver(event)
        elif draw < 0.22:
            target.client.pause_writing()
            target.transport.reading = True

    # -- running

    async def _run(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        failures: list[str] = []
        loop.set_exception_handler(lambda _, context: failures.append(str(context)))
        targets = [Target(self, role) for role in ROLES]
        for target in targets:
            await target.come()
        while self.sent < count:
            target = self.here = self.source.choice(targets)
            before = self.sent
            give = None if target.given is None else target.given.give
            flow = self.frames.flow(target.role.programs, target.streams, give)
            try:
                self.disturb(target)
                await target.feed(flow, self.source)
                problem = "; ".join([*self.log.found, *failures])
                if problem:
                    raise Wrong(problem)
            except Exception as error:
                shown = flow.hex() if len(flow) < 3000 else f"{flow[:3000].hex()}..."
                where = f"seed {self.seed}, '{target.role.name}', messages {before} to {self.sent}"
                raise Wrong(f"{where}: {type(error).__name__}: {error}\n{shown}") from error
        for target in targets:
            await target.leave()
        await asyncio.sleep(0)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if left:
            raise Wrong(f"tasks are left: {left[:5]}")
        if EmptyStream.open:
            raise Wrong(f"{len(EmptyStream.open)} streams were never ended")
        if any(daemon.client_count() for daemon in self.daemons.values()):
            raise Wrong("clients are left")

    def run(self, count: int) -> None:
        """Send at least so many messages.

        :raises Wrong: the daemon did not do what it has to.
        """
        EmptyStream.open.clear()
        before = len(os.listdir("/proc/self/fd"))
        inside = self.folder / "of" / "files"  # that a real driver writes
        inside.mkdir(parents=True)
        logger = logging.getLogger("virtcored")
        level, propagate = logger.level, logger.propagate
        logger.addHandler(self.log)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            with contextlib.chdir(inside):
                asyncio.run(self._run(count))
        finally:
            logger.removeHandler(self.log)
            logger.setLevel(level)
            logger.propagate = propagate
            self.socket.close()
        after = len(os.listdir("/proc/self/fd"))
        if after > before:
            raise Wrong(f"seed {self.seed}: {after - before} descriptors are left open")
