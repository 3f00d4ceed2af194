"""Starting processes without forking the core.

The core has threads and a large address space; forking it is slow and unsafe. A small single-threaded helper
(:mod:`virtcore.runtime.launcher_helper`) starts programs instead: from argument lists, never through a shell, each in
a session of its own, with exactly the descriptors it was given. The helper is the parent of what it starts and reaps
it; when the core ends, the helper ends, and of its programs those go on that are meant to.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import select
import signal
import socket
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from virtcore._tuples import NamedTuple
from virtcore.errors import InternalError, SystemError
from virtcore.runtime.process_times import start_time

__all__ = ["Command", "Devices", "Identity", "Launcher", "Node", "Process", "attach", "launcher"]

_HEADER = 8
_START_LIMIT = 30.0
"""Seconds the helper has to start a program (exec from a slow disk included)."""
_STATUS_LIMIT = 1.0
"""Seconds after a process's end in which the helper tells its exit status."""


class Identity(NamedTuple):
    """Who a program runs as.

    :ivar groups: supplementary groups.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class Node(NamedTuple):
    """A device file.

    :ivar mode: its type and permissions.
    :ivar device: its numbers, as ``st_rdev``.
    """

    path: str
    mode: int
    device: int
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """A ``/dev`` of the program's own (Linux, with the administrator's rights).

    :ivar folder: an empty folder that becomes it; outside the program it stays empty.
    :ivar nodes: the device files that are there, all below ``/dev``.
    :ivar links: path below ``/dev`` -> target of a symbolic link.
    :ivar mounts: mount points below ``/dev`` that stay.
    """

    folder: str
    nodes: Sequence[Node]
    links: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to start.

    :param argv: the program's path and its arguments.
    :param environment: its whole environment; nothing is inherited.
    :param cwd: its working folder; the root folder by default.
    :param umask: its file mode creation mask; the helper's (022 or what the core had) by default.
    :param fds: number in the new process -> descriptor of ours. 0, 1 and 2 are ``/dev/null`` unless given.
    :param pid_file: an existing, empty file that gets ``pid start-time`` before the program runs. Whoever
        unlinks it under its lock (``flock``) first prevents the start.
    :param outlives: whether it goes on when the core ends, however that ends; else it is killed then.
    :param identity: who it runs as; as we do by default.
    :param capabilities: whether it keeps ours.
    :param limits: number of a limit (``resource.RLIMIT_...``) -> its value, soft and hard; -1 for none.
    :param devices: a ``/dev`` of its own.
    """

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    umask: int | None = None
    fds: Mapping[int, int] = field(default_factory=dict)
    pid_file: str | None = None
    outlives: bool = True
    identity: Identity | None = None
    capabilities: bool = True
    limits: Mapping[int, int] = field(default_factory=dict)
    devices: Devices | None = None

    def confinement(self) -> Any:
        """What it gives up, as the helper is told it; None: nothing."""
        devices = self.devices
        if self.identity is None and self.capabilities and not self.limits and devices is None:
            return None
        hidden = None
        if devices is not None:
            hidden = (
                os.fsencode(devices.folder),
                tuple((os.fsencode(node.path), *node[1:]) for node in devices.nodes),
                tuple((os.fsencode(path), os.fsencode(target)) for path, target in devices.links.items()),
                tuple(map(os.fsencode, devices.mounts)),
            )
        identity = None if self.identity is None else tuple(self.identity)
        return identity, self.capabilities, tuple(self.limits.items()), hidden


class Process:
    """A process that we started or found again.

    :ivar pid: its number.
    :ivar start_time: when it started, in clock ticks since boot: with the pid it names the process for good.
    :ivar status: exit status, negative for a signal; None while it runs or when somebody else is its parent.
    """

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.start_time = start_time(pid) or 0
        self.status: int | None = None
        self._pidfd = pidfd
        self._ended = asyncio.Event()
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pidfd, self._on_end)
        self._close = weakref.finalize(self, os.close, pidfd)

    def _on_end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._ended.set()

    @property
    def running(self) -> bool:
        """Whether it has not ended; asks the kernel."""
        if self._ended.is_set() or not self._close.alive:
            return False
        return not select.select([self._pidfd], [], [], 0)[0]

    async def wait(self) -> None:
        """Wait for its end."""
        await self._ended.wait()

    def tell_status(self, status: int) -> None:
        """Its parent has got to know how it ended."""
        self.status = status
        self._told.set()

    async def exit_status(self) -> int | None:
        """Wait for its end and how it ended: exit status, negative for a signal; None when its parent does not tell."""
        await self.wait()
        try:
            async with asyncio.timeout(_STATUS_LIMIT):
                await self._told.wait()
        except TimeoutError:
            return None
        return self.status

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; returns False when the process has ended. Never reaches another process."""
        if not self._close.alive:
            return False
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        """Stop watching it. The process goes on."""
        if self._close.alive:
            self._loop.remove_reader(self._pidfd)
            self._close()


def attach(pid: int, started: int) -> Process | None:
    """Find a process again that ran before; None when it has ended, also when its number was given to another."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    # Only now: the descriptor pins the process, so what its start time says cannot change any more.
    if start_time(pid) != started:
        os.close(pidfd)
        return None
    return Process(pid, pidfd)


class _Waiting(NamedTuple):
    program: str
    reply: asyncio.Future[Process]


class Launcher:
    """The helper process of one event loop; started at the first :meth:`start`, again when it was lost."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._helper = 0
        self._number = 0
        self._waiting: dict[int, _Waiting] = {}
        self._processes: weakref.WeakValueDictionary[int, Process] = weakref.WeakValueDictionary()
        self._input = bytearray()
        self._input_fds: list[int] = []
        self._loop = asyncio.get_running_loop()
        self._writing = asyncio.Lock()

    def open(self) -> None:
        """Start the helper, if it does not run, without waiting for it: a later :meth:`start` finds it ready."""
        if self._socket is not None:
            return
        if not sys.executable:
            raise InternalError("cannot start programs: the path of the Python interpreter is unknown")
        ours, theirs = socket.socketpair()
        folder = os.path.dirname(os.path.abspath(__file__))
        code = "import sys; sys.path.append(sys.argv[1]); import launcher_helper; launcher_helper.main()"
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
        ]
        with theirs:
            self._helper = os.posix_spawn(
                sys.executable, [sys.executable, "-I", "-S", "-E", "-c", code, folder], {}, file_actions=actions
            )
        ours.setblocking(False)
        self._socket = ours
        self._loop.add_reader(ours.fileno(), self._on_readable)

    async def start(self, command: Command) -> Process:
        """Start a program; returns when it runs.

        :raises SystemError: it could not be run, with the system's reason.
        """
        self.open()
        assert self._socket is not None
        self._number += 1
        number = self._number
        waiting = _Waiting(command.argv[0], self._loop.create_future())
        self._waiting[number] = waiting
        with ExitStack() as stack:
            fds = dict(command.fds)
            for standard, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
                if standard not in fds:
                    fds[standard] = os.open(os.devnull, mode | os.O_CLOEXEC)
                    stack.callback(os.close, fds[standard])
            environment = {os.fsencode(name): os.fsencode(value) for name, value in command.environment.items()}
            request = (
                number,
                [os.fsencode(word) for word in command.argv],
                environment,
                os.fsencode(command.cwd),
                command.umask,
                tuple(fds),
                None if command.pid_file is None else os.fsencode(command.pid_file),
                command.confinement(),
                command.outlives,
            )
            try:
                await self._send(marshal.dumps(request), list(fds.values()))
            except OSError as error:
                self._waiting.pop(number, None)
                self._lost()
                raise InternalError(f"cannot reach the process launcher: {error.strerror}") from error
            # The descriptors stay open until the answer: those on their way are copies, but cheap certainty is better.
            try:
                async with asyncio.timeout(_START_LIMIT):
                    return await waiting.reply
            except TimeoutError:
                raise InternalError(f"starting {command.argv[0]} took more than {_START_LIMIT:.0f} s") from None
            finally:
                self._waiting.pop(number, None)

    async def _send(self, body: bytes, fds: list[int]) -> None:
        async with self._writing:
            if self._socket is None:
                raise BrokenPipeError(32, "the launcher ended")
            message = memoryview(len(body).to_bytes(_HEADER, "little") + body)
            while True:
                try:
                    sent = socket.send_fds(self._socket, [message], fds)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.001)  # the helper is starting another program
            await self._loop.sock_sendall(self._socket, message[sent:])

    def _on_readable(self) -> None:
        assert self._socket is not None
        try:
            data, fds, _flags, _address = socket.recv_fds(self._socket, 65536, 16)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._lost()
            return
        self._input += data
        self._input_fds += fds
        while len(self._input) >= _HEADER:
            end = _HEADER + int.from_bytes(self._input[:_HEADER], "little")
            if len(self._input) < end:
                break
            message = marshal.loads(bytes(self._input[_HEADER:end]))
            del self._input[:end]
            self._on_message(message)

    def _on_message(self, message: tuple[str, int, bytes | int, int]) -> None:
        if message[0] == "exited":
            _, pid, status = message  # type: ignore[misc]
            process = self._processes.pop(pid, None)
            if process is not None:
                process.tell_status(int(status))
            return
        waiting = self._waiting.get(message[1])
        if message[0] == "started":
            process = Process(int(message[2]), self._input_fds.pop(0))
            self._processes[process.pid] = process
            if waiting is not None and not waiting.reply.done():
                waiting.reply.set_result(process)
            else:
                process.signal(signal.SIGKILL)  # nobody wants it any more
            return
        _, _, what, number = message
        if waiting is not None and not waiting.reply.done():
            assert isinstance(what, bytes)
            waiting.reply.set_exception(SystemError(f"Unable to {os.fsdecode(what)}: {os.strerror(number)}"))

    def _lost(self) -> None:
        """The helper ended: fail who waits for it. What it started goes on."""
        if self._socket is None:
            return
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None
        self._input.clear()
        for waiting in self._waiting.values():
            if not waiting.reply.done():
                waiting.reply.set_exception(InternalError(f"the launcher ended while starting {waiting.program}"))
        try:
            pidfd = os.pidfd_open(self._helper)
        except ProcessLookupError:
            return
        _reap_at_end(self._loop, self._helper, pidfd)

    def close(self) -> None:
        """End the helper. What it started goes on."""
        self._lost()


def _reap_at_end(loop: asyncio.AbstractEventLoop, pid: int, pidfd: int) -> None:
    def reap() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # somebody waits for every child
            pass

    loop.add_reader(pidfd, reap)


#: By ``id()`` of the loop, which an open launcher keeps alive as the loop keeps it.
_launchers: weakref.WeakValueDictionary[int, Launcher] = weakref.WeakValueDictionary()


def launcher() -> Launcher:
    """The launcher of the running loop."""
    loop = asyncio.get_running_loop()
    found = _launchers.get(id(loop))
    if found is None:
        found = _launchers[id(loop)] = Launcher()
    return found
