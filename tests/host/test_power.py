"""The host's sleep, with made-up programs that would bring it there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from virt_host.description.capabilities import host_capabilities
from virt_host.description.tree import HostTree
from virt_host.power import HostPower
from virtcore.enums import NodeSuspendTarget as Target
from virtcore.errors import ArgumentUnsupported, InternalError, InvalidArg, OperationInvalid
from virtcore.model.arch import Arch
from virtcore.model.capabilities import Capabilities, format_capabilities
from virtcore.runtime.loop import core_loop

#: Notes what it is called with.
_NOTING = """#!/bin/sh
echo "${0##*/} $*" >>LOG
"""
_BUSCTL = (
    _NOTING
    + """
case "$*" in
*CanSuspend) echo 's "yes"';;
*CanHibernate) echo 's "na"';;
*CanHybridSleep) echo 's "challenge"';;
*) exit 1;;
esac
"""
)
_WAITING = _NOTING + "until [ -e LOG.awake ]; do /bin/sleep 0.02; done\n"


class Host:
    """A host with the programs that a test wants."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        self.bus = folder / "bus"
        self.bus.touch()
        self.power = HostPower(delay=0, bus=self.bus)

    def program(self, name: str, body: str = _NOTING) -> None:
        path = self.folder / name
        path.write_text(body.replace("LOG", str(self.log)))
        path.chmod(0o755)

    def asleep(self) -> list[str]:
        """What was called, less questions."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if not line.startswith(("busctl", "pm-is-supported"))]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    return Host(tmp_path)


async def _until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not check():
            await asyncio.sleep(0.01)


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a coroutine function where processes are started."""
    asyncio.run_coroutine_threadsafe(work(), core_loop().loop).result(60)


def test_logind_is_asked_and_systemd_does_it(host: Host) -> None:
    host.program("busctl", _BUSCTL)
    host.program("systemctl", _WAITING)
    host.program("rtcwake")

    async def work() -> None:
        assert await host.power.commands() == {
            Target.MEM: [str(host.folder / "systemctl"), "suspend"],
            Target.HYBRID: [str(host.folder / "systemctl"), "hybrid-sleep"],
        }
        with pytest.raises(ArgumentUnsupported, match="Suspend-to-Disk"):
            await host.power.sleep(Target.DISK, 60)
        with pytest.raises(InvalidArg, match="Invalid suspend target"):
            await host.power.sleep(3, 60)
        with pytest.raises(InvalidArg, match="Suspend duration is too short, must be at least 60 seconds"):
            await host.power.sleep(Target.MEM, 59)
        assert host.asleep() == []
        await host.power.sleep(Target.MEM, 61)
        with pytest.raises(OperationInvalid, match="Suspend operation already in progress"):
            await host.power.sleep(Target.MEM, 61)
        await _until(lambda: len(host.asleep()) == 2)
        assert host.asleep() == ["rtcwake -m no -s 61", "systemctl suspend"]
        (host.folder / "log.awake").touch()

        async def again() -> bool:
            try:
                await host.power.sleep(Target.HYBRID, 99)
            except OperationInvalid:
                return False
            return True

        while not await again():
            await asyncio.sleep(0.01)
        await _until(lambda: "systemctl hybrid-sleep" in host.asleep())

    run(work)


def test_pm_utils_where_there_is_no_logind(host: Host) -> None:
    host.bus.unlink()
    host.program("busctl", _BUSCTL)
    host.program("systemctl")
    host.program("pm-is-supported", _NOTING + '[ "$1" = --hibernate ]\n')
    host.program("pm-suspend")
    host.program("pm-hibernate")
    host.program("rtcwake", _NOTING + "echo no clock >&2; exit 3\n")

    async def work() -> None:
        assert await host.power.commands() == {Target.DISK: [str(host.folder / "pm-hibernate")]}
        with pytest.raises(InternalError, match=r"Child process \(rtcwake -m no -s 60\) unexpected exit status 3"):
            await host.power.sleep(Target.DISK, 60)
        host.program("rtcwake")
        await host.power.sleep(Target.DISK, 60)
        await _until(lambda: len(host.asleep()) == 3)
        assert host.asleep()[1:] == ["rtcwake -m no -s 60", "pm-hibernate "]

    run(work)


def test_capabilities_tell_it(tmp_path: Path) -> None:
    host = host_capabilities(HostTree(), Arch.X86_64, sleeps={Target.MEM, Target.HYBRID})
    told = format_capabilities(Capabilities(host=host))
    assert "<power_management>\n      <suspend_mem/>\n      <suspend_hybrid/>\n    </power_management>" in told
