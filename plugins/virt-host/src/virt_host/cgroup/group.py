"""A control group: made, filled, limited, asked and removed."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from virt_host.cgroup.devices import ANY, Access, DeviceTable, are_guarded
from virt_host.cgroup.mounts import CONTROLLERS, PIDS, Mounts
from virtcore.errors import InvalidArg, OperationInvalid, OperationUnsupported, SystemError
from virtcore.model.domain.memory import MEMORY_UNLIMITED
from virtcore.xml import CpuSet

__all__ = ["ControlGroup", "CpuTimes", "DeviceLimit"]

log = logging.getLogger(__name__)

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_SHARES_FIRST: Final = (2, 262_144)
_SHARES_SECOND: Final = (1, 10_000)
_THREADED: Final = ("cpu", "cpuacct", "cpuset")
"""Controllers in which a guest's threads have groups of their own."""
_LARGEST_PAGE: Final = 64
#: Seconds that a group which is being removed may still have a process that is on its way out.
_PATIENCE: Final = 1.0


class CpuTimes(NamedTuple):
    """CPU time in ns: all, in programs, in the kernel."""

    time: int
    user: int
    system: int


class DeviceLimit(NamedTuple):
    """A limit of one block device.

    :ivar kind: ``read_bps``, ``write_bps``, ``read_iops``, ``write_iops`` or ``weight``.
    :ivar path: of the device.
    :ivar value: 0 for none.
    """

    kind: str
    path: str
    value: int


class ControlGroup:
    """A group in every hierarchy of the host.

    :param mounts: the hierarchies.
    :param path: where in each of them, e.g. ``/machine/qemu-1-name.libvirt-qemu``.
    :param controllers: those to be used; by default all that libvirt uses.
    """

    def __init__(self, mounts: Mounts, path: str, controllers: Iterable[str] = CONTROLLERS) -> None:
        self.mounts = mounts
        self.path = path
        folders = mounts.folders(path)
        # The second version has no such controller: a program in the kernel takes its place.
        by_program = "devices" in controllers and "devices" not in mounts.first
        self._allowed = DeviceTable(mounts.second / path.lstrip("/")) if by_program and mounts.second else None
        self._folders = {name: folder for name, folder in folders.items() if name in controllers}

    def has(self, controller: str) -> bool:
        """Whether it is limited by a controller."""
        return controller in self._folders

    def require(self, controller: str) -> None:
        """Check that a controller is there.

        :raises OperationInvalid: it is not.
        """
        if controller not in self._folders:
            name = {"cpu": "CPU", "cpuacct": "CPUACCT"}.get(controller, controller)
            raise OperationInvalid(f"cgroup {name} controller is not mounted")

    # -- life

    @property
    def exists(self) -> bool:
        """Whether it is there, in any hierarchy."""
        return any(folder.is_dir() for folder in self._folders.values())

    def exists_for(self, controller: str) -> bool:
        """Whether it is there in a controller's hierarchy."""
        return controller in self._folders and self._folders[controller].is_dir()

    def create(self, *, threads: bool = False) -> None:
        """Make it, and what it is in.

        :param threads: it is for threads of the processes in the group above.
        :raises SystemError: the kernel refuses it.
        """
        done: set[Path] = set()
        for controller, folder in self._folders.items():
            if folder in done:
                continue
            done.add(folder)
            top = self._top(controller)
            relative = folder.relative_to(top)
            current = top
            for part in relative.parts:
                parent, current = current, current / part
                if self._second(controller):
                    self._hand_down(parent, threads and current == folder)
                if not current.is_dir():
                    self._make(current)
                    if threads and current == folder and self._second(controller):
                        self._put(current / "cgroup.type", "threaded")
                if controller == "cpuset" and not self._second(controller):
                    self._inherit_cpuset(parent, current)
                if controller == "memory" and not self._second(controller) and not threads:
                    self._count_below(current)

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SystemError(f"Failed to create cgroup '{folder}': {error.strerror}") from error

    def _hand_down(self, parent: Path, threads: bool) -> None:
        """Have a group of the second version give its controllers to those below it."""
        wanted = {"blkio": "io"}
        used = self.mounts.unified & self._folders.keys()
        names = [wanted.get(name, name) for name in sorted(used) if name != "cpuacct"]
        if threads:
            names = [name for name in names if name in _THREADED]
        try:
            known = (parent / "cgroup.subtree_control").read_text().split()
        except OSError:
            known = []
        missing = [f"+{name}" for name in names if name not in known]
        if missing:
            try:
                (parent / "cgroup.subtree_control").write_text(" ".join(missing))
            except OSError as error:
                log.debug("group '%s' cannot hand down %s: %s", parent, " ".join(missing), error)

    def _inherit_cpuset(self, parent: Path, folder: Path) -> None:
        """A group of the first version begins without any CPU or memory, and takes no process then."""
        for name in ("cpuset.cpus", "cpuset.mems"):
            try:
                if not (folder / name).read_text().strip():
                    (folder / name).write_text((parent / name).read_text())
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise SystemError(f"Unable to write to '{folder / name}': {error.strerror}") from error

    def _count_below(self, folder: Path) -> None:
        try:
            file = folder / "memory.use_hierarchy"
            if file.exists() and file.read_text().strip() == "0":
                file.write_text("1")
        except OSError as error:
            log.debug("%s: %s", folder, error)

    def below(self, name: str) -> ControlGroup:
        """A group in it, for some of its threads."""
        return ControlGroup(self.mounts, f"{self.path}/{name}", [each for each in _THREADED if self.has(each)])

    def add_process(self, pid: int) -> None:
        """Take in a process, with all its threads.

        :raises SystemError: the kernel refuses it.
        """
        for folder in set(self._folders.values()):
            self._put(folder / "cgroup.procs", str(pid))

    def add_thread(self, thread: int) -> None:
        """Take in one thread of a process that is in the group above.

        :raises SystemError: the kernel refuses it.
        """
        done: set[Path] = set()
        for controller, folder in self._folders.items():
            if folder not in done:
                done.add(folder)
                self._put(folder / ("cgroup.threads" if self._second(controller) else "tasks"), str(thread))

    def remove(self) -> None:
        """Remove it and those below it; what still has processes stays, and is logged."""
        end = time.monotonic() + _PATIENCE
        for folder in set(self._folders.values()):
            for name, _, _ in os.walk(folder, topdown=False):
                each = Path(name)
                while True:
                    try:
                        each.rmdir()
                    except FileNotFoundError:
                        pass
                    except OSError as error:
                        if error.errno == errno.EBUSY and time.monotonic() < end:
                            time.sleep(0.005)
                            continue
                        log.warning("cannot remove control group '%s': %s", each, error.strerror)
                    break

    # -- CPU time

    def set_cpu_shares(self, shares: int) -> None:
        """Set its weight among all who want CPU time.

        :raises InvalidArg: no such weight can be had.
        """
        self.require("cpu")
        second = self._second("cpu")
        least, most = _SHARES_SECOND if second else _SHARES_FIRST
        if not least <= shares <= most:
            raise InvalidArg(f"shares '{shares}' must be in range [{least}, {most}]")
        self._write("cpu", "cpu.weight" if second else "cpu.shares", str(shares))

    def cpu_shares(self) -> int:
        """Its weight among all who want CPU time."""
        self.require("cpu")
        return self._number("cpu", "cpu.weight" if self._second("cpu") else "cpu.shares")

    def set_cpu_quota(self, period: int, quota: int) -> None:
        """Set how much CPU time it may have in a period, both in us; 0 leaves what is, -1 lifts the limit."""
        self.require("cpu")
        old_period, old_quota = self.cpu_quota()
        if self._second("cpu"):
            left = quota or old_quota
            self._write("cpu", "cpu.max", f"{'max' if left < 0 else left} {period or old_period}")
            return
        if period:
            self._write("cpu", "cpu.cfs_period_us", str(period))
        if quota:
            try:
                self._write("cpu", "cpu.cfs_quota_us", str(-1 if quota < 0 else quota))
            except SystemError:
                if period:
                    self._write("cpu", "cpu.cfs_period_us", str(old_period))
                raise

    def cpu_quota(self) -> tuple[int, int]:
        """Period and quota in us; the quota is -1 where there is no limit."""
        self.require("cpu")
        if self._second("cpu"):
            quota, _, period = self._read("cpu", "cpu.max").partition(" ")
            return int(period or 100_000), -1 if quota == "max" else int(quota)
        return self._number("cpu", "cpu.cfs_period_us"), self._number("cpu", "cpu.cfs_quota_us")

    def cpu_times(self) -> CpuTimes:
        """CPU time its processes have had."""
        self.require("cpuacct")
        if self._second("cpuacct"):
            told = self._table("cpuacct", "cpu.stat")
            return CpuTimes(*(told[name] * 1000 for name in ("usage_usec", "user_usec", "system_usec")))
        told = self._table("cpuacct", "cpuacct.stat")
        return CpuTimes(self._number("cpuacct", "cpuacct.usage"), told["user"] * _TICK, told["system"] * _TICK)

    def cpu_times_each(self) -> list[int]:
        """CPU time in ns on each of the host's CPUs.

        :raises OperationUnsupported: the kernel does not count that.
        """
        self.require("cpuacct")
        if self._second("cpuacct"):
            raise OperationUnsupported("operation 'getCpuacctPercpuUsage' not supported for backend 'cgroup V2'")
        return [int(each) for each in self._read("cpuacct", "cpuacct.usage_percpu").split()]

    # -- where it may be

    def set_cpus(self, cpus: Iterable[int]) -> None:
        """Set the host's CPUs it may be on."""
        self.require("cpuset")
        self._write("cpuset", "cpuset.cpus", str(CpuSet(cpus)))

    def set_memory_nodes(self, nodes: Iterable[int]) -> None:
        """Set the host's nodes its memory may be on; what is elsewhere moves."""
        self.require("cpuset")
        if not self._second("cpuset"):
            self._write("cpuset", "cpuset.memory_migrate", "1")
        self._write("cpuset", "cpuset.mems", str(CpuSet(nodes)))

    # -- how many threads

    def set_thread_limit(self, limit: int) -> None:
        """Set how many threads its processes may have together."""
        self._write(PIDS, "pids.max", str(limit))

    # -- memory

    def set_memory_limits(self, hard: int | None, soft: int | None, swap: int | None) -> None:
        """Set limits in KiB: of memory, of what is left when the host runs short, of memory and swap space together;
        None for no limit. When one is refused, all are as they were."""
        self.require("memory")
        old = self.memory_limits()
        new = tuple(MEMORY_UNLIMITED if limit is None else limit for limit in (hard, soft, swap))
        # Memory may never exceed what memory and swap space have together: whichever grows goes first.
        order = [2, 0, 1] if new[2] > old[2] else [0, 2, 1]
        done: list[int] = []
        try:
            for place in order:
                if new[place] != old[place]:
                    self._set_memory_limit(place, new[place], new[0])
                    done.append(place)
        except BaseException:
            for place in reversed(done):
                self._set_memory_limit(place, old[place], old[0])
            raise

    def _set_memory_limit(self, place: int, limit: int, hard: int) -> None:
        if self._second("memory"):
            # Swap space is counted by itself there.
            name = ("memory.max", "memory.high", "memory.swap.max")[place]
            value = limit if place != 2 or limit >= MEMORY_UNLIMITED else limit - hard
            self._write("memory", name, "max" if value >= MEMORY_UNLIMITED else str(value << 10))
            return
        name = ("memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes")[place]
        self._write("memory", name, "-1" if limit >= MEMORY_UNLIMITED else str(limit << 10))

    def memory_limits(self) -> tuple[int, int, int]:
        """The limits of :meth:`set_memory_limits` in KiB."""
        self.require("memory")
        if self._second("memory"):
            values = [self._limit(name) for name in ("memory.max", "memory.high", "memory.swap.max")]
            hard, soft, swap = values
            both = MEMORY_UNLIMITED if MEMORY_UNLIMITED in (hard, swap) else hard + swap
            return hard, soft, both
        hard, soft, swap = (
            self._limit(name)
            for name in ("memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes")
        )
        return hard, soft, swap

    def _limit(self, name: str) -> int:
        try:
            text = self._read("memory", name)
        except SystemError:
            return MEMORY_UNLIMITED  # swap space is not counted by this kernel
        # "No limit" is the largest number of whole pages in the first version.
        limit = MEMORY_UNLIMITED if text == "max" else int(text) >> 10
        return limit if limit < MEMORY_UNLIMITED - _LARGEST_PAGE else MEMORY_UNLIMITED

    # -- block I/O

    def set_io_weight(self, weight: int) -> None:
        """Set the weight of its I/O.

        :raises VirtError: no such weight can be had, or this kernel has no weights.
        """
        self.require("blkio")
        name, least, most = self._weight_file()
        if not least <= weight <= most:
            raise InvalidArg(f"weight '{weight}' must be in range [{least}, {most}]")
        self._write("blkio", name, f"default {weight}" if name == "io.weight" else str(weight))

    def io_weight(self) -> int:
        """The weight of its I/O; 0 where this kernel has no weights."""
        self.require("blkio")
        try:
            text = self._read("blkio", self._weight_file()[0])
        except (OperationUnsupported, SystemError):
            return 0
        return int(text.splitlines()[0].rpartition(" ")[2])

    def _weight_file(self) -> tuple[str, int, int]:
        choices = (
            (("io.bfq.weight", 1, 1000), ("io.weight", 1, 10_000))
            if self._second("blkio")
            else (("blkio.bfq.weight", 1, 1000), ("blkio.weight", 10, 1000))
        )
        for name, least, most in choices:
            if (self._folders["blkio"] / name).exists():
                return name, least, most
        raise OperationUnsupported("blkio weight is valid only for bfq or cfq scheduler")

    def set_device_limit(self, limit: DeviceLimit) -> None:
        """Set a limit of one block device.

        :raises VirtError: it is none, or the kernel refuses it.
        """
        self.require("blkio")
        device = device_number(limit.path)
        if limit.kind == "weight":
            name, least, most = self._weight_file()
            if limit.value and not least <= limit.value <= most:
                raise InvalidArg(f"device weight '{limit.value}' must be in range [{least}, {most}]")
            first = {"blkio.bfq.weight": "blkio.bfq.weight_device", "blkio.weight": "blkio.weight_device"}
            self._write("blkio", first.get(name, name), f"{device} {limit.value or 'default'}")
        elif self._second("blkio"):
            name = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}[limit.kind]
            self._write("blkio", "io.max", f"{device} {name}={limit.value or 'max'}")
        else:
            self._write("blkio", f"blkio.throttle.{limit.kind}_device", f"{device} {limit.value}")

    # -- devices

    def deny_all_devices(self) -> None:
        """Let it open no device at all."""
        if self._allowed is not None:
            self._allowed.deny_all()
        else:
            self._write("devices", "devices.deny", "a")

    def allow_device(self, path: str, access: str = "rw") -> None:
        """Let it open a device of the host; what is none, or not there, is passed over."""
        which = _which_device(path)
        if which is not None:
            self.allow_devices(which, access)

    def deny_device(self, path: str) -> None:
        """Let it open a device no more; what is none, or not there, is passed over."""
        which = _which_device(path)
        if which is None:
            return
        if self._allowed is not None:
            self._allowed.deny(*_numbers(which))
        else:
            self._write("devices", "devices.deny", f"{which} rwm")

    def allow_devices(self, which: str, access: str = "rw") -> None:
        """Let it open devices by their numbers, e.g. ``c 136:*``."""
        if self._allowed is not None:
            self._allowed.allow(*_numbers(which), Access.parse(access))
        else:
            self._write("devices", "devices.allow", f"{which} {access}")

    @property
    def guards_devices(self) -> bool:
        """Whether devices can be denied it."""
        if self._allowed is None or self.mounts.second is None:
            return self.has("devices")
        return are_guarded(self.mounts.second)

    # -- files

    def _second(self, controller: str) -> bool:
        return controller in self.mounts.unified

    def _top(self, controller: str) -> Path:
        if self._second(controller):
            assert self.mounts.second is not None
            return self.mounts.second
        return self.mounts.first[controller]

    def _put(self, file: Path, text: str) -> None:
        try:
            with open(file, "w") as opened:
                opened.write(text)
        except OSError as error:
            raise SystemError(f"Unable to write to '{file}': {error.strerror}") from error

    def _write(self, controller: str, name: str, text: str) -> None:
        self.require(controller)
        self._put(self._folders[controller] / name, text)

    def _read(self, controller: str, name: str) -> str:
        file = f"{self._folders[controller]}/{name}"
        try:
            with open(file, "rb", buffering=0) as opened:  # a fourth of the time of Path.read_text
                return opened.read().decode().strip()
        except OSError as error:
            raise SystemError(f"Unable to read from '{file}': {error.strerror}") from error

    def _number(self, controller: str, name: str) -> int:
        return int(self._read(controller, name))

    def _table(self, controller: str, name: str) -> Mapping[str, int]:
        rows = (line.split() for line in self._read(controller, name).splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2}


def _numbers(which: str) -> tuple[str, int, int]:
    """Kind and numbers of what :meth:`ControlGroup.allow_devices` is told."""
    kind, _, numbers = which.partition(" ")
    major, _, minor = numbers.partition(":")
    return kind, int(major), ANY if minor == "*" else int(minor)


def _which_device(path: str) -> str | None:
    """Kind and numbers of a device, as the kernel's lists have them."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else None
    return f"{kind} {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}" if kind is not None else None


def device_number(path: str) -> str:
    """Major and minor number of a block device.

    :raises SystemError: it is not there.
    :raises InvalidArg: it is none.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise SystemError(f"Path '{path}' is not accessible: {error.strerror}") from error
    if not stat.S_ISBLK(found.st_mode):
        raise InvalidArg(f"Path '{path}' must be a block device")
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
