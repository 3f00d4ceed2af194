"""Adapters of suites ``host-cpuinfo``, ``host-capabilities`` and ``sysinfo``: a Linux host, read from made-up files."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import Any

from virt_host.description.capabilities import host_capabilities
from virt_host.description.cpuinfo import cpu_signature, node_info
from virt_host.description.memory import PageCount
from virt_host.description.sysinfo import arm_sysinfo, dmi_sysinfo, format_sysinfo, ppc_sysinfo, s390_sysinfo
from virt_host.description.tree import HostTree
from virtcore.model.arch import Arch
from virtcore.model.capabilities import Capabilities, MigrationFeatures, format_capabilities

#: How many threads of a POWER core guests see on the machines the reference was made for.
_SUBCORE = 8


def _tree(case: Any) -> HostTree:
    mounts = {
        mount: Path(case.path("root"), place) if case.has("root") else Path(case.path(place))
        for mount, place in case.params["mounts"].items()
    }
    files = {"cpuinfo": Path(case.path("cpuinfo"))} if case.has("cpuinfo") else {}
    if "/sys/fs/resctrl" in mounts:
        files["resctrl"] = mounts["/sys/fs/resctrl"]
    return HostTree(system=mounts["/sys/devices/system"], iommu_groups=Path("/nonexistent"), **files)


def cpuinfo(case: Any) -> dict[str, str | None]:
    """Counts of CPUs, and the processor's signature."""
    tree, arch = _tree(case), Arch(case.params["arch"])
    info = node_info(tree, arch, threads_per_subcore=_SUBCORE if arch.is_ppc64 else 0)
    most = info.nodes * info.sockets * info.cores * info.threads
    return {
        "info": (
            f"CPUs: {info.cpus}/{most}, MHz: {info.mhz}, Nodes: {info.nodes}, Sockets: {info.sockets}, "
            f"Cores: {info.cores}, Threads: {info.threads}\n"
        ),
        "signature": cpu_signature(tree, arch),
    }


class _Memory:
    """Memory of the host the reference was made on (``sysfs_numa_mock`` of ``common/qemu-host.json``)."""

    def memory(self, node: int) -> int:
        return (node + 1) << 20

    def pages(self, node: int) -> list[PageCount]:
        return [PageCount(size, (node + 1 + place) * 2048) for place, size in enumerate((4, 2048, 1048576))]

    def distances(self, node: int) -> list[tuple[int, int]]:
        return []


def capabilities(case: Any) -> str:
    """The host's part of the capabilities."""
    host = host_capabilities(_tree(case), Arch(case.params["arch"]), _Memory())
    if case.params["offline_migrate"]:
        host.migration_features = MigrationFeatures(live=case.params["live_migrate"])
    return format_capabilities(Capabilities(host=host))


async def _dmidecode(case: Any, argv: list[str]) -> tuple[str, str]:
    """What the program of the case's host writes."""
    if "--oem-string" not in argv:
        return case.text("sysinfo"), ""
    answer = case.params["oem_strings"].get(argv[-1], {"stderr": "no such string"})
    return answer.get("stdout", ""), answer.get("stderr", "")


def sysinfo(case: Any) -> str:
    """What the firmware, or the kernel, says of the machine."""
    reader = case.params["reader"]
    if reader in ("dmi", "arm") and case.has("sysinfo"):
        return format_sysinfo(asyncio.run(dmi_sysinfo("dmidecode", functools.partial(_dmidecode, case))))
    files = {role: Path(case.path(role)) for role in ("cpuinfo", "sysinfo") if case.has(role)}
    read = {"arm": arm_sysinfo, "ppc": ppc_sysinfo, "s390": s390_sysinfo}[reader]
    return format_sysinfo(read(HostTree(**files)))
