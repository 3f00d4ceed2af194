"""Programs that do something for the driver and end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtcore.errors import InternalError
from virtcore.runtime.launcher import Command, launcher

if TYPE_CHECKING:
    from virtcore.runtime.launcher import Process

__all__ = ["check_end", "find_qemu_img", "run_program"]

_SAID = 4096
"""Bytes of what a program said that an error tells."""


def find_qemu_img() -> str:
    """The path of qemu-img.

    :raises InternalError: it is not installed.
    """
    path = shutil.which("qemu-img")
    if path is None:
        raise InternalError("unable to find qemu-img", advice="install it (Debian: qemu-utils)")
    return path


async def check_end(argv: Sequence[str], process: Process, complaints: int) -> None:
    """Wait for a program's end.

    :param complaints: a file with what it wrote to its standard error.
    :raises InternalError: it failed, with what it said.
    """
    status = await process.exit_status()
    if status == 0:
        return
    how = f"fatal signal {-status}" if status is not None and status < 0 else f"exit status {status}"
    said = os.pread(complaints, _SAID, 0).decode(errors="replace").strip()
    raise InternalError(f"Child process ({' '.join(argv)}) unexpected {how}{f': {said}' if said else ''}")


async def run_program(argv: Sequence[str]) -> str:
    """Run a program to its end; returns what it wrote to its standard output. Broken off, it is killed.

    :raises InternalError: it failed, with what it said.
    """
    output, complaints = (os.memfd_create(name, os.MFD_CLOEXEC) for name in ("output", "complaints"))
    try:
        environment = {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)}
        fds = {1: output, 2: complaints}
        # What it makes, images above all, is nobody else's.
        command = Command(argv=argv, environment=environment, fds=fds, umask=0o077, outlives=False)
        process = await launcher().start(command)
        try:
            await check_end(argv, process, complaints)
        except asyncio.CancelledError:
            process.signal(signal.SIGKILL)
            await process.wait()
            raise
        return os.pread(output, os.fstat(output).st_size, 0).decode(errors="replace")
    finally:
        os.close(output)
        os.close(complaints)
