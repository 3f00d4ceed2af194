"""Since when the host has been up, and what was started since."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

__all__ = ["StartMarker", "boot_id"]

log = logging.getLogger(__name__)


@cache
def boot_id() -> str:
    """Names the host's current uptime: process numbers mean nothing beyond it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class StartMarker:
    """Tells in which uptime of the host that was started which starts with it.

    :param folder: where it is; one that lasts until the host goes down, or longer.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "autostarted"

    @property
    def present(self) -> bool:
        """Whether it was in this one."""
        try:
            return self._file.read_text() == boot_id()
        except OSError:
            return False  # the first time

    def put(self) -> None:
        """Note that it was. What keeps it from being noted is logged."""
        try:
            if not self.present:
                self._file.write_text(boot_id())
        except OSError as error:
            log.error("cannot write %s: %s", self._file, error.strerror)
