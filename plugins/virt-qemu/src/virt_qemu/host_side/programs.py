"""Programs that run beside a guest's QEMU and serve its devices: started before it, ended after it.

Each has a pid file in the guest's folder, by which it is found again, and a log beside the guest's. They outlive us as
their guest does.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from virtcore.driver.toolkit import file_name
from virtcore.errors import InternalError, OperationFailed, SystemError
from virtcore.runtime.launcher import Command, Identity, Process, attach, launcher

if TYPE_CHECKING:
    from virt_qemu.host_side.owner import Owner
    from virtcore.errors import VirtError

__all__ = ["Programs", "helpers_of"]

log = logging.getLogger(__name__)

_ACCEPTS = 0x10000
"""The kernel's flag of sockets that are listened on (``/proc/net/unix``)."""

_READY = 30.0
"""Seconds a program has until it listens."""
_GRACE = 5.0
"""Seconds a program has to end when asked, before it is killed."""
_TAIL = 4096
"""Bytes of a program's output that an error shows at most."""


class Programs:
    """The programs beside guests.

    :param logs: folder of the guests' logs.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs

    def log_path(self, owner: Owner, name: str) -> Path:
        """Where a program's output goes."""
        return self._logs / file_name(owner.name, f"-{name}.log")

    def open_log(self, path: Path) -> int:
        """Open a log for appending and return the descriptor, to be closed by the caller.

        :raises OSError: it cannot be written.
        """
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def write(self, path: Path, text: str) -> None:
        """Append to a log. One that cannot be written is no reason to fail."""
        try:
            descriptor = self.open_log(path)
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            log.warning("cannot write %s: %s", path, error.strerror)

    async def start(
        self,
        owner: Owner,
        name: str,
        argv: Sequence[str],
        *,
        socket: str | None = None,
        fds: Mapping[int, int] | None = None,
        identity: Identity | None = None,
        limits: Mapping[int, int] | None = None,
        log_file: Path | None = None,
        died: Callable[[str], VirtError] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a program.

        :param name: what it is called among the guest's programs.
        :param socket: where it listens: returns when it does.
        :param fds: number in the program -> descriptor of ours.
        :param log_file: where its output goes, if not beside the guest's log.
        :param died: what is raised where it ends before it listens, of what it has written.
        :param environment: variables that it has beside the usual ones.
        :raises VirtError: it does not run, or does not come to listen; it is ended then.
        """
        pid_file = owner.folder / f"{name}.pid"
        path = log_file if log_file is not None else self.log_path(owner, name)
        try:
            pid_file.touch(mode=0o600, exist_ok=False)
            output = self.open_log(path)
        except OSError as error:
            raise SystemError(f"cannot start {argv[0]}: {error.filename}: {error.strerror}") from None
        try:
            begin = os.fstat(output).st_size
            process = await launcher().start(
                Command(
                    argv=argv,
                    environment={"PATH": os.defpath, "LC_ALL": "C", **(environment or {})},
                    fds={1: output, 2: output, **(fds or {})},
                    pid_file=str(pid_file),
                    identity=identity,
                    limits=limits or {},
                )
            )
        except BaseException:
            await self.stop(owner, name)
            raise
        finally:
            os.close(output)
        if socket is not None:
            try:
                await self._until_listening(process, argv[0], socket, path, begin, died)
            except BaseException:
                await self.stop(owner, name)
                raise
        return process

    async def _until_listening(
        self,
        process: Process,
        program: str,
        socket: str,
        log: Path,
        begin: int,
        died: Callable[[str], VirtError] | None,
    ) -> None:
        try:
            async with asyncio.timeout(_READY):
                while not _listens(socket):
                    if not process.running:
                        written = _written(log, begin)
                        if died is not None:
                            raise died(written)
                        raise InternalError(f"Could not start '{os.path.basename(program)}': {written}")
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise OperationFailed(f"{program} does not listen on {socket}: {_written(log, begin)}") from None

    def last_words(self, owner: Owner, name: str) -> str:
        """The last line of a program's log that says something."""
        return next(filter(str.strip, reversed(_written(self.log_path(owner, name), 0).splitlines())), "")

    async def stop(self, owner: Owner, name: str) -> None:
        """End a program and wait for its end; without one nothing happens."""
        path = owner.folder / f"{name}.pid"
        process = _claim(path)
        if process is None:
            return
        try:
            if process.signal(signal.SIGTERM):
                async with asyncio.timeout(_GRACE):
                    await process.wait()
        except TimeoutError:
            process.signal(signal.SIGKILL)
            await process.wait()
        finally:
            process.close()

    def lost(self, owner: Owner) -> InternalError | None:
        """What there is to say of a guest's program that ended by itself; None: none has."""
        for path in sorted(owner.folder.glob("*.pid")):
            device, _, program = path.stem.partition("-")
            if program and self.find(owner, path.stem) is None:
                error = InternalError(f"{program} died unexpectedly")
                if written := _written(self.log_path(owner, path.stem), 0):
                    error.add_note(f"{device}: {written.splitlines()[-1]}")
                return error
        return None

    def attach(self, owner: Owner, name: str) -> Process | None:
        """A program that was started before, to be watched; None when it does not run."""
        return _attached(owner.folder / f"{name}.pid")

    def find(self, owner: Owner, name: str) -> int | None:
        """Process number of a program; None when it does not run."""
        return _running(owner.folder / f"{name}.pid")


def helpers_of(folder: Path) -> list[int]:
    """Process numbers of the programs that run beside a guest.

    :param folder: the guest's.
    """
    return [number for path in folder.glob("*.pid") if (number := _running(path)) is not None]


def _attached(path: Path) -> Process | None:
    try:
        words = path.read_bytes().split()
    except OSError:
        return None
    return attach(int(words[0]), int(words[1])) if len(words) == 2 else None


def _running(path: Path) -> int | None:
    process = _attached(path)
    if process is None:
        return None
    process.close()
    return process.pid


def _claim(path: Path) -> Process | None:
    """Take away a pid file, so that a program that is only being started does not start; the one that runs."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for an instant only
        words = os.pread(descriptor, 100, 0).split()
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return attach(int(words[0]), int(words[1])) if len(words) == 2 else None


def _listens(path: str) -> bool:
    """Whether a program listens on a socket. It is there a moment before that: who comes then is turned away. It is not
    tried, since some programs serve only the first who comes.
    """
    if not os.path.exists(path):
        return False
    flags = [words[3] for words in map(str.split, _kernels_sockets()) if words[-1] == path]
    # One that the kernel knows by another name, or in another namespace, is taken as it is.
    return not flags or any(int(each, 16) & _ACCEPTS for each in flags)


def _kernels_sockets() -> list[str]:
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()[1:]
    except OSError:
        return []


def _written(log: Path, begin: int) -> str:
    """What a program has written since it was started."""
    try:
        with open(log, "rb") as file:
            file.seek(max(begin, file.seek(0, os.SEEK_END) - _TAIL))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
