"""Processors of a host, read from a made-up tree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from virt_host.description.cpuinfo import cpu_frequency, cpu_place, cpu_signature, node_info, online_cpus
from virt_host.description.tree import HostTree
from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.xml import CpuSet


def plant(root: Path, files: Mapping[str, str]) -> HostTree:
    """A tree with these files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return HostTree(
        system=root / "system",
        resctrl=root / "resctrl",
        hugepages=root / "hugepages",
        cpuinfo=root / "cpuinfo",
        meminfo=root / "meminfo",
        sysinfo=root / "sysinfo",
    )


def processors(
    count: int, *, threads: int = 1, cores: int = 2, online: str | None = None, nodes: int = 0
) -> dict[str, str]:
    """A regular arrangement: sockets of ``cores`` cores with ``threads`` each."""
    files = {"system/cpu/present": f"0-{count - 1}", "system/cpu/online": online or f"0-{count - 1}"}
    for cpu in range(count):
        first = cpu - cpu % threads
        folder = f"system/cpu/cpu{cpu}/topology"
        files[f"{folder}/physical_package_id"] = str(cpu // (threads * cores))
        files[f"{folder}/core_id"] = str(cpu // threads % cores)
        files[f"{folder}/thread_siblings_list"] = f"{first}-{first + threads - 1}"
        if nodes:
            files[f"system/node/node{cpu * nodes // count}/cpu{cpu}/online"] = "1"
    return files


def shape(tree: HostTree, arch: Arch = Arch.X86_64, subcore: int = 0) -> tuple[int, ...]:
    info = node_info(tree, arch, threads_per_subcore=subcore)
    return info.cpus, info.nodes, info.sockets, info.cores, info.threads


def test_regular(tmp_path: Path) -> None:
    assert shape(plant(tmp_path, processors(8, threads=2, cores=2))) == (8, 1, 2, 2, 2)


def test_per_node(tmp_path: Path) -> None:
    assert shape(plant(tmp_path, processors(8, threads=2, cores=2, nodes=2))) == (8, 2, 1, 2, 2)


def test_what_is_off_still_counts_for_the_arrangement(tmp_path: Path) -> None:
    assert shape(plant(tmp_path, processors(8, cores=4, online="0-6"))) == (7, 1, 2, 4, 1)


def test_irregular_is_flat(tmp_path: Path) -> None:
    files = processors(4)
    files["system/cpu/cpu3/topology/physical_package_id"] = "7"
    assert shape(plant(tmp_path, files)) == (4, 1, 1, 4, 1)


def test_split_power_cores(tmp_path: Path) -> None:
    files = processors(16, threads=1, cores=16, online="0,8")
    for cpu in range(16):
        files[f"system/cpu/cpu{cpu}/topology/core_id"] = str(cpu - cpu % 8)
    tree = plant(tmp_path, files)
    assert shape(tree, Arch.PPC64LE, 8) == (16, 1, 1, 2, 8)
    assert shape(tree, Arch.PPC64LE) == (2, 1, 1, 16, 1)
    (tree.cpus / "online").write_text("0-1,8\n")
    assert shape(tree, Arch.PPC64LE, 8)[0] == 3


def test_s390_has_only_cores(tmp_path: Path) -> None:
    files = processors(4)
    for cpu in range(4):
        files[f"system/cpu/cpu{cpu}/topology/core_id"] = "0"
        files[f"system/cpu/cpu{cpu}/topology/physical_package_id"] = "0"
    assert shape(plant(tmp_path, files), Arch.S390X) == (4, 1, 1, 4, 1)


def test_what_the_kernel_does_not_know(tmp_path: Path) -> None:
    tree = plant(tmp_path, {"system/cpu/cpu0/topology/physical_package_id": "-1", "system/cpu/cpu1/online": "1"})
    place = cpu_place(tree, 0)
    assert (place.socket, place.die, place.cluster, place.core, place.siblings) == (0, 0, 0, 0, CpuSet({0}))
    assert online_cpus(tree) == CpuSet({0, 1})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "internal error: no CPUs found"),
        ({"system/cpu/present": "0", "system/cpu/online": "0-"}, "invalid argument: Failed to parse bitmap '0-'"),
        (
            {"system/cpu/cpu0/topology/core_id": "one", "system/cpu/present": "0", "system/cpu/online": "0"},
            "internal error: Invalid integer value 'one' in file",
        ),
    ],
)
def test_nonsense(tmp_path: Path, files: Mapping[str, str], message: str) -> None:
    with pytest.raises(VirtError) as caught:
        node_info(plant(tmp_path, files), Arch.X86_64)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("arch", "text", "mhz"),
    [
        (Arch.X86_64, "cpu MHz\t\t: 2800.123\nx: y\ncpu MHz\t: 1999.9", 1999),
        (Arch.PPC64, "clock\t\t: 3690.000000MHz", 3690),
        (Arch.S390X, "cpu MHz dynamic : 5000\ncpu MHz static : 5500", 5000),
        (Arch.AARCH64, "cpu MHz : 2000", 0),
        (Arch.X86_64, "cpu MHz : fast", 0),
    ],
)
def test_frequency(tmp_path: Path, arch: Arch, text: str, mhz: int) -> None:
    assert cpu_frequency(plant(tmp_path, {"cpuinfo": text}), arch) == mhz


def test_signature(tmp_path: Path) -> None:
    lines = "vendor_id : A\ncpu family : 6\nmodel : 4\nmodel name : B: C\nstepping : 1\n\nvendor_id : Z\n"
    tree = plant(tmp_path, {"cpuinfo": lines})
    assert cpu_signature(tree, Arch.X86_64) == "A, B: C, family: 6, model: 4, stepping: 1"
    assert cpu_signature(tree, Arch.S390X) is None
    assert cpu_signature(tree, Arch.AARCH64) is None
