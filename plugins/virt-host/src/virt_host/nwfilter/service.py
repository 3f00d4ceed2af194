"""The network filters of this host, as a service of its connections."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from virt_host.firewalld import FirewalldWatch
from virt_host.nwfilter.ports import HostFilters
from virtcore.driver.toolkit.checks import check_flags
from virtcore.driver.toolkit.disk import write_file
from virtcore.driver.toolkit.hosted import HostedService
from virtcore.driver.toolkit.nwfilters import StatefulFilters
from virtcore.enums.nwfilter import NWFilterBindingCreateFlags, NWFilterDefineFlags
from virtcore.errors import OperationInvalid
from virtcore.operations.spellings import canonical_function

if TYPE_CHECKING:
    from virtcore.driver.base import Place
    from virtcore.types import NWFilterBindingRef, NWFilterRef

__all__ = ["HostNWFilters"]

#: Names of the filters that come with us and were defined, so that nobody gets back what he undefined.
_SHIPPED = "shipped"


class HostNWFilters(HostedService, StatefulFilters):
    """Filters and bindings of this host. A user without the administrator's rights has none."""

    name = "nwfilter"
    nwfilter_prefix = "nwfilter"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        folders = self.folders
        self.filters: HostFilters = HostFilters(folders.config, self.disk, folders.status, folders.run, self.spawn)
        self._firewalld: FirewalldWatch | None = None

    async def restore(self) -> None:
        await self.filters.open()
        if self.place.privileged:
            await self._define_shipped()
            if self.filters.bindings:
                self._watch_firewall()
                self.spawn(self.reload())

    async def reload(self) -> None:
        await self.filters.rebuild()

    def _watch_firewall(self) -> None:
        if self._firewalld is None:
            self._firewalld = FirewalldWatch(lambda: self.spawn(self.reload()))

    async def rest(self) -> None:
        if self._firewalld is not None:
            self._firewalld.close()
        self.filters.close()

    @property
    def in_use(self) -> bool:
        """Whether the traffic of a port is filtered."""
        return bool(self.filters.bindings)

    async def _define_shipped(self) -> None:
        """Define the filters that come with us, each once and for all."""
        file = self.folders.config / _SHIPPED

        def known() -> set[str]:
            return set(file.read_text().split()) if file.exists() else set()

        before = await self.disk.run(known)
        shipped = {
            each.name.removesuffix(".xml"): each
            for each in resources.files("virt_host.nwfilter").joinpath("shipped").iterdir()
            if each.name.endswith(".xml")
        }
        new = shipped.keys() - before
        if not new:
            return
        for name in sorted(new):
            if self.filters.table.find(name) is None:
                await self.filters.define(shipped[name].read_text())
        data = "".join(f"{name}\n" for name in sorted(before | new)).encode()
        work = lambda: write_file(file.parent, file.name, data)  # noqa: E731
        await self.disk.change(work, file.parent, f"cannot write data to file '{file}'")

    def _check(self, flags: int, supported: int, operation: str) -> None:
        function = canonical_function(operation).removeprefix("virNWFilter").removeprefix("vir")
        check_flags(flags, supported, operation, self.nwfilter_prefix, function)

    def _require_rights(self, what: str) -> None:
        if not self.place.privileged:
            raise OperationInvalid(f"Can't define {what} in session mode")

    async def connection_define_nwfilter(self, xml: str, flags: NWFilterDefineFlags | int = 0) -> NWFilterRef:
        self._check(flags, NWFilterDefineFlags.VALIDATE, "connection_define_nwfilter")
        self._require_rights("NWFilters")
        return await super().connection_define_nwfilter(xml, flags)

    async def connection_create_nwfilter_binding(
        self, xml: str, flags: NWFilterBindingCreateFlags | int = 0
    ) -> NWFilterBindingRef:
        self._check(flags, NWFilterBindingCreateFlags.VALIDATE, "connection_create_nwfilter_binding")
        self._require_rights("NWFilter bindings")
        self._watch_firewall()
        return await super().connection_create_nwfilter_binding(xml, flags)
