"""Scripts of the administrator that are told of transitions of guests and networks (``hooks/qemu``,
``hooks/network``), by libvirt's protocol.

A script gets the object's name, the operation, its step and ``-`` as arguments and XML on its standard input. One that
fails before something happens prevents it.
"""

from __future__ import annotations

import os
from pathlib import Path

from virt_host.description.program import finish_program
from virtcore.errors import HookScriptFailed

__all__ = ["HookScripts"]

_LIMIT = 300.0
"""Seconds a script may take."""


class HookScripts:
    """The scripts of one root for one kind of object.

    :param folder: where they are.
    :param kind: which: those of ``qemu`` are ``qemu``, then what is in ``qemu.d`` in the order of names.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder = folder
        self._kind = kind

    def scripts(self) -> list[Path]:
        """Those that are there and can be run."""
        found = [self._folder / self._kind]
        try:
            found += sorted((self._folder / f"{self._kind}.d").iterdir())
        except OSError:
            pass  # there need not be any
        return [path for path in found if path.is_file() and os.access(path, os.X_OK)]

    async def tell(self, name: str, operation: str, step: str, xml: str) -> None:
        """Run the scripts, one after the other.

        :raises HookScriptFailed: one fails; the others are not run.
        """
        for path in self.scripts():
            words = [str(path), name, operation, step, "-"]
            document = os.memfd_create("xml")
            try:
                os.write(document, xml.encode())
                os.lseek(document, 0, os.SEEK_SET)
                finished = await finish_program(
                    words, fds={0: document}, environment={"PATH": os.environ.get("PATH", os.defpath)}, limit=_LIMIT
                )
            finally:
                os.close(document)
            if finished.status:
                ended = f"exit status {finished.status}" if finished.status > 0 else f"signal {-finished.status}"
                raise HookScriptFailed(
                    f"internal error: Child process ({' '.join(words)}) unexpected {ended}: {finished.errors.strip()}"
                )
