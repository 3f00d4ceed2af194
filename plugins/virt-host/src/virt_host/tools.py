"""Programs of the host that are run, wherever a distribution puts them."""

from __future__ import annotations

import json
import os
import shutil

from virtcore.errors import InternalError, OperationFailed

__all__ = ["features_of", "find_tool", "tool"]

#: Beside the search path: where programs are that only other programs start.
_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/qemu", "/usr/libexec", "/usr/libexec/qemu")


def find_tool(name: str) -> str | None:
    """Path of a program; None where it is not installed.

    :param name: its name, or an absolute path.
    """
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_FOLDERS]))


async def features_of(program: str) -> list[str]:
    """What a program of the family of qemu-rdp and slirp-helper says it can do.

    :raises InternalError: it does not tell.
    """
    from virt_host.description.program import finish_program

    told = await finish_program([program, "--print-capabilities"])
    try:
        features = json.loads(told.output)["features"]
    except (ValueError, KeyError, TypeError):
        features = None
    if not isinstance(features, list):
        raise InternalError(f"unable to parse json capabilities '{program}'")
    return [str(feature) for feature in features]


def tool(name: str) -> str:
    """Path of a program.

    :raises OperationFailed: it is not installed.
    """
    found = find_tool(name)
    if found is None:
        raise OperationFailed(f"Unable to find '{name}' binary in $PATH")
    return found
