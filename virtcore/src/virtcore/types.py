"""References to objects and typed parameters: the values that cross every layer.

References are plain values without any handle behind them: they can be kept, compared, pickled and outlive connections.
"""

from __future__ import annotations

from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING, Iterable, Iterator, TypeVar
from virtcore.enums import common
from virtcore.errors import InvalidArg

if TYPE_CHECKING:
    from virtcore.enums.common import TypedParameterType

__all__ = [
    "CpuMap",
    "DomainRef",
    "DomainSnapshotRef",
    "DomainCheckpointRef",
    "InterfaceRef",
    "Kept",
    "NWFilterBindingRef",
    "NWFilterRef",
    "NetworkPortRef",
    "NetworkRef",
    "NodeDeviceRef",
    "SecretRef",
    "StoragePoolRef",
    "StorageVolRef",
    "TypedParameters",
    "TypedValue",
]

TypedValue = int | float | bool | str

CpuMap = frozenset[int]
"""Numbers of host CPUs (libvirt's ``cpumap``)."""


T = TypeVar("T")


class Kept(tuple[T, ...]):
    """A list that its maker gives to everybody who asks, for as long as it holds: it cannot be changed.

    :ivar wire: its bytes by the type they are of, kept by whoever encodes it.
    """

    wire: dict[str, bytes]

    def __init__(self, items: Iterable[T] = ()) -> None:
        self.wire = {}


class DomainRef(NamedTuple):
    """A domain (``virDomainPtr``). ``uuid`` is lower-case with hyphens; ``id`` is -1 while the domain is inactive."""

    name: str
    uuid: str
    id: int = -1


class DomainSnapshotRef(NamedTuple):
    """A snapshot of a domain (``virDomainSnapshotPtr``)."""

    domain: DomainRef
    name: str


class DomainCheckpointRef(NamedTuple):
    """A checkpoint of a domain (``virDomainCheckpointPtr``)."""

    domain: DomainRef
    name: str


class NetworkRef(NamedTuple):
    """A virtual network (``virNetworkPtr``)."""

    name: str
    uuid: str


class NetworkPortRef(NamedTuple):
    """A port of a network (``virNetworkPortPtr``)."""

    network: NetworkRef
    uuid: str


class StoragePoolRef(NamedTuple):
    """A storage pool (``virStoragePoolPtr``)."""

    name: str
    uuid: str


class StorageVolRef(NamedTuple):
    """A volume (``virStorageVolPtr``). ``key`` is unique on the host."""

    pool: str
    name: str
    key: str


class SecretRef(NamedTuple):
    """A secret (``virSecretPtr``). ``usage_type`` is a ``virSecretUsageType``."""

    uuid: str
    usage_type: int
    usage_id: str


class NodeDeviceRef(NamedTuple):
    """A device of the host (``virNodeDevicePtr``)."""

    name: str


class InterfaceRef(NamedTuple):
    """A network interface of the host (``virInterfacePtr``)."""

    name: str
    mac: str


class NWFilterRef(NamedTuple):
    """A network filter (``virNWFilterPtr``)."""

    name: str
    uuid: str


class NWFilterBindingRef(NamedTuple):
    """A binding of a filter to a port device (``virNWFilterBindingPtr``)."""

    port_dev: str
    filter_name: str


# By the numbers of TypedParameterType: the class is made when somebody asks for a type.
#: int, unsigned int, long long and unsigned long long -> the values that they hold.
_RANGES = {1: (-(2**31), 2**31 - 1), 2: (0, 2**32 - 1), 3: (-(2**63), 2**63 - 1), 4: (0, 2**64 - 1)}
#: double, boolean and string -> the Python types of their values.
_KINDS: dict[int, tuple[type, ...]] = {5: (int, float), 6: (bool,), 7: (str,)}


class TypedParameters:
    """An ordered list of named values with libvirt's types (``virTypedParameterPtr``).

    Reads like a mapping from name to value. A name may occur more than once (list-like parameters): :meth:`all` gives
    every value, item access the first.

    :ivar sealed: they do not change any more (:meth:`seal`).
    :ivar wire: their bytes, kept by whoever encodes sealed ones.
    """

    __slots__ = ("_numbered", "_rows", "sealed", "wire")

    def __init__(self, rows: Iterable[tuple[str, TypedParameterType, TypedValue]] = ()) -> None:
        self._rows: list[tuple[str, TypedParameterType, TypedValue]] = []
        #: Types among the rows may be plain numbers still.
        self._numbered = False
        self.sealed = False
        self.wire: bytes | None = None
        for name, kind, value in rows:
            self.add(name, kind, value)

    @classmethod
    def given(cls, rows: list[tuple[str, TypedParameterType, TypedValue]]) -> TypedParameters:
        """Of rows whose values fit, as whoever makes thousands of them knows; the list becomes theirs."""
        made = cls()
        made._rows = rows
        return made

    @classmethod
    def received(cls, rows: list[tuple[str, int, TypedValue]]) -> TypedParameters:
        """Of rows as they come from a peer, whose values fit and whose types are numbers of types; the list becomes
        theirs."""
        made = cls()
        made._rows, made._numbered = rows, True  # type: ignore[assignment]  # so says the mark
        return made

    def add(self, name: str, kind: TypedParameterType, value: TypedValue) -> None:
        """Append a value.

        :raises InvalidArg: the value does not fit the type.
        """
        limits = _RANGES.get(kind)
        if limits is not None:
            fits = isinstance(value, int) and limits[0] <= value <= limits[1]
        else:
            fits = isinstance(value, _KINDS[kind])
        if not fits:
            raise InvalidArg(f"parameter '{name}' cannot hold {value!r} as {kind.name.lower()}")
        self._unsealed().append((name, kind, value))

    def extend(self, others: TypedParameters) -> None:
        """Append all of others."""
        self._unsealed().extend(others.rows())

    def _unsealed(self) -> list[tuple[str, TypedParameterType, TypedValue]]:
        if self.sealed:
            raise TypeError("these parameters are shared with others; change a copy")
        return self._rows

    def seal(self) -> TypedParameters:
        """From now on they do not change, so that they can be given to everybody who asks. Gives themselves."""
        self.sealed = True
        return self

    def rows(self) -> list[tuple[str, TypedParameterType, TypedValue]]:
        """Every (name, type, value) in order."""
        if self._numbered:
            types = common.TypedParameterType
            self._rows, self._numbered = [(name, types(kind), value) for name, kind, value in self._rows], False
        return list(self._rows)

    def all(self, name: str) -> list[TypedValue]:
        """Every value of a name."""
        return [value for known, _, value in self._rows if known == name]

    def get(self, name: str, default: TypedValue | None = None) -> TypedValue | None:
        """The first value of a name."""
        for known, _, value in self._rows:
            if known == name:
                return value
        return default

    def type_of(self, name: str) -> TypedParameterType:
        """The type of a name.

        :raises KeyError: no such parameter.
        """
        for known, kind, _ in self._rows:
            if known == name:
                return common.TypedParameterType(kind)
        raise KeyError(name)

    def __getitem__(self, name: str) -> TypedValue:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return any(known == name for known, _, _ in self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _, _ in self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def items(self) -> list[tuple[str, TypedValue]]:
        """Every (name, value) in order."""
        return [(name, value) for name, _, value in self._rows]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypedParameters) and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"TypedParameters({dict(self.items())!r})"
