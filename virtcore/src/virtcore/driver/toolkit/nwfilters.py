"""Network filters that this process keeps: every operation of the service ``nwfilter`` over tables of filters and of
bindings. What a binding does to a port's traffic is the driver's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from virtcore.driver.service import ServiceDriver
from virtcore.driver.toolkit.checks import canonical_uuid, check_flags
from virtcore.driver.toolkit.objects import ManagedObject, ObjectTable
from virtcore.enums.nwfilter import NWFilterBindingCreateFlags, NWFilterDefineFlags
from virtcore.errors import NoNWFilter, NoNWFilterBinding, OperationFailed, OperationInvalid
from virtcore.operations.declare import inline
from virtcore.operations.nwfilter import NWFilterService
from virtcore.types import NWFilterBindingRef, NWFilterRef

if TYPE_CHECKING:
    from pathlib import Path

    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.driver.toolkit.store import IndexEntry
    from virtcore.model.nwfilter import Filter, FilterBinding

__all__ = ["FilterObject", "Filters", "StatefulFilters"]


class FilterObject(ManagedObject):
    """One filter."""

    __slots__ = ("document",)

    noun = "nwfilter"
    taken_noun = "filter"
    uuid_taken = "filter with same UUID but different name ('{name}') already exists"
    missing = NoNWFilter

    def __init__(self, name: str, uuid: str) -> None:
        super().__init__(name, uuid)
        self.document: Filter | None = None

    @property
    def ref(self) -> NWFilterRef:
        """Its reference."""
        return NWFilterRef(self.name, self.uuid)

    @property
    def filter(self) -> Filter:
        """Its definition."""
        assert self.document is not None  # every published one has it
        return self.document

    def uses(self) -> list[str]:
        """Names of the filters it refers to."""
        from virtcore.model.nwfilter import FilterReference

        return [entry.filter for entry in self.filter.entries if isinstance(entry, FilterReference) and entry.filter]


class Filters:
    """The filters and bindings of one place. Lives in the core loop.

    :param folder: where definitions are kept; None keeps them in memory only.
    :param disk: does the disk work; needed with a folder.
    """

    def __init__(self, folder: Path | None = None, disk: DiskWorker | None = None) -> None:
        self.table: ObjectTable[FilterObject] = ObjectTable(FilterObject)
        self.bindings: dict[str, FilterBinding] = {}
        self._changing = asyncio.Lock()
        self._store = None
        if folder is not None and disk is not None:
            from virtcore.driver.toolkit.store import DefinitionStore

            self._store = DefinitionStore(folder, disk, self._describe)

    @staticmethod
    def _describe(text: str) -> IndexEntry:
        from virtcore.driver.toolkit.store import IndexEntry
        from virtcore.model.nwfilter.document import load_nwfilter

        document = load_nwfilter(text)
        assert document.uuid is not None
        return IndexEntry(document.uuid, document.name, {})

    # -- hooks

    async def bind(self, binding: FilterBinding) -> None:
        """Hook: filter a port's traffic."""

    async def unbind(self, binding: FilterBinding) -> None:
        """Hook: filter it no more."""

    async def rebind(self, binding: FilterBinding) -> None:
        """Hook: a filter that a binding uses has changed. Raising undoes the change."""

    # -- life

    async def open(self) -> None:
        """Learn the definitions on disk."""
        if self._store is None:
            return
        from virtcore.model.nwfilter.document import load_nwfilter

        for entry in await self._store.open():
            obj = self.table.claim(entry.name, entry.uuid)
            obj.document = load_nwfilter(self._store.read(entry.uuid))
            self.table.publish(obj)

    async def define(self, text: str, *, validate: bool = False) -> FilterObject:
        """Define a filter, or change the definition of one; returns when it is durable.

        :raises OperationFailed: name and UUID belong to different filters, or it would use itself.
        """
        from virtcore.model.nwfilter.document import format_nwfilter, load_nwfilter

        document = load_nwfilter(text, validate=validate)
        async with self._changing:
            assert document.uuid is not None
            with self.table.holding(document.name, document.uuid) as obj:
                before, obj.document = obj.document, document
                try:
                    self._check_loop(obj)
                    for binding in self._affected(obj):
                        await self.rebind(binding)
                    if self._store is not None:
                        await self._store.write(obj.uuid, obj.name, format_nwfilter(document))
                except BaseException:
                    obj.document = before
                    raise
                self.table.publish(obj)
                return obj

    def _check_loop(self, obj: FilterObject) -> None:
        seen: set[str] = set()
        left = obj.uses()
        while left:
            name = left.pop()
            if name == obj.name:
                raise OperationFailed("filter would introduce a loop")
            found = self.table.find(name)
            if found is not None and name not in seen:
                seen.add(name)
                left += found.uses()

    def _affected(self, obj: FilterObject) -> list[FilterBinding]:
        """The bindings that use a filter, themselves or through another."""
        users = {obj.name}
        grown = True
        while grown:
            more = {one.name for one in self.table if users.intersection(one.uses())} - users
            users |= more
            grown = bool(more)
        return [binding for binding in self.bindings.values() if binding.filterref.filter in users]

    async def undefine(self, obj: FilterObject) -> None:
        """Remove a filter; returns when that is durable.

        :raises OperationInvalid: it is used.
        """
        async with self._changing:
            if self._affected(obj):
                raise OperationInvalid("nwfilter is in use")
            if self._store is not None:
                await self._store.remove(obj.uuid)
            self.table.remove(obj)

    async def create_binding(self, binding: FilterBinding) -> None:
        """Filter a port's traffic.

        :raises OperationFailed: it is filtered already.
        """
        async with self._changing:
            if binding.portdev in self.bindings:
                raise OperationFailed(f"binding '{binding.portdev}' already exists")
            await self.bind(binding)
            self.bindings[binding.portdev] = binding

    async def delete_binding(self, binding: FilterBinding) -> None:
        """Filter a port's traffic no more."""
        async with self._changing:
            await self.unbind(binding)
            self.bindings.pop(binding.portdev, None)


class StatefulFilters(ServiceDriver, NWFilterService):
    """Every operation on filters and bindings, over :attr:`filters`."""

    #: What libvirt's driver has before its functions' names; occurs in messages.
    nwfilter_prefix: ClassVar[str] = "vir"
    filters: Filters

    def _check(self, flags: int, supported: int, operation: str) -> None:
        check_flags(flags, supported, operation, self.nwfilter_prefix)

    def nwfilter(self, ref: NWFilterRef) -> FilterObject:
        """The object behind a reference.

        :raises NoNWFilter: it is not (any more) known.
        """
        return self.filters.table.by_uuid(ref.uuid, ref.name)

    def binding(self, port_dev: str) -> FilterBinding:
        """The binding of a port's device.

        :raises NoNWFilterBinding: there is none.
        """
        found = self.filters.bindings.get(port_dev)
        if found is None:
            raise NoNWFilterBinding(f"no nwfilter binding for port dev '{port_dev}'")
        return found

    @inline
    def connection_list_nwfilters(self, flags: int = 0) -> list[NWFilterRef]:
        self._check(flags, 0, "connection_list_nwfilters")
        return [obj.ref for obj in self.filters.table]

    @inline
    def connection_lookup_nwfilter(self, name: str | None = None, uuid: str | None = None) -> NWFilterRef:
        if name is not None:
            return self.filters.table.by_name(name).ref
        assert uuid is not None
        return self.filters.table.by_uuid(canonical_uuid(uuid, "virNWFilterLookupByUUIDString")).ref

    async def connection_define_nwfilter(self, xml: str, flags: NWFilterDefineFlags | int = 0) -> NWFilterRef:
        self._check(flags, NWFilterDefineFlags.VALIDATE, "connection_define_nwfilter")
        return (await self.filters.define(xml, validate=bool(flags))).ref

    @inline
    def connection_list_nwfilter_bindings(self, flags: int = 0) -> list[NWFilterBindingRef]:
        self._check(flags, 0, "connection_list_nwfilter_bindings")
        return [_ref(binding) for binding in self.filters.bindings.values()]

    @inline
    def connection_lookup_nwfilter_binding(self, port_dev: str) -> NWFilterBindingRef:
        return _ref(self.binding(port_dev))

    async def connection_create_nwfilter_binding(
        self, xml: str, flags: NWFilterBindingCreateFlags | int = 0
    ) -> NWFilterBindingRef:
        from virtcore.model.nwfilter.document import load_nwfilter_binding

        self._check(flags, NWFilterBindingCreateFlags.VALIDATE, "connection_create_nwfilter_binding")
        binding = load_nwfilter_binding(xml, validate=bool(flags))
        await self.filters.create_binding(binding)
        return _ref(binding)

    @inline
    def nwfilter_xml(self, nwfilter: NWFilterRef, flags: int = 0) -> str:
        from virtcore.model.nwfilter.document import format_nwfilter

        self._check(flags, 0, "nwfilter_xml")
        return format_nwfilter(self.nwfilter(nwfilter).filter)

    async def nwfilter_undefine(self, nwfilter: NWFilterRef) -> None:
        await self.filters.undefine(self.nwfilter(nwfilter))

    @inline
    def nwfilter_binding_xml(self, binding: NWFilterBindingRef, flags: int = 0) -> str:
        from virtcore.model.nwfilter.document import format_nwfilter_binding

        self._check(flags, 0, "nwfilter_binding_xml")
        return format_nwfilter_binding(self.binding(binding.port_dev))

    async def nwfilter_binding_delete(self, binding: NWFilterBindingRef) -> None:
        await self.filters.delete_binding(self.binding(binding.port_dev))


def _ref(binding: FilterBinding) -> NWFilterBindingRef:
    return NWFilterBindingRef(binding.portdev, binding.filterref.filter or "")
