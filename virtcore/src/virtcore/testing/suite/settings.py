"""What is set of a domain: its texts, name and life cycle, virtual CPUs, I/O threads, memory, limits."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, ParamSpec

import pytest

from virtcore import errors
from virtcore.enums import (
    DomainLifecycle,
    DomainLifecycleAction,
    DomainMemoryModFlags,
    DomainMetadataType,
    DomainModificationImpact as Impact,
    DomainVcpuFlags,
    DomainXMLFlags,
)
from virtcore.operations.events import DomainMetadataChangeEvent, Event
from virtcore.testing.suite.target import MAC, Target, asks, covers, needs, refused
from virtcore.types import CpuMap, TypedParameters, TypedValue

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, Domain
    from virtcore.operations.parameters import ParameterGroup

__all__ = ["TestIOThreads", "TestLimits", "TestMemory", "TestProcessors", "TestSettings"]

P = ParamSpec("P")
CONFIG = Impact.CONFIG


def unchanged(domain: Domain, change: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """A change is refused, and changes nothing."""
    before = domain.xml(DomainXMLFlags.INACTIVE)
    with pytest.raises(errors.VirtError):
        change(*args, **kwargs)
    assert domain.xml(DomainXMLFlags.INACTIVE) == before


def kept(
    read: Callable[[Impact], TypedParameters],
    write: Callable[[TypedParameters, Impact], object],
    group: ParameterGroup,
    values: Mapping[str, TypedValue],
) -> None:
    """What is set in a definition reads back."""
    write(group.typed(values), CONFIG)
    found = read(CONFIG)
    assert {name: found[name] for name in values} == values
    unknown = TypedParameters()
    unknown.add("compliance", next(iter(group.typed(values).rows()))[1], next(iter(values.values())))
    with pytest.raises(errors.VirtError):
        write(unknown, CONFIG)
    assert read(CONFIG) == found


class TestSettings:
    """Texts, name, what happens at the end of a guest's life."""

    @covers("domain_set_metadata", "domain_metadata")
    @needs("domain_xml")
    def test_texts(self, connection: Connection, target: Target, defined: Domain) -> None:
        events: queue.Queue[Event] = queue.Queue()
        connection.on_event(events.put, DomainMetadataChangeEvent)
        for kind in (DomainMetadataType.TITLE, DomainMetadataType.DESCRIPTION):
            defined.set_metadata(kind, f"of <the> {kind.name}", flags=CONFIG)
            assert defined.metadata(kind, flags=CONFIG) == f"of <the> {kind.name}"
            event = events.get(timeout=target.event_wait)
            assert isinstance(event, DomainMetadataChangeEvent)
            assert (event.domain.uuid, event.type) == (defined.uuid, kind)
        assert "<title>of &lt;the&gt; TITLE</title>" in defined.xml(DomainXMLFlags.INACTIVE)
        defined.set_metadata(DomainMetadataType.TITLE, None, flags=CONFIG)
        with pytest.raises(errors.NoDomainMetadata):
            defined.metadata(DomainMetadataType.TITLE, flags=CONFIG)
        unchanged(defined, defined.set_metadata, DomainMetadataType.TITLE, "two\nlines", flags=CONFIG)

    @covers("domain_set_metadata", "domain_metadata")
    @needs("domain_xml")
    def test_elements_of_others(self, defined: Domain) -> None:
        element = DomainMetadataType.ELEMENT
        defined.set_metadata(element, "<a b='c'>d</a>", "key", "http://compliance/1", CONFIG)
        assert defined.metadata(element, "http://compliance/1", CONFIG).strip().startswith("<a")
        assert "http://compliance/1" in defined.xml(DomainXMLFlags.INACTIVE)
        unchanged(defined, defined.set_metadata, element, "<a", "key", "http://compliance/1", CONFIG)
        defined.set_metadata(element, None, "key", "http://compliance/1", CONFIG)
        with pytest.raises(errors.NoDomainMetadata):
            defined.metadata(element, "http://compliance/1", CONFIG)

    @covers("domain_set_lifecycle_action")
    @needs("domain_xml")
    def test_what_happens_at_the_end(self, defined: Domain) -> None:
        for event, action in (
            (DomainLifecycle.POWEROFF, DomainLifecycleAction.RESTART),
            (DomainLifecycle.POWEROFF, DomainLifecycleAction.DESTROY),
            (DomainLifecycle.REBOOT, DomainLifecycleAction.DESTROY),
            (DomainLifecycle.CRASH, DomainLifecycleAction.PRESERVE),
        ):
            defined.set_lifecycle_action(event, action, CONFIG)
            name = f"on_{event.name.lower()}"
            assert f"<{name}>{action.name.lower()}</{name}>" in defined.xml(DomainXMLFlags.INACTIVE)
        unchanged(defined, defined.set_lifecycle_action, 99, DomainLifecycleAction.DESTROY, CONFIG)
        unchanged(defined, defined.set_lifecycle_action, DomainLifecycle.REBOOT, 99, CONFIG)

    @covers("domain_rename")
    @needs("connection_lookup_domain", "domain_create", "domain_destroy")
    def test_another_name(self, connection: Connection, target: Target, defined: Domain) -> None:
        other = connection.define_domain(target.domain("compliance-other"))
        for wrong in ("compliance-other", "compliance", "", "compliance/name"):
            with pytest.raises(errors.VirtError):
                defined.rename(wrong)
        defined.rename("compliance-renamed")
        assert connection.lookup_domain(name="compliance-renamed").uuid == defined.uuid
        assert connection.lookup_domain(uuid=defined.uuid).name == "compliance-renamed"
        with pytest.raises(errors.NoDomain):
            connection.lookup_domain(name="compliance")
        other.create()
        with pytest.raises(errors.OperationInvalid):
            other.rename("compliance-again")
        assert connection.lookup_domain(name="compliance-other") == other

    @covers("domain_autostart_once", "domain_set_autostart_once")
    def test_autostart_once(self, defined: Domain) -> None:
        for wanted in (True, True, False):
            defined.set_autostart_once(wanted)
            assert defined.autostart_once() is wanted


class TestProcessors:
    """Virtual CPUs: how many, and where they run."""

    @covers("domain_set_vcpus", "domain_vcpus_count")
    @needs("domain_xml")
    def test_how_many(self, defined: Domain) -> None:
        most = DomainVcpuFlags.CONFIG | DomainVcpuFlags.MAXIMUM
        defined.set_vcpus(4, most)
        defined.set_vcpus(2, DomainVcpuFlags.CONFIG)
        assert (defined.vcpus_count(most), defined.vcpus_count(DomainVcpuFlags.CONFIG)) == (4, 2)
        for wrong in (0, 5, 1 << 20):
            unchanged(defined, defined.set_vcpus, wrong, DomainVcpuFlags.CONFIG)
        unchanged(defined, defined.set_vcpus, 1, DomainVcpuFlags.LIVE)

    @covers("domain_set_vcpu")
    @needs("domain_set_vcpus", "domain_vcpus_count", "domain_xml")
    def test_which(self, defined: Domain) -> None:
        defined.set_vcpus(2, DomainVcpuFlags.CONFIG | DomainVcpuFlags.MAXIMUM)
        defined.set_vcpus(2, DomainVcpuFlags.CONFIG)
        defined.set_vcpu("1", False, CONFIG)
        assert defined.vcpus_count(DomainVcpuFlags.CONFIG) == 1
        for wrong in ("7", "", "x"):
            unchanged(defined, defined.set_vcpu, wrong, False, CONFIG)

    @covers("domain_vcpus")
    @needs("domain_create", "domain_destroy", "domain_info")
    def test_those_of_a_running_guest(self, defined: Domain) -> None:
        with pytest.raises(errors.OperationInvalid):
            defined.vcpus()
        defined.create()
        found = defined.vcpus()
        assert [one.number for one in found] == list(range(defined.info().vcpus))
        assert all(one.cpumap and one.cpu_time >= 0 for one in found)

    @covers("domain_pin_vcpu", "domain_vcpu_pin_info")
    @needs("domain_create", "domain_destroy")
    def test_where_one_runs(self, defined: Domain, target: Target) -> None:
        defined.create()
        defined.pin_vcpu(0, CpuMap([0]), Impact.LIVE)
        assert defined.vcpu_pin_info(Impact.LIVE)[0] == CpuMap([0])
        with pytest.raises(errors.InvalidArg):
            defined.pin_vcpu(999, CpuMap([0]), Impact.LIVE)
        assert defined.vcpu_pin_info(Impact.LIVE)[0] == CpuMap([0])
        with refused(target, "domain_pin_vcpu", errors.InvalidArg):
            defined.pin_vcpu(0, CpuMap(), Impact.LIVE)

    @covers("domain_pin_emulator", "domain_emulator_pin_info")
    def test_where_the_emulator_runs(self, defined: Domain) -> None:
        defined.pin_emulator(CpuMap([0]), CONFIG)
        assert defined.emulator_pin_info(CONFIG) == CpuMap([0])
        with pytest.raises(errors.InvalidArg):
            defined.pin_emulator(CpuMap(), CONFIG)
        assert defined.emulator_pin_info(CONFIG) == CpuMap([0])


class TestIOThreads:
    """I/O threads."""

    @covers("domain_iothreads", "domain_add_iothread", "domain_del_iothread", "domain_pin_iothread")
    @needs("domain_xml")
    def test_life_of_one(self, defined: Domain) -> None:
        assert defined.iothreads(CONFIG) == []
        defined.add_iothread(3, CONFIG)
        assert [one.iothread_id for one in defined.iothreads(CONFIG)] == [3]
        for wrong in (0, 3):
            unchanged(defined, defined.add_iothread, wrong, CONFIG)
        defined.pin_iothread(3, CpuMap([0]), CONFIG)
        assert defined.iothreads(CONFIG)[0].cpumap == CpuMap([0])
        unchanged(defined, defined.pin_iothread, 4, CpuMap([0]), CONFIG)
        unchanged(defined, defined.del_iothread, 4, CONFIG)
        defined.del_iothread(3, CONFIG)
        assert defined.iothreads(CONFIG) == []

    @covers("domain_set_iothread_parameters")
    @needs("domain_add_iothread", "domain_create", "domain_destroy", "connection_domain_stats")
    def test_how_one_polls(self, connection: Connection, defined: Domain) -> None:
        from virtcore.operations.parameters import IOTHREAD

        wanted = IOTHREAD.typed({"poll_max_ns": 1000})
        defined.create()
        defined.add_iothread(3, Impact.LIVE)
        with pytest.raises(errors.VirtError):
            defined.set_iothread_parameters(4, wanted, Impact.LIVE)
        defined.set_iothread_parameters(3, wanted, Impact.LIVE)
        [row] = connection.domain_stats([defined])
        assert row.params["iothread.3.poll-max-ns"] == 1000


class TestMemory:
    """How much memory a guest has, may have, and must not exceed."""

    @covers("domain_set_memory", "domain_max_memory", "domain_info")
    @needs("domain_xml")
    def test_how_much(self, defined: Domain) -> None:
        flags = DomainMemoryModFlags
        most = defined.max_memory() * 2
        defined.set_memory(most, flags.CONFIG | flags.MAXIMUM)
        assert defined.max_memory() == most
        defined.set_memory(most // 2, flags.CONFIG)
        assert (defined.info().max_memory, defined.info().memory) == (most, most // 2)
        for wrong in (0, most + 1024):
            unchanged(defined, defined.set_memory, wrong, flags.CONFIG)
        unchanged(defined, defined.set_memory, most // 2, flags.LIVE)

    @covers("domain_set_memory_parameters", "domain_memory_parameters")
    def test_what_it_must_not_exceed(self, defined: Domain) -> None:
        from virtcore.operations.parameters import MEMORY

        wanted = {"hard_limit": 1 << 20, "soft_limit": 1 << 19}
        kept(defined.memory_parameters, defined.set_memory_parameters, MEMORY, wanted)

    @covers("domain_set_numa_parameters", "domain_numa_parameters")
    def test_where_it_is_from(self, defined: Domain) -> None:
        from virtcore.operations.parameters import NUMA

        wanted: dict[str, TypedValue] = {"numa_mode": 0, "numa_nodeset": "0"}
        kept(defined.numa_parameters, defined.set_numa_parameters, NUMA, wanted)

    @covers("domain_set_memory_stats_period")
    @needs("connection_define_domain", "domain_undefine", "domain_xml")
    def test_how_often_it_is_looked_at(self, connection: Connection, target: Target) -> None:
        domain = connection.define_domain(target.domain_with("compliance", "<memballoon model='virtio'/>"))
        domain.set_memory_stats_period(5, CONFIG)
        assert "<stats period='5'/>" in domain.xml(DomainXMLFlags.INACTIVE)
        unchanged(domain, domain.set_memory_stats_period, -1, CONFIG)
        domain.set_memory_stats_period(0, CONFIG)
        assert "<stats" not in domain.xml(DomainXMLFlags.INACTIVE)


class TestLimits:
    """What share of the host a guest may have."""

    @covers("domain_scheduler_type", "domain_scheduler_parameters", "domain_set_scheduler_parameters")
    def test_cpu_time(self, defined: Domain) -> None:
        found = defined.scheduler_type()
        before = defined.scheduler_parameters()
        assert found.type
        assert len(before.rows()) <= found.nparams
        defined.set_scheduler_parameters(before)
        assert defined.scheduler_parameters() == before
        with pytest.raises(errors.VirtError):
            defined.set_scheduler_parameters(TypedParameters([("compliance", before.rows()[0][1], 1)]))

    @covers("domain_blkio_parameters", "domain_set_blkio_parameters")
    def test_block_io_on_the_host(self, defined: Domain) -> None:
        from virtcore.operations.parameters import BLKIO

        kept(defined.blkio_parameters, defined.set_blkio_parameters, BLKIO, {"weight": 500})

    @covers("domain_perf_events", "domain_set_perf_events")
    def test_events_that_are_counted(self, defined: Domain) -> None:
        from virtcore.operations.parameters import PERF

        kept(defined.perf_events, defined.set_perf_events, PERF, {"page_faults": True, "cpu_cycles": False})

    @covers("domain_interface_parameters", "domain_set_interface_parameters")
    @needs("connection_define_domain", "domain_undefine")
    def test_traffic_of_a_network_interface(self, connection: Connection, target: Target) -> None:
        from virtcore.operations.parameters import BANDWIDTH

        domain = connection.define_domain(target.domain_with("compliance", target.network_device()))
        kept(
            lambda flags: domain.interface_parameters(MAC, flags),
            lambda params, flags: domain.set_interface_parameters(MAC, params, flags),
            BANDWIDTH,
            {"inbound.average": 1000, "outbound.average": 2000},
        )
        with pytest.raises(errors.VirtError):
            domain.interface_parameters("52:54:00:00:00:00", CONFIG)

    @covers("domain_block_iotune", "domain_set_block_iotune")
    @needs("connection_define_domain", "domain_undefine")
    @asks("disk")
    def test_io_of_a_disk(self, connection: Connection, target: Target) -> None:
        from virtcore.operations.parameters import BLOCK_IOTUNE

        domain = connection.define_domain(target.domain_with("compliance", target.disk("vda")))
        kept(
            lambda flags: domain.block_iotune("vda", flags),
            lambda params, flags: domain.set_block_iotune("vda", params, flags),
            BLOCK_IOTUNE,
            {
                "total_bytes_sec": 1 << 20,
                "total_bytes_sec_max": 1 << 21,
                "read_iops_sec": 100,
                "read_iops_sec_max": 200,
            },
        )
        with pytest.raises(errors.VirtError):
            domain.block_iotune("vdz", CONFIG)

    @covers("domain_set_throttle_group", "domain_del_throttle_group")
    @needs("domain_xml")
    def test_io_of_several_disks(self, defined: Domain) -> None:
        from virtcore.operations.parameters import BLOCK_IOTUNE

        defined.set_throttle_group("compliance", BLOCK_IOTUNE.typed({"total_bytes_sec": 1 << 20}), CONFIG)
        assert "<group_name>compliance</group_name>" in defined.xml(DomainXMLFlags.INACTIVE)
        unchanged(defined, defined.del_throttle_group, "compliance-none", CONFIG)
        defined.del_throttle_group("compliance", CONFIG)
        assert "compliance</group_name>" not in defined.xml(DomainXMLFlags.INACTIVE)

    @covers("domain_launch_security_info")
    @needs("domain_create", "domain_destroy")
    def test_what_protects_a_guest(self, defined: Domain) -> None:
        defined.create()
        with suppress(errors.UnsupportedError, errors.OperationInvalid):  # nothing protects this one
            assert all(name for name, _, _ in defined.launch_security_info().rows())
