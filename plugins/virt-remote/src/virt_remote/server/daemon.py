"""``virtcored``: serves libvirt's protocol on sockets.

``virtcored --root DIR`` keeps everything below DIR, for any user: sockets in ``DIR/run`` (``libvirt-sock``,
``libvirt-sock-ro``, ``libvirt-admin-sock``), the drivers' state, configuration and logs beside them. Clients open
``qemu:///session`` (as root also ``qemu:///system``), ``test:///default`` and whatever other drivers are installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from virt_remote.keepalive import Keepalive
from virt_remote.server.client import Client
from virtcore.errors import NoConnect, VirtError
from virtcore.uri import ConnectionURI

if TYPE_CHECKING:
    from virtcore.runtime.session import Session

__all__ = ["Daemon", "Endpoint", "main"]

log = logging.getLogger("virtcored")

#: Clients at a time (``max_clients``).
MAX_CLIENTS = 5000
#: Seconds that clients' last replies and sessions get when the daemon ends.
GRACE = 5.0


class Endpoint:
    """One listening socket and its clients.

    :param readonly: every connection is read-only.
    :param programs: whether the programs that serve objects are served; not on the admin socket.
    """

    def __init__(self, daemon: Daemon, path: Path, mode: int, *, readonly: bool = False, programs: bool = True) -> None:
        self.daemon = daemon
        self.path = path
        self.mode = mode
        self.readonly = readonly
        self.programs = programs
        self._clients: set[Client] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Begin to accept clients."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()  # the daemon's lock is ours: what lies there is left over
            before = os.umask(0o777 & ~self.mode)
            try:
                listener.bind(str(self.path))
            finally:
                os.umask(before)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: Client(self), sock=listener, backlog=1000)
        except BaseException:
            listener.close()
            raise

    def connected(self, client: Client) -> None:
        """A client came."""
        self._clients.add(client)
        if self.daemon.client_count() > MAX_CLIENTS:
            log.warning("Too many active clients (%d), dropping connection", MAX_CLIENTS)
            client.drop()

    def disconnected(self, client: Client, last: Coroutine[Any, Any, None]) -> None:
        """A client is gone; ``last`` ends what it left."""
        self._clients.discard(client)
        self.daemon.finish(last)

    def holds(self, client: Client) -> bool:
        """Whether a client is still there."""
        return client in self._clients

    def __len__(self) -> int:
        return len(self._clients)

    def stop_listening(self) -> None:
        """Accept no more clients."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()

    def hang_up(self) -> None:
        """End every connection after what was sent."""
        for client in list(self._clients):
            client.hang_up()


class Daemon:
    """All of a daemon below its root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        run = root / "run"
        self._endpoints = [
            Endpoint(self, run / "libvirt-sock", 0o700),
            Endpoint(self, run / "libvirt-sock-ro", 0o777, readonly=True),
            Endpoint(self, run / "libvirt-admin-sock", 0o700, programs=False),
        ]
        self.keepalive = Keepalive()
        self._last: set[asyncio.Task[None]] = set()
        self._lock: int | None = None
        #: Connections of the daemon's own.
        self._held: list[Session] = []
        self._stop: asyncio.Event | None = None

    def client_count(self) -> int:
        """How many clients are connected."""
        return sum(len(endpoint) for endpoint in self._endpoints)

    def finish(self, last: Coroutine[Any, Any, None]) -> None:
        """Run something to its end, whether the client it is for stays or leaves."""
        task = asyncio.get_running_loop().create_task(last)
        self._last.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._last.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("unexpected failure", exc_info=error)

    async def open_session(self, name: str, readonly: bool) -> Session:
        """Open what a client asks for by URI; empty lets the daemon choose.

        :raises VirtError: nothing serves it here.
        """
        from virtcore.driver.opening import open_session

        text = name or next(_probed(), "")
        if not text:
            raise NoConnect(advice="no URI was given, and no installed driver finds its hypervisor on this host")
        uri = ConnectionURI.parse(text)
        if uri.transport is not None or uri.scheme == "remote":
            raise NoConnect(text, advice="a daemon connects to no other daemon")
        return await open_session(text, readonly=readonly, deadline=None, aliases=False)

    async def _hold_open(self) -> None:
        """Open what this host has, so that guests start with the daemon and their state outlasts every client."""
        from virtcore.driver.opening import open_session

        for uri in _probed():
            try:
                self._held.append(await open_session(uri, deadline=None, aliases=False))
            except VirtError as error:
                log.warning("%s cannot be opened: %s", uri, error)

    def _prepare(self) -> None:
        (self.root / "run").mkdir(parents=True, exist_ok=True, mode=0o755)
        self._lock = os.open(self.root / "run" / "virtcored.pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._lock, 32).decode("ascii", "replace").strip() or "another process"
            raise SystemExit(f"virtcored: {self.root} is served by process {holder} already") from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, b"%d\n" % os.getpid())

    def stop(self) -> None:
        """End in order; guests go on."""
        if self._stop is not None:
            self._stop.set()

    async def serve(self) -> None:
        """Serve until :meth:`stop`."""
        from virtcore.driver.toolkit.folders import use_root
        from virtcore.runtime.loop import adopt

        self._stop = asyncio.Event()
        self._prepare()
        use_root(self.root)
        adopt()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            for endpoint in self._endpoints:
                await endpoint.listen()
            log.info("serving below %s", self.root)
            self.finish(self._hold_open())
            await self._stop.wait()
        finally:
            for endpoint in self._endpoints:
                endpoint.stop_listening()
            for endpoint in self._endpoints:
                endpoint.hang_up()
            await self._wait_for_clients()

    async def _wait_for_clients(self) -> None:
        """Give running changes, connections and what they left a few seconds."""
        from virtcore.runtime.calls import changes_ended

        for job in await changes_ended(GRACE):
            log.warning("job %d is left unfinished", job.number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                while self._last or self.client_count():
                    if self._last:
                        await asyncio.wait(list(self._last))
                    else:
                        await asyncio.sleep(0.02)  # a client that does not read: its socket says nothing
        for session in self._held:
            await session.close()


def _probed() -> Iterator[str]:
    """Default URIs of the hypervisors that this host has, most wanted first."""
    from virtcore.driver.loader import driver_classes

    for driver in driver_classes():
        uri = driver.probe()
        if uri is not None:
            yield uri


def _start_log(root: Path, verbose: bool) -> None:
    """Log to ``log/virtcored.log`` below the root, readable by its owner only, and problems to standard error."""
    folder = root / "log"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    to_file = logging.StreamHandler(
        open(folder / "virtcored.log", "a", encoding="utf-8", errors="backslashreplace", opener=_private)  # noqa: SIM115
    )
    to_stderr = logging.StreamHandler()
    to_stderr.setLevel(logging.INFO if verbose else logging.WARNING)
    form = "%(asctime)s virtcored[%(process)d]: %(levelname)s: %(message)s"
    logging.basicConfig(handlers=[to_file, to_stderr], level=logging.INFO, format=form)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def main(arguments: list[str] | None = None) -> int:
    """The program ``virtcored``."""
    import argparse

    parser = argparse.ArgumentParser(prog="virtcored", description="virtcore's daemon: speaks libvirt's protocol")
    parser.add_argument("--root", required=True, type=Path, metavar="DIR", help="keep everything below this folder")
    parser.add_argument("--verbose", "-v", action="store_true", help="say what it does, on standard error too")
    options = parser.parse_args(arguments)
    root: Path = options.root.absolute()
    longest = len(os.fsencode(root / "run" / "libvirt-admin-sock"))
    if longest > 107:
        parser.error(f"{root} is too long: the path of a socket may have 107 bytes")
    try:
        _start_log(root, options.verbose)
        asyncio.run(Daemon(root).serve())
    except (VirtError, OSError) as error:
        print(f"virtcored: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
