"""Programs that pools are managed with, and what libvirt says when they fail."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from virt_host.description.program import finish_program
from virt_host.tools import find_tool
from virtcore.errors import ErrorDomain, InternalError

__all__ = ["installed", "run"]

_FOLDERS = ("/usr/sbin", "/sbin")
_LONG = 24 * 3600.0
"""Seconds that copying an image may take."""


def installed(name: str) -> str:
    """Path of a program.

    :raises InternalError: it is not installed.
    """
    found = find_tool(name)
    if found is None:
        raise InternalError(f"Failed to find path for '{name}' binary", domain=ErrorDomain.STORAGE)
    return found


async def run(*argv: str, fds: Mapping[int, int] | None = None) -> str:
    """Run a program to its end, and return what it printed.

    :param argv: its name and arguments.
    :param fds: number in the program -> descriptor of ours.
    :raises InternalError: it is not installed, or failed.
    """
    command = [installed(argv[0]), *argv[1:]]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_FOLDERS])  # for what the program itself runs
    done = await finish_program(command, fds=fds, environment={"PATH": path}, limit=_LONG)
    if done.status:
        raise failure(command, done.status, done.errors)
    return done.output


def failure(command: list[str], status: int, errors: str) -> InternalError:
    """The error of a program that failed."""
    how = f"exit status {status}" if status > 0 else f"fatal signal {-status}"
    said = f": {errors}" if errors else ""
    return InternalError(f"Child process ({shlex.join(command)}) unexpected {how}{said}", domain=ErrorDomain.STORAGE)
