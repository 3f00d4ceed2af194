"""What the owner of a guest sends for its protection, where QEMU finds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from virtcore.errors import SystemError
from virtcore.model.domain.launch_security import SEV

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["LAUNCH_FILES", "write_launch_files"]

LAUNCH_FILES = ("dh_cert.base64", "session.base64")
"""Names of the files in the guest's folder."""


def write_launch_files(folder: Path, domain: Domain) -> None:
    """Write the owner's key and the session, where the guest has them.

    :raises SystemError: they cannot be written.
    """
    security = domain.launch_security
    if not isinstance(security, SEV):
        return
    for name, text in zip(LAUNCH_FILES, (security.dh_cert, security.session), strict=True):
        if text is None:
            continue
        try:
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            os.write(descriptor, text.encode())
            os.close(descriptor)
        except OSError as error:
            raise SystemError(f"failed to write data to config '{folder / name}': {error.strerror}") from None
