"""How many CPUs a host has, how they are arranged, how fast they are, what they call themselves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from virtcore.errors import InternalError
from virtcore.operations.values import NodeInfo
from virtcore.xml import CpuSet

if TYPE_CHECKING:
    from virt_host.description.tree import HostTree
    from virtcore.model.arch import Arch

__all__ = [
    "CPUPlace",
    "cpu_frequency",
    "cpu_place",
    "cpu_signature",
    "cpu_times",
    "node_cpus",
    "node_info",
    "online_cpus",
    "present_cpus",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CPUPlace:
    """Where a CPU sits.

    :ivar siblings: the CPUs of the same core, itself included.
    """

    id: int
    socket: int
    die: int
    cluster: int
    core: int
    siblings: CpuSet


def cpu_place(tree: HostTree, cpu: int) -> CPUPlace:
    """Where a CPU sits; what the kernel does not know is 0."""
    folder = tree.cpus / f"cpu{cpu}" / "topology"

    def number(name: str) -> int:
        # -1 stands for "there is no such thing".
        return max(tree.number(folder / name) or 0, 0)

    siblings = tree.numbers(folder / "thread_siblings_list")
    return CPUPlace(
        id=cpu,
        socket=number("physical_package_id"),
        die=number("die_id"),
        cluster=number("cluster_id"),
        core=number("core_id"),
        siblings=CpuSet({cpu}) if siblings is None else siblings,
    )


def present_cpus(tree: HostTree) -> CpuSet:
    """CPUs that are there."""
    found = tree.numbers(tree.cpus / "present")
    return CpuSet(tree.numbered(tree.cpus, "cpu")) if found is None else found


def node_cpus(tree: HostTree) -> dict[int, CpuSet]:
    """The NUMA nodes, each with its CPUs; none where the kernel knows of none."""
    online = tree.numbers(tree.nodes / "online")
    nodes = sorted(online) if online is not None else tree.numbered(tree.nodes, "node")
    return {node: tree.numbers(tree.nodes / f"node{node}" / "cpulist") or CpuSet() for node in nodes}


def online_cpus(tree: HostTree) -> CpuSet:
    """CPUs that are on."""
    found = tree.numbers(tree.cpus / "online")
    return present_cpus(tree) if found is None else found


@dataclass(slots=True)
class _Part:
    """A NUMA node, or the whole host: its CPUs, and per socket its cores."""

    cpus: int = 0
    offline: int = 0
    cores: dict[int, set[int]] = field(default_factory=dict)
    threads: int = 0

    @property
    def most_cores(self) -> int:
        return max(map(len, self.cores.values()), default=0)


def _count(tree: HostTree, folder: Path, arch: Arch, present: CpuSet, online: CpuSet, subcore: int) -> _Part:
    part = _Part()
    for cpu in tree.numbered(folder, "cpu"):
        if cpu not in present:
            continue
        if cpu not in online:
            if subcore and cpu % subcore and cpu - cpu % subcore in online:
                # The other threads of a POWER core are off for the host and on for guests.
                part.cpus += 1
            else:
                part.offline += 1
            continue
        part.cpus += 1
        place = cpu_place(tree, cpu)
        # On s390 every CPU is a core.
        part.cores.setdefault(place.socket, set()).add(cpu if arch.is_s390 else place.core)
        part.threads = max(part.threads, len(place.siblings))
    part.threads *= subcore or 1
    return part


def node_info(tree: HostTree, arch: Arch, *, memory: int = 0, threads_per_subcore: int = 0) -> NodeInfo:
    """The host's CPUs and memory (``virNodeGetInfo``).

    Where the arrangement is not regular it is given as one node and one socket that has every CPU as a core.

    :param memory: the host's memory in KiB.
    :param threads_per_subcore: (POWER) threads guests get of a core of which the host uses only the first.
    :raises InternalError: there are no CPUs, or the kernel's files make no sense.
    """
    present, online = present_cpus(tree), online_cpus(tree)
    if threads_per_subcore and any(cpu % threads_per_subcore for cpu in online):
        # Then cores are not split as guests would see them, whatever the hypervisor can do.
        threads_per_subcore = 0

    def count(folders: Iterable[Path]) -> list[_Part]:
        return [_count(tree, folder, arch, present, online, threads_per_subcore) for folder in folders]

    parts = count(tree.nodes / f"node{node}" for node in tree.numbered(tree.nodes, "node"))
    if not any(part.cpus for part in parts):
        parts = count([tree.cpus])
    cpus, offline = sum(part.cpus for part in parts), sum(part.offline for part in parts)
    nodes, sockets = len(parts), max(len(part.cores) for part in parts)
    cores, threads = max(part.most_cores for part in parts), max(part.threads for part in parts)
    for number, name in ((cpus, "CPUs"), (sockets, "sockets"), (threads, "threads")):
        if not number:
            raise InternalError(f"no {name} found")
    if nodes * sockets * cores * threads != cpus + offline:
        nodes, sockets, cores, threads = 1, 1, cpus + offline, 1
    return NodeInfo(
        model=str(arch),
        memory=memory,
        cpus=cpus,
        mhz=cpu_frequency(tree, arch),
        nodes=nodes,
        sockets=sockets,
        cores=cores,
        threads=threads,
    )


def cpu_times(tree: HostTree, cpu: int | None = None) -> dict[str, int] | None:
    """What CPUs spent their time on since the host started, in ns: ``kernel``, ``user``, ``idle``, ``iowait``.

    :param cpu: its number; None: all together.
    :returns: None where there is no such CPU.
    """
    wanted = "cpu" if cpu is None else f"cpu{cpu}"
    for line in (tree.text(tree.stat) or "").splitlines():
        name, *values = line.split()
        if name == wanted:
            user, nice, system, idle, iowait, irq, softirq = (*map(int, values[:7]), *[0] * 7)[:7]
            tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
            times = {"kernel": system + irq + softirq, "user": user + nice, "idle": idle, "iowait": iowait}
            return {name: ticks * tick for name, ticks in times.items()}
    return None


def cpu_frequency(tree: HostTree, arch: Arch) -> int:
    """In MHz, as the kernel says it; 0 where it does not."""
    if arch.is_x86:
        name = "cpu MHz"
    elif arch.is_s390:
        name = "cpu MHz dynamic"
    elif arch.is_ppc64 or arch in ("ppc", "ppcle", "ppcemb"):
        name = "clock"
    else:
        return 0
    found = re.findall(rf"^{name}\s*:\s*(\d+)(?=[.\s]|$)", tree.text(tree.cpuinfo) or "", re.MULTILINE)
    return int(found[-1]) if found else 0


def cpu_signature(tree: HostTree, arch: Arch) -> str | None:
    """What tells this host's processor from others; None where the architecture has nothing of the kind.

    It changes when the processor does, as what was found out about an emulator may then.
    """
    names: tuple[str, ...]
    if arch.is_x86:
        names = ("vendor_id", "model name", "cpu family", "model", "stepping")
        form = "{}, {}, family: {}, model: {}, stepping: {}"
    elif arch.is_ppc64:
        names, form = ("cpu", "revision"), "{}, rev {}"
    elif arch.is_s390:
        names, form = ("vendor_id", "processor 0", "facilities"), "{}, {}, facilities: {}"
    else:
        return None
    found: dict[str, str] = {}
    for line in (tree.text(tree.cpuinfo) or "").splitlines():
        name, colon, value = line.partition(": ")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return form.format(*(found[name] for name in names)) if all(name in found for name in names) else None
