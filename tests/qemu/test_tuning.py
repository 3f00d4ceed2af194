"""Settings of running guests: what reaches QEMU, the kernel's control groups and the definition."""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from guest_image import idle_xml

import virtcore
from support import eventually
from virt_host.cgroup import ControlGroup, Mounts
from virt_qemu.tuning.groups import group_name
from virt_qemu.tuning.live import GuestChange, LiveChange, apply_changes
from virtcore import errors
from virtcore.driver.toolkit import DomainObject
from virtcore.enums import DomainLifecycle, DomainLifecycleAction, DomainModificationImpact as Impact
from virtcore.model.domain import Domain
from virtcore.operations.events import DomainRebootEvent, DomainTunableEvent, Event
from virtcore.operations.parameters import BANDWIDTH, BLKIO, MEMORY, NUMA, PERF, SCHEDULER
from virtcore.types import CpuMap
from virtcore.xml import parse

# -- from configurations to kinds of change

_BEFORE = """<domain type='qemu'><name>n</name><currentMemory>5</currentMemory>
<cputune><shares>5</shares></cputune></domain>"""
_AFTER = """<domain type='qemu'><name>n</name><currentMemory>6</currentMemory>
<cputune><shares>7</shares></cputune></domain>"""


def _change(old: str, new: str) -> GuestChange:
    obj = cast(DomainObject, SimpleNamespace(name="n"))
    nobody = cast(Any, None)
    return GuestChange(state=nobody, obj=obj, guest=nobody, old=parse(old, Domain), new=parse(new, Domain))


def test_kinds_are_undone_when_a_later_one_fails() -> None:
    done: list[tuple[str, int | None]] = []

    def noting(name: str) -> LiveChange:
        async def apply(change: GuestChange) -> None:
            done.append((name, change.new.current_memory))

        return LiveChange(("/domain/currentMemory",), apply)

    async def fail(change: GuestChange) -> None:
        raise errors.SystemError("no")

    untouched = LiveChange(("/domain/cputune/vcpupin",), fail)
    kinds = (noting("one"), untouched, noting("two"), LiveChange(("/domain/cputune/shares",), fail))
    with pytest.raises(errors.SystemError, match="no"):
        asyncio.run(apply_changes(_change(_BEFORE, _AFTER), kinds))
    assert done == [("one", 6), ("two", 6), ("two", 5), ("one", 5)]


def test_what_no_kind_is_for_is_refused() -> None:
    async def apply(change: GuestChange) -> None:
        pytest.fail("nothing may be changed")

    kinds = (LiveChange(("/domain/currentMemory",), apply),)
    with pytest.raises(errors.OperationUnsupported, match="the running guest cannot be changed") as refused:
        asyncio.run(apply_changes(_change(_BEFORE, _AFTER), kinds))
    assert refused.value.path == "/domain/cputune/shares"


@pytest.mark.parametrize(
    ("name", "root", "group"),
    [
        ("plain", None, "qemu-3-plain.libvirt-qemu"),
        ("..a--b_c d.", None, "qemu-3-a-bcd.libvirt-qemu"),
        ("x" * 99, None, "qemu-3-" + "x" * 57 + ".libvirt-qemu"),
        ("n", "/r", "qemu-embed-fb9bc7d0-3-n.libvirt-qemu"),
    ],
)
def test_groups_are_named_after_guests(name: str, root: str | None, group: str) -> None:
    import hashlib

    if root is not None:
        group = group.replace("fb9bc7d0", hashlib.sha256(root.encode()).hexdigest()[:8])
    assert group_name(3, name, root) == group


# -- real guests


@pytest.fixture
def guest(connection: virtcore.Connection, kernel: Path) -> virtcore.Domain:
    return connection.define_domain(
        """<domain type='qemu'><name>tuned</name><memory unit='MiB'>64</memory><vcpu>2</vcpu><iothreads>1</iothreads>
        <os><type arch='x86_64' machine='q35'>hvm</type></os>
        <devices><memballoon model='virtio'/></devices></domain>"""
    )


@pytest.fixture
def groups(connection: virtcore.Connection, guest: virtcore.Domain, root: Path) -> ControlGroup:
    """The control group of the guest, once it runs."""
    mounts = Mounts.detect()
    if os.geteuid() != 0 or not {"cpu", "memory"} <= mounts.controllers():
        pytest.skip("this machine has no control groups for us")
    guest.create()
    group = ControlGroup(mounts, f"/machine/{group_name(guest.id, 'tuned', str(root / 'run/qemu'))}")
    if not group.exists:
        pytest.fail(f"there is no {group.path}")
    return group


def _pids(group: ControlGroup, controller: str = "cpuacct") -> set[int]:
    folder = group.mounts.folders(group.path)[controller]
    return {int(each) for each in (folder / "tasks").read_text().split()} if (folder / "tasks").exists() else set()


def test_a_guest_has_groups_while_it_runs(guest: virtcore.Domain, groups: ControlGroup) -> None:
    for part in ("emulator", "vcpu0", "vcpu1", "iothread1"):
        assert groups.below(part).exists
    if "cpuacct" in groups.mounts.first:
        assert len(_pids(groups.below("vcpu0"))) == 1
        assert len(_pids(groups.below("emulator"))) >= 1
    [total] = guest.cpu_stats()
    assert cast(int, total["cpu_time"]) > 0
    guest.destroy()
    eventually(lambda: not groups.exists)


def test_what_limits_cpu_time(connection: virtcore.Connection, guest: virtcore.Domain, groups: ControlGroup) -> None:
    assert guest.scheduler_type() == ("posix", 9)
    told: queue.Queue[Event] = queue.Queue()
    connection.on_event(told.put, DomainTunableEvent)
    assert guest.scheduler_parameters()["vcpu_quota"] == -1
    assert not groups.exists_for("cpu")  # an embedded driver's guests want CPU time as anybody does, until now
    values = {"cpu_shares": 2048, "vcpu_period": 50_000, "vcpu_quota": 25_000, "emulator_quota": 30_000}
    guest.set_scheduler_parameters(SCHEDULER.typed(values), Impact.LIVE)
    found = guest.scheduler_parameters()
    assert {name: found[name] for name in values} == values
    assert groups.below("vcpu1").cpu_quota() == (50_000, 25_000)
    assert groups.below("emulator").cpu_quota() == (100_000, 30_000)
    event = told.get(timeout=150)
    assert isinstance(event, DomainTunableEvent)
    assert [name for name, _, _ in event.params.rows()] == [
        "cputune.cpu_shares", "cputune.vcpu_period", "cputune.vcpu_quota", "cputune.emulator_quota",
    ]  # fmt: skip
    assert "<shares>2048</shares>" in guest.xml()
    assert guest.scheduler_parameters(Impact.CONFIG)["cpu_shares"] == 0
    for wrong, text in (
        ({"cpu_shares": 1 << 20}, r"shares '1048576' must be in range \[2, 262144\]"),
        ({"vcpu_quota": 1}, r"value of 'vcpu_quota' is out of range \[1000, 17592186044415\]"),
        ({"vcpu_period": 5}, r"value of 'vcpu_period' is out of range \[1000, 1000000\]"),
    ):
        with pytest.raises(errors.InvalidArg, match=text):
            guest.set_scheduler_parameters(SCHEDULER.typed(wrong), Impact.LIVE)
    assert guest.scheduler_parameters() == found
    # What is defined holds from the start.
    guest.set_scheduler_parameters(SCHEDULER.typed({"cpu_shares": 512, "global_quota": 60_000}), Impact.CONFIG)
    guest.destroy()
    guest.create()
    again = guest.scheduler_parameters()
    assert (again["cpu_shares"], again["global_quota"]) == (512, 60_000)


def test_what_limits_memory_and_io(guest: virtcore.Domain, groups: ControlGroup) -> None:
    guest.set_memory_parameters(MEMORY.typed({"hard_limit": 500_000, "soft_limit": 300_000}), Impact.LIVE)
    found = guest.memory_parameters(Impact.LIVE)
    assert (found["hard_limit"], found["soft_limit"]) == (500_000, 300_000)
    assert groups.memory_limits()[:2] == (500_000, 300_000)
    assert "<hard_limit unit='KiB'>500000</hard_limit>" in guest.xml()
    with pytest.raises(errors.VirtError):
        guest.set_blkio_parameters(BLKIO.typed({"device_read_bytes_sec": "/dev/null,1000"}), Impact.LIVE)
    assert guest.blkio_parameters(Impact.LIVE)["device_read_bytes_sec"] == ""
    guest.set_numa_parameters(NUMA.typed({"numa_nodeset": "0"}), Impact.LIVE)
    assert guest.numa_parameters(Impact.LIVE)["numa_nodeset"] == "0"
    with pytest.raises(errors.OperationInvalid, match="can't change numatune mode for running domain"):
        guest.set_numa_parameters(NUMA.typed({"numa_mode": 2}), Impact.LIVE)


def test_pins_hold_in_groups_too(connection: virtcore.Connection, guest: virtcore.Domain, groups: ControlGroup) -> None:
    [first, *_] = sorted(connection.node_cpu_map().cpumap)
    told: queue.Queue[Event] = queue.Queue()
    connection.on_event(told.put, DomainTunableEvent)
    guest.pin_vcpu(1, CpuMap([first]), Impact.LIVE)
    event = told.get(timeout=150)
    assert isinstance(event, DomainTunableEvent)
    assert event.params["cputune.vcpupin1"] == str(first)
    if "cpuset" in groups.mounts.first:
        folder = groups.mounts.folders(groups.below("vcpu1").path)["cpuset"]
        assert (folder / "cpuset.cpus").read_text().strip() == str(first)
    guest.pin_emulator(CpuMap([first]), Impact.LIVE)
    assert told.get(timeout=150).params["cputune.emulatorpin"] == str(first)  # type: ignore[union-attr]


def test_groups_go_with_guests_that_end_alone(
    connection: virtcore.Connection, guest: virtcore.Domain, groups: ControlGroup
) -> None:
    import signal

    [pid, *_] = _pids(groups.below("emulator")) or {0}
    if not pid:
        pytest.skip("the threads of groups are told by the first version only")
    os.kill(int(Path(f"/proc/{pid}/stat").read_text().split()[0]), signal.SIGKILL)
    eventually(lambda: not guest.is_active())
    eventually(lambda: not groups.exists)


def test_the_balloon_is_asked_and_follows_when_it_does(guest: virtcore.Domain) -> None:
    guest.create()
    guest.set_memory(32 << 10)
    # There is no system that would give memory back: it still has what it had.
    assert "<currentMemory unit='KiB'>65536</currentMemory>" in guest.xml()
    with pytest.raises(errors.InvalidArg, match="cannot set memory higher than max memory"):
        guest.set_memory(1 << 20)
    guest.set_memory_stats_period(3, Impact.LIVE)
    assert "<stats period='3'/>" in guest.xml()
    assert "<stats" not in guest.xml(2)


def test_a_guest_and_its_definition_change_at_once(guest: virtcore.Domain) -> None:
    guest.create()
    both = Impact.LIVE | Impact.CONFIG
    guest.set_memory(32 << 10, int(both))
    guest.set_memory_stats_period(3, both)
    guest.pin_emulator(CpuMap({0}), both)
    guest.set_perf_events(PERF.typed({"task_clock": False}), both)
    guest.add_iothread(7, both)
    definition = guest.xml(2)
    assert "<currentMemory unit='KiB'>32768</currentMemory>" in definition
    for document in (guest.xml(), definition):
        for part in ("<stats period='3'/>", "<emulatorpin cpuset='0'/>", "name='task_clock'", "<iothread id='7'"):
            assert part in document


def test_what_a_reboot_does_can_be_changed(connection: virtcore.Connection, guest: virtcore.Domain) -> None:
    told: queue.Queue[Event] = queue.Queue()
    connection.on_event(told.put, DomainRebootEvent)
    guest.create()
    with pytest.raises(errors.ConfigUnsupported, match="qemu driver doesn't support the 'rename-restart' action"):
        guest.set_lifecycle_action(DomainLifecycle.REBOOT, DomainLifecycleAction.RESTART_RENAME, Impact.LIVE)
    guest.set_lifecycle_action(DomainLifecycle.POWEROFF, DomainLifecycleAction.RESTART, Impact.CONFIG)
    with pytest.raises(errors.ConfigUnsupported, match="'onReboot' set to 'destroy and 'onPoweroff' set to 'reboot'"):
        guest.set_lifecycle_action(DomainLifecycle.REBOOT, DomainLifecycleAction.DESTROY, Impact.LIVE | Impact.CONFIG)
    assert "<on_reboot>destroy" not in guest.xml() + guest.xml(2)
    guest.set_lifecycle_action(DomainLifecycle.REBOOT, DomainLifecycleAction.DESTROY, Impact.LIVE)
    assert "<on_reboot>destroy</on_reboot>" in guest.xml()
    assert "<on_reboot>restart</on_reboot>" in guest.xml(2)
    guest.set_lifecycle_action(DomainLifecycle.REBOOT, DomainLifecycleAction.RESTART, Impact.LIVE)
    guest.reset()
    assert told.get(timeout=150).domain == guest.ref  # type: ignore[union-attr]
    guest.set_lifecycle_action(DomainLifecycle.REBOOT, DomainLifecycleAction.DESTROY, Impact.LIVE)
    # Ctrl+Alt+Del has the firmware boot again: now it ends the guest.
    guest.qemu_monitor_command('{"execute":"system_reset"}')
    eventually(lambda: not guest.is_active())


def test_bandwidth_of_what_has_no_device_on_the_host(connection: virtcore.Connection) -> None:
    mac = "52:54:00:0a:0a:0b"
    domain = connection.define_domain(idle_xml("user", f"<interface type='user'><mac address='{mac}'/></interface>"))
    domain.create()
    before, limits = (domain.xml(), domain.xml(2)), BANDWIDTH.typed({"inbound.average": 64})
    for impact in (Impact.LIVE, Impact.CONFIG, Impact.LIVE | Impact.CONFIG):
        with pytest.raises(errors.ConfigUnsupported, match="setting bandwidth on interfaces of type 'user' is not"):
            domain.set_interface_parameters(mac, limits, impact)
    assert (domain.xml(), domain.xml(2)) == before


@pytest.mark.usefixtures("kernel")
def test_bandwidth_is_limited_where_the_host_has_a_device(connection: virtcore.Connection) -> None:
    if os.geteuid() != 0 or shutil.which("tc") is None or not Path("/dev/net/tun").exists():
        pytest.skip("making and limiting devices needs the administrator's rights, tc (Debian: iproute2) and tun")
    mac = "52:54:00:0a:0a:0a"
    domain = connection.define_domain(
        idle_xml("limited", f"<interface type='ethernet'><mac address='{mac}'/></interface>")
    )
    domain.create()
    assert domain.interface_stats(mac).rx_errs == 0
    limits = BANDWIDTH.typed({"outbound.average": 64, "outbound.peak": 128})
    before, refused = domain.xml(), None
    try:
        domain.set_interface_parameters(mac, limits, Impact.LIVE)
    except errors.InternalError as error:  # this kernel has not got the parts of tc
        refused = error
    if refused is not None:
        assert domain.xml() == before
        pytest.skip(f"this kernel limits no bandwidth: {refused}")
    found = domain.interface_parameters(mac, Impact.LIVE)
    assert (found["outbound.average"], found["outbound.peak"]) == (64, 128)
    device = domain.xml().partition("<target dev='")[2].partition("'")[0]
    told = subprocess.run(["tc", "qdisc", "show", "dev", device], capture_output=True, text=True, check=True).stdout
    assert "ingress" in told
