"""Memory, caches and resource control of a host, read from a made-up tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from virt_host.description.caches import host_caches, memory_bandwidth
from virt_host.description.capabilities import host_capabilities
from virt_host.description.memory import HostMemory
from virt_host.description.numa import host_topology
from virt_host.description.resctrl import resource_control
from virt_host.description.tree import HostTree
from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.capabilities import Capabilities, format_capabilities
from virtcore.xml import CpuSet, format

PAGE = os.sysconf("SC_PAGE_SIZE") >> 10


def plant(root: Path, files: dict[str, str]) -> HostTree:
    """A tree with these files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return HostTree(
        system=root / "system", resctrl=root / "resctrl", hugepages=root / "hugepages", meminfo=root / "meminfo"
    )


CPUS = {
    "system/cpu/present": "0-1",
    "system/cpu/online": "0-1",
    "system/cpu/cpu0/topology/core_id": "0",
    "system/cpu/cpu1/topology/core_id": "1",
    "meminfo": "MemTotal:        8388608 kB\nMemFree: 1024 kB",
}

NODES = {
    **CPUS,
    "system/node/online": "0,2",
    "system/node/node0/cpulist": "0-1",
    "system/node/node0/meminfo": "Node 0 MemTotal:  4194304 kB\nNode 0 MemFree:  77 kB",
    "system/node/node0/distance": "10 21",
    "system/node/node0/hugepages/hugepages-2048kB/nr_hugepages": "512",
    "system/node/node2/cpulist": "",
    "system/node/node2/meminfo": "Node 2 MemTotal:  1024 kB",
    "system/node/node2/distance": "21 10",
}


def cache(cpu: int, index: int, level: int, size: str, cpus: str, kind: str = "Unified") -> dict[str, str]:
    folder = f"system/cpu/cpu{cpu}/cache/index{index}"
    return {
        f"{folder}/level": str(level),
        f"{folder}/id": "0" if level > 2 else str(cpu),
        f"{folder}/size": size,
        f"{folder}/type": kind,
        f"{folder}/shared_cpu_list": cpus,
    }


CACHES = {
    **CPUS,
    **cache(0, 0, 1, "32K", "0", "Data"),
    **cache(0, 2, 2, "1M", "0"),
    **cache(1, 2, 2, "1M", "1"),
    **cache(0, 3, 3, "15360K", "0-1"),
    **cache(1, 3, 3, "15360K", "0-1"),
}


def test_memory(tmp_path: Path) -> None:
    memory = HostMemory(plant(tmp_path, {**NODES, "hugepages/hugepages-2048kB/nr_hugepages": "512"}))
    assert (memory.total(), memory.free()) == (4194304 + 1024, 77)  # the sum over nodes, as libvirt says it
    assert (memory.memory(0), memory.free_in(0), memory.memory(2)) == (4194304, 77, 1024)
    assert memory.pages(0) == [(PAGE, (4194304 - 512 * 2048) // PAGE), (2048, 512)]
    assert memory.page_sizes() == [PAGE, 2048]
    # Numbers of nodes can have gaps.
    assert memory.distances(0) == [(0, 10), (2, 21)]


def test_cells(tmp_path: Path) -> None:
    tree = plant(tmp_path, NODES)
    topology = host_topology(tree, Arch.X86_64, HostMemory(tree))
    assert topology.cells is not None
    first, second = topology.cells.cells
    assert (first.id, second.id) == (0, 2)
    assert first.cpus is not None
    assert [(cpu.id, cpu.core_id) for cpu in first.cpus.cpus] == [(0, 0), (1, 1)]
    assert "<cpus num='0'/>" in format(topology)


def test_a_single_cell_where_there_are_none(tmp_path: Path) -> None:
    tree = plant(tmp_path, CPUS)
    topology = host_topology(tree, Arch.X86_64, HostMemory(tree))
    assert topology.cells is not None
    (cell,) = topology.cells.cells
    assert (cell.id, cell.memory) == (0, 8388608)
    assert cell.cpus is not None
    assert [(cpu.id, cpu.core_id, cpu.siblings) for cpu in cell.cpus.cpus] == [(0, 0, CpuSet({0})), (1, 1, CpuSet({1}))]


def test_memory_side(tmp_path: Path) -> None:
    files = dict(NODES)
    for name, value in (("size", "131072"), ("line_size", "64"), ("indexing", "1"), ("write_policy", "2")):
        files[f"system/node/node2/memory_side_cache/index1/{name}"] = value
    for name, value in (
        ("read_bandwidth", "10"),
        ("write_bandwidth", "20"),
        ("read_latency", "3"),
        ("write_latency", "4"),
    ):
        files[f"system/node/node2/access1/initiators/{name}"] = value
    files["system/node/node2/access1/initiators/node0/x"] = ""
    tree = plant(tmp_path, files)
    printed = format(host_topology(tree, Arch.X86_64, HostMemory(tree)))
    assert "<cache level='1' associativity='full' policy='none'>" in printed
    assert "<size value='128' unit='KiB'/>" in printed
    wanted = (
        "<latency initiator='0' target='2' type='read' value='3'/>",
        "<latency initiator='0' target='2' type='write' value='4'/>",
        "<bandwidth initiator='0' target='2' type='read' value='10240' unit='KiB'/>",
        "<bandwidth initiator='0' target='2' type='write' value='20480' unit='KiB'/>",
    )
    places = [printed.index(line) for line in wanted]
    assert places == sorted(places)
    (tree.nodes / "node2/memory_side_cache/index1/indexing").write_text("9\n")
    with pytest.raises(VirtError, match="unknown indexing value '9'"):
        host_topology(tree, Arch.X86_64, HostMemory(tree))


def test_caches(tmp_path: Path) -> None:
    tree = plant(tmp_path, CACHES)
    caches = host_caches(tree, resource_control(tree))
    assert format(caches) == (
        "<cache>\n"
        "  <bank id='0' level='2' type='both' size='1' unit='MiB' cpus='0'/>\n"
        "  <bank id='1' level='2' type='both' size='1' unit='MiB' cpus='1'/>\n"
        "  <bank id='0' level='3' type='both' size='15' unit='MiB' cpus='0-1'/>\n"
        "</cache>\n"
    )
    assert memory_bandwidth(caches, resource_control(tree)) is None
    (tree.cpus / "cpu0/cache/index2/id").unlink()
    left = host_caches(tree, resource_control(tree))
    assert left is not None
    assert [bank.id for bank in left.banks] == [1, 0]
    (tree.cpus / "cpu0/cache/index3/type").write_text("Sofa\n")
    with pytest.raises(VirtError, match="Unknown cache type 'Sofa'"):
        host_caches(tree, resource_control(tree))


def test_resource_control(tmp_path: Path) -> None:
    files = {
        **CACHES,
        "resctrl/info/L3CODE/cbm_mask": "fffff",
        "resctrl/info/L3CODE/min_cbm_bits": "2",
        "resctrl/info/L3CODE/num_closids": "8",
        "resctrl/info/L3DATA/cbm_mask": "fffff",
        "resctrl/info/L3DATA/min_cbm_bits": "1",
        "resctrl/info/L3DATA/num_closids": "8",
        "resctrl/info/L3SOFA/cbm_mask": "junk",
        "resctrl/info/L3_MON/num_rmids": "176",
        "resctrl/info/L3_MON/max_threshold_occupancy": "270336",
        "resctrl/info/L3_MON/mon_features": "llc_occupancy\nmbm_total_bytes",
        "resctrl/info/MB/bandwidth_gran": "10",
        "resctrl/info/MB/min_bandwidth": "20",
        "resctrl/info/MB/num_closids": "4",
    }
    tree = plant(tmp_path, files)
    control = resource_control(tree)
    caches = host_caches(tree, control)
    printed = format(caches)
    assert "<control granularity='768' min='1536' unit='KiB' type='code' maxAllocs='8'/>" in printed
    assert printed.index("type='code'") < printed.index("type='data'")
    assert "<monitor level='3' reuseThreshold='270336' maxMonitors='176'>" in printed
    assert format(memory_bandwidth(caches, control)) == (
        "<memory_bandwidth>\n"
        "  <node id='0' cpus='0-1'>\n"
        "    <control granularity='10' min='20' maxAllocs='4'/>\n"
        "  </node>\n"
        "  <monitor maxMonitors='176'>\n"
        "    <feature name='mbm_total_bytes'/>\n"
        "  </monitor>\n"
        "</memory_bandwidth>\n"
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"L3/num_closids": "8"}, "Cannot get cbm_mask from resctrl cache info"),
        ({"L3/cbm_mask": "xyz"}, "Cannot parse cbm_mask from resctrl cache info"),
        ({"L3/cbm_mask": "ff"}, "Cannot get min_cbm_bits from resctrl cache info"),
        ({"MB/bandwidth_gran": "10"}, "Cannot get min bandwidth from resctrl memory info"),
        ({"L3_MON/num_rmids": "10"}, "Cannot get mon_features from resctrl"),
        ({"L3_MON/num_rmids": "10", "L3_MON/mon_features": ""}, "Got empty feature list from resctrl"),
    ],
)
def test_resource_control_that_makes_no_sense(tmp_path: Path, files: dict[str, str], message: str) -> None:
    tree = plant(tmp_path, {f"resctrl/info/{name}": value for name, value in files.items()})
    with pytest.raises(VirtError) as caught:
        resource_control(tree)
    assert str(caught.value) == f"internal error: {message}"


def test_the_running_host() -> None:
    tree = HostTree()
    if not tree.cpus.exists():
        pytest.skip("no /sys here")
    printed = format_capabilities(Capabilities(host=host_capabilities(tree, Arch.X86_64)))
    assert "<cell id='0'>" in printed
    assert printed.startswith("<capabilities>\n\n  <host>\n")
    assert printed.endswith("  </host>\n\n</capabilities>\n")
