"""Status files whose text is made before what they tell has come about, and plans that are told at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from virt_qemu.foresight import Foreseen, future_status, has_become, take_foreseen
from virt_qemu.hotplug.plan import Plan, Step
from virt_qemu.live_status import new_status, note_device, refresh
from virt_qemu.monitor import CommandError
from virt_qemu.status import format_status
from virtcore.enums.domain import DomainState
from virtcore.model.domain import Domain
from virtcore.model.domain.domain import VirtType


class Kept(SimpleNamespace):
    """As much of a domain's object as there is to it."""

    def touch(self) -> None:
        self.kept.clear()


def running() -> tuple[Any, Any]:
    live = Domain(type=VirtType.QEMU, name="guest", title="as it is")
    status = new_status(live, Path("/run/guest"), None)
    guest = SimpleNamespace(status=status, process=None, monitor=None, threads={0: 7}, reboot=False)
    return Kept(live=live, state=DomainState.RUNNING, reason=1, kept={}), guest


FACTS = {"id": 1}


def foresee(obj: Any, guest: Any) -> None:
    status = future_status(obj, guest, Domain(type=VirtType.QEMU, name="guest", title="as foreseen"), ["disk0"])
    Foreseen(status, FACTS, status).keep(obj)  # type: ignore[arg-type]  # in place of a file


def taken(obj: Any, guest: Any, facts: Any = FACTS) -> Any:
    """What was foreseen, and need not be written now."""
    return take_foreseen(obj, refresh(obj, guest), facts)


def become(obj: Any, guest: Any) -> None:
    """What a device does that joins."""
    obj.live.title = "as foreseen"
    note_device(guest.status, "disk0")
    has_become(obj)


def test_what_was_foreseen_is_taken() -> None:
    obj, guest = running()
    foresee(obj, guest)
    assert guest.status.known_devices is None
    assert guest.status.domain.title == "as it is"
    become(obj, guest)
    found = taken(obj, guest)
    assert format_status(found) == format_status(refresh(obj, guest))
    assert "as foreseen" in format_status(found)
    assert "<device alias='disk0'/>" in format_status(found)
    assert taken(obj, guest) is None  # once


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda obj, guest: obj.touch(),
        lambda obj, guest: setattr(obj, "state", DomainState.PAUSED),
        lambda obj, guest: guest.threads.update({1: 8}),
        lambda obj, guest: note_device(guest.status, "net0"),
        taken,  # an event had it written
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_what_has_changed_beside_is_not_lost(meanwhile: Callable[[Any, Any], object], late: bool) -> None:
    obj, guest = running()
    foresee(obj, guest)
    if not late:
        meanwhile(obj, guest)
    become(obj, guest)
    if late:
        meanwhile(obj, guest)
    assert taken(obj, guest) is None


def test_what_has_not_come_about_is_not_taken() -> None:
    obj, guest = running()
    foresee(obj, guest)
    assert taken(obj, guest) is None
    foresee(obj, guest)
    become(obj, guest)
    assert taken(obj, guest, {"id": 2}) is None


class Told:
    """A monitor that refuses some commands."""

    name, connected = "guest", True

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.commands: list[str] = []
        #: What has not been answered when a command comes.
        self.together = 0
        self._open = 0

    def ask(self, command: str, arguments: Any = None, **_: object) -> Awaitable[Any]:
        self.commands.append(command)
        self._open += 1
        self.together = max(self.together, self._open)

        async def answer() -> Any:
            self._open -= 1
            if command in self.refused:
                raise CommandError(command, "GenericError", f"no {command}")
            return command.upper()

        return answer()

    async def execute(self, command: str, arguments: Any = None, **_: object) -> Any:
        return await self.ask(command)


def image(name: str, **arguments: Any) -> Step:
    return Step("blockdev-add", {"node-name": name, **arguments}, ("blockdev-del", {"node-name": name}))


CHAINED = [image("storage"), image("format", file={"driver": "x", "node": ["storage"]})]
DISK = Step("device_add", {"id": "disk0", "drive": "format"}, ("device_del", {"id": "disk0"}))


def carry_out(monitor: Told, *backend: Step, questions: tuple[Step, ...] = ()) -> dict[str, Any]:
    return asyncio.run(Plan(list(backend), [DISK]).run(monitor, questions))  # type: ignore[arg-type]


def test_steps_that_need_each_other_are_told_at_once() -> None:
    monitor = Told()
    answers = carry_out(monitor, *CHAINED, questions=(Step("query-block"),))
    assert monitor.together == 4
    assert monitor.commands == ["blockdev-add", "blockdev-add", "device_add", "query-block"]
    assert answers == {name: name.upper() for name in monitor.commands}


@pytest.mark.parametrize(
    "other",
    [
        image("other"),  # QEMU would make the disk without it
        Step("set-action", {"watchdog": "reset"}),
        Step("add-fd", {"fdset-id": 1}, ("remove-fd", {"fdset-id": 1}), descriptor=0),
    ],
)
def test_others_are_told_one_after_the_other(other: Step) -> None:
    monitor = Told()
    carry_out(monitor, *CHAINED, other)
    assert monitor.together == 1


def test_a_refusal_undoes_what_was_done_and_only_that() -> None:
    monitor = Told("device_add", "query-block")
    with pytest.raises(CommandError, match="no device_add"):
        carry_out(monitor, *CHAINED, questions=(Step("query-block"),))
    assert monitor.commands[4:] == ["blockdev-del", "blockdev-del"]
    monitor = Told("blockdev-add", "device_add")
    with pytest.raises(CommandError, match="no blockdev-add"):
        carry_out(monitor, *CHAINED)
    assert monitor.commands[3:] == []
