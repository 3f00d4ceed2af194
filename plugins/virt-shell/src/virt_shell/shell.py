"""The shell's state: its connection, its output, and running parsed commands."""

from __future__ import annotations

import os
import sys
import time

from virt_shell.command import Arguments, CommandError
from virtcore._typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from virtcore.api.sync import Connection, Domain

__all__ = ["Shell"]

#: Errors after which the connection counts as lost: system, RPC, no connection, invalid connection.
_DISCONNECTED = frozenset({38, 39, 5, 6})


KEEPALIVE_INTERVAL = 5
"""Seconds of silence after which a daemon is asked whether it lives, unless ``-k`` says otherwise."""

KEEPALIVE_COUNT = 6
"""Questions that it may leave without an answer, unless ``-K`` says otherwise."""


class _Failing:
    """Puts words in front of an error of the library."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        from virtcore.errors import VirtError

        if isinstance(problem, VirtError):
            raise CommandError(self._text) from problem


class Shell:
    """One run of virtsh.

    :ivar uri: the URI asked for; None for the default.
    :ivar quiet: leave out what is not data.
    :ivar interactive: commands come from a prompt.
    """

    def __init__(self) -> None:
        self.uri: str | None = None
        self.readonly = False
        self.quiet = False
        self.timing = False
        self.debug = 4
        self.interactive = False
        self.escape = "^]"
        #: Seconds and number of questions as they were asked for; None for virsh's own, where the connection has them.
        self.keepalive_interval: int | None = None
        self.keepalive_count: int | None = None
        self._connection: Connection | None = None
        self._lost = False
        self._log: TextIO | None = None

    # -- output

    def out(self, text: str) -> None:
        """Print data."""
        sys.stdout.write(text)

    def out_bytes(self, content: bytes) -> None:
        """Print data that is no text."""
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()

    def extra(self, text: str) -> None:
        """Print what ``--quiet`` leaves out."""
        if not self.quiet:
            sys.stdout.write(text)

    def log_to(self, path: str) -> None:
        """Keep a copy of every error in a file.

        :raises OSError: it cannot be opened.
        """
        self._log = open(path, "a", encoding="utf-8")  # noqa: SIM115  # stays open as long as the shell

    def error(self, text: str) -> None:
        """Print an error line; what was printed before stays before it."""
        if self._log is not None:
            stamp = time.strftime("%Y.%m.%d %H:%M:%S", time.gmtime())
            self._log.write(f"[{stamp} virtsh {os.getpid()}] ERROR {text}\n")
            self._log.flush()
        sys.stdout.flush()
        sys.stderr.write(f"error: {text}\n")
        sys.stderr.flush()

    # -- the connection

    def _keep_alive(self, connection: Connection) -> bool:
        """Have the daemon asked whether it lives. Returns whether that is so, or nobody insists on it.

        :raises VirtError: the user insists, and the connection has no such thing.
        """
        from virtcore.errors import VirtError

        forced = self.keepalive_interval is not None or self.keepalive_count is not None
        interval = KEEPALIVE_INTERVAL if self.keepalive_interval is None else self.keepalive_interval
        count = KEEPALIVE_COUNT if self.keepalive_count is None else self.keepalive_count
        if interval <= 0 or not (forced or connection.supports("connection_set_keepalive")):
            return True
        try:
            return connection.set_keepalive(interval, count) or not forced
        except VirtError:
            if forced:
                raise
            return True

    def connect(self, uri: str | None, *, readonly: bool = False) -> bool:
        """Open a connection in place of the one there is; the outcome is printed."""
        import virtcore

        if uri is None and not readonly:
            readonly = self.readonly
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        problem: virtcore.VirtError | None = None
        connection: Connection | None = None
        watched = False
        try:
            connection = virtcore.connect(uri if uri is not None else self.uri, readonly=readonly, start_daemon=True)
            watched = self._keep_alive(connection)
        except virtcore.VirtError as error:
            problem = error
        if connection is None or not watched:
            if connection is not None:
                self.error("Cannot setup keepalive on connection as requested, disconnecting")
                connection.close()
            self.error("Failed to reconnect to the hypervisor" if self._lost else "failed to connect to the hypervisor")
            if problem is not None:
                self.report(problem)
            return False
        self._connection = connection
        if uri is not None:
            self.uri = uri
        if self.uri is None:
            self.uri = self._connection.uri()
        self.readonly = readonly
        self._lost = False
        return True

    @property
    def connection(self) -> Connection:
        """The open connection."""
        assert self._connection is not None, "run() connects before a command that needs it"
        return self._connection

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def ensure_connected(self) -> bool:
        """Open the connection when it is not open yet or was lost; the outcome is printed."""
        return (self._connection is not None and not self._lost) or self.connect(None)

    def note(self, problem: BaseException) -> None:
        """Keep for the log what the output leaves out."""
        if self._log is not None:
            self._log.write(f"{problem}\n")

    def _usable(self) -> bool:
        if not self.ensure_connected():
            return False
        if not self.connection.is_alive():
            self.error("no valid connection")
            return False
        return True

    # -- objects

    def domain(self, args: Arguments, *, by: str = "id uuid name") -> Domain:
        """The domain an option names, by id, UUID or name.

        :raises CommandError: there is none.
        """
        return self.find_domain(args.require("domain"), by=by)

    def find_domain(self, text: str, *, by: str = "id uuid name") -> Domain:
        """The domain of an id, UUID or name.

        :raises CommandError: there is none.
        """
        from virtcore.errors import VirtError

        ways = by.split()
        attempts: list[dict[str, str | int]] = []
        if "id" in ways and text.isascii() and text.isdigit() and int(text) < 2**31:
            attempts.append({"id": int(text)})
        if "uuid" in ways and len(text) == 36:
            attempts.append({"uuid": text})
        if "name" in ways:
            attempts.append({"name": text})
        for attempt in attempts:
            try:
                return self.connection.lookup_domain(**attempt)  # type: ignore[arg-type]
            except VirtError as problem:
                self._note_loss(problem)
        raise CommandError(f"failed to get domain '{text}'")

    def failing(self, text: str) -> AbstractContextManager[None]:
        """Say what failed in front of the error itself."""
        return _Failing(text)

    # -- running

    def report(self, problem: BaseException) -> None:
        """Print a library error, its advice on lines of its own."""
        self.error(str(problem))
        for note in getattr(problem, "__notes__", ()):
            sys.stderr.write(f"       {note}\n")
        sys.stderr.flush()

    def run(self, commands: list[Arguments]) -> bool:
        """Run commands in order; the outcome is the last one's."""
        done = True
        for args in commands:
            started = time.time()
            if args.command.connects and not self._usable():
                done = False
            else:
                done = self._run_one(args)
            if args.command.name in ("quit", "exit"):
                return done
            if self.timing:
                self.out(f"\n(Time: {(time.time() - started) * 1000:.3f} ms)\n\n")
            else:
                self.extra("\n")
        return done

    def _run_one(self, args: Arguments) -> bool:
        from virtcore.errors import VirtError

        try:
            return args.command.handler(self, args)
        except CommandError as failed:
            if str(failed):
                self.error(str(failed))
            if isinstance(failed.__cause__, VirtError):
                self._note_loss(failed.__cause__)
                self.report(failed.__cause__)
        except VirtError as problem:
            self._note_loss(problem)
            self.report(problem)
        return False

    def _note_loss(self, problem: BaseException) -> None:
        if int(getattr(problem, "code", 0)) in _DISCONNECTED and self._connection is not None:
            self._lost = not self._connection.is_alive()
