"""Starting, ending and finding again the QEMU of a guest."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import os
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from virt_qemu.command import Builder, build
from virt_qemu.monitor import Monitor
from virt_qemu.resources import HostResources, bind_socket, connect_socket
from virtcore.errors import InternalError, ResourceBusy, SystemError
from virtcore.runtime.launcher import Command, Process, attach, launcher

if TYPE_CHECKING:
    from virt_qemu.command.line import HostSettings
    from virt_qemu.guest import Guest
    from virtcore.model.domain import Domain

__all__ = ["claim_left_over", "command_for", "connect", "end", "launch", "noted_start", "remove_folder"]

_GRACE = 10.0
"""Seconds QEMU has to end when asked, before it is killed."""
_KILLED = 30.0
"""Seconds a killed QEMU has to be gone."""


def command_for(
    guest: Guest,
    domain: Domain,
    resources: HostResources,
    privileged: bool,
    host: HostSettings,
    *,
    incoming: str | None = None,
) -> Command:
    """The command that starts a guest; opens what it needs of the host.

    :param host: how the host is arranged for guests.
    :param incoming: where QEMU takes its state from instead of booting.
    :raises VirtError: the guest has something that cannot be given to it.
    """
    assert guest.capabilities is not None
    builder = Builder(
        domain=domain,
        capabilities=guest.capabilities,
        resources=resources,
        state_folder=str(guest.folder),
        monitor=resources.add(bind_socket(str(guest.folder / "monitor.sock")).detach()),
        privileged=privileged,
        key=guest.master_key(),
        host=host,
        incoming=incoming,
    )
    argv = build(builder, os.environ)
    guest.node_index = builder.node_index
    return Command(
        argv=argv,
        environment=builder.environment,
        umask=0o002,
        fds=resources.fds,
        pid_file=str(guest.folder / "pid"),
    )


async def launch(guest: Guest, command: Command) -> Process:
    """Start QEMU with its output going to the guest's log.

    :raises SystemError: it cannot be run.
    """
    assert guest.capabilities is not None
    capabilities = guest.capabilities
    version = capabilities.version
    numbers = f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"
    package = f" ({capabilities.package})" if capabilities.package else ""
    with ExitStack() as stack:
        try:
            log = guest.log.open()
            stack.callback(os.close, log)
            guest.log.started(log, f"qemu version: {numbers}{package}", command.environment, command.argv)
        except OSError as error:
            raise SystemError(f"failed to create logfile {guest.log.path}: {error.strerror}") from None
        fds = {1: log, 2: log} | dict(command.fds)
        guest.process = await launcher().start(dataclasses.replace(command, fds=fds))
    return guest.process


async def connect(guest: Guest, monitor: Monitor, limit: float) -> None:
    """Connect to QEMU's monitor; tells what QEMU said where it ends instead.

    :raises InternalError: it has ended.
    :raises MonitorTimeout: it does not answer.
    """
    assert guest.process is not None
    try:
        channel = connect_socket(str(guest.folder / "monitor.sock"))
    except OSError as error:
        raise InternalError(f"failed to connect to monitor socket: {error.strerror}") from None
    connecting = asyncio.ensure_future(monitor.connect(channel, limit))
    ended = asyncio.ensure_future(guest.process.wait())
    try:
        await asyncio.wait((connecting, ended), return_when=asyncio.FIRST_COMPLETED)
        if connecting.done() and connecting.exception() is not None and not ended.done():
            # The channel's end is seen a moment before the process's.
            await asyncio.wait((ended,), timeout=1.0)
        if ended.done():
            raise InternalError(f"process exited while connecting to monitor: {guest.log.output()}")
        await connecting
    finally:
        for task in (connecting, ended):
            task.cancel()
        await asyncio.gather(connecting, ended, return_exceptions=True)
        if not monitor.connected:
            channel.close()
    guest.monitor = monitor


def _stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal and so cannot end when asked."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except OSError:
        return False


async def end(process: Process, graceful: bool = False) -> None:
    """End a QEMU: asked first, so that it writes out what it holds, then killed. Returns when it has gone.

    :param graceful: do not kill it.
    :raises ResourceBusy: it does not end.
    """
    if not process.signal(signal.SIGTERM):
        await process.wait()
        return
    if graceful or not _stopped(process.pid):
        try:
            async with asyncio.timeout(_GRACE):
                await process.wait()
                return
        except TimeoutError:
            if graceful:
                raise ResourceBusy(f"Failed to terminate process {process.pid} with SIGTERM") from None
    process.signal(signal.SIGKILL)
    try:
        async with asyncio.timeout(_KILLED):
            await process.wait()
    except TimeoutError:
        raise ResourceBusy(f"Failed to terminate process {process.pid} with SIGKILL") from None


async def claim_left_over(folder: Path, *, kill: bool = True) -> bool:
    """Make sure that a start which was cut off leaves no QEMU, whenever it was cut off.

    The starter writes the pid file under its lock; whoever takes the file away under the lock first has prevented the
    start (see :mod:`virtcore.runtime.launcher_helper`).

    :param kill: end a QEMU that runs already.
    :returns: whether there is none (any more).
    """
    try:
        descriptor = os.open(folder / "pid", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for an instant only
        content = os.pread(descriptor, 100, 0).split()
        process = attach(int(content[0]), int(content[1])) if len(content) == 2 else None
        if process is not None and not kill:
            process.close()
            return False
        (folder / "pid").unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    if process is not None:
        process.signal(signal.SIGKILL)
        await process.wait()
        process.close()
    return True


def noted_start(folder: Path, pid: int | None) -> int | None:
    """When the QEMU of a guest's folder was started, as its starter noted; None unless its number is ``pid``."""
    try:
        content = (folder / "pid").read_text().split()
    except OSError:
        return None
    return int(content[1]) if len(content) == 2 and content[0] == str(pid) and content[1].isdecimal() else None


def remove_folder(folder: Path) -> None:
    """Remove a guest's folder with what is in it."""
    shutil.rmtree(folder, ignore_errors=True)
