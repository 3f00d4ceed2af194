"""The host's sleep: whether it can, and having it do so."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from virt_host.description.program import finish_program
from virtcore.enums.host import NodeSuspendTarget as Target
from virtcore.errors import ArgumentUnsupported, InternalError, InvalidArg, OperationInvalid, SystemError, VirtError

__all__ = ["HostPower", "host_power"]

log = logging.getLogger(__name__)

_SHORTEST = 60
"""Seconds: going to sleep takes a while, and the host is to wake up again."""
_LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
#: Waits for as many seconds as its first argument says, then becomes the program that the others are.
_LATER = "import os, sys, time; time.sleep(float(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"


class _Way(NamedTuple):
    """How the host is asked for one kind of sleep, by logind's method and pm-utils' option, and brought into it."""

    title: str
    method: str
    verb: str
    option: str
    program: str


_WAYS = {
    Target.MEM: _Way("Suspend-to-RAM", "CanSuspend", "suspend", "--suspend", "pm-suspend"),
    Target.DISK: _Way("Suspend-to-Disk", "CanHibernate", "hibernate", "--hibernate", "pm-hibernate"),
    Target.HYBRID: _Way("Hybrid-Suspend", "CanHybridSleep", "hybrid-sleep", "--suspend-hybrid", "pm-suspend-hybrid"),
}


class HostPower:
    """What has this host sleep: systemd's logind, or pm-utils where that is not there.

    :param delay: seconds until it sleeps: whoever wants it is told before.
    :param bus: the system's D-Bus.
    """

    def __init__(self, *, delay: float = 10.0, bus: Path = Path("/run/dbus/system_bus_socket")) -> None:
        self._delay = delay
        self._bus = bus
        self._commands: dict[Target, list[str]] | None = None
        self._busy = False
        self._sleeping: asyncio.Task[None] | None = None

    async def commands(self) -> Mapping[Target, list[str]]:
        """How the host can sleep, and what has it do so. Found out once.

        :raises VirtError: what would tell does not answer.
        """
        if self._commands is None:
            found = await asyncio.gather(*map(self._command, _WAYS.values()))
            self._commands = {target: command for target, command in zip(_WAYS, found, strict=True) if command}
        return self._commands

    async def _command(self, way: _Way) -> list[str] | None:
        control, answer = shutil.which("systemctl"), await self._ask_logind(way.method)
        if control is not None and answer is not None:
            return [control, way.verb] if answer in ("yes", "challenge") else None
        asked, program = shutil.which("pm-is-supported"), shutil.which(way.program)
        if asked is None or program is None or (await finish_program([asked, way.option])).status:
            return None
        return [program]

    async def _ask_logind(self, method: str) -> str | None:
        """logind's answer, such as ``yes``; None where it is not there."""
        client = shutil.which("busctl")
        if client is None or not self._bus.exists():
            return None
        told = await finish_program([client, "--system", "call", *_LOGIND, method])
        found = re.fullmatch(r's "(\w+)"', told.output.strip())
        return None if told.status or found is None else found[1]

    async def sleep(self, target: int, duration: int) -> None:
        """Have the host sleep soon.

        :param target: how (``NodeSuspendTarget``).
        :param duration: seconds until it wakes up.
        :raises OperationInvalid: it is about to.
        :raises ArgumentUnsupported: it cannot sleep so.
        :raises InvalidArg: there is no such sleep, or it would be too short.
        """
        commands = await self.commands()
        if self._busy:
            raise OperationInvalid("Suspend operation already in progress")
        way = _WAYS.get(Target(target)) if target in Target.__members__.values() else None
        if way is None:
            raise InvalidArg("Invalid suspend target", value=str(int(target)))
        if Target(target) not in commands:
            raise ArgumentUnsupported(way.title)
        if duration < _SHORTEST:
            raise InvalidArg(f"Suspend duration is too short, must be at least {_SHORTEST} seconds")
        self._busy = True
        try:
            await _set_alarm(duration)
        except BaseException:
            self._busy = False
            raise
        self._sleeping = asyncio.create_task(self._sleep(commands[Target(target)]))

    async def _sleep(self, command: list[str]) -> None:
        from virtcore.runtime.launcher import Command, launcher

        try:
            # A program that ends before that has not changed its mind.
            argv = [sys.executable, "-I", "-S", "-c", _LATER, str(self._delay), *command]
            process = await launcher().start(Command(argv=argv, environment={"LC_ALL": "C", "PATH": _path()}))
            try:
                status = await process.exit_status()
            finally:
                process.close()
            if status:
                log.warning("Failed to suspend the host: %s exited with %d", " ".join(command), status)
        except VirtError as error:
            log.warning("Failed to suspend the host: %s", error)
        finally:
            self._busy = False


async def _set_alarm(seconds: int) -> None:
    """Have the host's clock wake it up."""
    program = shutil.which("rtcwake")
    if program is None:
        raise SystemError("Cannot find 'rtcwake' in path: No such file or directory")
    argv = ["rtcwake", "-m", "no", "-s", str(seconds)]
    finished = await finish_program([program, *argv[1:]])
    if finished.status:
        raise InternalError(
            f"Child process ({' '.join(argv)}) unexpected exit status {finished.status}: {finished.errors.strip()}"
        )


def _path() -> str:
    return os.environ.get("PATH", os.defpath)


@cache
def host_power() -> HostPower:
    """The power of the host that we are on."""
    return HostPower()
