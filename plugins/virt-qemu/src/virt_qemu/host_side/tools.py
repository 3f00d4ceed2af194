"""Programs of the host that are run, wherever a distribution puts them."""

from __future__ import annotations

import os
import shutil

from virtcore.errors import OperationFailed

__all__ = ["find_tool", "tool"]

#: Beside the search path: where programs are that only other programs start.
_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/qemu", "/usr/libexec", "/usr/libexec/qemu")


def find_tool(name: str) -> str | None:
    """Path of a program; None where it is not installed.

    :param name: its name, or an absolute path.
    """
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_FOLDERS]))


def tool(name: str) -> str:
    """Path of a program.

    :raises OperationFailed: it is not installed.
    """
    found = find_tool(name)
    if found is None:
        raise OperationFailed(f"Unable to find '{name}' binary in $PATH")
    return found
