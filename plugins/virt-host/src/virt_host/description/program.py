"""Asking a program of the host something."""

from __future__ import annotations

import asyncio
import os
import signal

from virtcore.errors import InternalError

__all__ = ["run_program"]

_LIMIT = 10.0
"""Seconds a program has to answer."""


async def run_program(argv: list[str]) -> tuple[str, str]:
    """What a program writes to its standard output and standard error.

    :raises InternalError: it does not end, or cannot be started.
    """
    from virtcore.runtime.launcher import Command, launcher

    output, errors = os.memfd_create("output"), os.memfd_create("errors")
    try:
        process = await launcher().start(
            Command(argv=argv, environment={"LC_ALL": "C"}, fds={1: output, 2: errors}, outlives=False)
        )
        try:
            async with asyncio.timeout(_LIMIT):
                await process.wait()
        except TimeoutError:
            process.signal(signal.SIGKILL)
            await process.wait()
            raise InternalError(f"{argv[0]} did not end within {_LIMIT:g} s") from None
        return tuple(  # type: ignore[return-value]
            os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace") for file in (output, errors)
        )
    finally:
        os.close(output)
        os.close(errors)
