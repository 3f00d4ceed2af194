"""Log files of guests: what was started, what QEMU wrote, why it ended."""

from __future__ import annotations

import logging
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from virtcore.driver.toolkit import file_name

__all__ = ["GuestLog"]

log = logging.getLogger(__name__)

_TAIL = 16384
"""Bytes of QEMU's output that an error shows at most."""


def _stamp() -> str:
    now = datetime.now(UTC)
    return f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d}+0000"


class GuestLog:
    """The log of one guest, appended to by QEMU and by us.

    :param folder: where log files are.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / file_name(name, ".log")
        self._start = 0

    def open(self) -> int:
        """Open it for appending and return the descriptor, to be closed by the caller.

        :raises OSError: it cannot be written.
        """
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def started(self, descriptor: int, emulator: str, environment: Mapping[str, str], argv: Sequence[str]) -> None:
        """Write what is about to run; what follows is QEMU's.

        :raises OSError: it cannot be written.
        """
        head = (
            f"{_stamp()}: starting up libvirt version: 11.3.0, {emulator}, kernel: {platform.release()}, "
            f"hostname: {platform.node()}"
        )
        words = [*(f"{name}={shlex.quote(value)}" for name, value in environment.items()), shlex.quote(argv[0])]
        rest = list(argv[1:])
        while rest:
            option = rest.pop(0)
            # An option stays on one line with its value.
            value = rest.pop(0) if rest and option.startswith("-") and not rest[0].startswith("-") else None
            words.append(shlex.quote(option) if value is None else f"{option} {shlex.quote(value)}")
        os.write(descriptor, (head + "\n" + " \\\n".join(words) + "\n").encode(errors="replace"))
        self._start = os.fstat(descriptor).st_size

    def ended(self, reason: str) -> None:
        """Write that the guest has ended and why."""
        self.note(f"shutting down, reason={reason}")

    def note(self, text: str) -> None:
        """Write a line. A log that cannot be written is no reason to fail."""
        try:
            descriptor = self.open()
            try:
                os.write(descriptor, f"{_stamp()}: {text}\n".encode(errors="replace"))
            finally:
                os.close(descriptor)
        except OSError as error:
            log.warning("cannot write %s: %s", self.path, error.strerror)

    def output(self) -> str:
        """What QEMU has written since it was started."""
        try:
            with open(self.path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                begin = self._start if self._start <= size else 0  # it was cut meanwhile
                file.seek(max(begin, size - _TAIL))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        lines = [line for line in text.splitlines() if "char device redirected to" not in line]
        return "\n".join(lines).strip()
