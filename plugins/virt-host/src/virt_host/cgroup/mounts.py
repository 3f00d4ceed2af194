"""Where the host's control groups are mounted, and which controller is where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["CONTROLLERS", "PIDS", "Mounts", "partition_path"]

#: Controllers under libvirt's names.
CONTROLLERS: Final = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "net_cls", "perf_event")
#: One that libvirt leaves to the machine manager: how many threads there may be.
PIDS: Final = "pids"
#: What the second version calls them; CPU time is always counted there.
_UNIFIED: Final = {"cpu": "cpu", "cpuset": "cpuset", "memory": "memory", "io": "blkio", PIDS: PIDS}
#: Folders that are there without anybody's making, which are not marked as partitions.
_FIXED: Final = ("machine", "system", "user")


@dataclass(frozen=True, slots=True)
class Mounts:
    """The host's hierarchies.

    :ivar first: of the first version: where each controller is.
    :ivar second: of the second version: where it is; None where it is not mounted.
    :ivar unified: the controllers that the second version has.
    """

    first: dict[str, Path] = field(default_factory=dict)
    second: Path | None = None
    unified: frozenset[str] = frozenset()

    @classmethod
    def detect(cls, table: Path = Path("/proc/self/mounts")) -> Mounts:
        """Look at what is mounted.

        :param table: the kernel's list of mounts.
        """
        first: dict[str, Path] = {}
        second: Path | None = None
        try:
            lines = table.read_text().splitlines()
        except OSError:
            return cls()
        for line in lines:
            fields = line.split()
            if len(fields) < 4:
                continue
            where = Path(fields[1].replace("\\040", " "))
            if fields[2] == "cgroup2":
                second = where
            elif fields[2] == "cgroup":
                for option in fields[3].split(","):
                    if option in CONTROLLERS or option == PIDS:
                        first[option] = where
        return cls(first, second, _unified(second) - first.keys() if second is not None else frozenset())

    def controllers(self) -> frozenset[str]:
        """The controllers there are."""
        return frozenset(self.first) | self.unified

    def folders(self, path: str) -> dict[str, Path]:
        """Where a group is, by controller.

        :param path: of the group, e.g. ``/machine/qemu-1-name.libvirt-qemu``.
        """
        found = {name: where / path.lstrip("/") for name, where in self.first.items()}
        if self.second is not None:
            found.update((name, self.second / path.lstrip("/")) for name in self.unified)
        return found


def _unified(mount: Path) -> frozenset[str]:
    try:
        names = (mount / "cgroup.controllers").read_text().split()
    except OSError:
        return frozenset()
    return frozenset(_UNIFIED[name] for name in names if name in _UNIFIED) | {"cpuacct"}


def partition_path(partition: str) -> str:
    """The group of a partition (``<resource><partition>``): its folders are marked, save those always there."""
    parts = [part for part in partition.split("/") if part]
    marked = [
        part if "." in part or (place == 0 and part in _FIXED) else f"{part}.partition"
        for place, part in enumerate(parts)
    ]
    return "/" + "/".join(_escaped(part) for part in marked)


def _escaped(name: str) -> str:
    """A name that the kernel does not take for one of its own files."""
    reserved = name.startswith((".", "_")) or name in ("notify_on_release", "release_agent", "tasks", "cgroup.procs")
    prefix = name.partition(".")[0]
    return f"_{name}" if reserved or (prefix in CONTROLLERS and "." in name) else name
