"""Which class serves a URI: entry points of installed distributions, by URI scheme or transport.

Groups: ``virtcore.drivers`` (scheme to driver class), ``virtcore.services`` (service to the class that has it on this
host), ``virtcore.transports`` (transport to the driver class that reaches a daemon by it), ``virtcore.blocking``
(transport to a function that opens a connection without asyncio, see :mod:`virtcore.runtime.blocking`),
``virtcore.daemons`` (scheme to a function that says whether a daemon of this host serves a URI), ``virtcore.schemes``
(schemes a distribution will serve), ``virtcore.plugins`` (hooks).

The installed ``entry_points.txt`` files are read directly, which takes about a millisecond; importlib.metadata, which
takes sixty, is asked for what was not found there. Stevedore loads all of a group to explain what fails; nothing else
imports it.
"""

from __future__ import annotations

import os
import sys

from virtcore._lazy import imported
from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING, Any, Callable, Generic, Iterator, Protocol, Sequence, TypeVar
from virtcore.errors import InternalError, InvalidArg, NoConnect
from virtcore.uri import ConnectionURI

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from importlib.metadata import EntryPoint

    from virtcore.driver.base import Credential, Driver
    from virtcore.driver.service import ServiceDriver
    from virtcore.runtime.blocking import BlockingBackend

__all__ = [
    "BLOCKING",
    "DAEMONS",
    "DRIVERS",
    "PLUGINS",
    "SCHEMES",
    "SERVICES",
    "TRANSPORTS",
    "BlockingOpener",
    "Installed",
    "Plugin",
    "blocking_opener",
    "daemon_serves",
    "driver_classes",
    "driver_for",
    "each_driver_class",
    "explain",
    "installed",
    "load",
    "register",
    "registered",
    "registered_service",
    "rescan",
    "service_for",
    "service_is_loaded",
    "service_names",
    "transport_class",
    "unregister",
]

DRIVERS = "virtcore.drivers"
SERVICES = "virtcore.services"
TRANSPORTS = "virtcore.transports"
BLOCKING = "virtcore.blocking"
DAEMONS = "virtcore.daemons"
SCHEMES = "virtcore.schemes"
PLUGINS = "virtcore.plugins"

_KNOWN_TRANSPORTS = frozenset(["tls", "unix", "ssh", "ext", "tcp", "libssh2", "libssh"])


class Plugin(NamedTuple):
    """An entry point: ``name = value`` in a group of an installed distribution."""

    group: str
    name: str
    value: str
    distribution: str


class Installed(NamedTuple):
    """What :func:`explain` found about an entry point; ``error`` says why it cannot be loaded."""

    plugin: Plugin
    error: str | None


class BlockingOpener(Protocol):
    """Opens a connection that the calling thread drives."""

    def __call__(
        self,
        uri: ConnectionURI,
        *,
        readonly: bool,
        ask: Callable[[list[Credential]], Sequence[str] | None] | None,
        end: float | None,
    ) -> BlockingBackend:
        """Open it.

        :param ask: answers credentials, in the calling thread.
        :param end: when (monotonic clock) to give up.
        :raises TimeoutError: that was reached.
        :raises VirtError: the URI is not acceptable or the hypervisor not reachable.
        """


T = TypeVar("T")

_registered: dict[str, type[Driver]] = {}
_registered_services: dict[str, type[ServiceDriver]] = {}
_found: list[Plugin] | None = None


def register(scheme: str, cls: type[Driver]) -> None:
    """Have a class of this process serve a scheme, before any installed one."""
    _registered[scheme] = cls


def unregister(scheme: str) -> None:
    """Undo :func:`register`; unknown schemes are ignored."""
    _registered.pop(scheme, None)


class _Registration(Generic[T]):
    """Something is in a table for the length of a ``with`` block."""

    def __init__(self, table: dict[str, T], name: str, value: T) -> None:
        self._table, self._name, self._value = table, name, value

    def __enter__(self) -> None:
        self._before = self._table.get(self._name)
        self._table[self._name] = self._value

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            self._table.pop(self._name, None)
        else:
            self._table[self._name] = self._before


def registered(scheme: str, cls: type[Driver]) -> AbstractContextManager[None]:
    """:func:`register` for the length of a ``with`` block."""
    return _Registration(_registered, scheme, cls)


def registered_service(name: str, cls: type[ServiceDriver]) -> AbstractContextManager[None]:
    """Have a class of this process be a service, before any installed one, for the length of a ``with`` block."""
    return _Registration(_registered_services, name, cls)


# -- finding


def installed(group: str) -> list[Plugin]:
    """The installed entry points of a group, the first of each name that the import path has."""
    global _found
    if _found is None:
        _found = _scan()
    return [plugin for plugin in _found if plugin.group == group]


def rescan() -> None:
    """Forget what was found: something was installed while the process ran."""
    global _found
    _found = None


def _scan() -> list[Plugin]:
    found: dict[tuple[str, str], Plugin] = {}
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as entries:
                names = [entry.name for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue  # no folder: zip files are found by way of stevedore
        for name in names:
            try:
                with open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8") as file:
                    text = file.read()
            except OSError:
                continue  # it has none
            if "[virtcore." in text:
                distribution = name.partition("-")[0].replace("_", "-")
                for plugin in _read(text, distribution):
                    found.setdefault((plugin.group, plugin.name), plugin)
    return list(found.values())


def _read(text: str, distribution: str) -> Iterator[Plugin]:
    """The rows of an ``entry_points.txt`` that are ours."""
    group = ""
    for line in text.splitlines():
        row = line.strip()
        if row.startswith("["):
            group = row.strip("[]")
        elif group.startswith("virtcore.") and "=" in row and not row.startswith(("#", ";")):
            name, _, value = row.partition("=")
            yield Plugin(group, name.strip(), value.partition("[")[0].strip(), distribution)


def _find(group: str, name: str) -> Plugin | None:
    """An entry point by name, looked for the thorough way, too, before it counts as missing."""
    for look in (installed, _through_metadata):
        for plugin in look(group):
            if plugin.name == name:
                return plugin
    return None


def explain(group: str) -> list[Installed]:
    """Every entry point of a group, loaded, with the reason where that fails. Slow: for listings and errors."""
    from stevedore import ExtensionManager, _cache

    _cache._c._disable_caching = True  # it would write into the user's home
    by_value = {(plugin.name, plugin.value): plugin for plugin in _through_metadata(group)}
    rows: list[Installed] = []

    def failed(_: ExtensionManager[object], found: EntryPoint, error: BaseException) -> None:
        rows.append(Installed(by_value[found.name, found.value], f"{type(error).__name__}: {error}"))

    manager: ExtensionManager[object] = ExtensionManager(group, on_load_failure_callback=failed)
    for found in manager:
        rows.append(Installed(by_value[found.name, found.entry_point.value], None))
    return sorted(rows, key=lambda row: row.plugin)


def _through_metadata(group: str) -> list[Plugin]:
    """What :func:`installed` finds, the thorough way."""
    from importlib.metadata import entry_points

    return [
        Plugin(group, found.name, found.value, found.dist.name if found.dist is not None else "unknown")
        for found in entry_points(group=group)
    ]


# -- loading


def load(plugin: Plugin) -> Any:
    """The object behind an entry point.

    :raises InternalError: it cannot be imported; names the distribution and the cause.
    """
    module, _, path = plugin.value.partition(":")
    try:
        found: Any = imported(module)
        for name in filter(None, path.split(".")):
            found = getattr(found, name)
    except Exception as error:
        raise InternalError(
            f"'{plugin.name}' of distribution {plugin.distribution} cannot be loaded from {plugin.value}: "
            f"{type(error).__name__}: {error}",
            advice=f"reinstall it: pip install --force-reinstall {plugin.distribution}",
        ) from error
    return found


def _load_driver(plugin: Plugin) -> type[Driver]:
    from virtcore.driver.base import Driver

    cls = load(plugin)
    if not isinstance(cls, type) or not issubclass(cls, Driver):
        raise InternalError(f"'{plugin.name}' of distribution {plugin.distribution} is not a driver: {cls!r}")
    return cls


def driver_for(uri: ConnectionURI) -> type[Driver]:
    """The class that serves a URI.

    A transport, or a host where the scheme's own driver works on this host only, means a daemon.

    :raises NoConnect: nothing installed serves it; says which distribution will, or is to be installed.
    :raises InvalidArg: the transport does not exist, or the URI lacks the host the driver needs.
    :raises InternalError: the class cannot be loaded.
    """
    if uri.transport is not None:
        return transport_class(uri, uri.transport)
    cls = _registered.get(uri.scheme)
    if cls is None:
        plugin = _find(DRIVERS, uri.scheme)
        if plugin is None:
            raise _unserved(uri)
        cls = _load_driver(plugin)
    if uri.host is not None and cls.local_only:
        return transport_class(uri, "tls")
    if uri.host is None and cls.remote_only:
        raise InvalidArg("URI is missing the server part")
    return cls


def daemon_serves(uri: ConnectionURI, *, readonly: bool, start: bool) -> bool:
    """Whether a daemon of this host serves a URI that a driver in this process could serve, too.

    :param start: start the user's own daemon, if it does not run.
    :raises InternalError: what would know cannot be loaded.
    """
    if uri.transport is not None or uri.host is not None or uri.path not in ("/system", "/session"):
        return False
    if uri.scheme in _registered:
        return False
    for plugin in installed(DAEMONS):
        if plugin.name == uri.scheme:
            return bool(load(plugin)(uri, readonly=readonly, start=start))
    return False


def blocking_opener(transport: str | None) -> BlockingOpener | None:
    """What opens a connection by a transport without asyncio; None where that is not offered.

    :raises InternalError: it cannot be loaded.
    """
    for plugin in installed(BLOCKING) if transport is not None else ():
        if plugin.name == transport:
            opener: BlockingOpener = load(plugin)
            return opener
    return None


def transport_class(uri: ConnectionURI, transport: str) -> type[Driver]:
    """The class that reaches a daemon by a transport.

    :raises NoConnect: nothing installed does.
    :raises InvalidArg: there is no such transport.
    """
    if transport not in _KNOWN_TRANSPORTS:
        raise InvalidArg("remote_open: transport in URL not recognised (should be tls|unix|ssh|ext|tcp|libssh2|libssh)")
    plugin = _find(TRANSPORTS, transport)
    if plugin is not None:
        return _load_driver(plugin)
    from virtcore._schemes import DISTRIBUTIONS

    distribution = DISTRIBUTIONS["remote"]
    subject = f"{uri.redacted}: transport '{transport}'"
    if _find(SCHEMES, "remote") is not None or _find(DRIVERS, "remote") is not None:
        raise NoConnect(f"{subject} will be served by distribution {distribution}, but is not yet")
    raise NoConnect(f"{subject} needs distribution {distribution}", advice=f"pip install {distribution}")


def _unserved(uri: ConnectionURI) -> NoConnect:
    """The error for a scheme without a driver."""
    subject = f"{uri.redacted}: scheme '{uri.scheme}'"
    promised = _find(SCHEMES, uri.scheme)
    if promised is not None:
        return NoConnect(f"{subject} will be served by {promised.distribution}, but is not yet")
    from virtcore._schemes import DISTRIBUTIONS

    distribution = DISTRIBUTIONS.get(uri.scheme)
    if distribution is not None:
        return NoConnect(f"{subject} needs distribution {distribution}", advice=f"pip install {distribution}")
    return NoConnect(uri.redacted, advice=f"no installed distribution serves scheme '{uri.scheme}'")


def service_names() -> frozenset[str]:
    """The services that are registered or installed."""
    return frozenset([*_registered_services, *(plugin.name for plugin in installed(SERVICES))])


def service_for(name: str) -> type[ServiceDriver]:
    """The class of a service.

    :raises NoConnect: nothing registered or installed has it.
    :raises InternalError: the class cannot be loaded; names the distribution and the cause.
    """
    from virtcore.driver.service import ServiceDriver
    from virtcore.operations.declare import services

    cls = _registered_services.get(name)
    if cls is not None:
        return cls
    plugin = _find(SERVICES, name)
    if plugin is None:
        raise NoConnect(f"no installed distribution has the service '{name}'")
    found = load(plugin)
    declared = services().get(name)
    if declared is None:
        raise InternalError(f"'{name}' of distribution {plugin.distribution} is no service that there is")
    if not isinstance(found, type) or not issubclass(found, ServiceDriver) or not issubclass(found, declared):
        raise InternalError(f"'{name}' of distribution {plugin.distribution} is not that service: {found!r}")
    return found


def service_is_loaded(name: str) -> bool:
    """Whether :func:`service_for` has to import nothing."""
    plugin = None if name in _registered_services else _find(SERVICES, name)
    return plugin is None or plugin.value.partition(":")[0] in sys.modules


def each_driver_class() -> Iterator[type[Driver]]:
    """Every driver class registered or installed that can be loaded, each once; one is loaded when its turn comes."""
    told = set(_registered.values())
    yield from told
    for plugin in installed(DRIVERS):
        try:
            cls = _load_driver(plugin)
        except InternalError as error:
            import logging

            logging.getLogger("virtcore").warning("%s", error)
            continue
        if cls not in told:
            told.add(cls)
            yield cls


def driver_classes() -> list[type[Driver]]:
    """All of them, in the order of probing."""
    return sorted(each_driver_class(), key=lambda cls: (cls.probe_order, cls.__qualname__))
