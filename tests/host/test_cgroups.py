"""Control groups: of both versions in made-up trees, and those of this machine where it lets us."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from virt_host.cgroup import ControlGroup, Mounts, partition_path
from virt_host.cgroup.group import CpuTimes, DeviceLimit
from virtcore import errors
from virtcore.model.domain.memory import MEMORY_UNLIMITED

_PATH = "/machine/qemu-1-n.libvirt-qemu"
_FIRST = ("cpu", "cpuacct", "cpuset", "memory", "devices", "blkio")


def first(root: Path) -> Mounts:
    """A host whose controllers are all of the first version."""
    lines = []
    for name in _FIRST:
        (root / name).mkdir(parents=True)
        lines.append(f"cgroup {root}/{name} cgroup rw,relatime,{name} 0 0")
    (root / "cpuset" / "cpuset.cpus").write_text("0-3\n")
    (root / "cpuset" / "cpuset.mems").write_text("0-1\n")
    (root / "mounts").write_text("\n".join(["tmpfs / tmpfs rw 0 0", "short line", *lines]) + "\n")
    return Mounts.detect(root / "mounts")


def second(root: Path) -> Mounts:
    """A host that has the second version."""
    (root / "all").mkdir(parents=True)
    (root / "all" / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (root / "all" / "cgroup.subtree_control").write_text("")
    (root / "mounts").write_text(f"cgroup2 {root}/all cgroup2 rw 0 0\n")
    return Mounts.detect(root / "mounts")


def test_where_controllers_are(tmp_path: Path) -> None:
    old, new = first(tmp_path / "one"), second(tmp_path / "two")
    assert old.controllers() == frozenset(_FIRST)
    assert old.folders(_PATH)["cpu"] == tmp_path / "one/cpu/machine/qemu-1-n.libvirt-qemu"
    assert new.controllers() == {"cpu", "cpuacct", "cpuset", "memory", "blkio", "pids"}
    assert set(new.folders(_PATH).values()) == {tmp_path / "two/all/machine/qemu-1-n.libvirt-qemu"}
    # What the first version has is not the second's.
    (tmp_path / "both").write_text((tmp_path / "one/mounts").read_text() + (tmp_path / "two/mounts").read_text())
    both = Mounts.detect(tmp_path / "both")
    assert both.unified == {"pids"}
    assert Mounts.detect(tmp_path / "nowhere").controllers() == frozenset()


@pytest.mark.parametrize(
    ("partition", "path"),
    [
        ("/machine", "/machine"),
        ("/machine/production", "/machine/production.partition"),
        ("/virt/a.b/machine", "/virt.partition/a.b/machine.partition"),
        ("/cpu.x/_y", "/_cpu.x/__y.partition"),
    ],
)
def test_partitions_are_marked(partition: str, path: str) -> None:
    assert partition_path(partition) == path


def test_a_group_of_the_first_version(tmp_path: Path) -> None:
    group = ControlGroup(first(tmp_path), _PATH)
    assert not (tmp_path / "cpu/machine").exists()
    group.create()
    assert group.exists
    here = {name: tmp_path / name / _PATH.lstrip("/") for name in _FIRST}
    group.add_process(7)
    assert [(here[name] / "cgroup.procs").read_text() for name in _FIRST] == ["7"] * len(_FIRST)
    group.set_cpu_shares(2048)
    assert (here["cpu"] / "cpu.shares").read_text() == "2048"
    assert group.cpu_shares() == 2048
    with pytest.raises(errors.InvalidArg, match=r"shares '1048576' must be in range \[2, 262144\]"):
        group.set_cpu_shares(1 << 20)
    (here["cpu"] / "cpu.cfs_period_us").write_text("100000")
    (here["cpu"] / "cpu.cfs_quota_us").write_text("-1")
    group.set_cpu_quota(50_000, 25_000)
    assert group.cpu_quota() == (50_000, 25_000)
    group.set_cpu_quota(0, -1)
    assert group.cpu_quota() == (50_000, -1)
    (here["cpuacct"] / "cpuacct.usage").write_text("5000")
    (here["cpuacct"] / "cpuacct.stat").write_text("user 2\nsystem 1\n")
    (here["cpuacct"] / "cpuacct.usage_percpu").write_text("3000 2000 \n")
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert group.cpu_times() == CpuTimes(5000, 2 * tick, tick)
    assert group.cpu_times_each() == [3000, 2000]
    group.set_cpus({0, 1, 3})
    assert (here["cpuset"] / "cpuset.cpus").read_text() == "0-1,3"
    group.set_memory_nodes({1})
    assert (here["cpuset"] / "cpuset.memory_migrate").read_text() == "1"
    for name in ("memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes"):
        (here["memory"] / name).write_text(str((1 << 63) - 4096))
    assert group.memory_limits() == (MEMORY_UNLIMITED,) * 3
    group.set_memory_limits(2048, 1024, 4096)
    assert group.memory_limits() == (2048, 1024, 4096)
    assert (here["memory"] / "memory.memsw.limit_in_bytes").read_text() == str(4096 << 10)
    group.set_memory_limits(None, None, None)
    assert (here["memory"] / "memory.limit_in_bytes").read_text() == "-1"
    assert group.io_weight() == 0
    with pytest.raises(errors.OperationUnsupported, match="valid only for bfq or cfq"):
        group.set_io_weight(500)
    (here["blkio"] / "blkio.weight").write_text("500")
    with pytest.raises(errors.InvalidArg, match=r"weight '1' must be in range \[10, 1000\]"):
        group.set_io_weight(1)
    group.set_io_weight(200)
    assert group.io_weight() == 200
    assert group.guards_devices
    group.deny_all_devices()
    group.allow_device("/dev/null")
    group.allow_device("/dev/no-such-device")
    assert (here["devices"] / "devices.allow").read_text() == "c 1:3 rw"


def test_a_group_of_the_second_version(tmp_path: Path) -> None:
    group = ControlGroup(second(tmp_path), _PATH)
    group.create()
    here = tmp_path / "all" / _PATH.lstrip("/")
    assert (tmp_path / "all/cgroup.subtree_control").read_text() == "+io +cpu +cpuset +memory"
    part = group.below("vcpu0")
    part.create(threads=True)
    assert (here / "vcpu0/cgroup.type").read_text() == "threaded"
    assert (here / "cgroup.subtree_control").read_text() == "+cpu +cpuset"
    part.add_thread(9)
    assert (here / "vcpu0/cgroup.threads").read_text() == "9"
    group.set_cpu_shares(300)
    assert (here / "cpu.weight").read_text() == "300"
    with pytest.raises(errors.InvalidArg, match=r"shares '20000' must be in range \[1, 10000\]"):
        group.set_cpu_shares(20_000)
    (here / "cpu.max").write_text("max 100000\n")
    assert group.cpu_quota() == (100_000, -1)
    group.set_cpu_quota(0, 5000)
    assert (here / "cpu.max").read_text() == "5000 100000"
    group.set_cpu_quota(20_000, 0)
    assert (here / "cpu.max").read_text() == "5000 20000"
    group.set_cpu_quota(0, -1)
    assert (here / "cpu.max").read_text() == "max 20000"
    (here / "cpu.stat").write_text("usage_usec 9\nuser_usec 6\nsystem_usec 3\nnr_periods 0\n")
    assert group.cpu_times() == CpuTimes(9000, 6000, 3000)
    with pytest.raises(errors.OperationUnsupported, match="'getCpuacctPercpuUsage' not supported for backend"):
        group.cpu_times_each()
    for name in ("memory.max", "memory.high", "memory.swap.max"):
        (here / name).write_text("max\n")
    assert group.memory_limits() == (MEMORY_UNLIMITED,) * 3
    group.set_memory_limits(2048, None, 3072)
    assert (here / "memory.max").read_text() == str(2048 << 10)
    assert (here / "memory.swap.max").read_text() == str(1024 << 10)
    assert group.memory_limits() == (2048, MEMORY_UNLIMITED, 3072)
    (here / "io.weight").write_text("default 100\n")
    group.set_io_weight(150)
    assert (here / "io.weight").read_text() == "default 150"
    assert group.io_weight() == 150
    assert not group.guards_devices
    with pytest.raises(errors.SystemError, match="Path '/no/disk' is not accessible"):
        group.set_device_limit(DeviceLimit("read_bps", "/no/disk", 5))
    with pytest.raises(errors.InvalidArg, match="Path '/dev/null' must be a block device"):
        group.set_device_limit(DeviceLimit("read_bps", "/dev/null", 5))


def test_limits_that_are_refused_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = ControlGroup(first(tmp_path), _PATH)
    group.create()
    memory = tmp_path / "memory" / _PATH.lstrip("/")
    for name in ("memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes"):
        (memory / name).write_text(str(8192 << 10))
    put = ControlGroup._put

    def refusing(self: ControlGroup, file: Path, text: str) -> None:
        if file.name == "memory.limit_in_bytes" and text == str(1024 << 10):
            raise errors.SystemError("busy")
        put(self, file, text)

    monkeypatch.setattr(ControlGroup, "_put", refusing)
    with pytest.raises(errors.SystemError, match="busy"):
        group.set_memory_limits(1024, 512, 16384)
    assert group.memory_limits() == (8192, 8192, 8192)


# -- this machine's


@pytest.fixture
def real() -> Iterator[ControlGroup]:
    """A group of this machine's kernel."""
    mounts = Mounts.detect()
    if os.geteuid() != 0 or not mounts.controllers():
        pytest.skip("making control groups needs the administrator's rights, and a kernel that has them")
    group = ControlGroup(mounts, f"/virtcore-test-{os.getpid()}")
    try:
        group.create()
    except errors.SystemError as error:
        pytest.skip(f"this machine lets us make no control groups: {error}")
    yield group
    group.remove()
    assert not group.exists


def test_this_machines_kernel_does_what_it_is_told(real: ControlGroup) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time\nwhile True: time.sleep(0.001)"])
    try:
        real.add_process(process.pid)
        told = Path(f"/proc/{process.pid}/cgroup").read_text()
        assert told.count(real.path) >= 1
        if real.has("cpu"):
            real.set_cpu_shares(512)
            assert real.cpu_shares() == 512
            real.set_cpu_quota(50_000, 25_000)
            assert real.cpu_quota() == (50_000, 25_000)
        if real.has("cpuacct"):
            end = time.monotonic() + 60
            while not real.cpu_times().time:
                assert time.monotonic() < end, "nothing is counted"
                time.sleep(0.01)
        if real.has("memory"):
            real.set_memory_limits(500_000, 300_000, None)
            assert real.memory_limits()[:2] == (500_000, 300_000)
        part = real.below("vcpu0")
        if part.has("cpuset"):
            part.create(threads=True)
            part.add_thread(process.pid)
            [first_cpu, *_] = sorted(os.sched_getaffinity(0))
            part.set_cpus({first_cpu})
            assert os.sched_getaffinity(process.pid) == {first_cpu}
    finally:
        process.kill()
        process.wait()
