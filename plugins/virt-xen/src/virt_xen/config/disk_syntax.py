"""xl's syntax of a disk: keyword parameters, flags, positional parameters and the prefixes of older times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from virtcore.errors import ConfSyntax

__all__ = ["DiskSpec", "parse_disk"]

_PREFIX = re.compile(r"(raw|qcow2?|vhd|qed|iscsi|nbd|enbd|drbd|tapdisk|tap2?|aio|ioemu|file|phy):")
_UNKNOWN_PREFIX = re.compile(r"[a-z][a-z0-9]*:(?:$|[^a-z0-9])")
_KEYWORD = re.compile(r"([a-z][-a-z0-9]*)=([^,]*),?")
_POSITION = re.compile(r"([^=,]*),|([^=,]+)$")
#: ``xvhd`` is how libvirt writes ``vhd``.
_FORMATS = ("raw", "qcow", "qcow2", "vhd", "xvhd", "qed", "empty")
_BACKENDS = ("phy", "tap", "qdisk", "standalone")
_ACCESS = {"rw": True, "w": True, "": True, "w!": True, "!": True, "ro": False, "r": False}
#: Parameters that say nothing to libvirt.
_SAVED = ("backend", "script", "specification", "transport", "grant_usage", "trusted")
_FLAGS = ("direct-io-safe", "discard", "no-discard")


@dataclass(slots=True)
class DiskSpec:
    """A disk as xl understands it.

    :ivar target: image or device; None for an empty drive.
    :ivar format: format of the image, ``empty`` for none; None where nothing was said.
    :ivar vdev: name in the guest.
    :ivar backend: who serves it: phy, tap, qdisk; None where nothing was said.
    """

    target: str | None = None
    format: str | None = None
    vdev: str = ""
    readwrite: bool = True
    cdrom: bool = False
    backend: str | None = None


def parse_disk(text: str) -> DiskSpec:
    """Read a disk.

    :raises ConfSyntax: it is none; libvirt only says that it failed, the words are ours.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.spec = DiskSpec()
        self.vdev: str | None = None
        self.access = False
        self.prefixed = False

    def refuse(self, what: str, value: str) -> NoReturn:
        raise ConfSyntax(f"disk '{self.text}': {what}: {value}", value=value)

    def parse(self) -> DiskSpec:
        while self.at < len(self.text):
            self.parameter()
        spec = self.spec
        if spec.cdrom:
            spec.readwrite = False
            if not spec.target:
                spec.target, spec.format = None, "empty"
        if not self.vdev:
            self.refuse("no vdev specified", self.text)
        if spec.target is None and not spec.cdrom:
            self.refuse("no target specified", self.text)
        spec.vdev = self.vdev
        return spec

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def parameter(self) -> None:
        """The next parameter; a target that is named takes the rest, commas and all."""
        rest = self.text[self.at :].lstrip(" \t\n")
        self.at = len(self.text) - len(rest)
        if not rest:
            return
        if rest.startswith("target="):
            self.save_target(rest[7:].removesuffix(","))
            self.at = len(self.text)
        elif (prefix := self.take(_PREFIX)) is not None:
            self.prefix(prefix.group(1))
        elif _UNKNOWN_PREFIX.match(rest):
            self.refuse("unknown deprecated disk prefix", rest)
        elif (keyword := self.take(_KEYWORD)) is not None:
            self.keyword(keyword.group(1), keyword.group(2))
        elif (position := self.take(_POSITION)) is not None:
            self.position(position.group(1) if position.group(2) is None else position.group(2))
        else:
            self.refuse("bad disk syntax", rest)

    def prefix(self, name: str) -> None:
        """What older configurations put before the target: a format, or who serves it, which Xen finds out itself."""
        self.prefixed = True
        if name in _FORMATS:
            self.save_format(name)

    def keyword(self, name: str, value: str) -> None:
        if name == "format":
            self.save_format(value)
        elif name == "vdev":
            self.save_vdev(value)
        elif name == "access":
            self.save_access(value)
        elif name == "devtype":
            if value not in ("cdrom", "disk"):
                self.refuse("unknown value for type", value)
            self.spec.cdrom = value == "cdrom"
        elif name == "backendtype":
            if value not in _BACKENDS:
                self.refuse("unknown value for backendtype", value)
            if self.spec.backend not in (None, value):
                self.refuse("backendtype respecified", value)
            self.spec.backend = value
        elif name not in _SAVED:
            self.refuse("unknown parameter", f"{name}={value}")

    def position(self, value: str) -> None:
        """Target, format (but after a prefix), name in the guest, access; or a flag, anywhere."""
        if value == "cdrom":
            self.spec.cdrom = True
        elif value in _FLAGS:
            return
        elif self.spec.target is None:
            self.save_target(value)
        elif self.spec.format is None and not self.prefixed:
            self.save_format(value)
        elif self.vdev is None:
            name, colon, kind = value.rpartition(":")
            if colon:
                self.prefixed = True
                if kind not in ("cdrom", "disk"):
                    self.refuse("unknown deprecated type", kind)
                self.spec.cdrom = kind == "cdrom"
                value = name
            self.save_vdev(value)
        elif not self.access:
            self.save_access(value)
        else:
            self.refuse("too many positional parameters", value)

    def save_target(self, value: str) -> None:
        if self.spec.target:
            self.refuse("target respecified", value)
        self.spec.target = value

    def save_format(self, value: str) -> None:
        value = value or "raw"
        if value not in _FORMATS:
            self.refuse("unknown value for format", value)
        if self.spec.format not in (None, value):
            self.refuse("format respecified", value)
        self.spec.format = value

    def save_vdev(self, value: str) -> None:
        if self.vdev:
            self.refuse("vdev respecified", value)
        self.vdev = value

    def save_access(self, value: str) -> None:
        if value not in _ACCESS:
            self.refuse("unknown value for access", value)
        self.access = True
        self.spec.readwrite = _ACCESS[value]
