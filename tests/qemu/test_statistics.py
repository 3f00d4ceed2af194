"""What running guests, and guests that are off, tell of themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import guest_image
import pytest

import virtcore
from support import eventually
from virt_qemu.guest import Guest
from virt_qemu.host import QemuState
from virt_qemu.monitor import CommandError, Monitor
from virt_qemu.perf import PerfCounters
from virt_qemu.stats import groups
from virt_qemu.stats.asking import Question, ask_all
from virt_qemu.stats.interfaces import interface_stats
from virt_qemu.stats.threads import device_counters
from virtcore import errors
from virtcore.driver.toolkit import DomainObject
from virtcore.enums import (
    DomainCreateFlags,
    DomainMemoryStatTags as Tag,
    DomainModificationImpact as Impact,
    DomainState,
    DomainStatsTypes as Group,
)
from virtcore.enums.domain_more import ConnectGetAllDomainStatsFlags as StatsFlags
from virtcore.model.domain import Domain
from virtcore.model.domain.interface import ActualInterface, DirectInterfaceSource, InterfaceType
from virtcore.operations.parameters import DOMAIN_STATS, PERF
from virtcore.operations.values import InterfaceStats
from virtcore.types import CpuMap, TypedParameters
from virtcore.xml import parse

#: The fields of a running guest with two of three virtual CPUs, two I/O threads, an overlay, an empty drive and an
#: interface without a device on the host: as libvirtd told them of the same guest.
_LIVE = (
    "state.state state.reason cpu.time cpu.user cpu.system cpu.cache.monitor.count "
    "cpu.haltpoll.success.time cpu.haltpoll.fail.time balloon.current balloon.maximum balloon.last-update "
    "balloon.rss vcpu.current vcpu.maximum vcpu.0.state vcpu.0.time vcpu.0.wait vcpu.0.delay vcpu.1.state "
    "vcpu.1.time vcpu.1.wait vcpu.1.delay net.count block.count block.0.name block.0.path "
    "block.0.backingIndex block.0.rd.reqs block.0.rd.bytes block.0.rd.times block.0.wr.reqs "
    "block.0.wr.bytes block.0.wr.times block.0.fl.reqs block.0.fl.times block.0.allocation "
    "block.0.capacity block.0.physical block.1.name block.1.rd.reqs block.1.rd.bytes block.1.rd.times "
    "block.1.wr.reqs block.1.wr.bytes block.1.wr.times block.1.fl.reqs block.1.fl.times iothread.count "
    "iothread.2.poll-max-ns iothread.2.poll-grow iothread.2.poll-shrink iothread.1.poll-max-ns "
    "iothread.1.poll-grow iothread.1.poll-shrink dirtyrate.calc_status dirtyrate.calc_start_time "
    "dirtyrate.calc_period dirtyrate.calc_mode "
)
_IDLE = (
    "state.state state.reason balloon.current balloon.maximum vcpu.current vcpu.maximum block.count "
    "block.0.name block.0.path block.0.allocation block.0.capacity block.0.physical block.1.name "
)


@pytest.fixture
def guest(connection: virtcore.Connection, kernel: Path, root: Path) -> virtcore.Domain:
    guest_image.write_qcow2(root / "disk.qcow2", 4)
    return connection.define_domain(
        f"""<domain type='qemu'><name>told</name><memory unit='MiB'>64</memory><vcpu current='2'>3</vcpu>
        <iothreads>2</iothreads><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
        <devices><memballoon model='virtio'><stats period='2'/></memballoon>
        <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{root}/disk.qcow2'/>
          <target dev='vda' bus='virtio'/></disk>
        <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
        <interface type='user'><model type='virtio'/></interface></devices></domain>"""
    )


def stats(connection: virtcore.Connection, guest: virtcore.Domain, group: int = 0, flags: int = 0) -> TypedParameters:
    [row] = connection.domain_stats([guest], group, flags)
    return row.params


def test_every_field_is_libvirts_and_in_its_order(connection: virtcore.Connection, guest: virtcore.Domain) -> None:
    idle = stats(connection, guest)
    assert [name for name, _, _ in idle.rows()] == _IDLE.split()
    assert idle["block.0.capacity"] == 4 << 20
    assert idle["block.0.physical"] == 4 * 65536
    guest.create()
    told = stats(connection, guest)
    assert [name for name, _, _ in told.rows()] == _LIVE.split()
    DOMAIN_STATS.validate(told)  # names and types
    assert told["balloon.current"] == told["balloon.maximum"] == 64 << 10
    assert cast(int, told["balloon.rss"]) > 1 << 10
    assert told["block.0.capacity"] == 4 << 20
    assert told["net.count"] == 1
    alone = stats(connection, guest, Group.IOTHREAD)
    assert {name.partition(".")[0] for name, _, _ in alone.rows()} == {"iothread"}
    assert stats(connection, guest, Group.PERF | Group.MEMORY | Group.VM).rows() == []
    with pytest.raises(errors.ArgumentUnsupported, match="0x100000 are not supported by this daemon or QEMU"):
        stats(connection, guest, 1 << 20, StatsFlags.ENFORCE_STATS)


def test_backing_images_are_told_where_they_are_asked_for(
    connection: virtcore.Connection, guest: virtcore.Domain, root: Path
) -> None:
    import shutil
    import subprocess

    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed (Debian: qemu-utils)")
    (root / "disk.qcow2").rename(root / "base.qcow2")
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "base.qcow2", str(root / "disk.qcow2")],
        check=True,
    )
    guest.create()
    told = stats(connection, guest, Group.BLOCK, StatsFlags.BACKING)
    assert told["block.count"] == 3
    assert (told["block.1.name"], told["block.1.path"]) == ("vda", f"{root}/base.qcow2")
    assert told["block.1.capacity"] == 4 << 20
    assert "block.1.rd.reqs" not in told
    assert "block.2.rd.reqs" in told


def test_memory_changes_are_measured_when_asked_for(connection: virtcore.Connection, guest: virtcore.Domain) -> None:
    with pytest.raises(errors.OperationInvalid, match="domain is not running"):
        guest.start_dirty_rate_calc(1)
    guest.create()
    for seconds in (0, 61):
        with pytest.raises(errors.ConfigUnsupported, match=f"seconds={seconds} is invalid, please choose"):
            guest.start_dirty_rate_calc(seconds)
    with pytest.raises(errors.OperationUnsupported, match="requires dirty-ring feature enabled"):
        guest.start_dirty_rate_calc(1, 2)
    guest.start_dirty_rate_calc(1)
    eventually(lambda: stats(connection, guest, Group.DIRTYRATE)["dirtyrate.calc_status"] == 2)
    told = stats(connection, guest, Group.DIRTYRATE)
    assert told["dirtyrate.calc_period"] == 1
    assert cast(int, told["dirtyrate.megabytes_per_second"]) >= 0


def test_threads_are_where_they_were_put(connection: virtcore.Connection, guest: virtcore.Domain) -> None:
    with pytest.raises(errors.OperationInvalid, match="cannot retrieve vcpu information for inactive domain"):
        guest.vcpus()
    [host, *_] = sorted(connection.node_cpu_map().cpumap)
    guest.pin_vcpu(1, CpuMap([host]), Impact.CONFIG)
    guest.pin_iothread(2, CpuMap([host]), Impact.CONFIG)
    guest.create()
    told = guest.vcpus()
    assert [one.number for one in told] == [0, 1]
    assert told[0].cpumap == connection.node_cpu_map().cpumap
    assert told[1].cpumap == CpuMap([host])
    threads = {one.iothread_id: one.cpumap for one in guest.iothreads()}
    assert threads == {2: CpuMap([host]), 1: connection.node_cpu_map().cpumap}
    guest.pin_vcpu(0, CpuMap([host]), Impact.LIVE)
    guest.pin_iothread(1, CpuMap([host]), Impact.LIVE)
    assert [one.cpumap for one in guest.vcpus()] == [CpuMap([host])] * 2
    assert {one.cpumap for one in guest.iothreads()} == {CpuMap([host])}


def test_memory_and_traffic(connection: virtcore.Connection, guest: virtcore.Domain) -> None:
    guest.create()
    told = guest.memory_stats()
    assert list(told) == [Tag.ACTUAL_BALLOON, Tag.LAST_UPDATE, Tag.RSS]
    assert told[Tag.ACTUAL_BALLOON] == 64 << 10
    with pytest.raises(errors.InternalError, match="Interface name not provided"):
        guest.interface_stats(guest.xml().partition("mac address='")[2][:17])
    with pytest.raises(errors.InvalidArg, match="'vnet99' is not a known interface"):
        guest.interface_stats("vnet99")


def test_what_a_guest_receives_the_host_sends() -> None:
    [name, counted] = next(iter(device_counters().items()))
    tap = _interface(f"<interface type='ethernet'><target dev='{name}'/></interface>")
    seen = interface_stats(tap.devices.interfaces[0])  # type: ignore[union-attr]
    assert seen.rx_bytes >= counted.tx_bytes
    assert (seen.tx_errs, seen.rx_drop) == (counted.rx_errs, counted.tx_drop)


def test_a_macvtap_counts_as_its_guest_does_also_where_a_network_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = InterfaceStats(*range(1, 9))
    monkeypatch.setattr("virt_qemu.stats.interfaces.device_counters", lambda: {"m0": counted})
    rest = "<target dev='m0'/></interface>"
    own = _interface(f"<interface type='direct'><source dev='e0' mode='vepa'/>{rest}")
    given = _interface(f"<interface type='network'><source network='n'/>{rest}")
    [device] = given.devices.interfaces  # type: ignore[union-attr]
    assert interface_stats(device) == InterfaceStats(5, 6, 7, 8, 1, 2, 3, 4), "a tap"
    device.actual = ActualInterface(type=InterfaceType.DIRECT, source=DirectInterfaceSource(dev="e0"))
    assert interface_stats(device) == interface_stats(own.devices.interfaces[0]) == counted  # type: ignore[union-attr]


def _interface(xml: str) -> Domain:
    return parse(f"<domain type='qemu'><name>n</name><devices>{xml}</devices></domain>", Domain)


def test_events_of_the_kernel_are_counted(connection: virtcore.Connection, guest: virtcore.Domain) -> None:
    try:
        counters = PerfCounters()
        from virtcore.model.domain.resources import PerfEventName

        counters.enable(PerfEventName.PAGE_FAULTS, 1)
        counters.close()
    except errors.VirtError as error:
        pytest.skip(f"this kernel counts nothing for us: {error}")
    guest.set_perf_events(PERF.typed({"task_clock": True}), Impact.CONFIG)
    guest.create()
    guest.set_perf_events(PERF.typed({"page_faults": True}), Impact.LIVE)
    told = stats(connection, guest, Group.PERF)
    assert [name for name, _, _ in told.rows()] == ["perf.task_clock", "perf.page_faults"]
    assert cast(int, told["perf.task_clock"]) > 0
    with pytest.raises(errors.ArgumentUnsupported, match="unable to enable host cpu perf event for cmt"):
        guest.set_perf_events(PERF.typed({"context_switches": True, "cmt": True}), Impact.LIVE)
    assert not guest.perf_events(Impact.LIVE)["context_switches"]
    assert len(stats(connection, guest, Group.PERF).rows()) == 2
    guest.set_perf_events(PERF.typed({"task_clock": False}), Impact.LIVE)
    assert [name for name, _, _ in stats(connection, guest, Group.PERF).rows()] == ["perf.page_faults"]


class _Told(Monitor):
    """Answers as it is told; keeps the questions."""

    def __init__(self, answers: dict[str, object]) -> None:
        super().__init__("fake")
        self.answers = answers
        self.asked: list[str] = []

    @property
    def connected(self) -> bool:
        return True

    def ask(self, command: str, arguments: object = None, **_: object) -> Awaitable[object]:  # type: ignore[override]
        self.asked.append(command)
        return self._answer(command, arguments)

    async def _answer(self, command: str, arguments: object) -> object:
        answer = self.answers.get(command)
        if isinstance(answer, dict) and arguments is not None:
            answer = answer.get(getattr(arguments, "get", lambda _: None)("target"), answer)
        if answer is None:
            raise CommandError(command, "GenericError", "not told")
        await asyncio.sleep(0)
        return answer


def _guest(monitor: Monitor, threads: dict[int, int]) -> Guest:
    guest = Guest(folder=Path("/nowhere"), log=None, status=None, monitor=monitor)  # type: ignore[arg-type]
    guest.threads = threads
    return guest


def test_what_an_accelerator_counts_has_libvirts_names() -> None:
    import os

    schema = [
        {"name": "halt_poll_success_ns", "type": "cumulative"},
        {"name": "guest_mode", "type": "instant"},
        {"name": "halt_wait_hist", "type": "log2-histogram"},
        {"name": "max_mmu_page_hash_collisions", "type": "peak"},
    ]
    vcpu = [
        {"name": "halt_poll_success_ns", "value": 7},
        {"name": "guest_mode", "value": True},
        {"name": "halt_wait_hist", "value": [1, 2]},
    ]
    answers: dict[str, object] = {
        "query-stats-schemas": [{"provider": "kvm", "target": target, "stats": schema} for target in ("vcpu", "vm")],
        "query-stats": {
            "vcpu": [{"provider": "kvm", "qom-path": "/a", "stats": vcpu}] * 2,
            "vm": [{"provider": "kvm", "stats": [{"name": "max_mmu_page_hash_collisions", "value": 3}]}],
        },
    }
    monitor = _Told(answers)
    guest = _guest(monitor, {0: os.getpid(), 1: os.getpid()})
    domain = parse(
        "<domain type='kvm'><name>k</name><memory>1024</memory><vcpu>2</vcpu>"
        "<devices><memballoon model='none'/></devices></domain>",
        Domain,
    )
    wanted = int(Group.CPU_TOTAL | Group.VCPU | Group.VM)
    told = asyncio.run(ask_all(guest, groups.questions(domain, guest, wanted)))
    assert len(monitor.asked) == 3
    rows = TypedParameters()
    sources = groups.Sources(
        obj=cast(DomainObject, SimpleNamespace()),
        guest=guest,
        domain=domain,
        pid=os.getpid(),
        answers=told,
        backing=False,
    )
    groups.add_live(sources, wanted, rows)
    assert rows["cpu.haltpoll.success.time"] == 14
    assert rows["vcpu.1.halt_poll_success_ns.sum"] == 7
    assert rows["vcpu.0.guest_mode.cur"] is True
    assert rows["vm.max_mmu_page_hash_collisions.max"] == 3
    assert not [name for name, _, _ in rows.rows() if "hist" in name]


def test_a_silent_guest_yields_its_last_answer() -> None:
    monitor = _Told({"query-iothreads": [1]})
    guest = _guest(monitor, {})
    question = Question("threads", "query-iothreads")
    assert asyncio.run(ask_all(guest, [question])) == {"threads": [1]}
    monitor.answers.clear()
    assert asyncio.run(ask_all(guest, [question])) == {"threads": [1]}
    monitor._waiting[1] = time.monotonic() - 5  # it has not answered something for a while
    assert asyncio.run(ask_all(guest, [question])) == {"threads": [1]}
    assert monitor.asked == ["query-iothreads"] * 2


def test_at_most_six_questions_are_asked(connection: virtcore.Connection, guest: virtcore.Domain) -> None:
    asked: list[str] = []
    ask = Monitor.ask

    def noting(self: Monitor, command: str, *rest: Any, **options: Any) -> Awaitable[object]:
        asked.append(command)
        return ask(self, command, *rest, **options)

    guest.create()
    guest.start_dirty_rate_calc(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Monitor, "ask", noting)
        stats(connection, guest)
    assert sorted(asked) == [
        "qom-get", "query-blockstats", "query-dirty-rate", "query-iothreads", "query-named-block-nodes",
    ]  # fmt: skip


def test_definitions_are_not_read_for_statistics(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(bytes(4096))
    disk = f"<disk type='file'><driver type='raw'/><source file='{image}'/><target dev='vda' bus='virtio'/></disk>"
    xml = guest_image.idle_xml("idle", disk)
    uri = f"qemu:///embed?root={root}"
    with virtcore.connect(uri) as connection:
        connection.define_domain(xml)
        [told] = connection.domain_stats()
    monkeypatch.setattr(QemuState, "config", lambda *_: pytest.fail("a definition is read"))
    with virtcore.connect(uri) as connection:
        [again] = connection.domain_stats()
    assert again.params.rows() == told.params.rows()
    assert (again.params["block.0.path"], again.params["block.0.capacity"]) == (str(image), 4096)


def test_what_is_kept_of_idle_guests_follows_files_and_definitions(root: Path, tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(bytes(4096))
    disk = f"<disk type='file'><driver type='raw'/><source file='{image}'/><target dev='vda' bus='virtio'/></disk>"
    xml = guest_image.idle_xml("idle", disk)
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.define_domain(xml)

        def told(group: int = 0) -> TypedParameters:
            return connection.domain_stats(stats=group)[0].params

        assert told() is told(), "nothing has changed"
        assert told(Group.STATE) is told(Group.STATE)
        assert told()["block.0.capacity"] == 4096
        image.write_bytes(bytes(8192))
        assert told()["block.0.capacity"] == 8192
        image.unlink()
        assert "block.0.capacity" not in told()
        most = told()["balloon.maximum"]
        domain.set_memory(2 * int(str(most)), Impact.CONFIG | 4)
        assert told()["balloon.maximum"] == 2 * int(str(most))
        connection.define_domain(domain.xml(0).replace("vda", "vdb"))
        assert (told()["block.0.name"], told()["balloon.maximum"]) == ("vdb", 2 * int(str(most)))
        domain.rename("other")
        assert connection.domain_stats()[0].domain.name == "other"
        image.write_bytes(bytes(4096))
        domain.create(DomainCreateFlags.START_PAUSED)
        assert told(Group.STATE)["state.state"] == DomainState.PAUSED
        domain.destroy()
        assert told(Group.STATE)["state.state"] == DomainState.SHUTOFF
