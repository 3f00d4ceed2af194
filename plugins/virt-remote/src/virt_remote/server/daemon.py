"""``virtcored``: serves libvirt's protocol on sockets.

``virtcored`` is the host's daemon when root starts it, else the user's own; ``virtcored --root DIR`` keeps everything
below DIR, for any user. Clients open ``qemu:///session`` (as root also ``qemu:///system``), ``test:///default`` and
whatever other drivers are installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from virt_remote.server.access import AccessControl, AccessDriver
from virt_remote.server.endpoint import Endpoint, bound_tcp, bound_unix
from virt_remote.server.garbage import settle
from virt_remote.server.identity import forget_names
from virt_remote.server.logs import Logs
from virt_remote.server.polkit import Authority, PolkitAccess
from virt_remote.server.service import Server
from virt_remote.server.settings import Places, Settings
from virt_remote.server.systemd import inherited_sockets, notify, notify_reloading
from virtcore.errors import InternalError, NoConnect, SystemError, VirtError
from virtcore.uri import ConnectionURI

if TYPE_CHECKING:
    import argparse
    import ssl

    from virt_remote.server.users import UserFile
    from virtcore.driver.composition import KeptServices, PlaceServices
    from virtcore.runtime.session import Session

__all__ = ["Daemon", "main"]

log = logging.getLogger("virtcored")

#: Seconds that clients' last replies and sessions get when the daemon ends.
GRACE = 5.0
#: Seconds for clients between two drivers that are loaded when the daemon starts.
REST = 0.05
#: Seconds that a thread which computes may keep the loop waiting.
SWITCH = 0.001
#: Seconds between two requests to systemd not to lose patience.
PATIENCE = 5
#: Names of the sockets.
READ_WRITE, READ_ONLY, ADMIN = "libvirt-sock", "libvirt-sock-ro", "libvirt-admin-sock"
#: Where polkit finds the actions that authentication asks for.
_POLKIT_ACTIONS = Path("/usr/share/polkit-1/actions/org.libvirt.unix.policy")


class Daemon:
    """All of a daemon.

    :param listen: accept clients from the network, as the settings say.
    :param timeout: seconds without clients and guests after which it leaves; 0 for never.
    :param config: the file of settings, for reading it anew.
    """

    def __init__(
        self,
        places: Places,
        settings: Settings | None = None,
        *,
        logs: Logs | None = None,
        listen: bool = False,
        timeout: int = 0,
        config: Path | None = None,
    ) -> None:
        self.places = places
        self.settings = settings or Settings()
        self.logs = logs
        self.timeout = timeout
        self._listen = listen
        self._config = config
        self._authority = Authority()
        access = _access_control(self.settings, places, self._authority)
        self.server = Server("virtcored", self, self.settings, self._authority, access=access)
        self.admin = Server("admin", self, self.settings, self._authority, administration=True)
        self.servers = {self.server.name: self.server, self.admin.name: self.admin}
        self._last: set[asyncio.Task[None]] = set()
        self._lock: int | None = None
        #: Connections of the daemon's own.
        self._held: list[Session] = []
        self._services: PlaceServices | None = None
        self._kept: KeptServices | None = None
        self._preserving = False
        self._stop: asyncio.Event | None = None
        self._idle: asyncio.TimerHandle | None = None

    @cached_property
    def users(self) -> UserFile:
        """Whom SASL knows."""
        from virt_remote.server.users import UserFile

        return UserFile(Path(self.settings.sasl_user_file or self.places.config / "users"))

    @property
    def default_outputs(self) -> str:
        """Where the log goes unless an administrator says otherwise."""
        return self.settings.log_outputs or _usual_outputs(self.places)

    # -- clients

    def client_count(self) -> int:
        """How many clients are connected."""
        return sum(len(server.clients) for server in self.servers.values())

    def client_came(self) -> None:
        """There is a client: the daemon stays."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def client_left(self) -> None:
        """Perhaps nobody is left."""
        self.set_timeout(self.timeout)

    def set_timeout(self, seconds: int) -> None:
        """Leave after so many seconds without clients, guests and services in use; 0 for never."""
        self.timeout = seconds
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if seconds and not self.client_count() and self._stop is not None:
            self._idle = asyncio.get_running_loop().call_later(seconds, self._idled)

    def _idled(self) -> None:
        self._idle = None
        self.finish(self._leave_if_unused())

    async def _leave_if_unused(self) -> None:
        from virtcore.enums import ConnectListAllDomainsFlags
        from virtcore.runtime.calls import changes_ended

        used = bool(await changes_ended(0))
        for session in self._held:
            if session.supports("connection_list_domains"):
                active = await session.call("connection_list_domains", ConnectListAllDomainsFlags.ACTIVE)
                used = used or bool(active)
        used = used or any(service.in_use for service in self._kept or ())
        if self.client_count():
            return
        if used or any(endpoint.waiting for server in self.servers.values() for endpoint in server.endpoints):
            self.set_timeout(self.timeout)
            return
        log.info("nobody has needed this daemon for %d s: it leaves", self.timeout)
        self.stop()

    def finish(self, last: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something to its end, whether the client it is for stays or leaves."""
        task = asyncio.get_running_loop().create_task(last)
        self._last.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._last.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("unexpected failure", exc_info=error)

    async def open_session(self, name: str, readonly: bool) -> Session:
        """Open what a client asks for by URI; empty lets the daemon choose.

        :raises VirtError: nothing serves it here.
        """
        from virtcore.runtime.threads import loaded

        await loaded("virtcore.driver.opening")
        from virtcore.driver.opening import open_session

        text = name or next(_probed(), "")
        if not text:
            raise NoConnect(advice="no URI was given, and no installed driver finds its hypervisor on this host")
        uri = ConnectionURI.parse(text)
        if uri.transport is not None or uri.scheme == "remote":
            raise NoConnect(text, advice="a daemon connects to no other daemon")
        return await open_session(text, readonly=readonly, deadline=None, aliases=False)

    async def _hold_open(self) -> None:
        """Open what this host has, so that guests start with the daemon and their state outlasts every client.

        Networks and pools that start with the host come before the guests that use them.
        """
        from virtcore.runtime.threads import in_thread, loaded

        await loaded("virtcore.driver.opening")
        from virtcore.driver.loader import each_driver_class
        from virtcore.driver.opening import open_session

        if self._services is not None:
            for name, error in (await self._services.begin()).items():
                log.warning("the service '%s' cannot be opened: %s", name, error)
        drivers = each_driver_class()
        while (driver := await in_thread(next, drivers, None)) is not None:  # loading it would keep clients waiting
            uri = driver.probe()
            if uri is not None:
                try:
                    self._held.append(await open_session(uri, deadline=None, aliases=False))
                except VirtError as error:
                    log.warning("%s cannot be opened: %s", uri, error)
            await asyncio.sleep(REST)  # they come first
        settle()
        self.set_timeout(self.timeout)

    # -- sockets

    def _make_endpoints(self) -> None:
        """Take the sockets that systemd gave us; else make those that the settings want."""
        inherited = inherited_sockets()
        for sock in inherited:
            self._adopt(sock)
        if not inherited:
            self._bind()
        self.update_tls()

    def _bind(self) -> None:
        """Make the sockets that the settings want."""
        folder = self._socket_folder
        settings = self.settings
        readwrite, readonly = self._unix_auth(settings.auth_unix_rw), self._unix_auth(settings.auth_unix_ro)
        mode = settings.unix_sock_rw_perms or ("0777" if readwrite == "polkit" else "0700")
        group = settings.unix_sock_group
        self._add_unix(self.server, folder / READ_WRITE, mode, group, readwrite)
        if self.places.privileged or self.places.root is not None:
            self._add_unix(self.server, folder / READ_ONLY, settings.unix_sock_ro_perms, group, readonly, readonly=True)
        if self._listen:
            host = settings.listen_addr
            if settings.listen_tcp:
                for sock in bound_tcp(host, settings.tcp_port):
                    self.server.endpoints.append(Endpoint(self.server, "tcp", sock, settings.auth_tcp))
            if settings.listen_tls:
                for sock in bound_tcp(host, settings.tls_port):
                    self.server.endpoints.append(Endpoint(self.server, "tls", sock, settings.auth_tls))
        self._add_unix(self.admin, folder / ADMIN, settings.unix_sock_admin_perms, None, "none", administration=True)

    @property
    def _socket_folder(self) -> Path:
        return Path(self.settings.unix_sock_dir) if self.settings.unix_sock_dir else self.places.run

    def _unix_auth(self, given: str | None) -> str:
        return given or ("polkit" if self.places.privileged and _POLKIT_ACTIONS.exists() else "none")

    def _add_unix(
        self,
        server: Server,
        path: Path,
        mode: str,
        group: str | None,
        auth: str,
        *,
        readonly: bool = False,
        administration: bool = False,
    ) -> None:
        sock = bound_unix(path, int(mode, 8), group)
        server.endpoints.append(
            Endpoint(server, "unix", sock, auth, readonly=readonly, path=path, own_user_only=administration)
        )

    def _adopt(self, sock: socket.socket) -> None:
        """Serve on a socket that systemd listens on: its name or port says what it is for."""
        settings = self.settings
        if sock.family == socket.AF_UNIX:
            name = os.path.basename(os.fsdecode(sock.getsockname()))
            server = self.admin if name == ADMIN else self.server
            readonly = name == READ_ONLY
            if name == ADMIN:
                auth = "none"
            elif readonly:
                auth = self._unix_auth(settings.auth_unix_ro)
            else:
                # Our own would be root's alone without polkit; here somebody else has said who may connect.
                everybody = self.places.privileged and os.stat(sock.getsockname()).st_mode & 0o002
                auth = settings.auth_unix_rw or ("polkit" if everybody else self._unix_auth(None))
            server.endpoints.append(
                Endpoint(server, "unix", sock, auth, readonly=readonly, own_user_only=server is self.admin)
            )
            return
        port = sock.getsockname()[1]
        plain = port == _port(settings.tcp_port)
        auth = settings.auth_tcp if plain else settings.auth_tls
        self.server.endpoints.append(Endpoint(self.server, "tcp" if plain else "tls", sock, auth))

    def update_tls(self) -> None:
        """Read the certificates anew, for connections to come; where TLS is served.

        :raises VirtError: they cannot be used; the old ones stay in force.
        """
        self._use_tls(self._tls_context(self.settings))

    def _tls_endpoints(self) -> list[Endpoint]:
        return [one for one in self.server.endpoints if one.transport == "tls"]

    def _tls_context(self, settings: Settings) -> ssl.SSLContext | None:
        """What TLS is served with; None where it is not."""
        if not self._tls_endpoints():
            return None
        from virt_remote.server.tls import server_context

        return server_context(settings, self.places)

    def _use_tls(self, context: ssl.SSLContext | None) -> None:
        for endpoint in self._tls_endpoints():
            endpoint.context = context

    # -- life

    def _prepare(self) -> None:
        for folder in {self.places.run, self._socket_folder}:
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._lock = os.open(self.places.run / "virtcored.pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._lock, 32).decode("ascii", "replace").strip() or "another process"
            where = self.places.root or self.places.run
            raise SystemExit(f"virtcored: {where} is served by process {holder} already") from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, b"%d\n" % os.getpid())

    def stop(self) -> None:
        """End in order; guests go on."""
        if self._stop is not None:
            self._stop.set()

    def preserve(self) -> None:
        """The host goes down: have drivers do with their guests what their settings say, then end."""
        if not self._preserving:
            self._preserving = True
            self.finish(self._preserve())

    async def _preserve(self) -> None:
        patience = asyncio.get_running_loop().create_task(_ask_for_patience())
        try:
            for session in self._held:
                await session.driver.preserve()
        finally:
            patience.cancel()
            self.stop()

    def reload(self) -> None:
        """Read settings, policy and certificates anew, and who is in which group. What makes no sense changes nothing;
        what cannot change while the daemon runs (sockets, methods of authentication) stays. Services look after what
        they have on the host."""
        notify_reloading()
        forget_names()
        try:
            settings = self.settings if self._config is None else Settings.load(self._config)
            access = _access_control(settings, self.places, self._authority)
            context = self._tls_context(settings)
            if self.logs is not None:
                self.logs.change(settings.log_level, settings.log_filters, settings.log_outputs)
        except (VirtError, OSError) as error:
            log.error("the settings stay as they are: %s", error)
        else:
            self.settings = settings
            self._use_tls(context)
            for server in self.servers.values():
                server.reload(settings)
            self.server.access = access
            log.info("settings, policy and certificates were read anew")
        self._reload_services()
        notify("READY=1")

    def _reload_services(self) -> None:
        """Have services put back what somebody has taken from the host."""
        from virtcore.driver.toolkit.hosted import HostedService

        for service in self._kept or ():
            if isinstance(service, HostedService):
                service.spawn(service.reload())

    async def serve(self) -> None:
        """Serve until :meth:`stop`."""
        from virtcore.driver.base import Place
        from virtcore.driver.composition import KeptServices, PlaceServices
        from virtcore.driver.toolkit.folders import use_root
        from virtcore.runtime.loop import adopt

        gc.disable()  # until all is loaded (settle), as virt_remote.program has it
        sys.setswitchinterval(SWITCH)
        self._stop = asyncio.Event()
        self._prepare()
        use_root(self.places.root)
        adopt()
        self._kept = KeptServices()
        self._services = PlaceServices(Place(privileged=os.geteuid() == 0))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        ending = contextlib.ExitStack()
        try:
            self._make_endpoints()
            for server in self.servers.values():
                await server.listen()
            log.info("serving below %s", self.places.root or self.places.run)
            self.finish(self._hold_open())
            notify("READY=1")
            from virt_remote.server.host_end import HostEnd

            end = HostEnd(self.preserve, privileged=self.places.privileged)
            ending.callback(end.close)
            end.watch()
            await self._stop.wait()
        finally:
            ending.close()
            gc.enable()
            notify("STOPPING=1")
            for server in self.servers.values():
                server.stop_listening()
            for server in self.servers.values():
                server.hang_up()
            await self._wait_for_clients()
            await self._authority.close()

    async def import_libvirt(self, folder: Path | None) -> int:
        """Take over what libvirtd has defined, before the daemon serves; gives the program's status.

        :param folder: libvirtd's; the usual one by default.
        """
        gc.enable()
        from virt_remote.server.importing import import_libvirt
        from virtcore.driver.opening import open_session
        from virtcore.driver.toolkit.folders import use_root
        from virtcore.runtime.loop import adopt

        self._prepare()
        use_root(self.places.root)
        adopt()
        uris = [uri for uri in _probed() if uri.startswith(("qemu:", "lxc:", "xen:", "bhyve:", "ch:"))]
        found = await import_libvirt(lambda uri: open_session(uri, deadline=None, aliases=False), uris, folder)
        for one in found:
            print(f"{one.noun} {one.name}: {one.outcome}")
        return int(any(one.failed for one in found))

    async def _wait_for_clients(self) -> None:
        """Give running changes, connections and what they left a few seconds."""
        from virtcore.runtime.calls import changes_ended

        for job in await changes_ended(GRACE):
            log.warning("job %d is left unfinished", job.number)
        try:
            async with asyncio.timeout(GRACE):
                while self._last or self.client_count():
                    if self._last:
                        await asyncio.wait(list(self._last))
                    else:
                        await asyncio.sleep(0.02)  # a client that does not read: its socket says nothing
        except TimeoutError:
            log.warning("%d connections and the last work of %d are left", self.client_count(), len(self._last))
        for session in self._held:
            await session.close()
        for services in (self._services, self._kept):
            if services is not None:
                await services.close()


async def _ask_for_patience() -> None:
    """Tell systemd, for as long as this goes on, that the end takes longer."""
    while True:
        notify(f"EXTEND_TIMEOUT_USEC={PATIENCE * 2_000_000}")
        await asyncio.sleep(PATIENCE)


def _port(text: str) -> int:
    return int(text) if text.isdecimal() else socket.getservbyname(text)


def _access_control(settings: Settings, places: Places, authority: Authority) -> AccessControl | None:
    """Who decides what clients may do; None when nobody does.

    :raises VirtError: there is no such access driver, or its policy makes no sense.
    """
    drivers: list[AccessDriver] = []
    for name in settings.access_drivers:
        if name == "polkit":
            drivers.append(PolkitAccess(authority))
        elif name == "policy":
            from virt_remote.server.policy import Policy

            path = Path(settings.access_policy_file or places.config / "access.toml")
            try:
                drivers.append(Policy.parse(path.read_text(encoding="utf-8"), str(path)))
            except OSError as error:
                raise SystemError(f"Failed to open file '{path}': {error.strerror}") from None
            except UnicodeDecodeError:
                raise SystemError(f"'{path}' is not UTF-8") from None
        elif name not in ("nop", "none"):
            raise InternalError(f"Cannot find security driver '{name}'")
    return AccessControl(drivers) if drivers else None


def _probed() -> Iterator[str]:
    """Default URIs of the hypervisors that this host has, most wanted first."""
    from virtcore.driver.loader import driver_classes

    for driver in driver_classes():
        uri = driver.probe()
        if uri is not None:
            yield uri


def _usual_outputs(places: Places, level: int = 3) -> str:
    return f"1:file:{places.log / 'virtcored.log'} {level}:stderr"


def _start_log(settings: Settings, places: Places, verbose: bool) -> Logs:
    """Log to ``virtcored.log``, readable by its owner only, and problems to standard error; or as the settings say."""
    outputs = settings.log_outputs
    if outputs is None:
        places.log.mkdir(parents=True, exist_ok=True, mode=0o700)
        outputs = _usual_outputs(places, 2 if verbose else 3)
    return Logs(settings.log_level, settings.log_filters, outputs)


class _Options:
    """What the command line says."""

    root: Path | None = None
    config: Path | None = None
    listen = False
    timeout = 0
    verbose = False
    import_libvirt: Path | Literal[True] | None = None
    files = False

    @classmethod
    def read(cls, words: list[str]) -> _Options:
        """The options that are given in full, as units of systemd and programs give them; argparse, whose modules take
        a tenth of the start, is left the rest, and everything wrong."""
        options = cls()
        left = iter(words)
        for word in left:
            value = next(left, None) if word in ("--root", "--config", "--timeout") else ""
            if value is None or value.startswith("-"):
                return cls._parsed(words)
            if word == "--root":
                options.root = Path(value)
            elif word == "--config":
                options.config = Path(value)
            elif word == "--timeout" and value.isascii() and value.isdigit():
                options.timeout = int(value)
            elif word == "--listen":
                options.listen = True
            elif word == "--verbose":
                options.verbose = True
            else:
                return cls._parsed(words)
        return options

    @classmethod
    def _parsed(cls, words: list[str]) -> _Options:
        parser = cls._parser()
        options = parser.parse_args(words, cls())
        if options.timeout < 0:
            parser.error("--timeout takes a number of seconds")
        return options

    @staticmethod
    def _parser() -> argparse.ArgumentParser:
        import argparse

        parser = argparse.ArgumentParser(prog="virtcored", description="virtcore's daemon: speaks libvirt's protocol")
        parser.add_argument("--root", type=Path, metavar="DIR", help="keep everything below this folder")
        parser.add_argument("--config", "-f", type=Path, metavar="FILE", help="settings (virtcored.conf)")
        parser.add_argument("--listen", "-l", action="store_true", help="accept clients from the network")
        parser.add_argument("--timeout", "-t", type=int, metavar="SECONDS", help="leave when unused for so long")
        parser.add_argument("--verbose", "-v", action="store_true", help="say what it does, on standard error too")
        parser.add_argument(
            "--import-libvirt",
            nargs="?",
            type=Path,
            const=True,
            metavar="DIR",
            help="define what libvirtd has defined (in DIR; /etc/libvirt by default), and end; "
            "nothing there is changed",
        )
        parser.add_argument(
            "--files",
            action="store_true",
            help="tell the folder of units for systemd, actions for polkit and virtcored.conf",
        )
        return parser

    @classmethod
    def refuse(cls, complaint: str) -> NoReturn:
        """End the program: an option makes no sense."""
        cls._parser().error(complaint)


def main(arguments: list[str] | None = None) -> int:
    """The program ``virtcored``."""
    options = _Options.read(sys.argv[1:] if arguments is None else arguments)
    if options.files:
        print(Path(__file__).parent.parent / "files")
        return 0
    places = Places.usual() if options.root is None else Places.below(options.root.absolute())
    logs: Logs | None = None
    try:
        config = options.config or places.config / "virtcored.conf"
        settings = Settings.load(config, required=options.config is not None)
        folder = Path(settings.unix_sock_dir or places.run)
        if len(os.fsencode(folder / ADMIN)) > 107:
            options.refuse(f"{folder} is too long: the path of a socket may have 107 bytes")
        logs = _start_log(settings, places, options.verbose)
        daemon = Daemon(
            places, settings, logs=logs, listen=options.listen, timeout=options.timeout, config=config.absolute()
        )
        if options.import_libvirt is not None:
            return asyncio.run(
                daemon.import_libvirt(None if options.import_libvirt is True else options.import_libvirt)
            )
        asyncio.run(daemon.serve())
    except (VirtError, OSError) as error:
        print(f"virtcored: {error}", file=sys.stderr)
        return 1
    finally:
        if logs is not None:
            logs.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
