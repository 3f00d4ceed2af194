"""Devices as the kernel shows them in sysfs, with what udev has noted of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

__all__ = ["HostFiles", "KernelDevice", "digits"]

#: Subsystems none of whose devices are shown.
_IGNORED = frozenset({"acpi", "tty", "vc", "i2c"})
#: Devices that are made of others come after these.
_LATE = ("/block/md", "/block/dm-")


def digits(text: str, base: int = 10, *, bits: int = 32) -> int:
    """An unsigned number as the kernel writes it; a negative one is taken for what its bits say.

    :param base: 0: as its prefix says.
    :raises ValueError: it is none.
    """
    text = text.strip(" \t")
    if base == 0 and text.lstrip("+-").startswith("0") and text.lstrip("+-")[1:2].isdigit():
        base = 8
    return int(text, base) & ((1 << bits) - 1)


@dataclass(frozen=True, slots=True)
class HostFiles:
    """The file system of a host.

    :ivar root: what is before every path, for trees of tests; nothing for this host's.
    """

    root: str = ""

    def real(self, path: str) -> str:
        """Where a file of the host is."""
        return self.root + path

    def resolved(self, path: str) -> str | None:
        """The host's path behind links; None where there is nothing."""
        try:
            found = os.path.realpath(self.root + path, strict=True)
        except OSError:
            return None
        return found.removeprefix(os.path.realpath(self.root)) if self.root else found

    def text(self, path: str) -> str | None:
        """Content of a file without newlines at its end; None where it cannot be read."""
        try:
            with open(self.root + path, "rb", buffering=0) as file:
                return file.read().decode(errors="replace").rstrip("\n\r")
        except OSError:
            return None

    def data(self, path: str) -> bytes | None:
        """Content of a file; None where it cannot be read."""
        try:
            with open(self.root + path, "rb", buffering=0) as file:
                return file.read()
        except OSError:
            return None

    def entries(self, path: str) -> list[str]:
        """Names in a folder, in the kernel's order; none where there is no such folder."""
        try:
            return os.listdir(self.root + path)
        except OSError:
            return []

    def link(self, path: str) -> str | None:
        """Last part of what a link leads to; None where there is no such link."""
        try:
            return os.path.basename(os.readlink(self.root + path))
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Whether there is a file."""
        return os.path.exists(self.root + path)

    # -- devices

    def devices(self) -> Iterator[KernelDevice]:
        """Every device, parents before what is on them."""
        paths: set[str] = set()
        for pattern, inner in (("/sys/bus", "/devices"), ("/sys/class", "")):
            for subsystem in self.entries(pattern):
                if subsystem in _IGNORED:
                    continue
                folder = f"{pattern}/{subsystem}{inner}"
                for name in self.entries(folder):
                    try:  # these links lead straight there
                        target = os.readlink(f"{self.root}{folder}/{name}")
                    except OSError:
                        continue
                    path = os.path.normpath(f"{folder}/{target}")
                    if path not in paths and self._is_device(path):
                        paths.add(path)
        for path in sorted(paths, key=lambda path: (any(part in path for part in _LATE), path)):
            device = KernelDevice(self, path)
            if device.subsystem not in _IGNORED:
                yield device

    def _is_device(self, path: str) -> bool:
        return path.startswith("/sys/devices/") and self.exists(f"{path}/uevent")

    def device(self, path: str) -> KernelDevice | None:
        """The device of a folder of sysfs; None where there is none."""
        found = self.resolved(path)
        return KernelDevice(self, found) if found is not None and self._is_device(found) else None


class KernelDevice:
    """A device.

    :ivar files: the host's.
    :ivar path: its folder, below ``/sys/devices``.
    """

    def __init__(self, files: HostFiles, path: str) -> None:
        self.files = files
        self.path = path

    @property
    def name(self) -> str:
        """What the kernel calls it."""
        return os.path.basename(self.path).replace("!", "/")

    @cached_property
    def subsystem(self) -> str | None:
        """What kind of device it is to the kernel, e.g. ``block``."""
        return self.files.link(f"{self.path}/subsystem")

    @cached_property
    def _told(self) -> tuple[dict[str, str], list[str]]:
        """Properties and links in ``/dev``."""
        properties: dict[str, str] = {}
        for line in (self.files.text(f"{self.path}/uevent") or "").splitlines():
            key, sign, value = line.partition("=")
            if sign:
                properties[key] = value
        links: set[str] = set()
        for line in (self.files.text(f"/run/udev/data/{self._noted(properties)}") or "").splitlines():
            kind, _, rest = line.partition(":")
            if kind == "E":
                key, sign, value = rest.partition("=")
                if sign:
                    properties[key] = value
            elif kind == "S":
                links.add(f"/dev/{rest}")
        return properties, sorted(links)

    def _noted(self, properties: dict[str, str]) -> str:
        """Name of udev's file about it."""
        if "MAJOR" in properties and "MINOR" in properties:
            letter = "b" if self.subsystem == "block" else "c"
            return f"{letter}{properties['MAJOR']}:{properties['MINOR']}"
        if "IFINDEX" in properties:
            return f"n{properties['IFINDEX']}"
        return f"+{self.subsystem}:{os.path.basename(self.path)}"

    @property
    def links(self) -> list[str]:
        """Links to it in ``/dev``."""
        return self._told[1]

    @property
    def type(self) -> str | None:
        """What kind of device of its subsystem it is."""
        return self.property("DEVTYPE")

    @property
    def node(self) -> str | None:
        """Path of its device file."""
        name = self.property("DEVNAME")
        return None if name is None else name if name.startswith("/") else f"/dev/{name}"

    @property
    def driver(self) -> str | None:
        """The driver that has it now."""
        return self.files.link(f"{self.path}/driver")

    def property(self, key: str) -> str | None:
        """What the kernel or udev says of it."""
        return self._told[0].get(key)

    def attribute(self, name: str) -> str | None:
        """What one of its files holds, without control characters; None without the file, and for nothing."""
        text = self.files.text(f"{self.path}/{name}")
        return "".join(char for char in text if char >= " " and char != "\x7f") or None if text is not None else None

    def number(self, name: str, base: int = 0, *, bits: int = 32) -> int | None:
        """The unsigned number that one of its files holds; None without the file.

        :raises ValueError: it holds something else.
        """
        text = self.files.text(f"{self.path}/{name}")
        return None if text is None else digits(text, base, bits=bits)

    def parents(self) -> Iterator[str]:
        """Folders of what it is on or part of, the nearest first; not all are devices."""
        path = os.path.dirname(self.path)
        while path.startswith("/sys/devices/"):
            yield path
            path = os.path.dirname(path)
