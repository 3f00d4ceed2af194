"""The domains a stateful driver knows: the objects, and the table that finds them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtcore.driver.toolkit.jobs import JobLock
from virtcore.enums.domain import ConnectListAllDomainsFlags as ListFlags, DomainShutoffReason, DomainState
from virtcore.errors import NoDomain, OperationFailed, OperationInvalid
from virtcore.types import DomainRef

if TYPE_CHECKING:
    from virtcore.driver.toolkit.store import Facts
    from virtcore.model.domain import Domain

__all__ = ["LIST_FILTERS", "DomainObject", "DomainTable"]


class DomainObject:
    """One domain: its identity, its state, its definition and, while it runs, its live configuration.

    Drivers change it only in the core loop; what spans several steps only under :attr:`job`.

    :ivar name: unique in its table.
    :ivar uuid: lower-case with hyphens.
    :ivar state: what it does.
    :ivar reason: why; a member of the enumeration that belongs to the state.
    :ivar persistent: it has a definition that outlives the guest.
    :ivar autostart: it is started with the host.
    :ivar updated: its definition differs from the running configuration.
    :ivar managed_save: a managed save image exists.
    :ivar snapshots: number of snapshots.
    :ivar checkpoints: number of checkpoints.
    :ivar facts: what is known of the definition without parsing it (see ``DriverState.facts_of``).
    :ivar text: the definition as it is stored, secrets included; None until it is read.
    :ivar live_facts: the same of the running configuration; None until somebody asks (``DriverState.facts``).
    :ivar job: the right to change it.
    :ivar config_lock: held while its definition is written.
    :ivar private: whatever the driver keeps with it.
    """

    __slots__ = (
        "_id", "_live", "_ref", "autostart", "checkpoints", "claims", "config_lock", "facts", "job", "kept",
        "live_facts", "managed_save", "name", "persistent", "private", "published", "reason", "removed", "snapshots",
        "state", "text", "texts", "updated", "uuid",
    )  # fmt: skip

    def __init__(self, name: str, uuid: str, facts: Facts | None = None) -> None:
        self.name = name
        self.uuid = uuid
        self._id = -1
        self._ref: DomainRef | None = None
        self.state: DomainState = DomainState.SHUTOFF
        self.reason: int = DomainShutoffReason.UNKNOWN
        self.persistent = False
        self.autostart = False
        self.updated = False
        self.managed_save = False
        self.snapshots = 0
        self.checkpoints = 0
        self.facts: Facts = facts or {}
        self.text: str | None = None
        self._live: Domain | Callable[[], Domain] | None = None
        self.live_facts: Facts | None = None
        self.job = JobLock(self.require_known)
        self.config_lock = asyncio.Lock()
        self.private: object = None
        #: Answers that hold until the next :meth:`touch`, by whatever key their maker chooses.
        self.kept: dict[object, object] = {}
        #: Its XML by flags, until the next :meth:`touch`.
        self.texts: dict[int, str] = {}
        #: False while it is being defined or created for the first time: not to be found yet.
        self.published = False
        #: True once it is gone; False again when somebody who was at it meanwhile defines it anew.
        self.removed = False
        #: Changes that are under way and may publish it (``DomainTable.holding``).
        self.claims = 0

    @property
    def id(self) -> int:
        """Number while it runs, -1 otherwise. Changed by :class:`DomainTable`."""
        return self._id

    @property
    def active(self) -> bool:
        """Whether it runs (or is about to)."""
        return self._id != -1

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
        self.texts.clear()
        self.live_facts = None

    def require_active(self) -> None:
        """Check that it runs.

        :raises OperationInvalid: it does not.
        """
        if self._id == -1:
            raise OperationInvalid("domain is not running")

    def require_known(self) -> None:
        """Check that it has not gone.

        :raises NoDomain: it has.
        """
        if self.removed:
            raise NoDomain(f"no domain with matching uuid '{self.uuid}' ({self.name})")

    def __repr__(self) -> str:
        return f"<DomainObject {self.name!r} {self.uuid} id={self._id} {self.state.name}>"


class DomainTable:
    """The domains of one driver state, found in constant time by name, UUID and id."""

    def __init__(self) -> None:
        self._by_uuid: dict[str, DomainObject] = {}
        self._by_name: dict[str, DomainObject] = {}
        self._by_id: dict[int, DomainObject] = {}
        self._refs: list[DomainRef] | None = None
        self._next_id = 1

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[DomainObject]:
        return (obj for obj in self._by_uuid.values() if obj.published)

    # -- look-up

    def get(self, ref: DomainRef) -> DomainObject:
        """The object behind a reference.

        :raises NoDomain: it is not (any more) known.
        """
        obj = self._by_uuid.get(ref.uuid)
        if obj is None or not obj.published:
            raise NoDomain(f"no domain with matching uuid '{ref.uuid}' ({ref.name})")
        return obj

    def by_name(self, name: str) -> DomainObject:
        """Look up by name.

        :raises NoDomain: there is none.
        """
        obj = self._by_name.get(name)
        if obj is None or not obj.published:
            raise NoDomain(f"no domain with matching name '{name}'")
        return obj

    def by_uuid(self, uuid: str) -> DomainObject:
        """Look up by UUID in canonical form.

        :raises NoDomain: there is none.
        """
        obj = self._by_uuid.get(uuid)
        if obj is None or not obj.published:
            raise NoDomain(f"no domain with matching uuid '{uuid}'")
        return obj

    def by_id(self, id: int) -> DomainObject:
        """Look up a running domain by id.

        :raises NoDomain: there is none.
        """
        obj = self._by_id.get(id)
        if obj is None or not obj.published:
            raise NoDomain(f"no domain with matching id '{id}'")
        return obj

    # -- lists

    def refs(self, flags: int = 0) -> list[DomainRef]:
        """References of the domains that pass every group of ``ConnectListAllDomainsFlags``."""
        if not flags & LIST_FILTERS:
            if self._refs is None:
                self._refs = [obj.ref for obj in self]
            return list(self._refs)
        return [obj.ref for obj in self.select(flags)]

    def select(self, flags: int = 0) -> list[DomainObject]:
        """The domains that pass every group of ``ConnectListAllDomainsFlags``."""
        wanted = [(group & flags, test) for group, test in _FILTERS if group & flags]
        return [obj for obj in self if all(test(obj) & flags for flags, test in wanted)]

    # -- changes

    def claim(self, name: str, uuid: str, *, running: bool = False) -> DomainObject:
        """The object that a definition with this identity belongs to: the known one, or a new one, not yet published.

        :param running: it is to be started from the definition: refuse one that runs already.
        :raises OperationFailed: name and UUID belong to different domains.
        :raises OperationInvalid: it runs already.
        """
        obj = self._by_uuid.get(uuid)
        if obj is not None:
            if obj.name != name:
                raise OperationFailed(f"domain '{obj.name}' is already defined with uuid {uuid}")
            if running:
                if obj.active:
                    raise OperationInvalid(f"domain '{name}' is already active")
                if not obj.persistent:
                    raise OperationInvalid(f"domain '{name}' is already being started")
            return obj
        other = self._by_name.get(name)
        if other is not None:
            raise OperationFailed(f"domain '{name}' already exists with uuid {other.uuid}")
        obj = DomainObject(name, uuid)
        self._by_uuid[uuid] = obj
        self._by_name[name] = obj
        return obj

    @contextmanager
    def holding(self, name: str, uuid: str, *, running: bool = False) -> Iterator[DomainObject]:
        """:meth:`claim` for the length of a change: nobody else takes the name or the UUID meanwhile, and what is not
        published at the end of the last such change is forgotten."""
        obj = self.claim(name, uuid, running=running)
        obj.claims += 1
        try:
            yield obj
        finally:
            obj.claims -= 1
            if not obj.published:
                self.remove(obj)

    def publish(self, obj: DomainObject) -> None:
        """From now on it is found and listed."""
        if not obj.published:
            obj.published = True
            obj.removed = False
            self._refs = None

    def remove(self, obj: DomainObject) -> None:
        """Forget an object: it is found no more, and its name is free when no change that claimed it goes on."""
        obj.published = False
        obj.removed = True
        self._refs = None
        if not obj.claims and self._by_uuid.get(obj.uuid) is obj:
            del self._by_uuid[obj.uuid]
            del self._by_name[obj.name]
            self._by_id.pop(obj.id, None)

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
        obj._id = id
        obj._ref = None
        self._refs = None


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
