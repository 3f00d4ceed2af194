"""Settings of the test driver's domains: what is accepted, where it lands, how refusals sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import DomainModificationImpact as Impact
from virtcore.operations.parameters import BANDWIDTH, BLKIO, BLOCK_IOTUNE, IOTHREAD, MEMORY, NUMA, PERF, SCHEDULER
from virtcore.types import CpuMap, TypedParameters

LIVE, CONFIG, BOTH, MAXIMUM = int(Impact.LIVE), int(Impact.CONFIG), 3, 4
INVALID, UNSUPPORTED = errors.ErrorCode.INVALID_ARG, errors.ErrorCode.CONFIG_UNSUPPORTED
NOT_NOW = errors.ErrorCode.OPERATION_INVALID
EXCLUSIVE = "Flags 'VIR_DOMAIN_AFFECT_LIVE' and 'VIR_DOMAIN_AFFECT_CONFIG' are mutually exclusive"


@pytest.fixture
def connection() -> Iterator[virtcore.Connection]:
    with virtcore.connect("test:///default") as opened:
        yield opened


@pytest.fixture
def domain(connection: virtcore.Connection) -> virtcore.Domain:
    return connection.lookup_domain(name="test")


def small(name: str, more: str = "", devices: str = "") -> str:
    return (
        f"<domain type='test'><name>{name}</name><memory>1024</memory>{more}<os><type>hvm</type></os>"
        f"<devices>{devices}</devices></domain>"
    )


def refused(code: int, message: str, call: Callable[[], object]) -> None:
    with pytest.raises(errors.VirtError) as caught:
        call()
    assert (caught.value.code, str(caught.value)) == (code, message)


def values(params: TypedParameters) -> dict[str, Any]:
    return dict(params.items())


BAD_SETTINGS: list[tuple[int, str, Callable[[virtcore.Domain], object]]] = [
    (INVALID, EXCLUSIVE, lambda d: d.set_memory(1024, BOTH)),
    (INVALID, "memory in virDomainSetMemoryFlags must not be zero", lambda d: d.set_memory(0)),
    (
        NOT_NOW,
        "Requested operation is not valid: cannot resize the maximum memory on an active domain",
        lambda d: d.set_memory(1024, MAXIMUM),
    ),
    (INVALID, "invalid argument: cannot set memory higher than max memory", lambda d: d.set_memory(1 << 40)),
    (INVALID, "unsupported flags (0x40) in function testDomainSetMemoryFlags", lambda d: d.set_memory(1, 64)),
    (INVALID, "nvcpus in virDomainSetVcpusFlags must not be zero", lambda d: d.set_vcpus(0)),
    (
        INVALID,
        "Flag 'VIR_DOMAIN_AFFECT_CONFIG' is required by flag 'VIR_DOMAIN_VCPU_MAXIMUM'",
        lambda d: d.set_vcpus(3, MAXIMUM | LIVE),
    ),
    (
        INVALID,
        "Flags 'VIR_DOMAIN_VCPU_GUEST' and 'VIR_DOMAIN_AFFECT_CONFIG' are mutually exclusive",
        lambda d: d.set_vcpus(3, 8 | CONFIG),
    ),
    (
        INVALID,
        "invalid argument: requested cpu amount exceeds maximum supported amount (33 > 32)",
        lambda d: d.set_vcpus(33),
    ),
    (INVALID, "invalid argument: requested cpu amount exceeds maximum (3 > 2)", lambda d: d.set_vcpus(3)),
    (INVALID, "invalid argument: requested cpu amount exceeds maximum (3 > 2)", lambda d: d.set_vcpus(3, CONFIG)),
    (
        INVALID,
        "invalid argument: requested vcpu '5' is not present in the domain",
        lambda d: d.pin_vcpu(5, CpuMap([0])),
    ),
    (
        INVALID,
        "unsupported flags (0x2) in function testDomainPinVcpuFlags",
        lambda d: d.pin_vcpu(0, CpuMap([0]), CONFIG),
    ),
    (INVALID, EXCLUSIVE, lambda d: d.vcpu_pin_info(BOTH)),
    (INVALID, EXCLUSIVE, lambda d: d.emulator_pin_info(BOTH)),
    (INVALID, "invalid argument: Empty cpu list for pinning", lambda d: d.pin_emulator(CpuMap())),
    (INVALID, EXCLUSIVE, lambda d: d.iothreads(BOTH)),
    (INVALID, "invalid argument: invalid value of 0 for iothread_id", lambda d: d.add_iothread(0)),
    (INVALID, "iothread_id in virDomainDelIOThread must not be zero", lambda d: d.del_iothread(0)),
    (INVALID, "invalid argument: cannot find IOThread '3' in iothreadids list", lambda d: d.del_iothread(3)),
    (INVALID, "invalid argument: iothreadid 3 not found", lambda d: d.pin_iothread(3, CpuMap([0]))),
    (
        INVALID,
        "invalid argument: Empty iothread cpumap list for pinning",
        lambda d: d.pin_iothread(3, CpuMap()),
    ),
    (
        INVALID,
        "invalid argument: cannot find IOThread '3' in iothreadids",
        lambda d: d.set_iothread_parameters(3, IOTHREAD.typed({"poll_max_ns": 1}), LIVE),
    ),
    (
        INVALID,
        "unsupported flags (0x2) in function testDomainSetIOThreadParams",
        lambda d: d.set_iothread_parameters(3, IOTHREAD.typed({"poll_max_ns": 1}), CONFIG),
    ),
    (INVALID, EXCLUSIVE, lambda d: d.memory_parameters(BOTH)),
    (
        INVALID,
        "nparams in virDomainSetMemoryParameters must be greater than zero",
        lambda d: d.set_memory_parameters(TypedParameters()),
    ),
    (
        errors.ErrorCode.ARGUMENT_UNSUPPORTED,
        "argument unsupported: parameter 'min_guarantee' not supported",
        lambda d: d.set_memory_parameters(MEMORY.typed({"min_guarantee": 1})),
    ),
    (
        INVALID,
        "invalid argument: memory hard_limit tunable value must be lower than or equal to swap_hard_limit",
        lambda d: d.set_memory_parameters(MEMORY.typed({"hard_limit": 2, "swap_hard_limit": 1})),
    ),
    (
        UNSUPPORTED,
        "unsupported configuration: nodeset for NUMA memory tuning must be set if 'placement' is 'static'",
        lambda d: d.set_numa_parameters(NUMA.typed({"numa_mode": 1})),
    ),
    (
        INVALID,
        "invalid argument: unsupported numatune mode: '9'",
        lambda d: d.set_numa_parameters(NUMA.typed({"numa_mode": 9})),
    ),
    (
        INVALID,
        "invalid argument: Failed to parse bitmap 'x'",
        lambda d: d.set_numa_parameters(NUMA.typed({"numa_nodeset": "x"})),
    ),
    (
        NOT_NOW,
        "Requested operation is not valid: Invalid nodeset of 'numatune': 0,^0",
        lambda d: d.set_numa_parameters(NUMA.typed({"numa_nodeset": "0,^0"})),
    ),
    (
        INVALID,
        "invalid argument: unable to parse blkio device 'device_weight' '/dev/sda'",
        lambda d: d.set_blkio_parameters(BLKIO.typed({"device_weight": "/dev/sda"})),
    ),
    (
        INVALID,
        "invalid argument: invalid value 'x' for parameter 'device_weight' of device '/dev/sda'",
        lambda d: d.set_blkio_parameters(BLKIO.typed({"device_weight": "/dev/sda,x"})),
    ),
    (INVALID, "invalid argument: 'nope' is not a known interface", lambda d: d.interface_parameters("nope")),
    (
        INVALID,
        "invalid argument: 'x' is not a known interface",
        lambda d: d.set_interface_parameters("x", BANDWIDTH.typed({"inbound.average": 1})),
    ),
    (INVALID, "invalid argument: disk 'vdb' was not found in the domain config", lambda d: d.block_iotune("vdb")),
    (
        INVALID,
        "invalid argument: missing persistent configuration for disk 'vdb'",
        lambda d: d.set_block_iotune("vdb", BLOCK_IOTUNE.typed({"total_bytes_sec": 1})),
    ),
    (
        INVALID,
        "invalid argument: total_bytes_sec cannot be set higher than total_bytes_sec_max",
        lambda d: d.set_block_iotune("vda", BLOCK_IOTUNE.typed({"total_bytes_sec": 1})),
    ),
    (
        INVALID,
        "invalid argument: total and read/write of iops_sec_max cannot be set at the same time",
        lambda d: d.set_block_iotune("vda", BLOCK_IOTUNE.typed({"total_iops_sec_max": 5, "read_iops_sec_max": 7})),
    ),
    (
        errors.ErrorCode.ARGUMENT_UNSUPPORTED,
        "argument unsupported: block I/O throttle limit value must be no more than 1000000000000000",
        lambda d: d.set_block_iotune("vda", BLOCK_IOTUNE.typed({"size_iops_sec": 2 * 10**15})),
    ),
    (
        INVALID,
        "unsupported flags (0x1) in function testDomainSetSchedulerParametersFlags",
        lambda d: d.set_scheduler_parameters(SCHEDULER.typed({"weight": 5}), LIVE),
    ),
    (
        errors.ErrorCode.ARGUMENT_UNSUPPORTED,
        "argument unsupported: parameter 'cap' not supported",
        lambda d: d.set_scheduler_parameters(SCHEDULER.typed({"cap": 5})),
    ),
    (
        INVALID,
        "period in virDomainSetMemoryStatsPeriod must be zero or greater",
        lambda d: d.set_memory_stats_period(-5),
    ),
    (INVALID, "metadata title can't contain newlines", lambda d: d.set_metadata(1, "a\nb")),
    (INVALID, "key in virDomainSetMetadata must be NULL", lambda d: d.set_metadata(1, "a", "k")),
    (INVALID, "uri in virDomainSetMetadata must be NULL", lambda d: d.set_metadata(0, "a", None, "u")),
    (INVALID, "uri in virDomainSetMetadata must not be NULL", lambda d: d.set_metadata(2, "<a/>")),
    (INVALID, "key in virDomainSetMetadata must not be NULL", lambda d: d.set_metadata(2, "<a/>", None, "u")),
    (INVALID, "invalid argument: unknown metadata type '7'", lambda d: d.set_metadata(7, "a")),
    (INVALID, "invalid argument: invalid lifecycle type '3'", lambda d: d.set_lifecycle_action(3, 1)),
    (INVALID, "invalid argument: invalid lifecycle action '9'", lambda d: d.set_lifecycle_action(0, 9)),
    (
        UNSUPPORTED,
        "unsupported configuration: Lifecycle event 'reboot' doesn't support 'coredump-destroy' action",
        lambda d: d.set_lifecycle_action(1, 4),
    ),
    (
        INVALID,
        "unsupported flags (0x8) in function testDomainSetLifecycleAction",
        lambda d: d.set_lifecycle_action(2, 4, 8),
    ),
    (NOT_NOW, "Requested operation is not valid: cannot rename active domain", lambda d: d.rename("x")),
    (INVALID, "string new_name in virDomainRename must not be empty", lambda d: d.rename("")),
    (INVALID, "unsupported flags (0x1) in function testDomainRename", lambda d: d.rename("x", 1)),
]


@pytest.mark.parametrize(("code", "message", "call"), BAD_SETTINGS, ids=[row[1] for row in BAD_SETTINGS])
def test_refused(domain: virtcore.Domain, code: int, message: str, call: Callable[[virtcore.Domain], object]) -> None:
    before = domain.xml(), domain.xml(2)
    refused(code, message, lambda: call(domain))
    assert (domain.xml(), domain.xml(2)) == before


def test_an_inactive_domain_has_nothing_live(domain: virtcore.Domain) -> None:
    domain.destroy()
    not_running = "Requested operation is not valid: domain is not running"
    for call in (
        lambda: domain.set_memory(5, LIVE),
        lambda: domain.set_vcpus(1, LIVE),
        lambda: domain.set_lifecycle_action(0, 1, LIVE),
        lambda: domain.vcpu_pin_info(LIVE),
        lambda: domain.set_metadata(0, "x", flags=BOTH),
    ):
        refused(NOT_NOW, not_running, call)
    message = "Requested operation is not valid: cannot pin vcpus on an inactive domain"
    refused(NOT_NOW, message, lambda: domain.pin_vcpu(0, CpuMap([0])))


def test_a_transient_domain_has_no_definition(connection: virtcore.Connection) -> None:
    domain = connection.create_domain(small("a"))
    message = "Requested operation is not valid: transient domains do not have any persistent config"
    refused(NOT_NOW, message, lambda: domain.set_metadata(0, "x", flags=BOTH))
    refused(NOT_NOW, message, lambda: domain.set_vcpus(1, CONFIG))
    domain.set_metadata(0, "x")
    assert domain.metadata(0) == "x"


def test_vcpus(domain: virtcore.Domain) -> None:
    domain.set_vcpus(1)
    assert (domain.vcpus_count(LIVE), domain.vcpus_count(CONFIG)) == (1, 2)
    assert "<vcpu placement='static' current='1'>2</vcpu>" in domain.xml()
    domain.set_vcpus(4, CONFIG | MAXIMUM)
    assert "<vcpu placement='static' current='2'>4</vcpu>" in domain.xml(2)
    domain.set_vcpus(2, BOTH)
    domain.pin_vcpu(0, CpuMap([0, 2]))
    assert domain.vcpu_pin_info() == [CpuMap([0, 2]), CpuMap(range(16))]
    assert [(one.number, one.cpu, one.cpumap) for one in domain.vcpus()] == [
        (0, 2, CpuMap([0, 2])),
        (1, 15, CpuMap(range(16))),
    ]
    domain.pin_emulator(CpuMap([1]))
    assert (domain.emulator_pin_info(), domain.emulator_pin_info(CONFIG)) == (CpuMap([1]), CpuMap(range(16)))
    assert "    <vcpupin vcpu='0' cpuset='0,2'/>\n    <emulatorpin cpuset='1'/>\n" in domain.xml()
    domain.set_vcpu("1", False, LIVE)
    assert domain.vcpus_count(LIVE) == 1


def test_fewer_vcpus_take_what_is_said_of_them(connection: virtcore.Connection) -> None:
    tune = (
        "<vcpu>4</vcpu><cputune><vcpupin vcpu='3' cpuset='1'/><vcpupin vcpu='0' cpuset='1'/>"
        "<vcpusched vcpus='2-3' scheduler='idle'/></cputune>"
    )
    domain = connection.define_domain(small("a", tune))
    domain.set_vcpus(2, CONFIG | MAXIMUM)
    text = domain.xml()
    assert "<vcpu placement='static'>2</vcpu>\n  <cputune>\n    <vcpupin vcpu='0' cpuset='1'/>\n  </cputune>" in text


def test_iothreads(connection: virtcore.Connection) -> None:
    driver = "<driver name='qemu' iothread='1'/>"
    disk = f"<disk type='file'>{driver}<source file='/x'/><target dev='vda' bus='virtio'/></disk>"
    controller = "<controller type='scsi' model='virtio-scsi'><driver iothread='2'/></controller>"
    domain = connection.create_domain(small("a", "<iothreads>2</iothreads>", disk + controller))
    assert domain.iothreads() == [(1, CpuMap([0])), (2, CpuMap([0]))]
    in_use = "invalid argument: cannot remove IOThread"
    refused(INVALID, f"{in_use} 1 since it is being used by disk 'vda'", lambda: domain.del_iothread(1))
    refused(INVALID, f"{in_use} '2' since it is being used by controller", lambda: domain.del_iothread(2))
    message = "invalid argument: an IOThread is already using iothread_id '2'"
    refused(INVALID, message, lambda: domain.add_iothread(2))
    domain.add_iothread(5)
    ids = "".join(f"    <iothread id='{number}'/>\n" for number in (1, 2, 5))
    assert f"<iothreads>3</iothreads>\n  <iothreadids>\n{ids}  </iothreadids>" in domain.xml()
    domain.pin_iothread(5, CpuMap([3]))
    assert domain.iothreads()[2] == (5, CpuMap([3]))
    domain.set_iothread_parameters(5, IOTHREAD.typed({"poll_max_ns": 7, "poll_grow": 2}), LIVE)
    row = next(row for row in connection.domain_stats() if row.domain.name == "a")
    assert {name: value for name, value in row.params.items() if name.startswith("iothread")} == {
        "iothread.count": 1,
        "iothread.5.poll-max-ns": 7,
        "iothread.5.poll-grow": 2,
        "iothread.5.poll-shrink": 0,
    }
    domain.del_iothread(5)
    assert "iothreadpin" not in domain.xml()


def test_memory(connection: virtcore.Connection, domain: virtcore.Domain) -> None:
    domain.set_memory(5)
    assert (domain.info().memory, "'>5</currentMemory>" in domain.xml(2)) == (5, False)
    domain.set_memory_parameters(MEMORY.typed({"hard_limit": 50, "swap_hard_limit": 60, "soft_limit": 100}))
    assert values(domain.memory_parameters()) == {"hard_limit": 50, "soft_limit": 100, "swap_hard_limit": 60}
    assert domain.memory_parameters(CONFIG)["hard_limit"] == 9007199254740991
    domain.set_memory_stats_period(5)
    assert "<stats period='5'/>" in domain.xml()
    domain.destroy()
    domain.set_memory(1024, MAXIMUM)
    assert (domain.info().max_memory, domain.info().memory) == (1024, 1024)
    plain = connection.create_domain(small("a"))
    message = "internal error: No memory balloon device configured, can not set the collection period"
    refused(errors.ErrorCode.INTERNAL_ERROR, message, lambda: plain.set_memory_stats_period(5))
    cells = "<vcpu>4</vcpu><cpu><numa><cell id='0' cpus='0-3' memory='1024'/></numa></cpu>"
    numa = connection.define_domain(small("n", cells))
    message = (
        "Requested operation is not valid: initial memory size of a domain with NUMA nodes cannot be modified "
        "with this API"
    )
    refused(NOT_NOW, message, lambda: numa.set_memory(5000, MAXIMUM))
    message = "invalid argument: Number of CPUs in <numa> exceeds the desired maximum vcpu count"
    refused(INVALID, message, lambda: numa.set_vcpus(3, CONFIG | MAXIMUM))


def test_numa(domain: virtcore.Domain) -> None:
    domain.set_numa_parameters(NUMA.typed({"numa_nodeset": "0-1"}))
    assert values(domain.numa_parameters()) == {"numa_mode": 0, "numa_nodeset": "0-1"}
    assert values(domain.numa_parameters(CONFIG)) == {"numa_mode": 0, "numa_nodeset": ""}
    message = "Requested operation is not valid: can't change numatune mode for running domain"
    refused(NOT_NOW, message, lambda: domain.set_numa_parameters(NUMA.typed({"numa_mode": 2})))
    domain.set_numa_parameters(NUMA.typed({"numa_mode": 2, "numa_nodeset": "3"}), CONFIG)
    assert "<memory mode='interleave' nodeset='3'/>" in domain.xml(2)


def test_block_io(domain: virtcore.Domain) -> None:
    domain.set_blkio_parameters(BLKIO.typed({"weight": 5, "device_weight": "/dev/sda,500,/dev/sdb,100"}))
    domain.set_blkio_parameters(BLKIO.typed({"device_read_iops_sec": "/dev/sda,50", "device_weight": "/dev/sda,0"}))
    assert values(domain.blkio_parameters()) == {
        "weight": 5,
        "device_weight": "/dev/sdb,100",
        "device_read_iops_sec": "/dev/sda,50",
        "device_write_iops_sec": "",
        "device_read_bytes_sec": "",
        "device_write_bytes_sec": "",
    }
    domain.set_block_iotune("vda", BLOCK_IOTUNE.typed({"total_bytes_sec": 5, "total_bytes_sec_max": 6}))
    domain.set_block_iotune("/guest/diskimage1", BLOCK_IOTUNE.typed({"group_name": "g"}))
    found = domain.block_iotune("vda")
    assert list(found)[:3] == ["total_bytes_sec", "read_bytes_sec", "write_bytes_sec"]
    assert list(found)[11:14] == ["write_iops_sec_max", "size_iops_sec", "group_name"]
    assert len(found) == 20
    assert (found["total_bytes_sec_max"], found["group_name"]) == (6, "g")
    assert "iotune" not in domain.xml(2)


def test_bandwidth(domain: virtcore.Domain) -> None:
    given = {"inbound.average": 5, "inbound.peak": 3, "outbound.peak": 3}
    domain.set_interface_parameters("testnet0", BANDWIDTH.typed(given))
    found = values(domain.interface_parameters("aa:bb:cc:dd:ee:ff"))
    assert {name: value for name, value in found.items() if value} == {"inbound.average": 5, "inbound.peak": 3}
    assert list(found)[3:5] == ["inbound.floor", "outbound.average"]
    domain.set_interface_parameters("testnet0", BANDWIDTH.typed({"inbound.average": 0, "outbound.average": 3}))
    assert "<bandwidth>\n        <outbound average='3'/>\n      </bandwidth>" in domain.xml()


def test_events_that_are_counted(domain: virtcore.Domain) -> None:
    domain.set_perf_events(PERF.typed({"cmt": True, "page_faults": False}))
    found = values(domain.perf_events())
    assert (len(found), found["cmt"], found["page_faults"], found["cpu_cycles"]) == (22, True, False, False)
    assert "<event name='cmt' enabled='yes'/>\n    <event name='page_faults' enabled='no'/>" in domain.xml()
    assert domain.scheduler_type() == ("fair", 1)
    domain.set_scheduler_parameters(SCHEDULER.typed({"weight": 5}))
    assert values(domain.scheduler_parameters()) == {"weight": 50}  # it listens to nobody
    assert len(domain.launch_security_info()) == 0


def test_metadata(connection: virtcore.Connection, domain: virtcore.Domain) -> None:
    import queue

    from virtcore.operations.events import DomainMetadataChangeEvent

    events: queue.Queue[Any] = queue.Queue()
    connection.on_event(events.put, DomainMetadataChangeEvent)
    domain.set_metadata(2, "<a b='c'><d/></a>", "k", "u:", CONFIG)
    event = events.get(timeout=60)
    assert (event.domain.name, int(event.type), event.uri) == ("test", 2, "u:")
    assert domain.metadata(2, "u:", CONFIG) == '<a b="c">\n  <d/>\n</a>'
    with pytest.raises(errors.NoDomainMetadata):
        domain.metadata(2, "u:", LIVE)
    domain.set_metadata(0, "text", flags=BOTH)
    assert (domain.metadata(0, flags=LIVE), domain.metadata(0, flags=CONFIG)) == ("text", "text")
    domain.set_metadata(0, "", flags=LIVE)
    with pytest.raises(errors.NoDomainMetadata):
        domain.metadata(0)


def test_lifecycle_actions(domain: virtcore.Domain) -> None:
    domain.set_lifecycle_action(0, 1, BOTH)
    domain.set_lifecycle_action(2, 4)
    assert "<on_poweroff>restart</on_poweroff>" in domain.xml(2)
    assert "<on_crash>coredump-destroy</on_crash>" in domain.xml()
    assert "<on_crash>destroy</on_crash>" in domain.xml(2)
    domain.shutdown()  # now restarts
    assert domain.is_active()


def test_rename(connection: virtcore.Connection, domain: virtcore.Domain) -> None:
    import queue

    from virtcore.operations.events import DomainLifecycleEvent

    connection.create_domain(small("a"))
    domain.destroy()
    prefix = "Requested operation is not valid: "
    refused(NOT_NOW, prefix + "Can't rename domain to itself", lambda: domain.rename("test"))
    refused(NOT_NOW, prefix + "domain with name 'a' already exists", lambda: domain.rename("a"))
    message = "XML error: name b/c cannot contain '/'"
    refused(errors.ErrorCode.XML_ERROR, message, lambda: domain.rename("b/c"))
    events: queue.Queue[Any] = queue.Queue()
    connection.on_event(events.put, DomainLifecycleEvent)
    domain.rename("q")
    gone, come = events.get(timeout=60), events.get(timeout=60)
    assert [(event.domain.name, int(event.type), event.detail) for event in (gone, come)] == [
        ("test", 1, 1),
        ("q", 0, 2),
    ]
    assert "<name>q</name>" in connection.lookup_domain(name="q").xml()
    with pytest.raises(errors.NoDomain):
        connection.lookup_domain(name="test")
