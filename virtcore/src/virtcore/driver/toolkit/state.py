"""What a stateful driver shares between its connections: its domains, and how they come, change and go.

A driver subclasses :class:`DriverState`, fills in the hooks (marked so below), and gets the rest: definitions on disk,
look-up, the rules by which domains are defined, created, started and removed, job locks, events.
"""

from __future__ import annotations

from functools import cached_property

from virtcore._typing import TYPE_CHECKING, Awaitable, Callable, ClassVar, Coroutine
from virtcore.driver.toolkit.domains import DomainObject, DomainTable
from virtcore.driver.toolkit.events import EventHub
from virtcore.enums.domain import (
    DomainCreateFlags,
    DomainDefineFlags,
    DomainPausedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainState,
    DomainUndefineFlags,
    DomainXMLFlags,
)
from virtcore.enums.domain_events import (
    DomainEventDefinedDetailType,
    DomainEventStartedDetailType,
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
    DomainEventUndefinedDetailType,
)
from virtcore.errors import ErrorDomain, NoSupport, OperationInvalid, SystemError, XMLDetail, XMLError

if TYPE_CHECKING:
    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.driver.toolkit.folders import StateFolders
    from virtcore.driver.toolkit.lock import StateLock
    from virtcore.driver.toolkit.store import DefinitionStore, Facts, IndexEntry, Marks
    from virtcore.model.domain import Domain
    from virtcore.model.domain.rules import DomainContext, DomainRules, ParseFlag
    from virtcore.types import DomainRef

__all__ = ["DriverState"]

#: Documents above this size are read in the disk worker's thread, so that the core loop does not stall: a KiB takes
#: most of a millisecond.
_LARGE = 10 << 10
#: The same for printing one, in devices; and for reading one that was printed.
_MANY, _SEVERAL = 300, 40
_SNAPSHOTS, _CHECKPOINTS = int(DomainUndefineFlags.SNAPSHOTS_METADATA), int(DomainUndefineFlags.CHECKPOINTS_METADATA)
_MANAGED_SAVE = int(DomainUndefineFlags.MANAGED_SAVE)
#: With these another configuration is shown than there is.
_ALTERED = DomainXMLFlags.UPDATE_CPU | DomainXMLFlags.MIGRATABLE


class DriverState:
    """Base of a driver's shared state. Lives in the core loop.

    :param folders: where it keeps what survives; None keeps everything in memory only.
    """

    #: Name of the driver as its domain definitions, folders and threads carry it.
    driver_name: ClassVar[str]
    #: New definitions may get defaults that change what the guest sees (``VIR_DOMAIN_DEF_PARSE_ABI_UPDATE``).
    abi_update: ClassVar[bool] = True
    #: There is more to load (:meth:`whole`); only what is asked first is here.
    partial: ClassVar[bool] = False

    def __init__(self, folders: StateFolders | None = None) -> None:
        self.folders = folders
        #: It has read and written a definition: what that takes is loaded and compiled. The first time the core loop
        #: would stall.
        self._practised = False
        self.domains = DomainTable()
        self.events = EventHub()
        self._locks: list[StateLock] = []
        self._definitions: DefinitionStore | None = None
        self._autostart: Marks | None = None
        #: Status of running domains, for a driver whose guests outlive the process.
        self.status: DefinitionStore | None = None
        if folders is not None:
            # Drivers that keep everything in memory need not load any of it. Hooks are those of the class it has when
            # they are called (see Driver.complete).
            from virtcore.driver.toolkit.store import DefinitionStore, Marks

            self._definitions = DefinitionStore(folders.config, self.disk, lambda text: self._describe(text))
            self._autostart = Marks(folders.autostart, self.disk)
            self.status = DefinitionStore(
                folders.status, self.disk, lambda text: self.describe_status(text), lasting=False
            )

    # -- hooks: a driver overrides these

    def make_rules(self) -> DomainRules:
        """Hook: what completes and validates domain documents; by default the rules of no driver in particular."""
        if self.partial:
            self.complete()
            return self.make_rules()
        from virtcore.model.domain.rules import DomainRules

        return DomainRules()

    @classmethod
    def whole(cls) -> type[DriverState]:
        """The class that has everything, loaded now; of a :attr:`partial` one another than this."""
        return cls

    def complete(self) -> None:
        """Become all that there is, with what is known already."""
        if self.partial:
            self.__class__ = self.whole()

    def context(self, flags: ParseFlag) -> DomainContext:
        """Hook: what the rules may look at."""
        return self.rules.context(flags)

    async def start_domain(self, obj: DomainObject, flags: DomainCreateFlags) -> None:
        """Hook: start the guest of ``obj.live`` and set its state (:meth:`set_state`).

        Called with the job held, with ``obj`` active and paused (starting up). Raising means it does not run: the hook
        has undone what it did.
        """
        raise NoSupport("virDomainCreateWithFlags")

    async def stop_domain(self, obj: DomainObject, graceful: bool) -> None:
        """Hook: end the guest now; returns when it has gone.

        Called with the job held, after every other job was ended. The domain becomes inactive when it returns.

        :param graceful: without killing: raise ``ResourceBusy`` or the like where it does not go.
        """
        raise NoSupport("virDomainDestroyFlags")

    async def reattach(self) -> None:
        """Hook: called by :meth:`open` after the definitions are known: find guests that still run (:attr:`status`)."""

    def describe_status(self, text: str) -> IndexEntry:
        """Hook: the index entry of a status file; needed only where somebody edited it."""
        raise XMLError("a status file without an index entry")

    async def before_undefine(self, obj: DomainObject, flags: DomainUndefineFlags) -> None:
        """Hook: refuse to undefine, or remove what belongs to the definition (snapshots, NVRAM, save images)."""
        wanted = int(flags)
        if not obj.active and obj.snapshots and not wanted & _SNAPSHOTS:
            raise OperationInvalid(f"cannot delete inactive domain with {obj.snapshots} snapshots")
        if not obj.active and obj.checkpoints and not wanted & _CHECKPOINTS:
            raise OperationInvalid(f"cannot delete inactive domain with {obj.checkpoints} checkpoints")
        if obj.managed_save and not wanted & _MANAGED_SAVE:
            raise OperationInvalid("Refusing to undefine while domain managed save image exists")

    def facts_of(self, domain: Domain) -> Facts:
        """Hook: what lists and statistics need of a configuration; extend the result of ``super()``."""
        return {
            "os_type": domain.os_type and str(domain.os_type.value),
            "max_memory": domain.memory_total,
            "memory": domain.memory_total if domain.current_memory is None else domain.current_memory,
            "vcpus": domain.vcpu_count,
            "max_vcpus": domain.vcpu_maximum,
        }

    def facts_of_definition(self, domain: Domain) -> Facts:
        """Hook: what they need of a definition, whose domain need not run; extend the result of ``super()``."""
        return self.facts_of(domain)

    def update_cpu(self, domain: Domain) -> None:
        """Hook: put the host's CPU into a copy of a definition (``VIR_DOMAIN_XML_UPDATE_CPU``)."""

    def make_migratable(self, domain: Domain, obj: DomainObject | None = None) -> None:
        """Hook: take out of a copy of a configuration what older peers add by themselves
        (``VIR_DOMAIN_XML_MIGRATABLE``).

        :param obj: whose running guest has it; None for a definition.
        """
        from virtcore.model.domain.input import is_default_keyboard

        if domain.devices is not None:
            domain.devices.inputs = [each for each in domain.devices.inputs if not is_default_keyboard(each)]

    def migratable_xml(self, domain: Domain, obj: DomainObject | None = None) -> str:
        """A configuration as peers of any age read it: a definition, secrets included.

        :param obj: whose running guest has it; None for a definition.
        """
        from virtcore.model.domain.document import format_domain
        from virtcore.xml import Mode

        return format_domain(self.migratable(_copy(domain), obj), Mode.SECURE | Mode.MIGRATABLE)

    def migratable(self, domain: Domain, obj: DomainObject | None) -> Domain:
        """Hook: of a configuration what peers of any age read; it is used up.

        :param obj: whose running guest has it; None for a definition.
        """
        self.make_migratable(domain, obj)
        return domain

    # -- life of the state

    @cached_property
    def disk(self) -> DiskWorker:
        """Does blocking file work, in order."""
        from virtcore.driver.toolkit.disk import DiskWorker

        return DiskWorker(f"virtcore-{self.driver_name}-disk")

    async def open(self) -> None:
        """Take the folders' lock, learn the definitions, find running guests. A failure leaves nothing behind.

        :raises ResourceBusy: another process has the folders.
        """
        try:
            self._take_folders()
            if self._definitions is not None and self._autostart is not None:
                for entry in await self._definitions.open():
                    obj = self.domains.claim(entry.name, entry.uuid)
                    obj.facts = entry.facts
                    obj.persistent = True
                    self.domains.publish(obj)
                for uuid in await self._autostart.open({obj.uuid for obj in self.domains}):
                    self.domains.by_uuid(uuid).autostart = True
            await self.reattach()
        except BaseException:
            await self.close()
            raise

    def _take_folders(self) -> None:
        if self.folders is None or self._locks:
            return
        from virtcore.driver.toolkit.folders import make_folder
        from virtcore.driver.toolkit.lock import StateLock

        try:
            self.folders.make()
            make_folder(self.folders.status)
            # Both: what runs is told by one, what is defined by the other, and they may be chosen apart.
            for folder in (self.folders.config, self.folders.run):
                self._locks.append(StateLock.acquire(folder))
        except OSError as error:
            raise SystemError(f"cannot use state folder '{error.filename}': {error.strerror}") from error

    async def close(self) -> None:
        """Give everything back. Guests go on."""
        if "disk" in vars(self):
            await self.disk.close()
        while self._locks:
            self._locks.pop().release()

    # -- documents

    @cached_property
    def rules(self) -> DomainRules:
        """What completes and validates domain documents (:meth:`make_rules`, once)."""
        return self.make_rules()

    def load(self, xml: str, flags: ParseFlag) -> Domain:
        """Read, complete and validate a document with the driver's rules.

        :raises VirtError: it is refused.
        """
        from virtcore.model.domain.document import load_domain

        return load_domain(xml, self.rules, self.context(flags))

    async def load_new(self, xml: str, validate: bool) -> Domain:
        """Read a document that somebody wants to define or create."""
        from contextvars import copy_context

        from virtcore.model.domain.rules.context import ParseFlag

        flags = ParseFlag.INACTIVE
        if self.abi_update:
            flags |= ParseFlag.ABI_UPDATE
        if validate:
            flags |= ParseFlag.VALIDATE_SCHEMA
        if isinstance(xml, str | bytes) and (len(xml) > _LARGE or not self._practised):  # the reader tells off others
            context = copy_context()  # hooks may keep there what a document lacked
            return await self.disk.run(lambda: context.run(self.load, xml, flags))
        return self.load(xml, flags)

    def text(self, obj: DomainObject) -> str:
        """The stored definition of a persistent domain, secrets included."""
        if obj.text is None:
            assert self._definitions is not None  # without a store the text is always there
            obj.text = self._definitions.read(obj.uuid)
        return obj.text

    def definition(self, obj: DomainObject) -> Domain:
        """The definition of a persistent domain as objects: a copy of the caller's own."""
        return self._load_stored(self.text(obj))

    def _load_stored(self, text: str) -> Domain:
        from virtcore.model.domain.rules.context import ParseFlag

        return self.load(text, ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE)

    def facts(self, obj: DomainObject, live: bool | None = None) -> Facts:
        """What lists and statistics need to know of a domain.

        :param live: of the running configuration or of the definition; None for the one that counts.
        """
        if not (obj.active if live is None else live):
            return obj.facts
        if obj.live_facts is None:
            assert obj.live is not None
            obj.live_facts = self.facts_of(obj.live)
        return obj.live_facts

    def config(self, obj: DomainObject, flags: int = 0) -> Domain:
        """The configuration that ``DomainModificationImpact`` flags select: the live one itself, or a copy of the
        definition.

        :raises OperationInvalid: the live one of an inactive domain, the definition of a transient one.
        """
        if self.affects_live(obj, flags):
            assert obj.live is not None
            return obj.live
        return self.definition(obj)

    def affects_live(self, obj: DomainObject, flags: int) -> bool:
        """Whether ``DomainModificationImpact`` flags reach the running guest.

        :raises OperationInvalid: they cannot be met.
        """
        live, config = flags & 1, flags & 2
        if not live and not config:
            live, config = (1, 0) if obj.active else (0, 2)
        if live and not obj.active:
            raise OperationInvalid("domain is not running", domain=ErrorDomain.DOMAIN)
        if config and not obj.persistent:
            raise OperationInvalid("transient domains do not have any persistent config", domain=ErrorDomain.DOMAIN)
        return bool(live)

    def xml(self, obj: DomainObject, flags: int = 0) -> str:
        """The domain's XML by ``DomainXMLFlags``; kept until something changes."""
        text = obj.texts.get(flags)
        if text is None:
            text = obj.texts[flags] = self._format(obj, DomainXMLFlags(flags))
        return text

    def xml_or_later(self, obj: DomainObject, flags: int = 0) -> str | Coroutine[None, None, str]:
        """:meth:`xml`; where it would keep the core loop for long, a coroutine that has it made in a thread."""
        wanted = DomainXMLFlags(flags)
        if flags in obj.texts or not (wanted & _ALTERED or self._hidden(obj, wanted)):
            return self.xml(obj, flags)
        make: Callable[[], str]
        if self._shows_live(obj, wanted):
            if not wanted & _ALTERED or _devices(obj.live) <= _SEVERAL:
                return self.xml(obj, flags)
            import pickle

            copied = pickle.dumps(obj.live)  # the guest goes on while its copy is worked at
            make = lambda: self._shown(pickle.loads(copied), obj, wanted)  # noqa: E731
        else:
            text = self.text(obj)
            if len(text) <= _LARGE:
                return self.xml(obj, flags)
            make = lambda: self._shown(self._load_stored(text), None, wanted)  # noqa: E731
        return self._made(obj, flags, make)

    async def _made(self, obj: DomainObject, flags: int, make: Callable[[], str]) -> str:
        import asyncio

        texts = obj.texts  # others when something changes meanwhile
        texts[flags] = text = await asyncio.to_thread(make)
        return text

    def _format(self, obj: DomainObject, flags: DomainXMLFlags) -> str:
        if self._shows_live(obj, flags):
            assert obj.live is not None
            return self._shown(_copy(obj.live) if flags & _ALTERED else obj.live, obj, flags)
        # The stored text is what is asked for, unless that leaves out secrets or what an older peer does not know.
        if not flags & _ALTERED and not self._hidden(obj, flags):
            return self.text(obj)
        return self._shown(self.definition(obj), None, flags)

    def _shows_live(self, obj: DomainObject, flags: DomainXMLFlags) -> bool:
        return obj.active and not (flags & DomainXMLFlags.INACTIVE and (obj.persistent or obj.text is not None))

    def _hidden(self, obj: DomainObject, flags: DomainXMLFlags) -> bool:
        """Whether a definition has secrets that are not to be shown."""
        return not flags & DomainXMLFlags.SECURE and not obj.facts.get("plain")

    def _shown(self, domain: Domain, obj: DomainObject | None, flags: DomainXMLFlags) -> str:
        """The text of a configuration, which is used up where the flags alter it.

        :param obj: whose running guest has it; None for a definition.
        """
        if flags & DomainXMLFlags.UPDATE_CPU:
            self.update_cpu(domain)
        if flags & DomainXMLFlags.MIGRATABLE:
            domain = self.migratable(domain, obj)
        from virtcore.model.domain.document import format_domain
        from virtcore.xml import Mode

        # These bits are the same in both.
        shown = flags & (DomainXMLFlags.SECURE | DomainXMLFlags.INACTIVE | DomainXMLFlags.MIGRATABLE)
        return format_domain(domain, Mode(int(shown)))

    # -- definitions

    async def define(self, xml: str, flags: int = 0) -> DomainRef:
        """Define a domain, or replace the definition of one; returns when it is on disk.

        :raises VirtError: the document is refused, its name or UUID belongs to another domain, or it cannot be written;
            nothing has changed.
        """
        domain = await self.load_new(xml, bool(flags & DomainDefineFlags.VALIDATE))
        check_name(domain.name)
        assert domain.uuid is not None  # completion makes one
        details = DomainEventDefinedDetailType
        with self.domains.holding(domain.name, domain.uuid) as obj:
            async with obj.config_lock:
                # As in libvirt, it is not about the domain but about its definition, and one that went counts.
                added = not obj.persistent and obj.text is None
                await self.save_definition(obj, domain)
                self.domains.publish(obj)
                self.emit(obj, DomainEventType.DEFINED, details.ADDED if added else details.UPDATED)
                _let_go(domain)
                return obj.ref

    async def save_definition(self, obj: DomainObject, domain: Domain) -> None:
        """Make a domain's new definition durable, then take it over. Hold ``obj.config_lock``."""
        if _devices(domain) > _MANY or not self._practised:
            text, facts = await self.disk.run(lambda: self._written(domain))
            self._practised = True
        else:
            text, facts = self._written(domain)
        if self._definitions is not None:
            await self._definitions.write(obj.uuid, obj.name, text, facts)
        self._take(obj, text, facts)

    def take_definition(self, obj: DomainObject, domain: Domain) -> None:
        """Take over a definition that is kept in memory only (a driver without folders)."""
        self._take(obj, *self._written(domain))

    def _written(self, domain: Domain) -> tuple[str, Facts]:
        from virtcore.model.domain.document import domain_mode, format_domain
        from virtcore.xml import Mode, format_whole

        text, secret = format_whole(domain, domain_mode(domain))
        plain = not secret or format_domain(domain, Mode.NONE) == text
        return text, {**self.facts_of_definition(domain), "plain": plain}

    def _take(self, obj: DomainObject, text: str, facts: Facts) -> None:
        obj.text = text
        obj.facts = facts
        obj.persistent = True
        obj.updated = obj.active
        obj.touch()

    async def undefine(self, obj: DomainObject, flags: int = 0) -> None:
        """Remove a definition; returns when that is durable. A running domain becomes transient.

        :raises OperationInvalid: it has none, or something that belongs to it would be lost.
        """
        async with obj.job.modify("domain_undefine", endable=False), obj.config_lock:
            if not obj.persistent:
                raise OperationInvalid("cannot undefine transient domain")
            await self.before_undefine(obj, DomainUndefineFlags(flags))
            text = self.text(obj) if obj.active else None  # what the running one is shown as when it does not run
            await self.drop_definition(obj)
            obj.text = text
            if not obj.active:
                self.domains.remove(obj)
            self.emit(obj, DomainEventType.UNDEFINED, DomainEventUndefinedDetailType.REMOVED)

    async def drop_definition(self, obj: DomainObject) -> None:
        """Remove what is stored of a definition; returns when that is durable. Hold ``obj.config_lock``."""
        if self._definitions is not None and self._autostart is not None:
            await self._definitions.remove(obj.uuid)
            if obj.autostart:
                await self._autostart.mark(obj.uuid, False)
        obj.persistent = obj.autostart = obj.updated = False
        obj.text = None
        obj.touch()

    async def set_autostart(self, obj: DomainObject, autostart: bool) -> None:
        """Set whether a domain starts with the host; returns when that is durable."""
        async with obj.config_lock:
            if not obj.persistent:
                raise OperationInvalid("cannot set autostart for transient domain")
            if obj.autostart != autostart:
                if self._autostart is not None:
                    await self._autostart.mark(obj.uuid, autostart)
                obj.autostart = autostart

    # -- running

    async def create(self, obj: DomainObject, flags: int = 0, owner: object = None) -> DomainRef:
        """Start a defined domain.

        :param owner: the connection whose end is the guest's (``VIR_DOMAIN_START_AUTODESTROY``).
        """
        async with obj.job.modify("domain_create"):
            if obj.active:
                raise OperationInvalid("domain is already running")
            obj.owner = owner
            await self._start(obj, self.definition(obj), DomainCreateFlags(flags))
            return obj.ref

    async def create_from(self, xml: str, flags: int = 0, owner: object = None) -> DomainRef:
        """Start a domain from a document; without a definition it is transient. ``owner`` as :meth:`create`."""
        wanted = DomainCreateFlags(flags)
        domain = await self.load_new(xml, bool(wanted & DomainCreateFlags.START_VALIDATE))
        check_name(domain.name)
        assert domain.uuid is not None
        with self.domains.holding(domain.name, domain.uuid, running=True) as obj:
            async with obj.job.modify("connection_create_domain"):
                if obj.active:
                    raise OperationInvalid(f"domain '{obj.name}' is already active")
                obj.owner = owner
                await self._start(obj, domain, wanted)
                return obj.ref

    async def _start(self, obj: DomainObject, domain: Domain, flags: DomainCreateFlags) -> None:
        await self.bring_up(obj, domain, lambda: self.start_domain(obj, flags), DomainEventStartedDetailType.BOOTED)

    async def bring_up(
        self,
        obj: DomainObject,
        domain: Domain,
        start: Callable[[], Awaitable[None]],
        detail: DomainEventStartedDetailType,
        suspended: DomainEventSuspendedDetailType | None = DomainEventSuspendedDetailType.PAUSED,
    ) -> None:
        """A domain begins to run ``domain``; subscribers are told. For the holder of its job.

        :param start: does it, as :meth:`start_domain` does.
        :param suspended: why it stands still, if it does; None: that is not told.
        """
        self.activate(obj, domain)
        self.domains.publish(obj)
        try:
            await start()
        except BaseException:
            self.deactivate(obj, DomainShutoffReason.FAILED)
            raise
        self.emit(obj, DomainEventType.STARTED, detail)
        if obj.state == DomainState.PAUSED and suspended is not None:
            self.emit(obj, DomainEventType.SUSPENDED, suspended)

    async def destroy(self, obj: DomainObject, flags: int = 0) -> None:
        """End a running domain at once, and whatever job holds it.

        :raises OperationInvalid: it does not run.
        """
        obj.require_active()
        async with obj.job.destroy("domain_destroy") as job:
            if obj.active:
                await self.stop_domain(obj, bool(flags & 1))
                await self.stopped(obj, DomainShutoffReason.DESTROYED, DomainEventStoppedDetailType.DESTROYED)
            elif not job.ended_others:  # a start that we ended has taken it down; otherwise somebody else has
                obj.require_known()
                obj.require_active()

    async def stopped(
        self, obj: DomainObject, reason: DomainShutoffReason, detail: DomainEventStoppedDetailType
    ) -> None:
        """A running domain has ended: it becomes inactive, a transient one is gone; subscribers are told."""
        if not obj.active:
            return
        self.deactivate(obj, reason)
        self.emit(obj, DomainEventType.STOPPED, detail)
        await self.remove_status(obj)

    # -- steps that hooks use

    def activate(
        self,
        obj: DomainObject,
        domain: Domain | Callable[[], Domain],
        id: int | None = None,
        facts: Facts | None = None,
    ) -> None:
        """A domain begins to run ``domain``: it gets an id and is paused, starting up.

        :param domain: its configuration, or what makes it when it is needed (a guest that was found running).
        :param id: the id of a guest that was found running; None for a new one.
        :param facts: what :meth:`facts_of` says of the configuration, where that is known already.
        """
        self.domains.set_id(obj, id)
        if not callable(domain):
            domain.id = obj.id
        obj.live = domain
        obj.live_facts = facts
        self.set_state(obj, DomainState.PAUSED, DomainPausedReason.STARTING_UP)

    def deactivate(self, obj: DomainObject, reason: DomainShutoffReason) -> None:
        """A domain does not run any more; a transient one is gone."""
        self.domains.set_id(obj, -1)
        obj.live = obj.owner = None
        obj.updated = False
        self.set_state(obj, DomainState.SHUTOFF, reason)
        if not obj.persistent:
            self.domains.remove(obj)

    def set_state(self, obj: DomainObject, state: DomainState, reason: int) -> None:
        """Record what a domain does and why. Emits nothing."""
        obj.state = state
        obj.reason = reason
        if not obj.active:
            obj.kept.clear()

    def running(self, obj: DomainObject, reason: DomainRunningReason = DomainRunningReason.BOOTED) -> None:
        """Record that its virtual CPUs run."""
        self.set_state(obj, DomainState.RUNNING, reason)

    def emit(self, obj: DomainObject, type: DomainEventType, detail: int) -> None:
        """Tell subscribers of a lifecycle event."""
        from virtcore.operations.events import DomainLifecycleEvent

        self.events.emit(DomainLifecycleEvent(obj.ref, type, detail))

    async def save_status(self, obj: DomainObject, text: str, facts: Facts | None = None) -> None:
        """Write a running domain's status file; returns when it is there, whatever becomes of us."""
        if self.status is not None:
            await self.status.write(obj.uuid, obj.name, text, facts)

    async def remove_status(self, obj: DomainObject) -> None:
        """Remove a domain's status file."""
        if self.status is not None:
            await self.status.remove(obj.uuid)

    def _describe(self, text: str) -> IndexEntry:
        """The index entry of a definition that somebody edited."""
        from virtcore.driver.toolkit.store import IndexEntry
        from virtcore.model.domain.rules.context import ParseFlag

        domain = self.load(text, ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE)
        check_name(domain.name)
        return IndexEntry(domain.uuid or "", domain.name, self.facts_of_definition(domain))


def _devices(domain: Domain | None) -> int:
    """How many there are, about."""
    if domain is None or domain.devices is None:
        return 0
    return sum(len(held) for held in vars(domain.devices).values() if isinstance(held, list))


def _copy(domain: Domain) -> Domain:
    import pickle  # a quarter of deepcopy's time

    copied: Domain = pickle.loads(pickle.dumps(domain))
    return copied


def _let_go(domain: Domain) -> None:
    """Keep a configuration until the answer is on its way: to free hundreds of objects takes time."""
    import asyncio

    asyncio.get_running_loop().call_soon(id, domain)


def check_name(name: str) -> None:
    """Refuse a name that libvirt refuses.

    :raises XMLDetail: it holds a newline.
    """
    if "\n" in name:
        raise XMLDetail("invalid char in name: \n")
