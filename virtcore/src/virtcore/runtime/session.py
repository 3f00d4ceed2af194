"""An open connection as the core loop sees it: its driver, the rules of its calls, its subscribers.

The faces of :mod:`virtcore.api` are built on it, and a daemon serves its clients with it directly::

    session = await open_session("test:///default")
    if session.method("domain_state").style is Style.INLINE:
        state = session.call_inline("domain_state", ref, 0)
    else:
        state = await session.call("domain_state", ref, 0)
"""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from virtcore.errors import (
    InternalError,
    InvalidConn,
    NoSupport,
    OperationDenied,
    VirtError,
)
from virtcore.operations.declare import Operation, service_of_family
from virtcore.operations.families import family_of_reference
from virtcore.operations.spellings import canonical_function
from virtcore.runtime.admission import denial, forked, needs_write_connection, operation_named, unknown_operation
from virtcore.runtime.calls import Call, Outcome, running_calls, wait_anywhere, wait_here, wait_in_loop
from virtcore.runtime.events import Kinds, check_kinds, wanted
from virtcore.runtime.jobs import DeadlineExpired, Job
from virtcore.runtime.loop import CoreLoop
from virtcore.runtime.methods import (
    DEFAULT,
    QUERY_DEADLINE,
    Deadline,
    Method,
    Style,
    check_deadline,
    guarded,
    methods_of,
)
from virtcore.runtime.threads import in_thread
from virtcore.runtime.workers import WorkerPool

if TYPE_CHECKING:
    from virtcore.operations.events import Event, EventSubject

__all__ = ["Backend", "Cancellable", "Hypervisor", "Services", "Session", "Subscriber"]

_names = itertools.count(1)

#: Source of what QEMU's monitors say, which comes only to those who ask for it.
_MONITOR: Final = "qemu monitor"


class Cancellable(Protocol):
    """A registration that can be ended."""

    def cancel(self) -> None:
        """End it; later calls do nothing."""

    async def confirmed(self, kinds: Kinds) -> None:
        """Wait until events of these kinds will come; raises why they will not."""


class Backend(Protocol):
    """What a session needs of a driver or service beside the operations."""

    async def close(self) -> None:
        """The connection ends."""

    def subscribe(self, deliver: Callable[[Event], None]) -> Cancellable:
        """Register for every event but the monitor's."""

    def implements(self, operation: Operation) -> bool:
        """Whether an operation is there."""


class Hypervisor(Backend, Protocol):
    """What a session needs of its driver (see :class:`virtcore.driver.Driver`)."""

    error_domain: ClassVar[str]
    own_services: ClassVar[Mapping[str, Any]]
    first: ClassVar[frozenset[str] | None]

    @classmethod
    def whole(cls) -> type[Hypervisor]:
        """The class that has every operation, loaded now."""

    def complete(self) -> None:
        """Become an instance of that."""

    async def preserve(self) -> None:
        """The host goes down: do what the driver's settings want of its guests."""

    def subscribe_monitor(self, deliver: Callable[[Event], None]) -> Cancellable:
        """Register for what QEMU's monitor says."""

    def has(self, operation: Operation) -> bool:
        """Whether an operation is there, as far as is known now."""


class Services(Protocol):
    """What a session needs of services beside its driver (see :class:`virtcore.driver.composition.HostServices`)."""

    @property
    def names(self) -> frozenset[str]:
        """The services that are there."""

    def class_of(self, name: str) -> type[Any]:
        """The class of one."""

    def is_loaded(self, name: str) -> bool:
        """Whether the class of one is loaded."""

    def implements(self, operation: Operation) -> bool:
        """Whether an operation of one of them is there."""

    def opened(self, name: str) -> Backend | None:
        """One's instance, if it is open."""

    async def open(self, name: str) -> Backend:
        """One's instance."""

    async def close(self) -> None:
        """The connection ends."""


class Subscriber:
    """A registration for events of some kinds and objects with a session; :meth:`cancel` in the core loop."""

    __slots__ = ("_session", "closed", "deliver", "kinds", "subject")

    def __init__(
        self,
        session: Session,
        deliver: Callable[[Event], object],
        kinds: Kinds,
        subject: EventSubject | None,
        closed: Callable[[], None] | None,
    ) -> None:
        self._session = session
        self.deliver = deliver
        self.kinds = kinds
        self.subject = subject
        self.closed = closed

    def cancel(self) -> None:
        """End the registration."""
        self._session.unsubscribe(self)

    @property
    def confirms_at_once(self) -> bool:
        """Whether :meth:`confirmed` waits for no service."""
        return self._session.confirms_at_once(self)

    async def confirmed(self) -> None:
        """Wait until the events will come; see :meth:`Session.confirm`."""
        await self._session.confirm(self)


class Session:
    """One connection.

    :param driver: the driver's instance for this connection.
    :param readonly: refuse what libvirt refuses on read-only connections.
    :param deadline: seconds for queries whose caller does not say; None for no limit.
    :param workers: threads for plain methods.
    :param services: what has the operations of services that the driver does not bring.
    """

    def __init__(
        self,
        core: CoreLoop,
        driver: Hypervisor,
        *,
        readonly: bool = False,
        deadline: float | None = QUERY_DEADLINE,
        workers: int = 4,
        services: Services | None = None,
    ) -> None:
        self.core = core
        self.driver = driver
        self.readonly = readonly
        self.deadline = check_deadline(deadline)
        self.closed = False
        self._workers = workers
        #: Threads for plain methods, from the first one on.
        self._pool: WorkerPool | None = None
        self._subscribers: list[Subscriber] = []
        #: Where events come from: None is the driver, else its monitors or a service.
        self._registrations: dict[str | None, Cancellable] = {}
        self._services = services
        self._routes: dict[str, Method] = {}
        #: Services that are being opened for the sake of their events, and what becomes of that.
        self._awakening: dict[str, asyncio.Task[VirtError | None]] = {}
        self._closing: asyncio.Task[None] | None = None

    @property
    def driver_name(self) -> str:
        """Name of the driver's class."""
        return type(self.driver).__name__

    def in_loop(self) -> Session:
        """The session itself: it lives in the core loop."""
        return self

    # -- operations

    def method(self, name: str) -> Method:
        """How an operation is called here.

        :raises InvalidArg: there is no such operation.
        """
        driver = self.driver
        if not self.is_loaded(name):
            driver.complete()
        methods = methods_of(type(driver))
        method = methods.get(name)
        if method is None:
            raise unknown_operation(name, methods)
        if self._services is not None and method.operation is not None and method.operation.service is not None:
            return self._route(method, method.operation.service, self._services)
        return method

    def is_loaded(self, name: str) -> bool:
        """Whether no more of the driver has to be loaded to call an operation."""
        first = self.driver.first
        return first is None or name in first or operation_named(name).service is not None

    def service_is_loaded(self, name: str) -> bool:
        """Whether no service has to be loaded to call an operation."""
        service = operation_named(name).service
        return self._services is None or service not in self._services.names or self._services.is_loaded(service)

    async def load(self, name: str) -> None:
        """Load what an operation needs beyond the driver's first answers, in a thread; those who do not wait for it go
        on.

        :raises InternalError: a service cannot be loaded; names the distribution and the cause.
        """
        service = operation_named(name).service
        gathers = gc.isenabled()
        gc.disable()  # it would look through what is loaded, all of which stays
        try:
            if self._services is not None and service in self._services.names:
                await in_thread(self._services.class_of, service)
                return
            await in_thread(self.driver.whole)
        finally:
            if gathers:
                gc.enable()
        self.driver.complete()

    def _route(self, method: Method, service: str, services: Services) -> Method:
        """A method that a service has: of its instance, which is opened first where it is not open yet.

        A method takes the driver as its first argument; these have a service's instance instead.
        """
        if service not in services.names:
            return method
        found = self._routes.get(method.name)
        if found is not None:
            return found
        known = methods_of(services.class_of(service))[method.name]
        # Open, and those who wait for its events are registered: what is called now is told to them.
        instance = services.opened(service) if not self._awakening else None
        if instance is not None:
            found = known._replace(function=_with(instance, known.function))
            self._routes[method.name] = found
            return found
        if known.style is Style.PLAIN:
            return known._replace(function=partial(self._open_and_run, service, known))
        return known._replace(style=Style.ASYNC, function=partial(self._open_and_await, service, known))

    def _open_and_run(self, service: str, method: Method, driver: Backend, *args: Any, **kwargs: Any) -> Any:
        instance = wait_here(Call(self.core, _OPEN_SERVICE, (self, service), {}), None)
        return method.function(instance, *args, **kwargs)

    async def _open_and_await(self, service: str, method: Method, driver: Backend, *args: Any, **kwargs: Any) -> Any:
        value = method.function(await self._open_service(service), *args, **kwargs)
        return await value if isinstance(value, Coroutine) else value

    async def _open_service(self, service: str) -> Backend:
        assert self._services is not None
        instance = await self._services.open(service)
        self._register(kept=True)
        return instance

    def supports(self, name: str) -> bool:
        """Whether the driver, or the service that stands beside it, has an operation.

        :raises InvalidArg: there is no such operation.
        :raises InternalError: the service cannot be loaded; names the distribution and the cause.
        """
        operation = operation_named(name)
        if self._services is not None and operation.service in self._services.names:
            return self._services.implements(operation)
        return self.driver.has(operation)

    def error_domain(self, name: str) -> str:
        """The name of the error domain of what carries out an operation: the driver's, or that of a service of
        the host.

        :raises InvalidArg: there is no such operation.
        """
        service = operation_named(name).service
        if self._services is not None and service in self._services.names and service not in self.driver.own_services:
            return str(self._services.class_of(service).error_domain)
        return self.driver.error_domain

    def _admit(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Method:
        """The method to call, after the checks that every call passes."""
        method = guarded(self.method(name))
        self._check_fork()
        if self.closed:
            raise InvalidConn(_function_name(method), advice="the connection was closed")
        if self.readonly and needs_write_connection(name, method.change, method.operation, args, kwargs):
            raise OperationDenied(denial(name))
        return method

    def _admit_user(self, name: str, args: tuple[Any, ...]) -> Method:
        """The same for a call of the objects that users hold, who may give anything for an argument."""
        method = self._admit(name, args, {})
        if method.operation is not None:
            method.operation.check_arguments(args)
        return method

    def _seconds(self, method: Method, deadline: Deadline) -> float | None:
        if deadline is DEFAULT:
            return None if method.change else self.deadline
        return check_deadline(deadline)

    def _call(self, method: Method, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return Call(self.core, method, (self.driver, *args), kwargs, self, self._pool_for(method))

    def _pool_for(self, method: Method) -> WorkerPool | None:
        if self._pool is None and method.style is Style.PLAIN:
            self._pool = WorkerPool(self._workers, f"virtcore-{next(_names)}")
        return self._pool

    def plan(self, method: Method, args: tuple[Any, ...]) -> Call:
        """A call of something that is no operation: of a stream or a subscription.

        :raises OperationInvalid: the process was forked.
        """
        self._check_fork()
        return Call(self.core, method, args, {}, self, self._pool_for(method))

    def run_here(self, method: Method, args: tuple[Any, ...], seconds: float | None = None) -> Any:
        """Call something that is no operation, and block the calling thread."""
        return wait_here(self.plan(method, args), seconds)

    async def run_anywhere(self, method: Method, args: tuple[Any, ...], seconds: float | None = None) -> Any:
        """Call something that is no operation, in a coroutine of whatever loop."""
        return await wait_anywhere(self.plan(method, args), seconds)

    def _check_fork(self) -> None:
        if self.core.forked:
            raise forked()

    def call_inline(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call an operation whose method is inline, in the core loop, without any waiting."""
        method = self._admit(name, args, kwargs)
        if method.style is not Style.INLINE:
            raise InternalError(f"{name} of this driver is not an inline method")
        value = method.function(self.driver, *args, **kwargs)
        if isinstance(value, Coroutine):
            value.close()
            raise InternalError(f"{name} takes long this time: it must be awaited")
        return value

    async def call(self, name: str, *args: Any, deadline: Deadline = DEFAULT, **kwargs: Any) -> Any:
        """Call an operation in a coroutine of the core loop.

        Cancelling the awaiting task cancels a query; a change goes on.

        :raises DeadlineExpired: the deadline was reached.
        """
        method = self._admit(name, args, kwargs)
        seconds = self._seconds(method, deadline)
        if method.style is Style.PLAIN or (method.change and method.style is Style.ASYNC):
            return await wait_in_loop(self._call(method, args, kwargs), seconds)
        work = method.function(self.driver, *args, **kwargs)
        if method.style is Style.INLINE and not isinstance(work, Coroutine):
            return work
        if seconds is None:
            return await work
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
            call = self._call(method, args, kwargs)
            raise DeadlineExpired(call, seconds, Outcome.CANCELLED.value, None) from None

    def begin(self, name: str, args: tuple[Any, ...]) -> Call:
        """Begin a change, in the core loop, without waiting. Who wants to know its end watches the call."""
        call = self._call(self._admit(name, args, {}), args, {})
        call.begin()
        return call

    def call_here(self, name: str, args: tuple[Any, ...], deadline: Deadline = DEFAULT) -> Any:
        """Call an operation and block the calling thread, which is not the core loop's."""
        method = self._admit_user(name, args)
        return wait_here(self._call(method, args, {}), self._seconds(method, deadline))

    async def call_anywhere(self, name: str, args: tuple[Any, ...], deadline: Deadline = DEFAULT) -> Any:
        """Call an operation in a coroutine of whatever loop."""
        if self.core.is_current():
            return await self.call(name, *args, deadline=deadline)
        method = self._admit_user(name, args)
        return await wait_anywhere(self._call(method, args, {}), self._seconds(method, deadline))

    def jobs(self) -> list[Job]:
        """The changes that are running on this connection, oldest first."""
        calls = [call for call in running_calls(self) if call.number]
        return [Job(call) for call in sorted(calls, key=lambda call: call.number)]

    # -- events; in the core loop

    def subscribe(
        self,
        deliver: Callable[[Event], object],
        kinds: Kinds = (),
        closed: Callable[[], None] | None = None,
        *,
        subject: EventSubject | None = None,
        awaken: bool = True,
    ) -> Subscriber:
        """Have ``deliver`` called with every event of these kinds, in the core loop. None given are all but those of
        QEMU's monitor.

        :param closed: called when the connection closes.
        :param subject: the one object whose events are wanted; None for all.
        :param awaken: open the services that have events of these kinds; else they come once something else did.
        :raises NoSupport: the driver, or the service of one of the kinds, has no events.
        :raises InternalError: a service cannot be loaded; names the distribution and the cause.
        """
        if self.closed:
            raise InvalidConn("subscribe", advice="the connection was closed")
        sources = self._sources(kinds)
        if _MONITOR in sources and self.readonly:
            raise OperationDenied("read only access prevents virConnectDomainQemuMonitorEventRegister")
        subscriber = Subscriber(self, deliver, kinds, subject, closed)
        self._subscribers.append(subscriber)
        try:
            if None in sources and None not in self._registrations:
                try:
                    self._registrations[None] = self.driver.subscribe(self._deliver)
                except NoSupport:
                    if kinds or len(sources) == 1:  # else there are those of services
                        raise
            if _MONITOR in sources and _MONITOR not in self._registrations:
                self._registrations[_MONITOR] = self.driver.subscribe_monitor(self._deliver)
            self._register(kept=not kinds)
        except BaseException:
            self.unsubscribe(subscriber)
            raise
        if self._services is not None and awaken:
            for service in sources:
                if service is None or service == _MONITOR or service in self._awakening:
                    continue
                if self._services.opened(service) is None:
                    task = self.core.loop.create_task(self._awaken(service))
                    self._awakening[service] = task
                    task.add_done_callback(lambda _, service=service: self._awakening.pop(service, None))  # type: ignore[misc]
        return subscriber

    async def confirm(self, subscriber: Subscriber) -> None:
        """Wait until the events of a registration will come: the services that have them are open, and the hypervisor
        agreed. Who asked for no kind in particular gets those that there are.

        :raises VirtError: they will not; then the registration has ended.
        """
        try:
            for source in self._sources(subscriber.kinds):
                if self._services is not None and source is not None and source != _MONITOR:
                    await self._confirm_service(self._services, source, bool(subscriber.kinds))
                registration = self._registrations.get(source)
                if registration is not None:
                    await registration.confirmed(subscriber.kinds)
        except BaseException:
            self.unsubscribe(subscriber)
            raise

    async def _confirm_service(self, services: Services, service: str, named: bool) -> None:
        task = self._awakening.get(service)
        error = await asyncio.shield(task) if task is not None else None
        if not named:
            if error is not None:
                import logging

                logging.getLogger("virtcore").warning("there will be no events of service %s: %s", service, error)
            return
        if error is not None:
            raise error
        instance = services.opened(service)
        if instance is not None and service not in self._registrations:
            self._registrations[service] = instance.subscribe(self._deliver)

    def confirms_at_once(self, subscriber: Subscriber) -> bool:
        """Whether :meth:`confirm` has nothing to wait for."""
        return not any(source in self._awakening for source in self._sources(subscriber.kinds))

    def _sources(self, kinds: Kinds) -> set[str | None]:
        """Where events of these kinds come from: None is the driver, else its monitors or a service."""
        names: frozenset[str] = self._services.names if self._services is not None else frozenset()
        if not kinds:
            return {None, *names}
        found = {_service_of(kind) for kind in kinds}
        return {service if service == _MONITOR or service in names else None for service in found}

    def _register(self, *, kept: bool) -> None:
        """Register with the open services whose events somebody waits for.

        :param kept: that one of them has no events is no error.
        """
        if self._services is None:
            return
        wanted_sources = set().union(*(self._sources(subscriber.kinds) for subscriber in self._subscribers))
        for service in wanted_sources - self._registrations.keys():
            instance = self._services.opened(service) if service not in (None, _MONITOR) else None
            if instance is not None:
                try:
                    self._registrations[service] = instance.subscribe(self._deliver)
                except NoSupport:
                    if not kept:
                        raise

    async def _awaken(self, service: str) -> VirtError | None:
        """Open a service for the sake of its events. Gives why it cannot be, for those who asked for them."""
        try:
            await self._open_service(service)
        except VirtError as error:
            return error
        return None

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End a registration; unknown ones are ignored."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        if not self._subscribers:
            registrations, self._registrations = self._registrations, {}
            for registration in registrations.values():
                registration.cancel()
        if _MONITOR in self._registrations and not any(
            _MONITOR in self._sources(one.kinds) for one in self._subscribers
        ):
            self._registrations.pop(_MONITOR).cancel()

    def plan_subscription(
        self,
        deliver: Callable[[Event], object],
        kinds: Kinds,
        closed: Callable[[], None],
        subject: EventSubject | None = None,
    ) -> Call:
        """A call of :meth:`subscribe` and :meth:`confirm`: what happens once it has begun is delivered."""
        subscriber: Subscriber | None = None

        def begin(session: Session) -> Coroutine[Any, Any, Subscriber]:
            nonlocal subscriber
            subscriber = session.subscribe(deliver, kinds, closed, subject=subject)
            return confirmed(session, subscriber)

        async def confirmed(session: Session, subscriber: Subscriber) -> Subscriber:
            await session.confirm(subscriber)
            return subscriber

        def end() -> None:
            if call.error is not None and subscriber is not None:
                self.unsubscribe(subscriber)  # cancelled before it could ask for a confirmation, too

        call = self.plan(Method("subscribe", False, Style.ASYNC, begin), (self,))
        check_kinds(kinds)
        call.watch(end)
        return call

    def subscribe_here(
        self,
        deliver: Callable[[Event], object],
        kinds: Kinds,
        closed: Callable[[], None],
        subject: EventSubject | None = None,
    ) -> Subscriber:
        """Subscribe in a thread that is not the core loop's."""
        subscriber: Subscriber = wait_here(self.plan_subscription(deliver, kinds, closed, subject), None)
        return subscriber

    def unsubscribe_soon(self, subscriber: Subscriber) -> None:
        """Have the core loop end a registration, without waiting; from any thread."""
        if not self.core.forked and not self.core.loop.is_closed():
            self.core.call_soon(self.unsubscribe, subscriber)

    def _deliver(self, event: Event) -> None:
        if not self.core.is_current():  # a driver over a blocking SDK delivers from a thread of its own
            self.core.call_soon(self._deliver, event)
            return
        for subscriber in tuple(self._subscribers):
            if wanted(event, subscriber.kinds, subscriber.subject):
                subscriber.deliver(event)

    # -- the end

    def close_here(self, seconds: float | None) -> None:
        """Close it and block the calling thread. In a forked child that does nothing: the parent has it open."""
        if not self.closed and not self.core.forked:
            wait_here(Call(self.core, _CLOSE, (self,), {}), seconds)

    async def close_anywhere(self, seconds: float | None) -> None:
        """Close it in a coroutine of whatever loop."""
        if not self.closed and not self.core.forked:
            await wait_anywhere(Call(self.core, _CLOSE, (self,), {}), seconds)

    def close_soon(self) -> None:
        """Have the core loop close it, without waiting; from any thread. For connections that nobody holds any more."""
        if not self.closed and not self.core.forked and not self.core.loop.is_closed():
            self.core.call_soon(self._begin_close)

    def _begin_close(self) -> None:
        self._closing = self.core.loop.create_task(self.close())

    async def close(self) -> None:
        """End the connection: new calls are refused, queries cancelled, subscriptions ended.

        The driver closes when the last change that still runs has ended; this waits for it only if none does.
        """
        if self.closed:
            return
        self.closed = True
        for task in self._awakening.values():
            task.cancel()
        for subscriber in tuple(self._subscribers):
            if subscriber.closed is not None:
                subscriber.closed()
            self.unsubscribe(subscriber)
        changes = []
        for call in running_calls(self):
            if call.number:
                changes.append(call)
            else:
                call.cancel(InvalidConn(_function_name(call.method), advice="the connection was closed"))
        if not changes:
            await self._close_driver()
            return
        left = set(changes)

        def ended(call: Call) -> None:
            left.discard(call)
            if not left:
                self._closing = self.core.loop.create_task(self._close_driver())

        for call in changes:
            call.watch(partial(self.core.call_soon, ended, call))

    async def _close_driver(self) -> None:
        if self._pool is not None:
            self._pool.close()
        try:
            await self.driver.close()
        finally:
            if self._services is not None:
                await self._services.close()


_OPEN_SERVICE = Method("connection_open", False, Style.ASYNC, Session._open_service)
_CLOSE = Method("connection_close", True, Style.ASYNC, Session.close)


def _with(instance: Backend, function: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a service's instance, called with the driver."""

    def call(driver: Backend, *args: Any, **kwargs: Any) -> Any:
        return function(instance, *args, **kwargs)

    return call


def _service_of(kind: type[Event]) -> str | None:
    """The service whose objects a kind of event is about: that of its first field's family."""
    if kind.__name__ == "QemuMonitorEvent":
        return _MONITOR
    declared: object = next(iter(kind.__annotations__.values()))
    # Text in our own named tuples, a reference or a class in those of others.
    name = declared if isinstance(declared, str) else getattr(declared, "__forward_arg__", "")
    name = name or getattr(declared, "__name__", "")
    family = family_of_reference(name)
    return None if family is None else service_of_family(family.name)


def _function_name(method: Method) -> str:
    """Libvirt's function for an operation, as its messages name it."""
    return canonical_function(method.name)
