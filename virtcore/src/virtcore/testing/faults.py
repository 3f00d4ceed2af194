"""Faults and delays on demand: how does a program behave when a start fails, when a query hangs?

::

    with injected("test", Fault("domain_create", error=OperationFailed("no luck"), times=1)) as counts:
        with virtcore.connect("test:///default") as connection:
            ...
    assert counts["domain_create"] == 1
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from virtcore.driver.composition import brought
from virtcore.driver.loader import driver_for, registered, registered_service, service_for, service_names
from virtcore.operations.declare import all_operations
from virtcore.uri import ConnectionURI

if TYPE_CHECKING:
    from virtcore.driver.base import Driver
    from virtcore.driver.service import ServiceDriver

__all__ = ["Fault", "injected"]


class Fault(NamedTuple):
    """What happens to an operation.

    :ivar operation: its name, e.g. ``domain_create``.
    :ivar error: raised instead of calling the driver; None calls it.
    :ivar delay: seconds to wait first.
    :ivar times: how often; None for always.
    """

    operation: str
    error: Exception | None = None
    delay: float = 0.0
    times: int | None = None


@contextmanager
def injected(scheme: str, *faults: Fault) -> Iterator[Counter[str]]:
    """Connections to ``scheme`` opened in this block have these faults, also those of the services beside the driver.

    Yields how often each operation was hit.

    :raises ValueError: there is no such operation, or two faults for one.
    """
    base = driver_for(ConnectionURI.parse(f"{scheme}:///")).whole()
    hits: Counter[str] = Counter()
    known = all_operations()
    beside = (service_names() - brought(base)) | base.own_services.keys()
    methods: dict[str | None, dict[str, object]] = {None: {}}
    for fault in faults:
        service = known[fault.operation].service if fault.operation in known else None
        owner = service if service in beside else None
        mine = methods.setdefault(owner, {})
        if fault.operation not in known or fault.operation in mine:
            raise ValueError(f"no operation, or twice: {fault.operation}")
        mine[fault.operation] = _faulty(base if owner is None else _service(base, owner), fault, hits)
    with ExitStack() as stack:
        overridden = methods.pop(None)
        faulty = {name: _subclass(_service(base, name), mine) for name, mine in methods.items() if name is not None}
        own = {name: faulty.get(name, mine) for name, mine in base.own_services.items()}
        stack.enter_context(registered(scheme, _subclass(base, {**overridden, "own_services": own})))
        for name, beside_it in faulty.items():
            if name not in own:
                stack.enter_context(registered_service(name, beside_it))
        yield hits


def _service(driver: type[Driver], name: str) -> type[ServiceDriver]:
    return driver.own_service(name) or service_for(name)


C = TypeVar("C")


def _subclass(base: type[C], methods: dict[str, object]) -> type[C]:
    return type(f"Faulty{base.__name__}", (base,), methods)


def _faulty(base: type[object], fault: Fault, hits: Counter[str]) -> Callable[..., object]:
    behaved = getattr(base, fault.operation)

    async def method(self: object, *args: object, **kwargs: object) -> object:
        if fault.times is None or hits[fault.operation] < fault.times:
            hits[fault.operation] += 1
            await asyncio.sleep(fault.delay)
            if fault.error is not None:
                raise fault.error
        result = behaved(self, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return method
