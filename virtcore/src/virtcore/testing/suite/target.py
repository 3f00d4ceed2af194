"""What the suite is told about a driver, and what it does with it around each test."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pytest

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, Domain, Network, StoragePool

__all__ = [
    "Target",
    "asks",
    "connection",
    "covered_by",
    "covers",
    "given",
    "needs",
    "refused",
    "report_of",
    "says_what_it_tests",
    "target",
    "uri",
    "wants",
]

F = TypeVar("F", bound=Callable[..., object])

#: Names of the objects that tests make begin with it; what is left of them is removed after each test.
PREFIX = "compliance"
#: The hardware address of the network interface that tests give a domain.
MAC = "52:54:00:c0:ff:ee"


def _optional(hook: F) -> F:
    """Mark a method of :class:`Target` that not every target can give; tests that ask for it are skipped then."""
    hook.__optional__ = True  # type: ignore[attr-defined]
    return hook


class Target:
    """One driver under test. Its author subclasses it, one instance a test.

    Documents are asked for only where the driver claims the operations that take them.
    """

    #: Seconds an event may take to arrive.
    event_wait: ClassVar[float] = 60.0
    #: Seconds within which a cheap query must be answered while something else of the driver is stuck.
    answer_wait: ClassVar[float] = 20.0
    #: What is defined survives closing the last connection (open the same URI again).
    persistent: ClassVar[bool] = True
    #: Operations that the driver claims and its own tests test: operation -> where.
    tested_elsewhere: ClassVar[Mapping[str, str]] = {}
    #: Operations that take what others refuse, since libvirt's driver does: operation -> what that is.
    lenient: ClassVar[Mapping[str, str]] = {}

    def uri(self) -> str:
        """To override: a URI that opens the driver, with nothing of another test behind it."""
        raise NotImplementedError("the target has no uri()")

    def domain(self, name: str, uuid: str | None = None) -> str:
        """To override: the XML of a small domain that the driver can define and start."""
        raise NotImplementedError("the target has no domain()")

    def domain_with(self, name: str, devices: str = "", more: str = "") -> str:
        """The XML of a domain as :meth:`domain` makes it, with more devices and with more beside them."""
        from lxml import etree

        document = etree.fromstring(self.domain(name))
        added = etree.fromstring(f"<domain>{more}<devices>{devices}</devices></domain>")
        of_them = added[-1]
        added.remove(of_them)
        document.extend(list(added))
        known = document.find("devices")
        if known is None:
            document.append(of_them)
        else:
            known.extend(list(of_them))
        return etree.tostring(document, encoding="unicode")

    def claims(self, connection: Connection) -> set[str]:
        """The operations that the driver claims. To override for one that only carries what another driver has, and
        claims what it can carry."""
        from virtcore.operations.declare import all_operations

        return {name for name in all_operations() if connection.supports(name)}

    @_optional
    def disk(self, device: str) -> str:
        """To override: the XML of a writable disk with this target (``vda``), another one at each call.

        Where checkpoints are claimed, one that can have them.
        """
        raise NotImplementedError

    def raw_disk(self, device: str) -> str:
        """The XML of such a disk whose image is, byte for byte, what the guest sees; by default like the others."""
        return self.disk(device)

    def destination(self) -> str:
        """The XML of where a copy of such a disk goes, another place at each call; by default another disk."""
        return self.disk("vda")

    def network_device(self) -> str:
        """The XML of a network interface with address :data:`MAC`; by default one that nothing else is needed for."""
        return f"<interface type='user'><mac address='{MAC}'/></interface>"

    @_optional
    def responsive_domain(self, name: str) -> str:
        """To override: the XML of a domain whose guest has an agent that answers within :attr:`event_wait`."""
        raise NotImplementedError

    @_optional
    def peer(self) -> str:
        """To override: the URI of another host, or of another place on this one, that guests can be moved to."""
        raise NotImplementedError

    @_optional
    def node_device(self) -> str:
        """To override: the XML of a device of the host that can be made, e.g. a virtual adapter."""
        raise NotImplementedError

    @_optional
    def mediated_device(self) -> str:
        """To override: the XML of a mediated device that can be defined and made."""
        raise NotImplementedError

    def pool(self, name: str, folder: str) -> str:
        """The XML of a storage pool; by default of files in a folder, which building it makes."""
        return f"<pool type='dir'><name>{name}</name><target><path>{folder}</path></target></pool>"

    def volume(self, name: str, capacity: int) -> str:
        """The XML of a volume of that many bytes which has nothing allocated."""
        return f"<volume><name>{name}</name><capacity>{capacity}</capacity><allocation>0</allocation></volume>"

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


def asks(*hooks: str) -> Callable[[F], F]:
    """Mark a test: it asks the target for these. It is skipped where the target does not override them."""

    def mark(test: F) -> F:
        test.__asks__ = hooks  # type: ignore[attr-defined]
        return test

    return mark


def given(target: Target, hook: str) -> bool:
    """Whether a target gives what an optional hook asks for."""
    return not getattr(getattr(type(target), hook), "__optional__", False)


@contextmanager
def refused(target: Target, operation: str, *kinds: type[Exception]) -> Iterator[None]:
    """What is done within is refused with one of these errors (any of virtcore's by default); a driver that says so in
    :attr:`Target.lenient` may take it."""
    from virtcore.errors import VirtError

    kinds = kinds or (VirtError,)
    with suppress(*kinds) if operation in target.lenient else pytest.raises(kinds):
        yield


def covered_by(classes: Mapping[str, object]) -> dict[str, list[Callable[..., object]]]:
    """The operations that the test classes in a namespace test, with the tests."""
    found: dict[str, list[Callable[..., object]]] = {}
    for item in classes.values():
        if inspect.isclass(item) and item.__name__.startswith("Test"):
            for _, test in inspect.getmembers(item, inspect.isfunction):
                for operation in getattr(test, "__covers__", ()):
                    found.setdefault(operation, []).append(test)
    return found


def wants(test: Callable[..., object]) -> tuple[str, ...]:
    """The operations that a test tests or uses."""
    return (*getattr(test, "__covers__", ()), *getattr(test, "__needs__", ()))


class Report:
    """What is said of each driver at the end, on a line of its own: its claims, and how its tests went."""

    def __init__(self) -> None:
        #: Module of the driver's author -> what its driver claims.
        self.claims: dict[str, str] = {}
        self._modules: dict[str, str] = {}
        self._outcomes: dict[str, Counter[str]] = {}

    def counts(self, request: pytest.FixtureRequest) -> None:
        """A test is one of the suite's."""
        self._modules[request.node.nodeid] = request.module.__name__

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hook: how a test went."""
        module = self._modules.get(report.nodeid)
        if module is not None and (report.when == "call" or not report.passed):
            self._outcomes.setdefault(module, Counter())[report.outcome] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Hook: the end."""
        for module, outcomes in self._outcomes.items():
            claims = self.claims.get(module, f"{module}: claims not looked at")
            tests = ", ".join(f"{outcomes[name]} {name}" for name in ("passed", "skipped", "failed") if outcomes[name])
            terminalreporter.write_line(f"{claims}; tests: {tests}")


def report_of(config: pytest.Config) -> Report:
    """The report of a run, made when the first test of the suite begins."""
    found = config.pluginmanager.get_plugin("virtcore-suite")
    if found is None:
        found = Report()
        config.pluginmanager.register(found, "virtcore-suite")
    assert isinstance(found, Report)
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
    from virtcore.runtime.blocking import BlockingSession
    from virtcore.runtime.session import Session

    report_of(request.config).counts(request)
    test = request.function
    covered = getattr(test, "__covers__", ())
    wanted = wants(test)
    for hook in getattr(test, "__asks__", ()):
        if not given(request.getfixturevalue("target"), hook):
            pytest.skip(f"the target has no {hook}()")
    if wanted:
        import virtcore

        # A connection of its own: one that stays open would keep alive what the test wants to see survive.
        with virtcore.connect(request.getfixturevalue("uri")) as connection:
            claimed = request.getfixturevalue("target").claims(connection)
            missing = [operation for operation in wanted if operation not in claimed]
        if missing:
            pytest.skip(f"the driver does not claim {', '.join(missing)}")
    called: set[str] = set()
    for session, method in ((Session, "_admit"), (BlockingSession, "call_here")):
        monkeypatch.setattr(session, method, _noting(getattr(session, method), called))
    yield
    missed = [operation for operation in covered if operation not in called]
    assert not missed, f"the test says that it covers {missed} and did not get to call them"


def _noting(method: Callable[..., object], called: set[str]) -> Callable[..., object]:
    """A session's method that every call goes through, and that notes the operation."""

    def noting(self: object, name: str, *rest: object) -> object:
        called.add(name)
        return method(self, name, *rest)

    return noting
