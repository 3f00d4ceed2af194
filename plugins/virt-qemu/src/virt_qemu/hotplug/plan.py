"""Commands that QEMU is told one after the other, with what undoes each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
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

    async def run(self, monitor: Monitor, questions: Iterable[Step] = ()) -> dict[str, JSON]:
        """Bring it about; returns QEMU's answers by command.

        :param questions: asked together with the last step, so that nobody waits for each. What QEMU does not answer is
            logged, and missing: the plan is carried out all the same.
        :raises VirtError: QEMU refused a step; those before it are undone.
        """
        answers: dict[str, JSON] = {}
        done: list[Step] = []
        *steps, last = (*self.backend, *self.devices)
        try:
            for step in steps:
                answers[step.command] = await _tell(monitor, step)
                done.append(step)
            asked = [last, *questions]
            told = await asyncio.gather(*(_tell(monitor, step) for step in asked), return_exceptions=True)
            if isinstance(told[0], BaseException):
                raise told[0]
        except BaseException:
            await undo(monitor, done)
            raise
        for step, answer in zip(asked, told, strict=True):
            if isinstance(answer, BaseException):
                log.warning("%s: %s", monitor.name, answer)
            else:
                answers[step.command] = answer
        return answers


async def _tell(monitor: Monitor, step: Step) -> JSON:
    return await monitor.execute(step.command, step.arguments, descriptor=step.descriptor)


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
