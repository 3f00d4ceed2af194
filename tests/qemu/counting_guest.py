"""A guest that counts from memory: what it prints tells whether it went on where it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from guest_image import CMDLINE, guest_xml

import virtcore
from support import eventually


class Counting:
    """Such a guest, defined, and what it has said.

    :param devices: further elements of ``<devices>``.
    :param more: further elements of the domain.
    """

    def __init__(
        self,
        connection: virtcore.Connection,
        boot: tuple[Path, Path],
        folder: Path,
        name: str,
        *,
        devices: str = "",
        more: str = "",
    ) -> None:
        self.output = folder / f"{name}.out"
        serial = f"<serial type='pty'><log file='{self.output}' append='on'/></serial>"
        xml = guest_xml(name, *boot, devices=serial + devices, cmdline=f"{CMDLINE} count")
        self.xml = xml.replace("<devices>", f"{more}<devices>")
        self._connection = connection
        self.domain = connection.define_domain(self.xml)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start it and wait until it counts; it is ended afterwards if the test has not done so."""
        self.domain.create()
        self.wait(lambda: len(self.counts()) > 1)
        yield
        if self.domain in self._connection.list_domains() and self.domain.is_active():
            self.domain.destroy()

    def text(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def counts(self) -> list[int]:
        return [int(found) for found in re.findall(r"^count (\d+)\n", self.text(), re.M)]

    def wait(self, check: Callable[[], object] | None = None) -> None:
        """Wait until it has counted further, or something holds."""
        before = len(self.counts())
        eventually(check or (lambda: len(self.counts()) > before + 1), 150)
