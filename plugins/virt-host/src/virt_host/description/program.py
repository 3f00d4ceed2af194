"""Running a program of the host to its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from virtcore.errors import InternalError

if TYPE_CHECKING:
    from virtcore.runtime.launcher import Identity

__all__ = ["Finished", "finish_program", "must_finish", "run_program"]

_LIMIT = 10.0
"""Seconds a program has to answer."""


class Finished(NamedTuple):
    """What a program has written, and its exit status: negative for a signal."""

    output: str
    errors: str
    status: int


async def finish_program(
    argv: list[str],
    *,
    fds: Mapping[int, int] | None = None,
    environment: Mapping[str, str] | None = None,
    identity: Identity | None = None,
    limit: float = _LIMIT,
) -> Finished:
    """Run a program to its end.

    :param fds: number in the program -> descriptor of ours, beside those for what it writes.
    :param environment: beside the locale; nothing is inherited.
    :param identity: who it runs as; as we do by default.
    :param limit: seconds it may take.
    :raises InternalError: it does not end.
    :raises SystemError: it cannot be started.
    """
    from virtcore.runtime.launcher import Command, launcher

    output, errors = os.memfd_create("output"), os.memfd_create("errors")
    try:
        process = await launcher().start(
            Command(
                argv=argv,
                environment={"LC_ALL": "C", **(environment or {})},
                fds={1: output, 2: errors, **(fds or {})},
                identity=identity,
                outlives=False,
            )
        )
        try:
            async with asyncio.timeout(limit):
                status = await process.exit_status()
        except BaseException as error:
            process.signal(signal.SIGKILL)
            await process.wait()
            if isinstance(error, TimeoutError):
                raise InternalError(f"{argv[0]} did not end within {limit:g} s") from None
            raise
        finally:
            process.close()
        if status is None:
            raise InternalError(f"nobody knows how {argv[0]} ended")
        said = [os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace") for file in (output, errors)]
        return Finished(said[0], said[1], status)
    finally:
        os.close(output)
        os.close(errors)


async def must_finish(argv: list[str], **options: Any) -> str:
    """Run a program that is to succeed; returns what it writes.

    :param options: as for :func:`finish_program`.
    :raises InternalError: it fails.
    :raises SystemError: it cannot be started.
    """
    output, errors, status = await finish_program(argv, **options)
    if status:
        how = f"exit status {status}" if status > 0 else f"signal {-status}"
        raise InternalError(f"Child process ({' '.join(argv)}) unexpected {how}{': ' if errors else ''}{errors}")
    return output


async def run_program(argv: list[str]) -> tuple[str, str]:
    """What a program writes to its standard output and standard error.

    :raises InternalError: it does not end, or cannot be started.
    """
    finished = await finish_program(argv)
    return finished.output, finished.errors
