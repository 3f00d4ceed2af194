"""How operations are declared.

An operation is what a driver implements: one per behaviour. It is declared as a method of an :class:`OperationSet`: the
signature gives names and types, the docstring the meaning, :func:`operation` the facts about how it is called. The
declared method itself becomes the driver base class's default, which says "not supported by this driver".

A driver overrides it in one of three ways: ``@inline def`` (never waits, runs in the core loop), ``async def``, or
plain ``def`` (may block, runs in the connection's worker threads). Declared return types are therefore :data:`Result`.
"""

from __future__ import annotations

from types import MappingProxyType

from virtcore._functions import cache
from virtcore._lazy import imported
from virtcore._quick_enum import Enum
from virtcore._typing import TYPE_CHECKING, Any, Awaitable, Callable, ClassVar, Mapping, TypeAlias, TypeVar
from virtcore.errors import NoSupport
from virtcore.operations.families import FAMILIES
from virtcore.operations.signatures import Parameter, parameters_of

if TYPE_CHECKING:
    import inspect

__all__ = [
    "Kind",
    "Operation",
    "OperationSet",
    "Result",
    "all_operations",
    "find_operation",
    "inline",
    "is_inline",
    "operation",
    "service_of_family",
    "services",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

#: What a driver method may return: the value, or an awaitable of it.
Result: TypeAlias = T | Awaitable[T]


class Kind(Enum):
    """What a waiter may do to an operation."""

    #: Reads; truly cancelled when its waiter gives up; 30 s deadline by default.
    QUERY = "query"
    #: Changes something; once begun it goes on when its waiter gives up; no deadline by default.
    CHANGE = "change"


class Operation:
    """The record of one declared operation.

    :ivar name: name of the driver method, e.g. ``domain_create``.
    :ivar family: object family (:mod:`virtcore.operations.families`); the first parameter's object, ``connection``
        otherwise.
    :ivar kind: query or change.
    :ivar abortable: a running one can be ended through the object's job.
    :ivar secret: parameter names whose values never reach logs.
    :ivar internal: for core and peers only; the objects a user holds have no method for it.
    :ivar renews: the reference it returns takes the place of the one it was called on.
    :ivar keys: parameters exactly one of which is given; those that make one key together are one text.
    :ivar function: the declared method (signature and docstring).
    :ivar service: the service it is part of, e.g. ``storage``; None for what only a hypervisor's driver has.
    """

    __slots__ = (
        "_checks",
        "_key_check",
        "abortable",
        "family",
        "function",
        "internal",
        "keys",
        "kind",
        "name",
        "renews",
        "secret",
        "service",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        family: str,
        kind: Kind,
        abortable: bool,
        secret: frozenset[str],
        renews: bool,
        internal: bool,
        keys: tuple[str, ...],
    ) -> None:
        self.function = function
        self.name = function.__name__
        self.family = family
        self.kind = kind
        self.abortable = abortable
        self.secret = secret
        self.renews = renews
        self.internal = internal
        self.keys = keys
        self.service: str | None = None
        self._checks: list[tuple[int, Callable[[object], None]]] | None = None
        self._key_check: Callable[[tuple[object, ...]], None] | None = None

    def check_arguments(self, args: tuple[object, ...]) -> None:
        """Refuse what the declaration does not allow (:mod:`virtcore.operations.arguments`).

        :param args: by position, without the driver.
        :raises InvalidArg: one has the wrong type, or a value that libvirt's functions could not be given.
        """
        if self._checks is None:
            from virtcore.operations.arguments import checks_of, key_check

            self._checks, self._key_check = checks_of(self), key_check(self)
        given = len(args)
        for index, check in self._checks:
            if index < given:
                check(args[index])
        if self._key_check is not None:
            self._key_check(args)

    @property
    def face_name(self) -> str:
        """Name of the method on the object a user holds."""
        return self.name.removeprefix(self.family + "_")

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The declared arguments, without the driver."""
        return parameters_of(self.function)

    @property
    def returns(self) -> str:
        """The declared type of its value, as text."""
        text = str(self.function.__annotations__["return"])
        if not text.startswith("Result[") or not text.endswith("]"):
            raise TypeError(f"{self.name} declares {text} instead of Result[...]")
        return text.removeprefix("Result[").removesuffix("]")

    @property
    def signature(self) -> inspect.Signature:
        """Declared signature, annotations as text."""
        import inspect

        return inspect.signature(self.function)

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


def operation(
    kind: Kind,
    *,
    abortable: bool = False,
    secret: tuple[str, ...] = (),
    renews: bool = False,
    internal: bool = False,
    keys: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Mark a method of an :class:`OperationSet` as the declaration of an operation; see :class:`Operation`."""

    def mark(function: F) -> F:
        function.__operation_facts__ = (kind, abortable, frozenset(secret), renews, internal, keys)  # type: ignore[attr-defined]
        return function

    return mark


_REGISTRY: dict[str, Operation] = {}
_SERVICES: dict[str, type[OperationSet]] = {}
_ALL_OPERATIONS = MappingProxyType(_REGISTRY)
_ALL_SERVICES = MappingProxyType(_SERVICES)


class OperationSet:
    """Base of the classes that declare operations.

    A set declares one object family's (``family=``); several sets may declare operations of the same family. A class
    that derives from sets and gives ``service=`` makes them a service: what a service driver implements, and what a
    hypervisor's driver brings itself or leaves to one.
    """

    operations: ClassVar[dict[str, Operation]] = {}

    def __init_subclass__(cls, *, family: str | None = None, service: str | None = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if service is not None:
            _SERVICES[service] = cls
            cls.operations = {name: record for base in cls.__bases__ for name, record in _operations_of(base).items()}
            for record in cls.operations.values():
                record.service = service
        if family is None:
            return  # a driver or a service, not a declaration
        if family not in FAMILIES:
            raise TypeError(f"there is no object family {family}")
        declared: dict[str, Operation] = {}
        for name, function in list(vars(cls).items()):
            facts = getattr(function, "__operation_facts__", None)
            if facts is None:
                continue
            if not name.startswith(family + "_"):
                raise TypeError(f"operation {name} of family {family} must be named {family}_...")
            if name in _REGISTRY:
                raise TypeError(f"operation {name} is declared twice")
            record = Operation(function, family, *facts)
            declared[name] = record
            setattr(cls, name, _unsupported(record))
        cls.operations = declared
        _REGISTRY.update(declared)


def _operations_of(base: type) -> dict[str, Operation]:
    return base.operations if issubclass(base, OperationSet) else {}


def _unsupported(record: Operation) -> Callable[..., Any]:
    def default(self: OperationSet, *args: object, **kwargs: object) -> Any:
        from virtcore.operations.spellings import canonical_function

        raise NoSupport(canonical_function(record.name))

    default.__name__ = record.name
    default.__qualname__ = record.function.__qualname__
    default.__doc__ = record.function.__doc__
    default.__wrapped__ = record.function  # type: ignore[attr-defined]
    default.__operation__ = record  # type: ignore[attr-defined]
    default.__virtcore_inline__ = True  # type: ignore[attr-defined]
    return default


def inline(method: F) -> F:
    """Mark a driver method that never waits: it runs in the core loop (a test mode fails it above 5 ms).

    Where what is asked for takes long after all, it may give a coroutine for it.
    """
    method.__virtcore_inline__ = True  # type: ignore[attr-defined]
    return method


def is_inline(method: Callable[..., Any]) -> bool:
    """Whether a driver method was marked with :func:`inline`."""
    return getattr(method, "__virtcore_inline__", False)


def all_operations() -> Mapping[str, Operation]:
    """Every declared operation by name (loads all families)."""
    import virtcore.operations.sets  # noqa: F401  # registers every one

    return _ALL_OPERATIONS


def find_operation(name: str) -> Operation | None:
    """A declared operation; None when there is no such one. Loads no more than the module that declares it."""
    found = _REGISTRY.get(name)
    if found is None:
        from virtcore.operations._index import HOMES

        home = HOMES.get(name)
        if home is None:
            return all_operations().get(name)  # new, perhaps: the index is not written anew yet
        imported(f"virtcore.operations.{home[0]}")
        found = _REGISTRY[name]
    return found


def services() -> Mapping[str, type[OperationSet]]:
    """The declared services by name (loads all families)."""
    import virtcore.operations.sets  # noqa: F401  # registers every one

    return _ALL_SERVICES


@cache
def service_of_family(family: str) -> str | None:
    """The service that an object family belongs to; None for the hypervisor's own."""
    if family == "connection":
        return None
    found = {record.service for record in all_operations().values() if record.family == family}
    return found.pop() if len(found) == 1 else None
