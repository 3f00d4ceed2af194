"""Opening connections to QEMU: ``qemu:///system``, ``qemu:///session``, ``qemu:///embed?root=DIR``.

What is asked first (which domains there are, what they do) needs no more than their definitions. A host whose guests
have left nothing behind is therefore opened with this module alone; the rest is loaded when something else is asked.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from virt_qemu.capabilities.find import find_emulator
from virtcore.driver.base import Driver, OpenRequest, Place
from virtcore.driver.toolkit.folders import StateFolders
from virtcore.driver.toolkit.state import DriverState
from virtcore.driver.toolkit.stateful import StatefulDriver
from virtcore.driver.toolkit.uptime import StartMarker
from virtcore.errors import InternalError, OperationFailed
from virtcore.model.arch import host_arch

if TYPE_CHECKING:
    from collections.abc import Callable

    from virt_qemu.capabilities.cache import CapabilitiesCache
    from virt_qemu.settings.table import QemuSettings
    from virtcore.driver.base import Subscription
    from virtcore.operations.events import Event

__all__ = ["OpeningDriver", "OpeningState"]


class OpeningState(DriverState):
    """Definitions below one set of folders, of guests that do not run; :meth:`complete` makes it all that there is.

    :param folders: where.
    :param place: with which rights, below which root; a user's by default.
    :ivar autostarted: whether the guests that start with the host were.
    """

    driver_name = "QEMU"
    partial = True

    folders: StateFolders

    def __init__(self, folders: StateFolders, place: Place | None = None) -> None:
        super().__init__(folders)
        self.place = place if place is not None else Place(privileged=False)
        self.privileged = self.place.privileged
        self.autostarted = StartMarker(folders.run)

    @cached_property
    def settings(self) -> QemuSettings:
        """What the administrator has chosen."""
        from virt_qemu.settings.table import QemuSettings

        return QemuSettings()

    @cached_property
    def capabilities(self) -> CapabilitiesCache:
        """What the installed emulators can."""
        from virt_qemu.capabilities.cache import CapabilitiesCache

        return CapabilitiesCache(self.folders.cache / "capabilities")

    async def open(self) -> None:
        if not self.partial:
            await super().open()
            return
        try:
            self._take_folders()
            if more := self._more_than_definitions():
                self.complete()
            else:
                self.autostarted.put()
        except BaseException:
            await self.close()
            raise
        if more:
            await self.open()  # of the class that it has become
        else:
            await super().open()

    def _more_than_definitions(self) -> bool:
        """Whether there are settings, or guests have left something: they run, are saved, are to start."""
        folders = self.folders
        return folders.config.with_name("qemu.conf").exists() or any(
            next(folder.glob(pattern), None) is not None
            for folder, pattern in (
                (folders.run, "domain-*"),
                (folders.status, "*"),
                (folders.autostart, "*"),
                (folders.config / "autostart-once", "*"),
                (folders.lib / "save", "*"),
                (folders.lib / "snapshots", "*/*"),
                (folders.lib / "checkpoints", "*/*"),
            )
        )

    @classmethod
    def whole(cls) -> type[DriverState]:
        from virt_qemu.host import QemuState

        return QemuState


S = TypeVar("S", bound=OpeningState)


def _state(folders: StateFolders, place: Place) -> Any:
    return OpeningState(folders, place)


class OpeningDriver(StatefulDriver[S]):
    """A connection to the guests of one root, as it is opened."""

    name = "QEMU"
    error_domain = "QEMU"
    function_prefix = "qemu"
    local_only = True
    embeddable = True
    probe_order = 10
    first: ClassVar[frozenset[str] | None] = frozenset(
        {
            "connection_hostname",
            "connection_is_alive",
            "connection_is_encrypted",
            "connection_is_secure",
            "connection_lib_version",
            "connection_list_domains",
            "connection_lookup_domain",
            "connection_set_keepalive",
            "connection_type",
            "connection_uri",
            "domain_autostart",
            "domain_has_managed_save",
            "domain_is_active",
            "domain_is_persistent",
            "domain_is_updated",
            "domain_os_type",
            "domain_state",
        }
    )

    @classmethod
    def probe(cls) -> str | None:
        if find_emulator(host_arch()) is None:
            return None
        return "qemu:///system" if os.geteuid() == 0 else "qemu:///session"

    @classmethod
    async def open(cls, request: OpenRequest) -> Self:
        uri = request.uri
        privileged = os.geteuid() == 0
        root = None
        if uri.path == "/embed":
            root = uri.get("root")
            if not root:
                raise InternalError("missing 'root' parameter for embedded QEMU driver")
            folders = StateFolders.below(root, "qemu")
        elif uri.path == "/system":
            if not privileged:
                raise OperationFailed(
                    "qemu:///system in this process needs the administrator's rights",
                    advice="use qemu:///session, or a daemon that runs as root",
                )
            folders = StateFolders.system("qemu")
        elif uri.path == "/session":
            folders, privileged = StateFolders.session("qemu"), False
        elif uri.path in ("", "/"):
            wanted = "system" if privileged else "session"
            raise InternalError(f"no QEMU URI path given, try qemu:///{wanted}")
        else:
            wanted = "system" if privileged else "session"
            raise InternalError(f"unexpected QEMU URI path '{uri.path}', try qemu:///{wanted}")
        place = Place(privileged, root)
        driver = await cls.attach(request, ("qemu", str(folders.config)), lambda: _state(folders, place))
        driver.place = place
        if cls.first is None or not driver.state.partial:
            driver.complete()
        return driver

    @classmethod
    def whole(cls) -> type[Driver]:
        if cls.first is None:
            return cls
        from virt_qemu.driver import QemuDriver

        return QemuDriver

    async def preserve(self) -> None:
        if not self.state.partial:  # else none of its guests runs
            self.complete()
            from virt_qemu.driver import QemuDriver
            from virt_qemu.preserving import preserve_guests

            assert isinstance(self, QemuDriver)
            await preserve_guests(self)

    def subscribe_monitor(self, deliver: Callable[[Event], None]) -> Subscription:
        if self.first is None:
            return super().subscribe_monitor(deliver)
        self.complete()
        return self.subscribe_monitor(deliver)
