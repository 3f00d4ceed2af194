"""Virtual CPUs that join and leave a running guest.

QEMU adds them in entities: a thread on most machines, a whole core on POWER. An entity's first virtual CPU stands for
it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virt_qemu.hotplug.detach import expecting, has_gone
from virt_qemu.monitor import CommandError
from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg, OperationTimeout, OperationUnsupported
from virtcore.model.domain.cputune import VCPU

if TYPE_CHECKING:
    from virt_qemu.hotplug.session import Session
    from virt_qemu.monitor import JSON, Monitor
    from virtcore.model.domain import Domain

__all__ = [
    "VirtualCPU",
    "ask",
    "check_states",
    "choose",
    "is_supported",
    "note",
    "plug_at_boot",
    "set_count",
    "set_state",
    "take_states",
    "threads_of",
]

#: Properties of an entity, in the order in which entities are numbered.
_ORDER = ("node-id", "socket-id", "die-id", "cluster-id", "core-id", "thread-id")


@dataclass(slots=True, kw_only=True)
class VirtualCPU:
    """A virtual CPU as QEMU has it.

    :ivar entity: how many virtual CPUs come with it; 0 where it comes with another one.
    :ivar props: what QEMU is told to add the entity.
    :ivar alias: name of the entity's device; None where it was there from the beginning.
    :ivar thread: of the host; None where none is told.
    :ivar order: when the entity was added; 0 where it is not there.
    """

    number: int
    online: bool
    entity: int
    type: str
    props: dict[str, JSON]
    alias: str | None = None
    thread: int | None = None
    order: int = 0

    @property
    def hotpluggable(self) -> bool:
        """Whether it can be taken out, or was."""
        return self.alias is not None or not self.online


async def ask(monitor: Monitor, maximum: int) -> list[VirtualCPU]:
    """The virtual CPUs of a guest.

    :param maximum: how many there can be.
    :raises VirtError: QEMU does not tell, or tells other ones.
    """
    entities = await monitor.execute("query-hotpluggable-cpus")
    cpus = await monitor.execute("query-cpus-fast")
    return _read(entities, cpus, maximum)


def _read(entities: JSON, cpus: JSON, maximum: int) -> list[VirtualCPU]:
    rows = [row for row in entities if isinstance(row, dict)] if isinstance(entities, list) else []
    rows.sort(key=lambda row: _rank(row.get("props")))
    running = [row for row in cpus if isinstance(row, dict)] if isinstance(cpus, list) else []
    found: list[VirtualCPU] = []
    orders: dict[str, int] = {}
    threads: dict[str, list[JSON]] = {}
    for cpu in running:
        # Threads of an entity are below its path.
        above = str(cpu.get("qom-path", "")).split("/thread[")[0]
        orders.setdefault(above, len(orders) + 1)
        threads.setdefault(above, []).append(cpu.get("thread-id"))
    for row in rows:
        count, props, told = row.get("vcpus-count"), row.get("props"), row.get("qom-path")
        if not isinstance(count, int) or not isinstance(props, dict):
            raise InternalError("query-hotpluggable-cpus didn't return device props")
        path = told if isinstance(told, str) else None
        alias = path.removeprefix("/machine/peripheral/") if path and path.startswith("/machine/peripheral/") else None
        own = threads.get(path or "", [])
        for place in range(count):
            thread = own[place] if place < len(own) else None
            found.append(
                VirtualCPU(
                    number=len(found),
                    online=path is not None,
                    entity=0 if place else count,
                    type=str(row.get("type")),
                    props=props,
                    alias=alias,
                    thread=thread if isinstance(thread, int) else None,
                    order=orders.get(path, 0) if path is not None else 0,
                )
            )
    if len(found) != maximum:
        raise InternalError(f"expected '{maximum}' total vcpus got '{len(found)}'")
    return found


def _rank(props: JSON) -> tuple[int, ...]:
    numbers = props if isinstance(props, dict) else {}
    return tuple(int(numbers.get(name) or 0) for name in _ORDER)  # type: ignore[arg-type]


def threads_of(cpus: Iterable[VirtualCPU]) -> dict[int, int]:
    """Threads of the host, by number of the virtual CPU."""
    return {cpu.number: cpu.thread for cpu in cpus if cpu.thread is not None}


def take_states(domain: Domain, cpus: Iterable[VirtualCPU]) -> None:
    """Note one by one which virtual CPUs a guest has, and the order in which they came."""
    domain.vcpus = [
        VCPU(id=cpu.number, enabled=cpu.online, hotpluggable=cpu.hotpluggable, order=cpu.order or None) for cpu in cpus
    ]
    if domain.vcpu is not None:
        count = domain.vcpu_count
        domain.vcpu.current = None if count == domain.vcpu.maximum else count


# -- choosing

_GRANULARITY = "target vm vcpu granularity does not allow the desired vcpu count"


def choose(cpus: list[VirtualCPU], count: int) -> tuple[list[int], bool]:
    """The entities that are to come, or to go, so that a guest has ``count`` virtual CPUs; and whether they come.

    :raises ConfigUnsupported: there are none so.
    """
    now = sum(cpu.online for cpu in cpus)
    more = count > now
    chosen = []
    for cpu in cpus if more else reversed(cpus):
        if now == count:
            break
        if not cpu.entity or cpu.online is more or (not more and cpu.alias is None):
            continue
        now += cpu.entity if more else -cpu.entity
        if (now > count) is more and now != count:
            raise ConfigUnsupported(_GRANULARITY)
        chosen.append(cpu.number)
    if now != count:
        raise ConfigUnsupported("failed to find appropriate hotpluggable vcpus to reach the desired target vcpu count")
    return chosen, more


def _entities_of(cpus: list[VirtualCPU], numbers: frozenset[int], state: bool) -> list[int]:
    """The entities that single virtual CPUs are.

    :raises InvalidArg: they are in that state, or are a part of an entity only.
    """
    wanted = sorted(number for number in numbers if number < len(cpus))
    for number in wanted:
        if cpus[number].online is state:
            raise InvalidArg(f"vcpu '{number}' is already in requested state")
    chosen: list[int] = []
    covered: set[int] = set()
    for number in wanted:
        if number in covered:
            continue
        count = cpus[number].entity
        if not count:
            raise InvalidArg(f"vcpu '{number}' belongs to a larger hotpluggable entity, but siblings were not selected")
        for other in range(number + 1, number + count):
            if other not in numbers:
                raise InvalidArg(
                    f"vcpu '{other}' was not selected but it belongs to hotpluggable entity "
                    f"'{number}-{number + count - 1}' which was partially selected"
                )
        covered |= set(range(number, number + count))
        chosen.append(number)
    return chosen


# -- changing


async def set_count(session: Session, cpus: list[VirtualCPU], count: int) -> None:
    """Let virtual CPUs come, or go, until a guest has ``count``.

    :param cpus: what it has.
    :raises VirtError: it cannot have so many, or QEMU or the guest refused; what came or went before stays so.
    """
    chosen, more = choose(cpus, count)
    for number in chosen:
        cpus = await (_add if more else _remove)(session, cpus, number)


def check_states(cpus: list[VirtualCPU], numbers: frozenset[int], state: bool) -> int:
    """The one entity that single virtual CPUs are.

    :raises VirtError: they are none, or several.
    """
    chosen = _entities_of(cpus, numbers, state)
    if len(chosen) != 1:
        raise OperationUnsupported("only one hotpluggable entity can be selected")
    return chosen[0]


async def set_state(session: Session, cpus: list[VirtualCPU], entity: int, state: bool) -> None:
    """Let an entity come or go. As :func:`set_count`."""
    await (_add if state else _remove)(session, cpus, entity)


def is_supported(session: Session) -> bool:
    """Whether the guest's machine lets virtual CPUs join."""
    domain = session.domain
    machine = session.capabilities.machine(domain.machine or "", domain.type)
    return machine is not None and bool(machine.hotplug_cpus)


async def _add(session: Session, cpus: list[VirtualCPU], number: int) -> list[VirtualCPU]:
    cpu = cpus[number]
    if not is_supported(session):
        raise OperationUnsupported("cpu hotplug is not supported")
    await _plug(session.monitor, cpu)
    found = await ask(session.monitor, len(cpus))
    for one in found[number : number + cpu.entity]:
        if one.thread is None and any(other.thread is not None for other in found):
            raise InternalError(f"qemu didn't report thread id for vcpu '{one.number}'")
    await note(session, found, found[number : number + cpu.entity])
    return found


async def _plug(monitor: Monitor, cpu: VirtualCPU) -> None:
    await monitor.execute("device_add", {"driver": cpu.type, "id": f"vcpu{cpu.number}", **cpu.props})


async def _remove(session: Session, cpus: list[VirtualCPU], number: int) -> list[VirtualCPU]:
    cpu = cpus[number]
    if cpu.alias is None:
        raise OperationUnsupported(f"vcpu '{number}' can't be unplugged")
    with expecting(session, cpu.alias) as gone:
        try:
            await session.monitor.execute("device_del", {"id": cpu.alias})
        except CommandError:
            if not gone.done():
                raise
        told = await has_gone(gone, session.unplug_limit)
    found = await ask(session.monitor, len(cpus))
    # Without an accelerator QEMU does not tell that a virtual CPU has gone.
    if not told and found[number].online:
        raise OperationTimeout("vcpu unplug request timed out. Unplug result must be manually inspected in the domain")
    for one in found[number : number + cpu.entity]:
        if one.thread is not None:
            raise InternalError(f"qemu reported thread id for inactive vcpu '{one.number}'")
    await note(session, found, [])
    return found


async def note(session: Session, cpus: list[VirtualCPU], joined: list[VirtualCPU]) -> None:
    """Note what a guest has now.

    :param joined: what it has got.
    """
    take_states(session.domain, cpus)
    session.guest.threads = threads_of(cpus)
    session.obj.touch()
    await session.host.place_threads(session.guest, session.domain, [cpu.number for cpu in joined])


async def plug_at_boot(monitor: Monitor, domain: Domain) -> None:
    """Add those that a new guest has from the beginning and that can be taken out again; it does not run yet.

    :raises VirtError: QEMU refused.
    """
    wanted = [vcpu for vcpu in domain.vcpus if vcpu.enabled and vcpu.hotpluggable]
    if not wanted:
        return
    cpus = await ask(monitor, domain.vcpu_maximum)
    for vcpu in sorted(wanted, key=lambda each: (each.order or 0, each.id)):
        if cpus[vcpu.id].entity:
            await _plug(monitor, cpus[vcpu.id])
