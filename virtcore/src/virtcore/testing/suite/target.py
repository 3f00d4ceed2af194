"""What the suite is told about a driver, and what it does with it around each test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pytest

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, Domain, Network, StoragePool

__all__ = ["Target", "connection", "covers", "covered_by", "needs", "says_what_it_tests", "target", "uri"]

F = TypeVar("F", bound=Callable[..., object])

#: Names of the objects that tests make begin with it; what is left of them is removed after each test.
PREFIX = "compliance"


class Target:
    """One driver under test. Its author subclasses it, one instance a test.

    Documents are asked for only where the driver claims the operations that take them.
    """

    #: Seconds an event may take to arrive.
    event_wait: ClassVar[float] = 30.0
    #: Seconds within which a cheap query must be answered while something else of the driver is stuck.
    answer_wait: ClassVar[float] = 10.0
    #: What is defined survives closing the last connection (open the same URI again).
    persistent: ClassVar[bool] = True
    #: Operations that the driver claims and its own tests test: operation -> where.
    tested_elsewhere: ClassVar[Mapping[str, str]] = {}

    def uri(self) -> str:
        """To override: a URI that opens the driver, with nothing of another test behind it."""
        raise NotImplementedError("the target has no uri()")

    def domain(self, name: str, uuid: str | None = None) -> str:
        """To override: the XML of a small domain that the driver can define and start."""
        raise NotImplementedError("the target has no domain()")

    def domain_with_disk(self, name: str) -> str:
        """To override where checkpoints are claimed: the XML of one with a writable disk that can have them."""
        raise NotImplementedError("the target has no domain_with_disk()")

    def network(self, name: str) -> str:
        """The XML of a small network; by default one that is connected to nothing."""
        return f"<network><name>{name}</name><bridge name='vcsuite0'/></network>"

    def interface(self, name: str) -> str:
        """The XML of a host interface that may be configured and started."""
        return f"<interface type='ethernet' name='{name}'><start mode='none'/></interface>"


def covers(*operations: str) -> Callable[[F], F]:
    """Mark a test: it tests these operations. It is skipped where the driver does not claim them all."""

    def mark(test: F) -> F:
        test.__covers__ = operations  # type: ignore[attr-defined]
        return test

    return mark


def needs(*operations: str) -> Callable[[F], F]:
    """Mark a test: it uses these operations on the way. It is skipped where the driver does not claim them all."""

    def mark(test: F) -> F:
        test.__needs__ = operations  # type: ignore[attr-defined]
        return test

    return mark


def covered_by(classes: Mapping[str, object]) -> set[str]:
    """The operations that the test classes in a namespace test."""
    found: set[str] = set()
    for item in classes.values():
        if inspect.isclass(item) and item.__name__.startswith("Test"):
            for _, test in inspect.getmembers(item, inspect.isfunction):
                found.update(getattr(test, "__covers__", ()))
    return found


@pytest.fixture
def target() -> Target:
    """Fixture to override: the driver under test."""
    raise NotImplementedError("define a fixture 'target' beside 'from virtcore.testing.suite import *'")


@pytest.fixture
def uri(target: Target) -> str:
    """Where the target's driver is."""
    return target.uri()


@pytest.fixture
def connection(uri: str) -> Iterator[Connection]:
    """An open connection. What the test has left of its objects is removed afterwards."""
    import virtcore

    with virtcore.connect(uri) as connection:
        yield connection
        for kind in ("domains", "networks", "storage_pools"):
            if connection.supports(f"connection_list_{kind}"):
                for found in getattr(connection, f"list_{kind}")():
                    if found.name.startswith(PREFIX):
                        _remove(found)


def _remove(found: Domain | Network | StoragePool) -> None:
    """End and remove an object, whichever of the two applies."""
    from virtcore import errors

    for step in (found.destroy, found.undefine):
        try:
            step()
        except (errors.OperationInvalid, errors.NotFoundError, errors.UnsupportedError):
            continue


@pytest.fixture(autouse=True)
def says_what_it_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Skip what the driver does not claim; see to it that a test which says that it covers an operation calls it."""
    from virtcore.runtime.session import Session

    test = request.function
    covered = getattr(test, "__covers__", ())
    wanted = (*covered, *getattr(test, "__needs__", ()))
    if wanted:
        import virtcore

        # A connection of its own: one that stays open would keep alive what the test wants to see survive.
        with virtcore.connect(request.getfixturevalue("uri")) as connection:
            missing = [operation for operation in wanted if not connection.supports(operation)]
        if missing:
            pytest.skip(f"the driver does not claim {', '.join(missing)}")
    called: set[str] = set()
    admit = Session._admit

    def noting(self: Session, name: str, *rest: object) -> object:
        called.add(name)
        return admit(self, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "_admit", noting)
    yield
    missed = [operation for operation in covered if operation not in called]
    assert not missed, f"the test says that it covers {missed} and did not get to call them"
