"""The class a driver is.

A complete driver for URIs of scheme ``toy``::

    from virtcore.driver import Driver, OpenRequest, inline
    from virtcore.errors import NoDomain
    from virtcore.types import DomainRef

    class ToyDriver(Driver):
        name = "Toy"

        @classmethod
        async def open(cls, request: OpenRequest) -> "ToyDriver":
            return cls(request)

        @inline
        def connection_list_domains(self, flags: int = 0) -> list[DomainRef]:
            return [DomainRef("only", "6695eb01-f6a4-8304-79aa-97f2502e193f", 1)]

registered in its distribution's ``pyproject.toml``::

    [project.entry-points."virtcore.drivers"]
    toy = "virt_toy:ToyDriver"

Everything it does not override answers "this function is not supported by the connection driver".
"""

from __future__ import annotations

from abc import abstractmethod

from virtcore._lazy import imported
from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING, Awaitable, Callable, ClassVar, Mapping, Self, Sequence
from virtcore.operations.declare import Operation, Result, inline
from virtcore.operations.sets import AllOperations
from virtcore.uri import ConnectionURI

if TYPE_CHECKING:
    from pluggy import PluginManager

    from virtcore.driver.service import DriverService
    from virtcore.operations.events import Event

__all__ = ["AuthCallback", "Credential", "Driver", "OpenRequest", "Place", "Subscription", "implements", "inline"]


class Credential(NamedTuple):
    """One thing an authentication asks for (``virConnectCredential``); ``type`` is a ``ConnectCredentialType``."""

    type: int
    prompt: str
    challenge: str | None
    default: str | None


#: Answers credentials in order; None gives up.
AuthCallback = Callable[[list[Credential]], Awaitable[Sequence[str] | None]]


class OpenRequest:
    """What :meth:`Driver.open` is given.

    :ivar uri: where to.
    :ivar readonly: a read-only connection: core refuses changes before they reach the driver, which needs it only to
        pass it on.
    :ivar auth: how to ask the user for credentials; None when nobody can be asked.
    """

    __slots__ = ("auth", "readonly", "uri")

    def __init__(self, uri: ConnectionURI, *, readonly: bool = False, auth: AuthCallback | None = None) -> None:
        self.uri = uri
        self.readonly = readonly
        self.auth = auth

    @property
    def hooks(self) -> PluginManager:
        """Hooks of every installed plugin (:mod:`virtcore.driver.hooks`)."""
        from virtcore.driver.hooks import manager

        return manager()


class Subscription:
    """A subscriber's registration with a driver; :meth:`cancel` ends it (once; later calls do nothing).

    :param confirm: for drivers whose hypervisor has to agree: waits until it did for events of the given classes (none
        given are all), and raises what it says if it did not.
    """

    __slots__ = ("_cancel", "_confirm")

    def __init__(
        self,
        cancel: Callable[[], None],
        confirm: Callable[[tuple[type[object], ...]], Awaitable[None]] | None = None,
    ) -> None:
        self._cancel: Callable[[], None] | None = cancel
        self._confirm = confirm

    async def confirmed(self, kinds: tuple[type[object], ...]) -> None:
        """Wait until events of these kinds will come.

        :raises VirtError: they will not.
        """
        if self._confirm is not None:
            await self._confirm(kinds)

    def cancel(self) -> None:
        """End the registration."""
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()


class Place(NamedTuple):
    """Where a driver on this host runs, which decides the services that its connections see."""

    #: With the administrator's rights; else as the user.
    privileged: bool
    #: Below this folder instead of the usual ones.
    root: str | None = None


def implements(cls: type, operation: Operation) -> bool:
    """Whether a class overrides what is declared of an operation."""
    method = getattr(cls, operation.name, None)
    return method is not None and not hasattr(method, "__operation__")


class Driver(AllOperations):
    """Base class of all drivers. One instance serves one connection; it lives in the core loop.

    :ivar place: where it runs, when its connections are to have the host's services
        (:mod:`virtcore.driver.service`) for what it does not bring itself; None for hypervisors that are elsewhere or
        have no host around them. Known once it is open.
    """

    place: Place | None = None

    #: Name as ``virConnectGetType`` reports it.
    name: ClassVar[str]

    #: Name of the :class:`~virtcore.errors.ErrorDomain` of its errors.
    error_domain: ClassVar[str] = "NONE"

    #: It reaches this host only: URIs with a host part go to a daemon there.
    local_only: ClassVar[bool] = False

    #: Its URIs have a host part.
    remote_only: ClassVar[bool] = False

    #: It serves ``/embed?root=...``.
    embeddable: ClassVar[bool] = False

    #: Services that it brings in modules of their own: name -> ``module:class``, a
    #: :class:`virtcore.driver.service.DriverService`, loaded when somebody asks for it.
    own_services: ClassVar[Mapping[str, str | type[DriverService]]] = {}

    #: Of the services of its place those that its connections have; None for all.
    wanted_services: ClassVar[frozenset[str] | None] = None

    #: What it can beside its operations, of :class:`~virtcore.operations.features.DriverFeature`.
    features: ClassVar[frozenset[int]] = frozenset()

    #: The operations that it answers, or says that it has not got, before :meth:`complete` has loaded the rest of it;
    #: None when there is no rest.
    first: ClassVar[frozenset[str] | None] = None

    #: Most plain methods of one connection that run at the same time.
    workers: ClassVar[int] = 4

    #: Place among the drivers that are probed when no URI is given; lower ones come first.
    probe_order: ClassVar[int] = 100

    @classmethod
    def probe(cls) -> str | None:
        """The URI to use when none is given; None when this host has not got the hypervisor. Must be quick."""
        return None

    @classmethod
    @abstractmethod
    async def open(cls, request: OpenRequest) -> Self:
        """Open a connection.

        :raises VirtError: the URI is not acceptable or the hypervisor not reachable.
        """

    @classmethod
    def opens_at_once(cls, uri: ConnectionURI) -> bool:
        """Whether :meth:`open` waits for nothing when it is given a URI, nor does :meth:`close` before anything but
        :attr:`first` was asked for: as long as there is no core loop, the calling thread does that by itself."""
        return False

    @classmethod
    def whole(cls) -> type[Driver]:
        """The class that has every operation, loaded now; where :attr:`first` is not None, another than this."""
        return cls

    def complete(self) -> None:
        """Become an instance of :meth:`whole`, because something else than :attr:`first` is asked for."""
        self.__class__ = self.whole()

    async def close(self) -> None:
        """The connection ends. Guests go on. Never raises for work that others still do on shared state."""

    async def preserve(self) -> None:
        """The host goes down, or the user's session ends: save, shut down or end guests as the driver's settings say.
        Nothing, by default. Never raises."""

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        """Register for every event of this connection's objects. Called in the core loop.

        ``deliver`` never blocks and may be called in any thread; events of one thread keep their order.

        :raises NoSupport: the driver has no events.
        """
        from virtcore.errors import NoSupport

        raise NoSupport("subscribe")

    def subscribe_monitor(self, deliver: Callable[[Event], None]) -> Subscription:
        """Register for what QEMU's monitor says, as :class:`~virtcore.operations.events.QemuMonitorEvent`; as
        :meth:`subscribe`, where these events do not come.

        :raises NoSupport: the driver has no monitor.
        """
        from virtcore.errors import NoSupport

        raise NoSupport("virConnectDomainQemuMonitorEventRegister")

    @classmethod
    def implements(cls, operation: Operation) -> bool:
        """Whether this driver, or a service that it brings in a module of its own, has an operation."""
        own = None if operation.service is None else cls.own_service(operation.service)
        if own is None and operation.service is None and cls.first is not None and operation.name not in cls.first:
            return implements(cls.whole(), operation)
        return implements(own or cls, operation)

    def has(self, operation: Operation) -> bool:
        """Whether this connection has an operation: one that the class has, unless it has learnt better."""
        return self.implements(operation)

    @classmethod
    def own_service(cls, name: str) -> type[DriverService] | None:
        """The class of a service in :attr:`own_services`, loaded now; None for others."""
        own = cls.own_services.get(name)
        if isinstance(own, str):
            module, _, attribute = own.partition(":")
            own = getattr(imported(module), attribute)
        return own

    @inline
    def connection_type(self) -> str:
        return self.name

    @inline
    def connection_supports_feature(self, feature: int) -> Result[bool]:
        return feature in self.features
