"""The domains a stateful driver knows: the objects, and the table that finds them."""

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Callable, Sequence
from virtcore.driver.toolkit.checks import select
from virtcore.driver.toolkit.objects import ManagedObject, ObjectTable
from virtcore.enums.domain import ConnectListAllDomainsFlags as ListFlags, DomainShutoffReason, DomainState
from virtcore.errors import ErrorDomain, NoDomain, OperationInvalid
from virtcore.types import DomainRef, Kept, TypedParameters

if TYPE_CHECKING:
    from virtcore.driver.toolkit.jobs import JobLock
    from virtcore.driver.toolkit.store import Facts
    from virtcore.model.domain import Domain

__all__ = ["LIST_FILTERS", "DomainObject", "DomainTable"]


class DomainObject(ManagedObject):
    """One domain: its identity, its state, its definition and, while it runs, its live configuration.

    Drivers change it only in the core loop; what spans several steps only under :attr:`job`.

    :ivar state: what it does.
    :ivar reason: why; a member of the enumeration that belongs to the state.
    :ivar updated: its definition differs from the running configuration.
    :ivar managed_save: a managed save image exists.
    :ivar snapshots: number of snapshots.
    :ivar checkpoints: number of checkpoints.
    :ivar facts: what is known of the definition without parsing it (see ``DriverState.facts_of``).
    :ivar text: the definition as it is stored, secrets included; None until it is read. Of a running domain
        whose definition went what that was last.
    :ivar live_facts: the same of the running configuration; None until somebody asks (``DriverState.facts``).
    :ivar max_queued: jobs that may be held and waited for; 0 for no limit.
    :ivar owner: the connection that it ends with while it runs (``VIR_DOMAIN_START_AUTODESTROY``); None for most.
    :ivar private: whatever the driver keeps with it.
    """

    __slots__ = (
        "_id", "_job", "_live", "_ref", "checkpoints", "facts", "kept", "live_facts", "managed_save", "max_queued",
        "measured", "owner", "private", "reason", "snapshots", "state", "text", "texts", "updated",
    )  # fmt: skip

    noun = taken_noun = "domain"
    missing = NoDomain

    def __init__(self, name: str, uuid: str, facts: Facts | None = None) -> None:
        super().__init__(name, uuid)
        self._id = -1
        self._ref: DomainRef | None = None
        self.state: DomainState = DomainState.SHUTOFF
        self.reason: int = DomainShutoffReason.UNKNOWN
        self.updated = False
        self.managed_save = False
        self.snapshots = 0
        self.checkpoints = 0
        self.facts: Facts = facts or {}
        self.text: str | None = None
        self._live: Domain | Callable[[], Domain] | None = None
        self.live_facts: Facts | None = None
        self.max_queued = 0
        self._job: JobLock | None = None
        self.owner: object = None
        self.private: object = None
        #: Answers that hold until the next :meth:`touch`, by whatever key their maker chooses.
        self.kept: dict[object, object] = {}
        #: Statistics by groups, and when they were measured (monotonic clock), while it runs.
        self.measured: dict[int, tuple[TypedParameters, float]] = {}
        #: Its XML by flags, until the next :meth:`touch`.
        self.texts: dict[int, str] = {}

    @property
    def id(self) -> int:
        """Number while it runs, -1 otherwise. Changed by :class:`DomainTable`."""
        return self._id

    @property
    def active(self) -> bool:
        """Whether it runs (or is about to)."""
        return self._id != -1

    @property
    def job(self) -> JobLock:
        """The right to change it."""
        job = self._job
        if job is None:
            from virtcore.driver.toolkit.jobs import JobLock  # with asyncio, and most are never changed

            job = self._job = JobLock(self.require_known)
            job.max_queued = self.max_queued
        return job

    @property
    def ref(self) -> DomainRef:
        """Its reference."""
        if self._ref is None:
            self._ref = DomainRef(self.name, self.uuid, self._id)
        return self._ref

    @property
    def live(self) -> Domain | None:
        """Configuration of the running guest; None while inactive. Call :meth:`touch` after changing it.

        It may be given as a function that makes it: it is called when somebody looks for the first time.
        """
        if callable(self._live):
            self._live = self._live()
            self._live.id = self._id
        return self._live

    @live.setter
    def live(self, live: Domain | Callable[[], Domain] | None) -> None:
        self._live = live
        self.touch()

    def touch(self) -> None:
        """Something its XML or statistics show has changed: drop what was kept."""
        self.kept.clear()
        self.texts = {}  # what is being made goes to those before
        self.live_facts = None

    def require_active(self) -> None:
        """Check that it runs.

        :raises OperationInvalid: it does not.
        """
        if self._id == -1:
            raise OperationInvalid("domain is not running", domain=ErrorDomain.DOMAIN)

    def check_startable(self) -> None:
        if self.active:
            raise OperationInvalid(f"domain '{self.name}' is already active")
        if not self.persistent:
            raise OperationInvalid(f"domain '{self.name}' is already being started")

    def __repr__(self) -> str:
        return f"<DomainObject {self.name!r} {self.uuid} id={self._id} {self.state.name}>"


class DomainTable(ObjectTable[DomainObject]):
    """The domains of one driver state, found in constant time by name, UUID and id.

    :ivar max_queued: jobs of one domain that may be held and waited for; 0 for no limit.
    """

    def __init__(self) -> None:
        self.max_queued = 0
        super().__init__(DomainObject)
        self._by_id: dict[int, DomainObject] = {}
        self._refs: Kept[DomainRef] | None = None
        self._next_id = 1

    # -- look-up

    def get(self, ref: DomainRef) -> DomainObject:
        """The object behind a reference.

        :raises NoDomain: it is not (any more) known.
        """
        obj = self._by_uuid.get(ref.uuid)  # asked for more than anything else, so without a further call
        return obj if obj is not None and obj.published else self.by_uuid(ref.uuid, ref.name)

    def by_id(self, id: int) -> DomainObject:
        """Look up a running domain by id.

        :raises NoDomain: there is none.
        """
        obj = self._by_id.get(id)
        if obj is None or not obj.published:
            raise NoDomain(f"no domain with matching id {id}")
        return obj

    # -- lists

    def refs(self, flags: int = 0) -> Sequence[DomainRef]:
        """References of the domains that pass every group of ``ConnectListAllDomainsFlags``."""
        if not _that_choose(flags):
            if self._refs is None:
                self._refs = Kept([obj._ref or obj.ref for obj in self._by_uuid.values() if obj.published])
            return self._refs
        return [obj.ref for obj in self.select(flags)]

    def select(self, flags: int = 0) -> list[DomainObject]:
        """The domains that pass every group of ``ConnectListAllDomainsFlags``."""
        return select(self, _that_choose(flags), _FILTERS)

    # -- changes

    def _new(self, name: str, uuid: str) -> DomainObject:
        obj = super()._new(name, uuid)
        obj.max_queued = self.max_queued
        return obj

    def set_id(self, obj: DomainObject, id: int | None) -> None:
        """Give a starting domain an id (a fixed one where an existing guest was found), or take it away with -1.

        :param id: None for the next free one.
        """
        if id is None:
            id = self._next_id
        self._next_id = max(self._next_id, id + 1)
        self._by_id.pop(obj.id, None)
        if id != -1:
            self._by_id[id] = obj
        else:
            obj.measured.clear()
        obj._id = id
        obj._ref = None
        self._refs = None

    def rename(self, obj: DomainObject, name: str) -> None:
        super().rename(obj, name)
        obj._ref = None

    def _changed(self) -> None:
        self._refs = None

    def _forgotten(self, obj: DomainObject) -> None:
        self._by_id.pop(obj.id, None)


_Filter = tuple[int, Callable[[DomainObject], int]]


def _group(test: Callable[[DomainObject], bool], yes: ListFlags, no: ListFlags) -> _Filter:
    return int(yes | no), lambda obj: int(yes if test(obj) else no)


_STATES = {
    DomainState.RUNNING: ListFlags.RUNNING,
    DomainState.PAUSED: ListFlags.PAUSED,
    DomainState.SHUTOFF: ListFlags.SHUTOFF,
}

#: Per group of filter flags: all its bits, and which of them an object has.
_FILTERS: list[_Filter] = [
    _group(lambda obj: obj.active, ListFlags.ACTIVE, ListFlags.INACTIVE),
    _group(lambda obj: obj.persistent, ListFlags.PERSISTENT, ListFlags.TRANSIENT),
    (
        int(ListFlags.RUNNING | ListFlags.PAUSED | ListFlags.SHUTOFF | ListFlags.OTHER),
        lambda obj: int(_STATES.get(obj.state, ListFlags.OTHER)),
    ),
    _group(lambda obj: obj.managed_save, ListFlags.MANAGEDSAVE, ListFlags.NO_MANAGEDSAVE),
    _group(lambda obj: obj.autostart, ListFlags.AUTOSTART, ListFlags.NO_AUTOSTART),
    _group(lambda obj: obj.snapshots > 0, ListFlags.HAS_SNAPSHOT, ListFlags.NO_SNAPSHOT),
    _group(lambda obj: obj.checkpoints > 0, ListFlags.HAS_CHECKPOINT, ListFlags.NO_CHECKPOINT),
]
#: Every flag that lists of domains know.
LIST_FILTERS = sum(group for group, _ in _FILTERS)


def _that_choose(flags: int) -> int:
    """Filter flags without the groups that are there whole: each domain passes one of a group's flags."""
    flags = int(flags) & LIST_FILTERS
    for group, _ in _FILTERS:
        if flags & group == group:
            flags &= ~group
    return flags
