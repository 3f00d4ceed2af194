"""The daemon's log: levels, filters and outputs in libvirt's words, to be changed while it runs."""

from __future__ import annotations

import fnmatch
import logging
import os
import socket
import sys
from typing import Final

from virtcore._tuples import NamedTuple
from virtcore.errors import InvalidArg

__all__ = ["Logs", "parse_filters", "parse_outputs"]

#: libvirt's levels: debug, information, warnings, errors.
LEVELS: Final = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}

_FORM: Final = "%(asctime)s virtcored[%(process)d]: %(levelname)s: %(name)s: %(message)s"


class _Filter(NamedTuple):
    level: int
    pattern: str

    def __str__(self) -> str:
        return f"{self.level}:*{self.pattern}*"


class _Output(NamedTuple):
    level: int
    kind: str
    argument: str = ""

    def __str__(self) -> str:
        return ":".join([str(self.level), self.kind, *([self.argument] if self.argument else [])])


def parse_filters(text: str) -> list[_Filter]:
    """Filters, as ``1:qemu 3:remote``.

    :raises InvalidArg: they make no sense.
    """
    found = []
    for word in text.split():
        level, colon, pattern = word.partition(":")
        if not colon:
            raise InvalidArg(f"Malformed format for filter '{word}'")
        if level not in ("1", "2", "3", "4"):
            raise InvalidArg(f"Invalid priority '{level}' for filter '{word}'")
        pattern = pattern.removeprefix("+").removeprefix("*").removesuffix("*")
        if not pattern:
            raise InvalidArg(f"Invalid match string '{pattern}'")
        found.append(_Filter(int(level), pattern))
    return found


def parse_outputs(text: str) -> list[_Output]:
    """Outputs, as ``3:stderr 1:file:/var/log/virtcored.log``.

    :raises InvalidArg: they make no sense.
    """
    found = []
    for word in text.split():
        level, has, rest = word.partition(":")
        kind, colon, argument = rest.partition(":")
        if not has:
            raise InvalidArg(f"Malformed format for log output '{word}'")
        if level not in ("1", "2", "3", "4"):
            raise InvalidArg(f"Invalid log priority '{level}' for log output '{word}'")
        if kind not in ("stderr", "syslog", "file", "journald"):
            raise InvalidArg(f"Invalid log destination '{kind}' for log output '{word}'")
        takes = kind in ("syslog", "file")
        if takes != bool(argument) or bool(colon) != takes:
            raise InvalidArg(f"Log output '{word}' does not meet the format requirements for destination type '{kind}'")
        found.append(_Output(int(level), kind, os.path.abspath(argument) if kind == "file" else argument))
    return found


class _Journal(logging.Handler):
    """Speaks journald's protocol."""

    def __init__(self) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect("/run/systemd/journal/socket")

    def emit(self, record: logging.LogRecord) -> None:
        fields = {
            "MESSAGE": self.format(record),
            "PRIORITY": str(_PRIORITIES.get(record.levelno, 6)),
            "SYSLOG_IDENTIFIER": "virtcored",
            "LIBVIRT_SOURCE": record.name,
            "CODE_FUNC": record.funcName,
        }
        try:
            self._socket.send(b"".join(_journal_field(name, value) for name, value in fields.items()))
        except OSError:
            self.handleError(record)

    def close(self) -> None:
        self._socket.close()
        super().close()


def _journal_field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


class _PrivateFile(logging.Handler):
    """A file that its owner alone may read, opened anew when it was moved away (logrotate)."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._open()

    def _open(self) -> None:
        self._file = open(self._path, "a", encoding="utf-8", errors="backslashreplace", opener=_private)  # noqa: SIM115
        self._inode = os.fstat(self._file.fileno()).st_ino

    def emit(self, record: logging.LogRecord) -> None:
        try:
            try:
                moved = os.stat(self._path).st_ino != self._inode
            except FileNotFoundError:
                moved = True
            if moved:
                self._file.close()
                self._open()
            self._file.write(self.format(record) + "\n")
            self._file.flush()
        except (OSError, ValueError):
            self.handleError(record)

    def close(self) -> None:
        self._file.close()
        super().close()


class Logs:
    """The process' log, as the settings and administrators want it."""

    def __init__(self, level: int, filters: str, outputs: str) -> None:
        self._level = level
        self._filters = parse_filters(filters)
        self._outputs: list[_Output] = []
        self._handlers: list[logging.Handler] = []
        self._wanted: dict[str, int] = {}
        self.set_outputs(outputs)
        self._apply()

    @property
    def filters(self) -> str:
        """The filters, in libvirt's words."""
        return " ".join(map(str, self._filters))

    @property
    def filter_count(self) -> int:
        """How many filters there are."""
        return len(self._filters)

    @property
    def outputs(self) -> str:
        """The outputs, in libvirt's words."""
        return " ".join(map(str, self._outputs))

    @property
    def output_count(self) -> int:
        """How many outputs there are."""
        return len(self._outputs)

    def change(self, level: int, filters: str, outputs: str | None) -> None:
        """Replace the least level and the filters, and the outputs but for None; all of it, or nothing.

        :raises InvalidArg: they make no sense.
        :raises OSError: an output cannot be opened.
        """
        wanted = parse_filters(filters)
        if outputs is not None:
            self.set_outputs(outputs)
        self._level, self._filters = level, wanted
        self._apply()

    def set_filters(self, text: str) -> None:
        """Replace the filters; nothing changes when they make no sense.

        :raises InvalidArg: they make no sense.
        """
        self._filters = parse_filters(text)
        self._apply()

    def set_outputs(self, text: str) -> None:
        """Replace the outputs; nothing changes when one cannot be had.

        :raises InvalidArg: they make no sense.
        :raises OSError: one cannot be opened.
        """
        outputs = parse_outputs(text)
        made: list[logging.Handler] = []
        try:
            for output in outputs:
                made.append(self._handler(output))
        except BaseException:
            for handler in made:
                handler.close()
            raise
        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
            handler.close()
        for handler in made:
            root.addHandler(handler)
        self._handlers, self._outputs = made, outputs

    def _handler(self, output: _Output) -> logging.Handler:
        handler: logging.Handler
        match output.kind:
            case "stderr":
                handler = logging.StreamHandler(sys.stderr)
            case "syslog":
                from logging.handlers import SysLogHandler

                handler = SysLogHandler("/dev/log", SysLogHandler.LOG_DAEMON)
                handler.ident = f"{output.argument}[{os.getpid()}]: "
            case "file":
                handler = _PrivateFile(output.argument)
            case _:
                handler = _Journal()
        handler.setLevel(LEVELS[output.level])
        handler.setFormatter(logging.Formatter(_FORM if output.kind in ("stderr", "file") else "%(name)s: %(message)s"))
        handler.addFilter(self._passes)
        return handler

    def _passes(self, record: logging.LogRecord) -> bool:
        wanted = self._wanted.get(record.name)
        if wanted is None:
            wanted = self._wanted[record.name] = self._level_of(record.name)
        return record.levelno >= wanted

    def _level_of(self, name: str) -> int:
        for one in self._filters:
            if fnmatch.fnmatchcase(name, f"*{one.pattern}*"):
                return LEVELS[one.level]
        return LEVELS[self._level]

    def _apply(self) -> None:
        self._wanted.clear()
        least = min([self._level, *(one.level for one in self._filters)])
        logging.getLogger().setLevel(LEVELS[least])

    def close(self) -> None:
        """Let go of every output."""
        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
            handler.close()
        self._handlers = []
