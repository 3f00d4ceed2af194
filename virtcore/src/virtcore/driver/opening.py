"""From a URI, or none, to an open session."""

from __future__ import annotations

import os
import sys
import time

from virtcore._functions import partial
from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING, Callable, Sequence
from virtcore.driver import loader
from virtcore.errors import ConfigUnsupported, ConfSyntax, InvalidArg, NoConnect
from virtcore.operations.arguments import require
from virtcore.runtime.methods import QUERY_DEADLINE
from virtcore.uri import ConnectionURI

if TYPE_CHECKING:
    from virtcore.driver.base import AuthCallback, Credential, Driver
    from virtcore.driver.composition import HostServices
    from virtcore.operations.events import Event
    from virtcore.runtime.blocking import BlockingBackend, BlockingSession
    from virtcore.runtime.conf import ConfFile
    from virtcore.runtime.session import Session

__all__ = [
    "Target",
    "config_folder",
    "locate",
    "open_blocking",
    "open_session",
    "open_target",
    "resolve",
    "target_of",
    "through_daemon",
]

#: What aliases consist of.
_ALIAS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class Target(NamedTuple):
    """What will be opened: a URI and the class that serves it."""

    uri: ConnectionURI
    driver: type[Driver]


def resolve(uri: str | None = None, *, aliases: bool = True) -> Target:
    """Find out what a URI, an alias of one or none stands for. May be called in any thread.

    Without a URI, ``LIBVIRT_DEFAULT_URI`` counts, then ``uri_default`` of ``libvirt.conf``, then the first driver that
    finds its hypervisor on this host.

    :param aliases: look into ``uri_aliases`` of ``libvirt.conf``.
    :raises VirtError: the URI is not acceptable, or nothing serves it.
    """
    return target_of(locate(uri, aliases=aliases))


def locate(uri: str | None = None, *, aliases: bool = True) -> ConnectionURI:
    """The URI that a URI, an alias of one or none stands for; see :func:`resolve`."""
    require(uri, (str, type(None)), "uri", "str")
    conf = _user_conf()
    text = uri or os.environ.get("LIBVIRT_DEFAULT_URI") or (conf.string("uri_default") if conf is not None else None)
    text = text or _probe()
    if aliases and conf is not None:
        text = _resolve_alias(conf, text)
    return ConnectionURI.parse(text)


def target_of(uri: ConnectionURI) -> Target:
    """What serves a URI.

    :raises VirtError: nothing does, or not so.
    """
    driver = loader.driver_for(uri)
    if uri.path == "/embed" and uri.transport is None:
        if not os.path.isabs(uri.require("root")):
            raise ConfigUnsupported("root path must be absolute")
        if not driver.embeddable:
            raise ConfigUnsupported(f"Driver {driver.name} cannot be used in embedded mode")
    return Target(uri, driver)


def config_folder() -> str:
    """Where libvirt keeps this user's settings: root's are the system's."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return "/etc/libvirt"
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(home, "libvirt")


def _user_conf() -> ConfFile | None:
    """``libvirt.conf`` in the user's folder."""
    path = os.path.join(config_folder(), "libvirt.conf")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not any(line.lstrip(" \t").startswith("uri_") for line in text.split("\n")):
        return None  # as it is installed: comments only
    from virtcore.runtime.conf import ConfFile

    return ConfFile.parse(text, path)


def _resolve_alias(conf: ConfFile, text: str) -> str:
    for row in conf.strings("uri_aliases"):
        alias, equals, uri = row.partition("=")
        if not equals:
            raise ConfSyntax(f"Malformed 'uri_aliases' config entry '{row}', expected 'alias=uri://host/path'")
        if not _ALIAS.issuperset(alias):
            raise ConfSyntax(f"Malformed 'uri_aliases' config entry '{row}', aliases may only contain 'a-Z, 0-9, _, -'")
        if alias == text:
            return uri
    return text


def _probe() -> str:
    for driver in loader.driver_classes():
        uri = driver.probe()
        if uri is not None:
            return uri
    raise NoConnect(
        advice="no URI was given, and no installed driver finds its hypervisor on this host; try test:///default"
    )


async def open_target(
    target: Target,
    *,
    readonly: bool = False,
    auth: AuthCallback | None = None,
    deadline: float | None = QUERY_DEADLINE,
) -> Session:
    """Open what :func:`resolve` found; in the core loop.

    :param deadline: seconds for the session's queries; opening itself is not limited here.
    :raises VirtError: what the driver says.
    """
    from virtcore.driver.base import OpenRequest

    driver = await target.driver.open(OpenRequest(target.uri, readonly=readonly, auth=auth))
    return await compose(driver, target.uri, readonly=readonly, deadline=deadline)


async def compose(driver: Driver, uri: ConnectionURI, *, readonly: bool, deadline: float | None) -> Session:
    """The session of an open driver, with the services beside it; in the core loop."""
    from virtcore.runtime.loop import core_loop
    from virtcore.runtime.threads import loaded

    await loaded("virtcore.runtime.session")
    from virtcore.runtime.session import Session

    session = Session(
        core_loop(),
        driver,
        readonly=readonly,
        deadline=deadline,
        workers=type(driver).workers,
        services=_services(driver),
    )
    if loader.installed(loader.PLUGINS):
        try:
            await loaded("virtcore.driver.hooks")
            from virtcore.driver import hooks

            await hooks.load()
            _forward_events(session, uri.redacted)
        except BaseException:  # a plugin that cannot be loaded
            await session.close()
            raise
    return session


def through_daemon(uri: ConnectionURI, *, readonly: bool, start: bool = False) -> bool:
    """Whether what a URI means is not opened in this process but by a daemon that runs on this host. Never so when the
    process keeps its state below a folder of its own.

    :param start: start the user's own daemon, if it does not run and one is installed.
    """
    folders = sys.modules.get("virtcore.driver.toolkit.folders")
    if folders is not None and folders.own_root():
        return False
    return loader.daemon_serves(uri, readonly=readonly, start=start)


def open_blocking(
    uri: ConnectionURI,
    *,
    readonly: bool = False,
    ask: Callable[[list[Credential]], Sequence[str] | None] | None = None,
    deadline: float | None = QUERY_DEADLINE,
    start_daemon: bool = False,
) -> BlockingSession | None:
    """Open a connection that the calling thread drives, where one is offered for the URI; else None.

    Plugins hear of its events once it has moved to the core loop.

    :param start_daemon: see :func:`through_daemon`.
    :raises OperationTimeout: it took longer than the deadline.
    :raises VirtError: the URI is not acceptable, or what the driver says.
    """
    from virtcore.runtime.blocking import BlockingSession

    finish = partial(compose, uri=uri, readonly=readonly, deadline=deadline)
    opener = loader.blocking_opener(
        "unix" if through_daemon(uri, readonly=readonly, start=start_daemon) else uri.transport
    )
    backend: BlockingBackend | None
    if opener is None:
        backend = _open_early(target_of(uri), readonly)
        return None if backend is None else BlockingSession(backend, finish, readonly=readonly, deadline=deadline)
    try:
        backend = opener(uri, readonly=readonly, ask=ask, end=None if deadline is None else time.monotonic() + deadline)
    except TimeoutError:
        from virtcore.runtime.jobs import DeadlineExpired

        raise DeadlineExpired("connection_open", deadline or 0, "nothing was opened", None) from None
    return BlockingSession(backend, finish, readonly=readonly, deadline=deadline)


def _open_early(target: Target, readonly: bool) -> BlockingBackend | None:
    """Have the calling thread open what waits for nothing, as long as there is no core loop."""
    if not target.driver.opens_at_once(target.uri):
        return None
    from virtcore.driver.base import OpenRequest
    from virtcore.runtime.beforehand import open_early

    return open_early(lambda: target.driver.open(OpenRequest(target.uri, readonly=readonly)))


def _services(driver: Driver) -> HostServices | None:
    """The services that a driver brings in modules of their own, and those of the place where it runs, if any are
    installed that it does not bring."""
    if not driver.own_services and (driver.place is None or not loader.service_names()):
        return None
    from virtcore.driver.composition import HostServices

    found = HostServices(driver)
    return found if found.names else None


def _forward_events(session: Session, uri: str) -> None:
    """Tell plugins of a connection's events, if any wants to know."""
    from virtcore.driver.hooks import manager
    from virtcore.errors import NoSupport
    from virtcore.runtime.events import report_failure

    hook = manager().hook.virtcore_event
    if not hook.get_hookimpls():
        return

    def deliver(event: Event) -> None:
        try:
            hook(uri=uri, event=event)
        except Exception:  # noqa: BLE001  # a plugin must not keep events from others
            report_failure(deliver)

    try:
        session.subscribe(deliver, awaken=False)
    except NoSupport:
        pass  # this driver has no events


async def open_session(
    uri: str | None = None,
    *,
    readonly: bool = False,
    auth: AuthCallback | None = None,
    deadline: float | None = QUERY_DEADLINE,
    aliases: bool = True,
) -> Session:
    """Open a connection in the core loop (a daemon's own; see :func:`virtcore.runtime.loop.adopt`).

    :raises InvalidArg: this is not the core loop.
    :raises VirtError: the URI is not acceptable, nothing serves it, or what the driver says.
    """
    from virtcore.runtime.loop import core_loop

    if not core_loop().is_current():
        raise InvalidArg("open_session() belongs to the core loop; use virtcore.connect() elsewhere")
    return await open_target(resolve(uri, aliases=aliases), readonly=readonly, auth=auth, deadline=deadline)
