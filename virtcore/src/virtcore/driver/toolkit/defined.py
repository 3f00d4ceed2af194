"""Objects that are defined and started: networks, storage pools, and whatever else has a definition that may be active.

Domains have rules of their own (:mod:`virtcore.driver.toolkit.state`); what is here is what libvirt does alike with all
others: a definition that is replaced while the object is active counts from its next start on, undefining an active
object leaves it transient, and a transient one is gone when it stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar

from virtcore.driver.toolkit.objects import ManagedObject, ObjectTable
from virtcore.errors import OperationFailed, OperationInvalid, VirtError

if TYPE_CHECKING:
    from pathlib import Path

    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.driver.toolkit.store import DefinitionStore, IndexEntry, Marks

__all__ = ["DefinedObject", "DefinedObjects", "Transition"]

D = TypeVar("D")


class Transition(Enum):
    """What subscribers are told of."""

    DEFINED = "defined"
    UNDEFINED = "undefined"
    STARTED = "started"
    STOPPED = "stopped"


class DefinedObject(ManagedObject, Generic[D]):
    """One object with a document.

    :ivar live: its document while it is active; None otherwise.
    :ivar lock: held while it is started, stopped, or changed in several steps.
    """

    __slots__ = ("_definition", "live", "lock")

    def __init__(self, name: str, uuid: str) -> None:
        super().__init__(name, uuid)
        self._definition: D | Callable[[], D] | None = None
        self.live: D | None = None
        self.lock = asyncio.Lock()

    @property
    def active(self) -> bool:
        return self.live is not None

    @property
    def definition(self) -> D | None:
        """Its definition: None for a transient one. It is read when somebody looks for the first time."""
        if callable(self._definition):
            self._definition = self._definition()
        return self._definition

    @definition.setter
    def definition(self, definition: D | Callable[[], D] | None) -> None:
        self._definition = definition
        self.persistent = definition is not None

    @property
    def current(self) -> D:
        """The document that counts now: the live one, else the definition."""
        found = self.definition if self.live is None else self.live
        assert found is not None  # an object without either has left its table
        return found

    @property
    def updated(self) -> bool:
        """It is active, and its definition was replaced since."""
        return self.live is not None and self.definition is not None and self.definition != self.live

    def require_active(self) -> None:
        """Check that it is active.

        :raises OperationInvalid: it is not.
        """
        if not self.active:
            raise OperationInvalid(f"{self.noun} '{self.name}' is not active")

    def require_inactive(self) -> None:
        """Check that it is not active.

        :raises OperationInvalid: it is.
        """
        if self.active:
            raise OperationInvalid(f"{self.noun} '{self.name}' is active")


T = TypeVar("T", bound=DefinedObject)  # type: ignore[type-arg]  # D is bound to it by the subclass


class DefinedObjects(Generic[T, D]):
    """The objects of one kind: the table, the definitions on disk, and how they come, change and go.

    A driver subclasses it, gives :attr:`kind` and fills in the hooks. Lives in the core loop.

    :param folder: where definitions are kept; None keeps them in memory only.
    :param disk: does the disk work; needed with a folder.
    :param status: folder for what is active, for the process after this one; it does not survive a reboot.
    """

    #: Class of the objects.
    kind: type[T]

    def __init__(self, folder: Path | None = None, disk: DiskWorker | None = None, status: Path | None = None) -> None:
        self.table: ObjectTable[T] = ObjectTable(self.kind)
        #: Documents that were admitted and whose objects are not to be found yet, by their ``id()``.
        self.arriving: dict[int, D] = {}
        self._store: DefinitionStore | None = None
        self._marks: Marks | None = None
        self._status: DefinitionStore | None = None
        if folder is not None and disk is not None:
            from virtcore.driver.toolkit.store import DefinitionStore, Marks

            self._store = DefinitionStore(folder, disk, self._describe)
            self._marks = Marks(folder / "autostart", disk)
            if status is not None:
                self._status = DefinitionStore(status, disk, self._describe_status, lasting=False)

    # -- hooks

    def load(self, text: str, *, validate: bool = False) -> D:
        """Hook: read, complete and validate a document.

        :raises VirtError: it is refused.
        """
        raise NotImplementedError

    def format(self, document: D) -> str:
        """Hook: the text that is stored: whole, secrets included."""
        raise NotImplementedError

    def identity(self, document: D) -> tuple[str, str]:
        """Hook: name and UUID in a complete document."""
        raise NotImplementedError

    def admit(self, document: D) -> None:
        """Hook: refuse a document that has no place beside the objects there are and :attr:`arriving`; before its
        identity is looked at."""

    def check(self, obj: T, document: D) -> None:
        """Hook: refuse a document for an object, before anything has changed."""

    async def start(self, obj: T) -> None:
        """Hook: make ``obj.live`` work. Raising means that it does not: the hook has undone what it did."""

    async def stop(self, obj: T) -> None:
        """Hook: end what :meth:`start` began."""

    async def recover(self, obj: T) -> bool:
        """Hook: whether what a process before this one started, as ``obj.live`` says, still works."""
        return False

    def load_status(self, obj: T, text: str) -> None:
        """Hook: take over what :meth:`format_status` made of an active object: ``obj.live``, and what goes with it."""
        obj.live = self.load(text)

    def format_status(self, obj: T) -> str:
        """Hook: what is kept of an active object for the process after this one: whole, secrets included."""
        assert obj.live is not None
        return self.format(obj.live)

    def tell(self, obj: T, transition: Transition) -> None:
        """Hook: emit the event."""

    # -- life

    async def open(self) -> None:
        """Learn the definitions on disk, without parsing them, and what of them is active."""
        if self._store is None or self._marks is None:
            return
        for entry in await self._store.open():
            obj = self.table.claim(entry.name, entry.uuid)
            obj.definition = self._reader(entry.uuid)
            self.table.publish(obj)
        for uuid in await self._marks.open({obj.uuid for obj in self.table}):
            self.table.by_uuid(uuid).autostart = True
        if self._status is None:
            return
        for entry in await self._status.open():
            try:
                await self._recover(entry, self._status)
            except OperationFailed as error:  # somebody changed the folders meanwhile
                logging.getLogger("virtcore").warning("%s '%s' is not known: %s", self.kind.noun, entry.name, error)

    async def _recover(self, entry: IndexEntry, status: DefinitionStore) -> None:
        """Find one that was active when the process before this one ended.

        :raises OperationFailed: its name or UUID is another one's.
        """
        with self.table.holding(entry.name, entry.uuid) as obj:
            try:
                self.load_status(obj, status.read(entry.uuid))
                active = await self.recover(obj)
            except VirtError as error:
                logging.getLogger("virtcore").warning("%s '%s' is not active any more: %s", obj.noun, obj.name, error)
                active = False
            if active:
                self.table.publish(obj)
            else:
                obj.live = None
                await status.remove(entry.uuid)

    async def start_marked(self) -> None:
        """Start with the host: what is to be and is not active. What cannot be started is logged."""
        for obj in [obj for obj in self.table if obj.autostart and not obj.active]:
            try:
                await self.create(obj)
            except VirtError as error:
                logging.getLogger("virtcore").warning("%s '%s' cannot be started: %s", obj.noun, obj.name, error)

    def _reader(self, uuid: str) -> Callable[[], D]:
        store = self._store
        assert store is not None
        return lambda: self.load(store.read(uuid))

    def _describe(self, text: str) -> IndexEntry:
        from virtcore.driver.toolkit.store import IndexEntry

        name, uuid = self.identity(self.load(text))
        return IndexEntry(uuid, name, {})

    def _describe_status(self, text: str) -> IndexEntry:
        from virtcore.driver.toolkit.store import IndexEntry

        unknown = self.kind("", "")
        self.load_status(unknown, text)
        name, uuid = self.identity(unknown.current)
        return IndexEntry(uuid, name, {})

    # -- definitions

    async def define(self, text: str, *, validate: bool = False) -> T:
        """Define an object, or replace the definition of one; returns when it is on disk.

        :raises VirtError: the document is refused, its name or UUID belongs to another object, or it cannot be written;
            nothing has changed.
        """
        document = self.load(text, validate=validate)
        name, uuid = self.identity(document)
        with self._admitted(document), self.table.holding(name, uuid) as obj:
            async with obj.config_lock:
                self.check(obj, document)
                await self.save(obj, document)
                self.table.publish(obj)
                self.tell(obj, Transition.DEFINED)
                return obj

    @contextmanager
    def _admitted(self, document: D) -> Iterator[None]:
        self.admit(document)
        self.arriving[id(document)] = document
        try:
            yield
        finally:
            del self.arriving[id(document)]

    async def save(self, obj: T, document: D) -> None:
        """Make a new definition durable, then take it over. Hold ``obj.config_lock``."""
        if self._store is not None:
            await self._store.write(obj.uuid, obj.name, self.format(document))
        obj.definition = document

    async def undefine(self, obj: T) -> None:
        """Remove a definition; returns when that is durable. An active object becomes transient."""
        async with obj.config_lock:
            obj.require_known()
            if self._store is not None and self._marks is not None:
                await self._store.remove(obj.uuid)
                if obj.autostart:
                    await self._marks.mark(obj.uuid, False)
            obj.definition = None
            obj.autostart = False
            if not obj.active:
                self.table.remove(obj)
            self.tell(obj, Transition.UNDEFINED)

    async def set_autostart(self, obj: T, autostart: bool) -> None:
        """Set whether it starts with the host; returns when that is durable.

        :raises OperationInvalid: it is transient.
        """
        async with obj.config_lock:
            obj.require_known()
            if not obj.persistent:
                raise OperationInvalid(f"cannot set autostart for transient {obj.taken_noun}")
            if obj.autostart != autostart:
                if self._marks is not None:
                    await self._marks.mark(obj.uuid, autostart)
                obj.autostart = autostart

    def adopt(self, document: D, *, active: bool, persistent: bool = True) -> T:
        """Take over an object that is there already, in memory only and telling nobody: what a host begins with."""
        from copy import deepcopy

        obj = self.table.claim(*self.identity(document))
        if active:
            obj.live = deepcopy(document) if persistent else document
        if persistent:
            obj.definition = document
        self.table.publish(obj)
        return obj

    # -- activity

    async def create(self, obj: T, prepare: Callable[[T], Awaitable[None]] | None = None) -> None:
        """Start a defined object.

        :param prepare: done before :meth:`start`, with the document that starts.
        :raises OperationInvalid: it is active.
        """
        async with obj.lock:
            obj.require_known()
            obj.require_inactive()
            await self._start(obj, obj.current, prepare)

    async def create_from(
        self, text: str, *, validate: bool = False, prepare: Callable[[T], Awaitable[None]] | None = None
    ) -> T:
        """Start an object from a document; without a definition it is transient.

        :param prepare: done before :meth:`start`, with the document that starts.
        :raises VirtError: the document is refused, or it is active already.
        """
        document = self.load(text, validate=validate)
        name, uuid = self.identity(document)
        with self._admitted(document), self.table.holding(name, uuid, running=True) as obj:
            async with obj.lock:
                obj.check_startable()
                self.check(obj, document)
                await self._start(obj, document, prepare)
                self.table.publish(obj)
                return obj

    async def _start(self, obj: T, document: D, prepare: Callable[[T], Awaitable[None]] | None) -> None:
        from copy import deepcopy

        obj.live = deepcopy(document)  # changes of what runs are none of the definition
        try:
            if prepare is not None:
                await prepare(obj)
            await self.save_status(obj)  # whoever comes after a crash finds what was begun
            await self.start(obj)
            await self.save_status(obj)
        except BaseException:
            obj.live = None
            await self._forget_status(obj)
            raise
        self.tell(obj, Transition.STARTED)

    async def save_status(self, obj: T) -> None:
        """Make durable what an active object is; to be called when ``obj.live`` has changed."""
        if self._status is not None and obj.live is not None:
            await self._status.write(obj.uuid, obj.name, self.format_status(obj))

    async def _forget_status(self, obj: T) -> None:
        if self._status is not None:
            await self._status.remove(obj.uuid)

    async def destroy(self, obj: T) -> None:
        """Stop an active object; a transient one is gone.

        :raises OperationInvalid: it is not active.
        """
        async with obj.lock:
            obj.require_known()
            obj.require_active()
            await self.stop(obj)
            await self._stopped(obj)

    async def _stopped(self, obj: T) -> None:
        """It works no more."""
        obj.live = None
        await self._forget_status(obj)
        if not obj.persistent:
            self.table.remove(obj)
        self.tell(obj, Transition.STOPPED)
