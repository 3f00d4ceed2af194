"""Commands that QEMU is told one after the other, with what undoes each."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtcore.errors import VirtError

if TYPE_CHECKING:
    from virt_qemu.monitor import JSON, Monitor

__all__ = ["Plan", "Step", "undo"]

log = logging.getLogger(__name__)

Arguments = dict[str, "JSON"]


@dataclass(frozen=True, slots=True)
class Step:
    """A command.

    :ivar undo: command and arguments that undo it; None where nothing is to be undone.
    :ivar descriptor: a descriptor that is handed over with it.
    """

    command: str
    arguments: Arguments = field(default_factory=dict, repr=False)  # which may hold secrets
    undo: tuple[str, Arguments] | None = None
    descriptor: int | None = None


@dataclass(slots=True)
class Plan:
    """What makes a device, what is behind it first.

    :ivar backend: what is behind the device on the host.
    :ivar devices: what the guest sees.
    """

    backend: list[Step] = field(default_factory=list)
    devices: list[Step] = field(default_factory=list)

    @property
    def added(self) -> list[str]:
        """Aliases of the devices that QEMU has when it is carried out. One that it hides until the guest can deal with
        it, it has not got yet."""
        steps = [step.arguments for step in self.devices if step.command == "device_add"]
        return [str(each["id"]) for each in steps if "id" in each and "failover_pair_id" not in each]

    async def run(
        self, monitor: Monitor, questions: Iterable[Step] = (), meanwhile: Callable[[], None] = lambda: None
    ) -> dict[str, JSON]:
        """Bring it about; returns QEMU's answers by command.

        :param questions: asked together with the last step, so that nobody waits for each. What QEMU does not answer is
            logged, and missing: the plan is carried out all the same.
        :param meanwhile: called while QEMU is at the last step.
        :raises VirtError: QEMU refused a step; those before it are undone.
        """
        answers: dict[str, JSON] = {}
        done: list[Step] = []
        steps = [*self.backend, *self.devices]
        together = len(steps) if _hang_together(steps) else 1
        try:
            for step in steps[:-together]:
                answers[step.command] = await _tell(monitor, step)
                done.append(step)
            waiting = [(step, _tell(monitor, step)) for step in (*steps[-together:], *questions)]
            meanwhile()
            refusal = None
            for number, (step, answer) in enumerate(waiting):
                try:
                    answers[step.command] = await answer
                except VirtError as error:
                    if number >= together:
                        log.warning("%s: %s", monitor.name, error)
                    refusal = refusal or (error if number < together else None)
                else:
                    done.append(step)
            if refusal is not None:
                raise refusal
        except VirtError:
            await undo(monitor, done)
            raise
        except BaseException:
            await undo(monitor, steps)  # nobody knows how far it got
            raise
        return answers


def _hang_together(steps: list[Step]) -> bool:
    """Whether every step but the last makes what a later one names, so that QEMU refuses those, too, when it refuses
    one: then all can be told at once. A descriptor goes with the command that is told next, and with no other."""
    named: set[object] = set()
    for step in reversed(steps):
        if step.descriptor is not None:
            return False
        if step is not steps[-1] and (step.undo is None or named.isdisjoint(step.undo[1].values())):
            return False
        named.update(_values(step.arguments))
    return True


def _values(value: JSON) -> Iterator[object]:
    """All that is said in arguments."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _values(part)
    else:
        yield value


def _tell(monitor: Monitor, step: Step) -> Awaitable[JSON]:
    return monitor.ask(step.command, step.arguments, descriptor=step.descriptor)


async def undo(monitor: Monitor, steps: Iterable[Step], *, strictly: bool = False) -> None:
    """Undo steps that were done, the last one first. What QEMU does not have any more, or does not let go, is logged.

    :param strictly: it is an error instead.
    :raises VirtError: QEMU refused, and it matters.
    """
    for step in reversed(list(steps)):
        if step.undo is None:
            continue
        if not monitor.connected and not strictly:
            return
        command, arguments = step.undo
        try:
            await monitor.execute(command, arguments)
        except VirtError as error:
            if strictly:
                raise
            log.warning("%s: %s", monitor.name, error)
