"""Managed objects of any kind: what each has in common, and the table that finds them by name and UUID."""

from __future__ import annotations

from contextlib import contextmanager

from virtcore._typing import ClassVar, Generic, Iterator, TypeVar
from virtcore.errors import OperationFailed, OperationInvalid, VirtError
from virtcore.runtime.turns import Turns

__all__ = ["ManagedObject", "ObjectTable"]


class ManagedObject:
    """One object: its identity, and whether it is there.

    Drivers change it only in the core loop.

    :ivar name: unique in its table.
    :ivar uuid: lower-case with hyphens, unique in its table.
    :ivar persistent: it has a definition that outlives its activity.
    :ivar autostart: it is started with the host.
    :ivar config_lock: held while its definition is written.
    :ivar published: False while it is being defined or created for the first time: not to be found yet.
    :ivar removed: True once it is gone; False again when somebody who was at it meanwhile defines it anew.
    :ivar claims: changes that are under way and may publish it (:meth:`ObjectTable.holding`).
    """

    __slots__ = ("autostart", "claims", "config_lock", "name", "persistent", "published", "removed", "uuid")

    #: What messages call it; where they look for one, and where its identity is taken.
    noun: ClassVar[str]
    taken_noun: ClassVar[str]
    #: What refuses a definition whose UUID belongs to an object of another name.
    uuid_taken: ClassVar[str] = "{noun} '{name}' is already defined with uuid {uuid}"
    #: The error that says there is none.
    missing: ClassVar[type[VirtError]]

    def __init__(self, name: str, uuid: str) -> None:
        self.name = name
        self.uuid = uuid
        self.persistent = False
        self.autostart = False
        self.config_lock = Turns()
        self.published = False
        self.removed = False
        self.claims = 0

    @property
    def active(self) -> bool:
        """Hook: whether it runs (or is about to)."""
        raise NotImplementedError

    def require_known(self) -> None:
        """Check that it has not gone.

        :raises VirtError: it has.
        """
        if self.removed:
            raise self.missing(f"no {self.noun} with matching uuid '{self.uuid}' ({self.name})")

    def check_startable(self) -> None:
        """Check that it may be started from a new document.

        :raises OperationInvalid: it runs already.
        """
        if self.active:
            raise OperationInvalid(f"{self.taken_noun} is already active as '{self.name}'")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.uuid}>"


T = TypeVar("T", bound=ManagedObject)


class ObjectTable(Generic[T]):
    """The objects of one kind, found in constant time by name and UUID.

    :param kind: their class.
    """

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._by_uuid: dict[str, T] = {}
        self._by_name: dict[str, T] = {}

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[T]:
        return (obj for obj in self._by_uuid.values() if obj.published)

    # -- look-up

    def by_name(self, name: str) -> T:
        """Look up by name.

        :raises VirtError: there is none.
        """
        obj = self._by_name.get(name)
        if obj is None or not obj.published:
            raise self._kind.missing(f"no {self._kind.noun} with matching name '{name}'")
        return obj

    def by_uuid(self, uuid: str, name: str | None = None) -> T:
        """Look up by UUID in canonical form.

        :param name: what the caller believes its name to be, for the message.
        :raises VirtError: there is none.
        """
        obj = self._by_uuid.get(uuid)
        if obj is None or not obj.published:
            known_as = "" if name is None else f" ({name})"
            raise self._kind.missing(f"no {self._kind.noun} with matching uuid '{uuid}'{known_as}")
        return obj

    def find(self, name: str) -> T | None:
        """The object of a name; None when there is none."""
        obj = self._by_name.get(name)
        return obj if obj is not None and obj.published else None

    # -- changes

    def claim(self, name: str, uuid: str, *, running: bool = False) -> T:
        """The object that a definition with this identity belongs to: the known one, or a new one, not yet published.

        :param running: it is to be started from the definition: refuse one that runs already.
        :raises OperationFailed: name and UUID belong to different objects.
        :raises OperationInvalid: it runs already.
        """
        obj = self._by_uuid.get(uuid)
        noun = self._kind.taken_noun
        if obj is not None:
            if obj.name != name:
                raise OperationFailed(self._kind.uuid_taken.format(noun=noun, name=obj.name, uuid=uuid))
            if running:
                obj.check_startable()
            return obj
        other = self._by_name.get(name)
        if other is not None:
            raise OperationFailed(f"{noun} '{name}' already exists with uuid {other.uuid}")
        obj = self._new(name, uuid)
        self._by_uuid[uuid] = obj
        self._by_name[name] = obj
        return obj

    @contextmanager
    def holding(self, name: str, uuid: str, *, running: bool = False) -> Iterator[T]:
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

    def publish(self, obj: T) -> None:
        """From now on it is found and listed."""
        if not obj.published:
            obj.published = True
            obj.removed = False
            self._changed()

    def remove(self, obj: T) -> None:
        """Forget an object: it is found no more, and its name is free when no change that claimed it goes on."""
        obj.published = False
        obj.removed = True
        self._changed()
        if not obj.claims and self._by_uuid.get(obj.uuid) is obj:
            del self._by_uuid[obj.uuid]
            del self._by_name[obj.name]
            self._forgotten(obj)

    def rename(self, obj: T, name: str) -> None:
        """Give an object another name, which must be free.

        :raises OperationFailed: it is taken.
        """
        other = self._by_name.get(name)
        if other is not None:
            raise OperationFailed(f"{self._kind.taken_noun} '{name}' already exists with uuid {other.uuid}")
        del self._by_name[obj.name]
        obj.name = name
        self._by_name[name] = obj
        self._changed()

    def _new(self, name: str, uuid: str) -> T:
        """Hook: make an object."""
        return self._kind(name, uuid)

    def _changed(self) -> None:
        """Hook: what is listed has changed."""

    def _forgotten(self, obj: T) -> None:
        """Hook: an object has left the table for good."""
