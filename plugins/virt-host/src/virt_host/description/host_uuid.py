"""What names this host among others."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

from virt_host.description.tree import HostTree

__all__ = ["host_uuid"]

_FILE = "host-uuid"


def host_uuid(folder: Path) -> str:
    """Names this host: what is kept in a file (an administrator may have written it), the machine's SMBIOS UUID, or one
    that is made and kept.

    :param folder: where a driver or service has its configuration: the file is there or beside it, where all have it.
    """
    files = (folder / _FILE, folder.parent / _FILE)
    kept = next(filter(None, map(HostTree.text, files)), None)
    if kept is None:
        # The hardware's can be read by root only.
        with suppress(OSError, ValueError):
            return str(uuid.UUID(Path("/sys/devices/virtual/dmi/id/product_uuid").read_text().strip()))
        kept = str(uuid.uuid4())
        folder.parent.mkdir(parents=True, exist_ok=True)
        files[1].write_text(kept)
    return kept
