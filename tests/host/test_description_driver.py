"""What drivers tell of a Linux host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from virt_host.description.driver import LinuxHostDriver
from virt_host.description.tree import HostTree
from virtcore.errors import ConfigUnsupported, VirtError

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE") >> 10

FILES = {
    "system/cpu/present": "0-3",
    "system/cpu/online": "0,2",
    "system/node/node0/meminfo": "Node 0 MemTotal: 4000 kB\nNode 0 MemFree:  1000 kB",
    "system/node/node1/meminfo": "Node 1 MemTotal: 6000 kB\nNode 1 MemFree:  2000 kB",
    "system/node/node1/hugepages/hugepages-2048kB/free_hugepages": "5",
    "hugepages/hugepages-2048kB/free_hugepages": "7",
    "meminfo": "MemTotal: 10000 kB\nMemFree: 3000 kB\nBuffers: 20 kB\nCached: 30 kB\nSwapCached: 1 kB",
    "stat": "cpu  10 20 30 40 50 60 70 80\ncpu0 1 2 3 4 5 6 7 8\nintr 0",
    "cpuinfo": "",
}


@pytest.fixture
def driver(tmp_path: Path) -> LinuxHostDriver:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    found = object.__new__(LinuxHostDriver)  # type: ignore[type-abstract]
    found.tree = HostTree(
        system=tmp_path / "system",
        hugepages=tmp_path / "hugepages",
        meminfo=tmp_path / "meminfo",
        stat=tmp_path / "stat",
        cpuinfo=tmp_path / "cpuinfo",
        sysinfo=tmp_path / "sysinfo",
    )
    return found


def test_processors(driver: LinuxHostDriver) -> None:
    found = driver.connection_node_cpu_map()
    assert (sorted(found.cpumap), found.online, found.present) == ([0, 2], 2, 4)
    assert driver.connection_node_cpu_stats() == {
        "kernel": 160 * TICK,
        "user": 30 * TICK,
        "idle": 40 * TICK,
        "iowait": 50 * TICK,
    }
    assert driver.connection_node_cpu_stats(0)["user"] == 3 * TICK


def test_memory(driver: LinuxHostDriver) -> None:
    assert driver.connection_node_free_memory() == 3000 << 10
    assert driver.connection_node_memory_stats() == {"total": 10000, "free": 3000, "buffers": 20, "cached": 30}
    assert driver.connection_node_memory_stats(1) == {"total": 6000, "free": 2000}
    assert driver.connection_node_cells_free_memory() == [1000 << 10, 2000 << 10]
    assert driver.connection_node_cells_free_memory(1, 1) == [2000 << 10]
    assert driver.connection_node_free_pages([PAGE, 2048]) == [3000 // PAGE, 7]
    assert driver.connection_node_free_pages([2048], 1, 5) == [5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda driver: driver.connection_node_cpu_stats(9), "Invalid cpuNum in virHostCPUGetStatsLinux"),
        (lambda driver: driver.connection_node_cpu_stats(-2), "Invalid cpuNum in virHostCPUGetStatsLinux"),
        (lambda driver: driver.connection_node_memory_stats(2), "must be less than or equal to 1"),
        (lambda driver: driver.connection_node_memory_stats(-7), "must be less than or equal to 1"),
        (lambda driver: driver.connection_node_cells_free_memory(2), "start cell 2 out of range (0-1)"),
        (lambda driver: driver.connection_node_free_pages([4], 2), "start cell 2 out of range (0-1)"),
        (lambda driver: driver.connection_node_free_pages([2048], 0), "page size 2048 is not available on node 0"),
        (lambda driver: driver.connection_node_free_pages([3]), "page size 3 is not available on node -1"),
        (lambda driver: driver.connection_node_free_pages([]), "no suitable info found"),
        (lambda driver: driver.connection_node_cpu_map(1), "unsupported flags (0x1) in function virNodeGetCPUMap"),
    ],
)
def test_refusals(driver: LinuxHostDriver, call: Callable[[LinuxHostDriver], object], message: str) -> None:
    with pytest.raises(VirtError) as caught:
        call(driver)
    assert message in str(caught.value)


def test_a_host_that_says_nothing(driver: LinuxHostDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    from virtcore.model.arch import Arch

    monkeypatch.setattr("virt_host.description.driver.host_arch", lambda: Arch.S390X)
    with pytest.raises(ConfigUnsupported, match="Host SMBIOS information is not available"):
        asyncio.run(driver.connection_sysinfo())
    assert driver.host_cpu() is None
