"""Network filters that this process keeps: every operation of the service ``nwfilter`` over tables of filters and of
bindings. What a binding does to a port's traffic is the driver's."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from virtcore.driver.service import ServiceDriver
from virtcore.driver.toolkit.checks import canonical_uuid, check_flags
from virtcore.driver.toolkit.objects import ManagedObject, ObjectTable
from virtcore.enums.nwfilter import NWFilterBindingCreateFlags, NWFilterDefineFlags
from virtcore.errors import InternalError, NoNWFilter, NoNWFilterBinding, OperationFailed, OperationInvalid, VirtError
from virtcore.operations.declare import inline
from virtcore.operations.nwfilter import NWFilterService
from virtcore.types import NWFilterBindingRef, NWFilterRef

if TYPE_CHECKING:
    from pathlib import Path

    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.driver.toolkit.store import IndexEntry
    from virtcore.model.nwfilter import Filter, FilterBinding

__all__ = ["FilterObject", "Filters", "StatefulFilters"]

log = logging.getLogger(__name__)


class FilterObject(ManagedObject):
    """One filter."""

    __slots__ = ("_document", "_read")

    noun = "nwfilter"
    taken_noun = "filter"
    uuid_taken = "filter with same UUID but different name ('{name}') already exists"
    missing = NoNWFilter

    def __init__(self, name: str, uuid: str) -> None:
        super().__init__(name, uuid)
        self._document: Filter | None = None
        self._read: Callable[[str], str] | None = None

    @property
    def ref(self) -> NWFilterRef:
        """Its reference."""
        return NWFilterRef(self.name, self.uuid)

    @property
    def filter(self) -> Filter:
        """Its definition, read when it is first asked for."""
        if self._document is None:
            from virtcore.model.nwfilter.document import load_nwfilter

            assert self._read is not None  # every published one has one of the two
            self._document = load_nwfilter(self._read(self.uuid))
        return self._document

    @filter.setter
    def filter(self, document: Filter) -> None:
        self._document = document

    def kept_by(self, read: Callable[[str], str]) -> None:
        """Its definition is on disk.

        :param read: gives the text, by the UUID.
        """
        self._read = read

    @property
    def defined(self) -> bool:
        """Whether it has a definition yet."""
        return self._document is not None or self._read is not None

    def undo(self, document: Filter | None) -> None:
        """Let it have the definition it had before; None: none."""
        self._document = document

    def uses(self) -> list[str]:
        """Names of the filters it refers to."""
        from virtcore.model.nwfilter import FilterReference

        return [entry.filter for entry in self.filter.entries if isinstance(entry, FilterReference) and entry.filter]


class Filters:
    """The filters and bindings of one place. Lives in the core loop.

    :param folder: where definitions are kept; None keeps them in memory only.
    :param disk: does the disk work; needed with a folder.
    :param status: where bindings are kept while their ports are there.
    :ivar changing: held while a filter or a binding changes.
    """

    def __init__(self, folder: Path | None = None, disk: DiskWorker | None = None, status: Path | None = None) -> None:
        self.table: ObjectTable[FilterObject] = ObjectTable(FilterObject)
        self.bindings: dict[str, FilterBinding] = {}
        self.changing = asyncio.Lock()
        self._store = self._status = None
        if disk is not None:
            from virtcore.driver.toolkit.store import DefinitionStore

            if folder is not None:
                self._store = DefinitionStore(folder, disk, self._describe)
            if status is not None:
                self._status = DefinitionStore(status, disk, self._describe_binding, lasting=False)

    @staticmethod
    def _describe(text: str) -> IndexEntry:
        from virtcore.driver.toolkit.store import IndexEntry
        from virtcore.model.nwfilter.document import load_nwfilter

        document = load_nwfilter(text)
        assert document.uuid is not None
        return IndexEntry(document.uuid, document.name, {})

    @staticmethod
    def _describe_binding(text: str) -> IndexEntry:
        from virtcore.driver.toolkit.store import IndexEntry
        from virtcore.model.nwfilter.document import load_nwfilter_binding

        name = load_nwfilter_binding(text).portdev
        return IndexEntry(_binding_uuid(name), name, {})

    # -- hooks

    async def bind(self, binding: FilterBinding) -> None:
        """Hook: filter a port's traffic. Raising leaves it unfiltered."""

    async def unbind(self, binding: FilterBinding) -> None:
        """Hook: filter it no more."""

    def has_port(self, binding: FilterBinding) -> bool:
        """Hook: whether a port is there; one that is not uses no filter."""
        return True

    async def rebind(self, bindings: Sequence[FilterBinding]) -> None:
        """Hook: a filter that these use has changed. Raising undoes the change, which calls it again."""

    # -- life

    async def open(self) -> None:
        """Learn the definitions and bindings on disk."""
        if self._store is not None:
            for entry in await self._store.open():
                obj = self.table.claim(entry.name, entry.uuid)
                obj.kept_by(self._store.read)
                self.table.publish(obj)
        if self._status is not None:
            from virtcore.model.nwfilter.document import load_nwfilter_binding

            for entry in await self._status.open():
                binding = load_nwfilter_binding(self._status.read(entry.uuid))
                self.bindings[binding.portdev] = binding

    def definition(self, name: str) -> Filter:
        """The definition of a filter that is used.

        :raises InternalError: there is none.
        """
        found = self.table.find(name)
        if found is None:
            raise InternalError(f"referenced filter '{name}' is missing")
        return found.filter

    async def define(self, text: str, *, validate: bool = False) -> FilterObject:
        """Define a filter, or change the definition of one; returns when it is durable.

        :raises OperationFailed: name and UUID belong to different filters, or it would use itself.
        """
        from virtcore.model.nwfilter.document import format_nwfilter, load_nwfilter

        document = load_nwfilter(text, validate=validate)
        async with self.changing:
            assert document.uuid is not None
            with self.table.holding(document.name, document.uuid) as obj:
                before = obj.filter if obj.defined else None
                formatted = format_nwfilter(document)
                changed: list[FilterBinding] = []
                obj.filter = document
                try:
                    self._check_loop(obj)
                    if before is not None and format_nwfilter(before) != formatted:
                        changed = self._affected(obj)
                        await self.rebind(changed)
                    if self._store is not None:
                        await self._store.write(obj.uuid, obj.name, formatted)
                except BaseException:
                    obj.undo(before)
                    await self._back(changed)
                    raise
                self.table.publish(obj)
                return obj

    async def _back(self, bindings: Sequence[FilterBinding]) -> None:
        """Let a filter that did not change after all be in effect again."""
        try:
            await self.rebind(bindings)
        except VirtError as error:
            log.error("the filters of %s are not as they were: %s", ", ".join(each.portdev for each in bindings), error)

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
        """The bindings of ports that are there which use a filter, themselves or through another."""
        if not self.bindings:
            return []
        users = {obj.name}
        grown = True
        while grown:
            more = {one.name for one in self.table if users.intersection(one.uses())} - users
            users |= more
            grown = bool(more)
        return [
            binding
            for binding in self.bindings.values()
            if binding.filterref.filter in users and self.has_port(binding)
        ]

    async def undefine(self, obj: FilterObject) -> None:
        """Remove a filter; returns when that is durable.

        :raises OperationInvalid: it is used.
        """
        async with self.changing:
            if self._affected(obj):
                raise OperationInvalid("nwfilter is in use")
            if self._store is not None:
                await self._store.remove(obj.uuid)
            self.table.remove(obj)

    async def create_binding(self, binding: FilterBinding) -> None:
        """Filter a port's traffic.

        :raises OperationFailed: it is filtered already.
        """
        async with self.changing:
            if binding.portdev in self.bindings:
                raise OperationFailed(f"binding '{binding.portdev}' already exists")
            await self.bind(binding)
            try:
                await self._save(binding)
            except BaseException:
                await self.unbind(binding)
                raise
            self.bindings[binding.portdev] = binding

    async def _save(self, binding: FilterBinding) -> None:
        if self._status is not None:
            from virtcore.model.nwfilter.document import format_nwfilter_binding

            name = binding.portdev
            await self._status.write(_binding_uuid(name), name, format_nwfilter_binding(binding))

    async def delete_binding(self, binding: FilterBinding) -> None:
        """Filter a port's traffic no more. One that has gone already is no failure."""
        async with self.changing:
            if self.bindings.get(binding.portdev) is not binding:
                return
            await self.unbind(binding)
            if self._status is not None:
                await self._status.remove(_binding_uuid(binding.portdev))
            del self.bindings[binding.portdev]


def _binding_uuid(name: str) -> str:
    """By what a binding is filed: it has no UUID of its own, and a port's name is not for a path."""
    return str(uuid.uuid5(_BINDINGS, name))


_BINDINGS = uuid.UUID("6c0d9b1e-9d0c-4f0e-8a52-0f6f2d3f4b71")


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
        return self.filters.table.by_uuid(ref.uuid)

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
