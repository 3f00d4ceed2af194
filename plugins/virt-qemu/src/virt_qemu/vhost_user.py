"""Programs that serve a guest's device over vhost-user, as their packages describe them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from virt_qemu.descriptors import descriptor_files, descriptor_folders

__all__ = ["VhostUserProgram", "find_program"]

_TYPES = frozenset(["9p", "balloon", "block", "caif", "console", "crypto", "gpu", "input", "net", "rng", "rproc-serial",
                    "rpmsg", "scsi", "vsock", "fs"])  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VhostUserProgram:
    """What a package says about a program.

    :ivar type: kind of device, such as ``gpu`` or ``fs``.
    """

    type: str
    binary: str

    @classmethod
    def parse(cls, text: str) -> VhostUserProgram:
        """Read a descriptor.

        :raises ValueError: it is none.
        """
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("no object")
        kind, binary = data.get("type"), data.get("binary")
        if kind not in _TYPES:
            raise ValueError(f"unknown device type {kind!r}")
        if not isinstance(binary, str):
            raise ValueError("missing 'binary'")
        return cls(type=kind, binary=binary)

    def document(self) -> dict[str, object]:
        """The descriptor as a JSON value."""
        return {"type": self.type, "binary": self.binary}


def find_program(kind: str, *, root: Path = Path("/")) -> str | None:
    """The first program that packages describe for a kind of device and that can be run; None without one."""
    for path in descriptor_files(descriptor_folders("vhost-user", root=root)):
        try:
            found = VhostUserProgram.parse(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # one broken package must not keep the others' programs from being found
        if found.type == kind and os.access(found.binary, os.X_OK):
            return found.binary
    return None
