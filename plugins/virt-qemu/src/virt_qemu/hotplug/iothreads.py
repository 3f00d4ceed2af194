"""I/O threads that join, leave and change in a running guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.hotplug.plan import Step, undo
from virtcore.driver.toolkit.configuration.iothreads import numbers
from virtcore.errors import InternalError, InvalidArg

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.monitor import JSON
    from virt_qemu.tuning.live import GuestChange
    from virtcore.model.domain import Domain
    from virtcore.model.domain.resources import IOThread
    from virtcore.types import TypedParameters

__all__ = ["apply_threads", "check_parameters", "set_parameters", "take_parameters"]

#: Fields of a thread's element, QEMU's names of them.
_POOL = (("thread_pool_min", "thread-pool-min"), ("thread_pool_max", "thread-pool-max"))
_INT_MAX = (1 << 31) - 1
_POLL = (("max", "poll-max-ns"), ("grow", "poll-grow"), ("shrink", "poll-shrink"))


async def apply_threads(change: GuestChange) -> None:
    """Let the threads that a configuration gains join, and those that it loses leave."""
    from virt_qemu.recovery import iothreads_of

    guest, monitor = change.guest, change.guest.channel()
    before, after = set(numbers(change.old)), set(numbers(change.new))
    done: list[Step] = []
    try:
        for number in sorted(after - before):
            step = Step("object-add", _object(change.new, number), ("object-del", {"id": f"iothread{number}"}))
            await monitor.execute(step.command, step.arguments)
            done.append(step)
        for number in sorted(before - after):
            again = ("object-add", _object(change.old, number))
            step = Step("object-del", {"id": f"iothread{number}"}, again)
            await monitor.execute(step.command, step.arguments)
            done.append(step)
        found = iothreads_of(await monitor.execute("query-iothreads"))
        _check(found, before, after)
    except BaseException:
        await undo(monitor, done)
        raise
    guest.iothreads = found


def _check(found: dict[int, int], before: set[int], after: set[int]) -> None:
    if len(found) != len(after):
        raise InternalError(
            f"got wrong number of IOThread ids from QEMU monitor. got {len(found)}, wanted {len(after)}"
        )
    for number in sorted(after - before):
        if number not in found:
            raise InternalError(f"cannot find new IOThread '{number}' in QEMU monitor.")


def _object(domain: Domain, number: int) -> dict[str, JSON]:
    """A thread's object, with what its element says."""
    element = next((thread for thread in domain.iothread_ids if thread.id == number), None)
    props: dict[str, JSON] = {"qom-type": "iothread", "id": f"iothread{number}"}
    if element is None:
        return props
    for field, name in _POOL:
        value = getattr(element, field)
        if value is not None:
            props[name] = value
    for field, name in _POLL:
        value = getattr(element.poll, field, None)
        if value is not None:
            props[name] = value
    return props


def check_parameters(params: TypedParameters) -> None:
    """Refuse limits that QEMU does not take.

    :raises InvalidArg: it is too high.
    """
    for name, value in params.items():
        if name.startswith("poll_") and isinstance(value, int) and value > _INT_MAX:
            raise InvalidArg(f"{name.replace('_', '-')} ({value}) must be less than or equal to {_INT_MAX}")


async def set_parameters(guest: Guest, number: int, params: TypedParameters) -> None:
    """Change how a thread polls, and how many workers it has.

    :raises VirtError: QEMU refused; what was changed before stays so.
    """
    monitor = guest.channel()
    values = {name: value for name, value in params.items() if isinstance(value, int)}
    for name in ("poll_max_ns", "poll_grow", "poll_shrink", *_ordered_pool(values)):
        if name in values:
            await monitor.execute(
                "qom-set",
                {
                    "path": f"/objects/iothread{number}",
                    "property": name.replace("_", "-"),
                    "value": values[name],
                },
            )


def _ordered_pool(values: dict[str, int]) -> tuple[str, ...]:
    """The limits of the pool in an order in which the lower one never passes the upper one."""
    names = ("thread_pool_max", "thread_pool_min")
    return names if values.get("thread_pool_max") != -1 else names[::-1]


def take_parameters(domain: Domain, number: int, params: TypedParameters) -> None:
    """Note in a configuration how a thread polls, and how many workers it has."""
    from virtcore.driver.toolkit.configuration.iothreads import listed
    from virtcore.model.domain.resources import IOThreadPoll

    element: IOThread = listed(domain, number)
    values = {name: value for name, value in params.items() if isinstance(value, int)}
    for field, name in _POOL:
        value = values.get(name.replace("-", "_"))
        if value is not None:
            setattr(element, field, None if value < 0 else value)
    for field, name in _POLL:
        value = values.get(name.replace("-", "_"))
        if value is not None:
            element.poll = element.poll or IOThreadPoll()
            setattr(element.poll, field, value)
