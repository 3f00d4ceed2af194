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
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from virtcore.driver.loader import driver_for, registered
from virtcore.operations.declare import all_operations
from virtcore.uri import ConnectionURI

if TYPE_CHECKING:
    from virtcore.driver.base import Driver

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
    """Connections to ``scheme`` that are opened in this block have these faults.

    Yields how often each operation was hit.

    :raises ValueError: there is no such operation, or two faults for one.
    """
    base = driver_for(ConnectionURI.parse(f"{scheme}:///"))
    hits: Counter[str] = Counter()
    known = all_operations()
    methods: dict[str, object] = {}
    for fault in faults:
        if fault.operation not in known or fault.operation in methods:
            raise ValueError(f"no operation, or twice: {fault.operation}")
        methods[fault.operation] = _faulty(base, fault, hits)
    with registered(scheme, type(f"Faulty{base.__name__}", (base,), methods)):
        yield hits


def _faulty(base: type[Driver], fault: Fault, hits: Counter[str]) -> Callable[..., object]:
    behaved = getattr(base, fault.operation)

    async def method(self: Driver, *args: object, **kwargs: object) -> object:
        if fault.times is None or hits[fault.operation] < fault.times:
            hits[fault.operation] += 1
            await asyncio.sleep(fault.delay)
            if fault.error is not None:
                raise fault.error
        result = behaved(self, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return method
