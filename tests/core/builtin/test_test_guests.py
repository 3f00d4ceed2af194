"""What guests of the test driver show and do: statistics, contents, agent, keys; and the host's CPUs and memory."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Iterator

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import DomainControlState, DomainMemoryStatTags, DomainRunningReason, DomainState, KeycodeSet
from virtcore.types import CpuMap

INVALID, NOT_NOW = errors.ErrorCode.INVALID_ARG, errors.ErrorCode.OPERATION_INVALID
ARGUMENT = errors.ErrorCode.ARGUMENT_UNSUPPORTED
NOT_RUNNING = "Requested operation is not valid: domain is not running"


@pytest.fixture
def connection() -> Iterator[virtcore.Connection]:
    with virtcore.connect("test:///default") as opened:
        yield opened


@pytest.fixture
def domain(connection: virtcore.Connection) -> virtcore.Domain:
    return connection.lookup_domain(name="test")


def refused(code: int, message: str, call: Callable[[], object]) -> None:
    with pytest.raises(errors.VirtError) as caught:
        call()
    assert (caught.value.code, str(caught.value)) == (code, message)


def test_the_hosts_cpus_and_memory(connection: virtcore.Connection) -> None:
    assert dict(connection.node_cpu_stats()) == {
        "user": 9797400000,
        "kernel": 34678723400000,
        "idle": 87264900000,
        "iowait": 763600000,
    }
    message = "cpuNum in virNodeGetCPUStats only accepts -1 as a negative value"
    refused(INVALID, message, lambda: connection.node_cpu_stats(-3))
    assert connection.node_cpu_map() == (CpuMap([0, 2, 4]), 3, 8)
    assert connection.node_cells_free_memory(0, 5) == [2097152, 4194304]
    assert connection.node_cells_free_memory(1, 1) == [4194304]
    message = "invalid argument: Range exceeds available cells"
    refused(INVALID, message, lambda: connection.node_cells_free_memory(2, 5))
    message = "maxCells in virNodeGetCellsFreeMemory must be greater than zero"
    refused(INVALID, message, lambda: connection.node_cells_free_memory(0, 0))
    assert connection.node_free_pages([4, 8], 0, 2) == [7, 21, 49, 105]
    assert connection.node_free_pages([4], 1) == [19]
    message = "npages in virNodeGetFreePages must not be zero"
    refused(INVALID, message, lambda: connection.node_free_pages([], 0, 1))
    message = "unsupported flags (0x1) in function testNodeGetFreePages"
    refused(INVALID, message, lambda: connection.node_free_pages([4], 0, 1, 1))


def test_processor_models(connection: virtcore.Connection) -> None:
    names = list(connection.cpu_model_names("i686"))
    assert [name for name in names if name in ("pentium", "486", "pentium2")] == ["486", "pentium", "pentium2"]
    assert connection.cpu_model_names("s390x") == []
    refused(INVALID, "invalid argument: cannot find architecture pdp", lambda: connection.cpu_model_names("pdp"))
    penryn, conroe = (f"<cpu><arch>x86_64</arch><model>{model}</model></cpu>" for model in ("Penryn", "Conroe"))
    common = connection.baseline_cpu([penryn, conroe])
    assert common == "<cpu mode='custom' match='exact'>\n  <model fallback='allow'>Conroe</model>\n</cpu>\n"
    assert "<feature policy='require' name='apic'/>" in connection.baseline_cpu([penryn, conroe], 1)
    refused(INVALID, "invalid argument: no CPUs given", lambda: connection.baseline_cpu([]))
    message = "unsupported flags (0x2) in function testConnectBaselineCPU"
    refused(INVALID, message, lambda: connection.baseline_cpu([penryn], 2))


def test_time_and_what_controls_the_guest(domain: virtcore.Domain) -> None:
    assert domain.time() == (627319920, 0)
    for seconds, expected in (
        (5000, (DomainControlState.JOB, 0, 5000)),
        (15000, (DomainControlState.OCCUPIED, 0, 5000)),
        (35003, (DomainControlState.ERROR, 3, 5003)),
        (70000, (DomainControlState.OK, 0, 0)),
    ):
        domain.set_time(seconds, 3)
        assert domain.time() == (seconds, 3)
        assert domain.control_info() == expected
    refused(INVALID, "unsupported flags (0x4) in function testDomainSetTime", lambda: domain.set_time(1, 0, 4))
    domain.suspend()
    refused(NOT_NOW, NOT_RUNNING, domain.time)


def test_file_systems(domain: virtcore.Domain) -> None:
    assert domain.fs_info() == [("/", "vda1", "ext4", ("vda",)), ("/boot", "vda2", "ext4", ("vda",))]
    missing = "Requested operation is not valid: mount point not found: /x"
    refused(NOT_NOW, missing, lambda: domain.fs_freeze(["/", "/x"]))
    assert [domain.fs_freeze(["/"]), domain.fs_freeze(), domain.fs_freeze()] == [1, 1, 0]
    assert [domain.fs_thaw(["/", "/"]), domain.fs_thaw()] == [1, 1]
    refused(NOT_NOW, missing, lambda: domain.fs_trim("/x"))
    domain.fs_trim("/boot", 1)
    domain.fs_trim()


def test_agent(domain: virtcore.Domain) -> None:
    assert domain.hostname() == "testhost"
    refused(INVALID, "unsupported flags (0x3) in function testDomainGetHostname", lambda: domain.hostname(3))
    domain.set_user_password("root", "secret")
    message = "unsupported flags (0x2) in function testDomainSetUserPassword"
    refused(INVALID, message, lambda: domain.set_user_password("root", "secret", 2))


def test_keys_and_signals(domain: virtcore.Domain) -> None:
    domain.send_key(KeycodeSet.LINUX, 0, [28, 0])
    for code, message, call in (
        (1, "internal error: invalid keycode 999 of linux codeset", lambda: domain.send_key(0, 0, [28, 999])),
        (1, "internal error: invalid keycode 52 of os_x codeset", lambda: domain.send_key(5, 0, [52])),
        (INVALID, "nkeycodes in virDomainSendKey must be greater than zero", lambda: domain.send_key(0, 0, [])),
        (INVALID, "nkeycodes in virDomainSendKey must be <= 16", lambda: domain.send_key(0, 0, [1] * 17)),
        (INVALID, "Unsupported codeset '10'", lambda: domain.send_key(10, 0, [1])),
        (INVALID, "unsupported flags (0x1) in function testDomainSendKey", lambda: domain.send_key(0, 0, [1], 1)),
        (
            INVALID,
            "pid_value in virDomainSendProcessSignal must not be zero",
            lambda: domain.send_process_signal(0, 15),
        ),
        (
            INVALID,
            "invalid argument: only sending a signal to pid 1 is supported",
            lambda: domain.send_process_signal(2, 15),
        ),
        (INVALID, "invalid argument: signum value 99 is out of range", lambda: domain.send_process_signal(1, 99)),
        (INVALID, "unsupported flags (0x1) in function testDomainInjectNMI", lambda: domain.inject_nmi(1)),
    ):
        refused(code, message, call)
    domain.send_process_signal(1, 15)
    domain.inject_nmi()


def test_the_screen_is_a_picture(domain: virtcore.Domain) -> None:
    mime, stream = domain.screenshot()
    with stream:
        data = b""
        while part := stream.read(1000):
            data += part
    assert (mime, data[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    place, chunks = 8, []
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length]) == (zlib.crc32(kind + body),)
        chunks.append((kind, body))
        place += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBB", chunks[0][1][:10]) == (640, 480, 8, 2)
    assert len(zlib.decompress(chunks[1][1])) == 480 * (1 + 3 * 640)


def test_cpu_time(domain: virtcore.Domain) -> None:
    (total,) = domain.cpu_stats()
    assert dict(total.items()) == {"cpu_time": 48772617035, "user_time": 5540000000, "system_time": 6460000000}
    assert [dict(row.items()) for row in domain.cpu_stats(0, 0)] == [
        {"cpu_time": 24386308517, "vcpu_time": 23151740627},
        {"cpu_time": 24386308518, "vcpu_time": 23151740628},
    ]
    assert len(domain.cpu_stats(1, 5)) == 1
    message = "invalid argument: start_cpu 2 larger than maximum of 1"
    refused(INVALID, message, lambda: domain.cpu_stats(2, 1))


def test_memory(domain: virtcore.Domain) -> None:
    found = domain.memory_stats()
    assert (len(found), found[DomainMemoryStatTags.ACTUAL_BALLOON], found[DomainMemoryStatTags.RSS]) == (
        13,
        2097152,
        1048576,
    )
    assert domain.memory_peek(254, 5, 1) == b"\xfe\xff\x00\x01\x02"
    assert len(domain.memory_peek(0, 1000, 2)) == 1000
    message = "invalid argument: flags parameter must be VIR_MEMORY_VIRTUAL or VIR_MEMORY_PHYSICAL"
    refused(INVALID, message, lambda: domain.memory_peek(0, 5, 0))
    message = "Flags 'VIR_MEMORY_VIRTUAL' and 'VIR_MEMORY_PHYSICAL' are mutually exclusive"
    refused(INVALID, message, lambda: domain.memory_peek(0, 5, 3))


def test_disks(connection: virtcore.Connection, domain: virtcore.Domain) -> None:
    assert domain.block_info("vda") == domain.block_info("/guest/diskimage1")
    assert domain.block_info("vda") == (1099506450432, 1099511627776, 1099511627776)
    message = "invalid argument: invalid path vdb not assigned to domain"
    refused(INVALID, message, lambda: domain.block_info("vdb"))
    refused(INVALID, "string disk in virDomainGetBlockInfo must not be empty", lambda: domain.block_info(""))
    stats = domain.block_stats("vda")
    assert list(stats) == ["rd_operations", "rd_bytes", "wr_operations", "wr_bytes", "errs"]
    assert abs(int(stats["rd_operations"]) - time.time_ns() // 10000) < 10**6
    message = "Operation not supported: summary statistics are not supported yet"
    refused(errors.ErrorCode.OPERATION_UNSUPPORTED, message, lambda: domain.block_stats(""))
    refused(INVALID, "invalid argument: invalid path: vdb", lambda: domain.block_stats("vdb"))
    assert domain.disk_errors() == [("vda", 1)]
    drive = "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>"
    xml = "<domain type='test'><name>a</name><memory>1</memory><os><type>hvm</type></os><devices>" + drive
    other = connection.define_domain(xml + "</devices></domain>")
    message = "invalid argument: disk 'hdc' does not currently have a source assigned"
    refused(INVALID, message, lambda: other.block_info("hdc"))


def test_network_interfaces(connection: virtcore.Connection, domain: virtcore.Domain) -> None:
    stats = domain.interface_stats("testnet0")
    assert stats == domain.interface_stats("aa:bb:cc:dd:ee:ff")._replace(**stats._asdict())
    assert stats.rx_bytes // stats.tx_bytes == 2
    message = "invalid argument: 'testnet1' is not a known interface"
    refused(INVALID, message, lambda: domain.interface_stats("testnet1"))
    assert domain.interface_addresses() == [("testnet0", "aa:bb:cc:dd:ee:ff", [(0, "192.168.122.3", 24)])]
    message = "argument unsupported: Unknown IP address data source 7"
    refused(ARGUMENT, message, lambda: domain.interface_addresses(7))
    interfaces = (
        "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"
        "<interface type='network'><mac address='52:54:00:00:00:02'/><source network='default'/></interface>"
    )
    xml = "<domain type='test'><name>a</name><memory>1</memory><os><type>hvm</type></os><devices>" + interfaces
    other = connection.create_domain(xml + "</devices></domain>")
    addresses = [one.addrs[0].addr for one in other.interface_addresses()]
    assert addresses == ["192.168.0.1", "192.168.122.24"]


def test_nothing_of_that_when_it_does_not_run(domain: virtcore.Domain) -> None:
    domain.destroy()
    for call in (
        domain.time,
        domain.hostname,
        domain.fs_info,
        domain.fs_freeze,
        domain.fs_thaw,
        domain.fs_trim,
        domain.memory_stats,
        domain.cpu_stats,
        domain.disk_errors,
        domain.inject_nmi,
        domain.interface_addresses,
        lambda: domain.interface_stats("testnet0"),
        lambda: domain.block_stats("vda"),
        lambda: domain.memory_peek(0, 1, 1),
        lambda: domain.send_key(0, 0, [1]),
        lambda: domain.set_time(1),
        lambda: domain.set_user_password("a", "b"),
    ):
        refused(NOT_NOW, NOT_RUNNING, call)
    message = "Requested operation is not valid: cannot list vcpus for an inactive domain"
    refused(NOT_NOW, message, domain.vcpus)
    assert domain.block_info("vda").capacity == 1099506450432
    domain.send_process_signal(1, 15)


def test_sleep(connection: virtcore.Connection, domain: virtcore.Domain) -> None:
    import queue

    from virtcore.operations.events import DomainLifecycleEvent, DomainPMSuspendEvent, DomainPMWakeupEvent, Event

    events: queue.Queue[Event] = queue.Queue()
    connection.on_event(events.put, DomainLifecycleEvent, DomainPMSuspendEvent, DomainPMWakeupEvent)
    message = "Requested operation is not valid: domain is not suspended"
    refused(NOT_NOW, message, domain.pm_wakeup)
    refused(INVALID, "invalid argument: Unknown suspend target: 3", lambda: domain.pm_suspend(3))
    refused(ARGUMENT, "argument unsupported: Duration not supported. Use 0 for now", lambda: domain.pm_suspend(0, 5))
    domain.pm_suspend(0)
    assert domain.state().state is DomainState.PMSUSPENDED
    refused(NOT_NOW, NOT_RUNNING, lambda: domain.pm_suspend(0))
    domain.pm_wakeup()
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.WAKEUP)
    seen = [events.get(timeout=60) for _ in range(4)]
    assert [type(event).__name__ for event in seen] == [
        "DomainLifecycleEvent",
        "DomainPMSuspendEvent",
        "DomainLifecycleEvent",
        "DomainPMWakeupEvent",
    ]
    assert [event[1:] for event in seen] == [(7, 0), (0,), (2, 4), (0,)]
    domain.pm_suspend(1)
    assert not domain.is_active()


def test_what_the_guest_tells(domain: virtcore.Domain) -> None:
    found = dict(domain.guest_info().items())
    assert (found["hostname"], found["fs.count"], found["fs.1.disk.0.alias"]) == ("testhost", 2, "vda")
    assert (found["if.0.addr.0.type"], found["if.0.addr.0.addr"]) == ("ipv4", "192.168.122.3")
    assert set(domain.guest_info(8)) == {"hostname"}
    message = "invalid argument: unsupported guest information types '0x1'"
    refused(INVALID, message, lambda: domain.guest_info(9))
    domain.set_guest_vcpus("1", False)
    assert dict(domain.guest_vcpus().items()) == {"vcpus": "0-1", "online": "0", "offlinable": "1"}
    refused(INVALID, "invalid argument: vCPU '0' is not offlinable", lambda: domain.set_guest_vcpus("0-1", False))
    refused(
        INVALID, "invalid argument: vCPU '2' is not present in the guest", lambda: domain.set_guest_vcpus("2", True)
    )
    domain.set_guest_vcpus("1", True)
    assert domain.guest_vcpus()["online"] == "0-1"


def test_keys_of_users(domain: virtcore.Domain) -> None:
    domain.set_authorized_ssh_keys("root", ["a", "b"])
    domain.set_authorized_ssh_keys("root", ["c", "a"], 1)
    domain.set_authorized_ssh_keys("root", ["b"], 2)
    assert (domain.authorized_ssh_keys("root"), domain.authorized_ssh_keys("other")) == (["a", "c"], [])
    message = (
        "Flags 'VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND' and 'VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE' are "
        "mutually exclusive"
    )
    refused(INVALID, message, lambda: domain.set_authorized_ssh_keys("root", ["b"], 3))


def test_there_is_no_job(domain: virtcore.Domain) -> None:
    assert domain.job_stats().type == 0
    message = "Requested operation is not valid: no job is active on the domain"
    refused(NOT_NOW, message, domain.abort_job)
