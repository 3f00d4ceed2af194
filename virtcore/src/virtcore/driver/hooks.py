"""Hooks: what several plugins may answer at once.

A plugin is a module (or an object in one) behind an entry point of group ``virtcore.plugins``::

    from virtcore.driver import hookimpl

    @hookimpl
    def virtcore_event(uri, event):
        print(uri, event)

Names of arguments count; those not needed may be left out. A plugin that cannot be loaded is an error: an access or
start check that silently does not take place would be worse.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pluggy

from virtcore._namespaces import defer
from virtcore.driver import loader
from virtcore.errors import InternalError

if TYPE_CHECKING:
    from virtcore.driver.native import NativeFormat
    from virtcore.driver.toolkit.pool_backend import PoolBackend
    from virtcore.operations.events import Event
    from virtcore.types import DomainRef

__all__ = ["Specifications", "domain_transition", "hookimpl", "manager", "reset"]

PROJECT = "virtcore"

hookimpl = pluggy.HookimplMarker(PROJECT)
_hookspec = pluggy.HookspecMarker(PROJECT)


class Specifications:
    """Every hook there is."""

    @_hookspec
    def virtcore_register_namespaces(self) -> None:
        """Register XML namespaces with :func:`virtcore.xml.register_namespace`. Called once, before the first document
        with a place for them is read or written."""

    @_hookspec
    def virtcore_native_formats(self) -> list[NativeFormat]:
        """The configuration formats of hypervisors this plugin reads or writes. Called with each conversion, so heavy
        imports belong into the functions of the formats.

        :return: the formats, named as libvirt names them.
        """
        raise NotImplementedError

    @_hookspec
    def virtcore_event(self, uri: str, event: Event) -> None:
        """Something happened on a connection. Called in the core loop, so it must not block; what it raises is logged.

        :param uri: the connection's URI.
        """

    @_hookspec(firstresult=True)
    def virtcore_pool_backend(self, kind: str, host: object) -> PoolBackend | None:
        """What a kind of storage pool can do on a Linux host: a kind that virt-host has not got, or another way to have
        one that it has. Asked once for each kind; the first answer counts.

        :param kind: the kind of pool, as ``<pool type=...>`` has it.
        :param host: the ``virt_host.storage.backend.StorageHost`` that the pools belong to.
        :return: the backend; None: not from here.
        """

    @_hookspec(firstresult=True)
    def virtcore_network_firewall(self, name: str) -> type[object] | None:
        """Another way to put the rules of virtual networks into a Linux host's firewall. Asked once, for the one that
        the administrator has chosen in ``network.conf``.

        :param name: what ``firewall_backend`` says.
        :return: a class derived from ``virt_host.network.firewalls.Firewall``; None: not from here.
        """

    @_hookspec
    def virtcore_domain_transition(
        self, driver: str, domain: DomainRef, operation: str, sub_operation: str, xml: str
    ) -> None:
        """A domain is about to start, has started, stopped or reconnects, as libvirt's hook scripts are told.

        Raising in ``prepare`` or ``start`` keeps the domain from starting. May block: drivers call it from a thread.

        :param driver: name of the driver, e.g. ``qemu``.
        :param operation: ``prepare``, ``start``, ``started``, ``stopped``, ``release``, ``reconnect``, ...
        :param sub_operation: ``begin`` or ``end``.
        :param xml: the domain's XML, with secrets.
        """


_lock = threading.Lock()
_manager: pluggy.PluginManager | None = None


def manager() -> pluggy.PluginManager:
    """The hooks of every installed plugin, which are loaded now if they were not.

    :raises InternalError: a plugin cannot be loaded, or implements what is no hook; names the distribution.
    """
    global _manager
    with _lock:
        if _manager is None:
            made = pluggy.PluginManager(PROJECT)
            made.add_hookspecs(Specifications)
            for plugin in loader.installed(loader.PLUGINS):
                try:
                    made.register(loader.load(plugin), plugin.name)
                    made.check_pending()
                except pluggy.PluginValidationError as error:
                    raise InternalError(f"plugin of distribution {plugin.distribution}: {error}") from error
            defer(made.hook.virtcore_register_namespaces)
            _manager = made
        return _manager


async def load() -> None:
    """Load every installed plugin, in a thread, unless they are there.

    :raises InternalError: as :func:`manager`.
    """
    if _manager is None:
        from virtcore.runtime.threads import in_thread

        await in_thread(manager)


def reset() -> None:
    """Forget the loaded plugins; for tests."""
    global _manager
    with _lock:
        _manager = None


def domain_transition(driver: str, domain: DomainRef, operation: str, sub_operation: str, xml: str) -> None:
    """Tell every plugin of a domain's transition (see :meth:`Specifications.virtcore_domain_transition`).

    :raises Exception: whatever a plugin raised to keep the domain from starting.
    """
    manager().hook.virtcore_domain_transition(
        driver=driver, domain=domain, operation=operation, sub_operation=sub_operation, xml=xml
    )
