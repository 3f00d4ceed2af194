"""What commands ask of a driver that the test driver does not do: a driver writes every call down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from virt_shell.main import main
from virtcore.driver import Driver, OpenRequest, Subscription, inline
from virtcore.driver.loader import registered
from virtcore.enums import DomainJobType, DomainMigrateFlags, TypedParameterType
from virtcore.errors import OperationFailed
from virtcore.operations.events import DomainBlockJob2Event, Event, QemuMonitorEvent
from virtcore.operations.values import BlockJobInfo, JobStats, MonitorReply
from virtcore.types import DomainRef, TypedParameters

GUEST = DomainRef("g", "6695eb01-f6a4-8304-79aa-97f2502e193f", 3)


class Notes:
    """What was asked, and what is answered."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.answers: dict[str, Any] = {}
        self.events: list[Event] = []

    def last(self) -> tuple[str, tuple[Any, ...]]:
        return self.calls[-1]


notes = Notes()


def _writing(name: str) -> Callable[..., Any]:
    async def method(self: Driver, *args: Any) -> Any:
        notes.calls.append((name, tuple(_plain(arg) for arg in args if arg != GUEST)))
        answer = notes.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    method.__name__ = name
    return method


def _plain(value: Any) -> Any:
    if isinstance(value, TypedParameters):
        return [(name, kind.name, each) for name, kind, each in value.rows()]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


WRITTEN = (
    *("block_rebase", "block_copy", "block_commit", "block_job_abort", "block_job_set_speed", "block_job_info"),
    *("block_resize", "set_block_threshold", "job_stats", "abort_job", "migrate_set_max_speed", "migrate_max_speed"),
    *("migrate_set_compression_cache", "migrate_compression_cache", "migrate_start_post_copy", "set_throttle_group"),
    *("del_throttle_group", "qemu_monitor_command", "qemu_monitor_command_with_files", "qemu_agent_command"),
    *("set_agent_timeout", "set_authorized_ssh_keys", "authorized_ssh_keys", "set_launch_security_state"),
    *("start_dirty_rate_calc", "backup_begin", "backup_xml", "graphics_reload", "set_vcpu", "set_guest_vcpus"),
    *("set_iothread_parameters", "attach_device", "detach_device", "update_device", "detach_device_alias"),
    *("set_autostart_once", "save", "associate_fds", "pm_suspend", "set_scheduler_parameters"),
    *("migrate_perform",),
)


class _Base(Driver):
    name = "Notes"

    @classmethod
    async def open(cls, request: OpenRequest) -> _Base:
        return cls()

    async def close(self) -> None:
        pass

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        """Everything happens as soon as somebody listens."""

        def happen() -> None:
            for event in notes.events:
                deliver(event)

        asyncio.get_running_loop().call_later(0.05, happen)
        return Subscription(lambda: None)

    subscribe_monitor = subscribe

    @inline
    def connection_is_alive(self) -> bool:
        return True

    @inline
    def connection_supports_feature(self, feature: int) -> bool:
        return True

    @inline
    def connection_lookup_domain(
        self, name: str | None = None, uuid: str | None = None, id: int | None = None
    ) -> DomainRef:
        return GUEST

    @inline
    def domain_is_active(self, domain: DomainRef) -> bool:
        return True


NotesDriver = type("NotesDriver", (_Base,), {f"domain_{name}": _writing(f"domain_{name}") for name in WRITTEN})


@pytest.fixture(autouse=True)
def driver() -> Iterator[Notes]:
    notes.__init__()  # type: ignore[misc]
    with registered("notes", NotesDriver):
        yield notes


def virtsh(line: str) -> int:
    return main(["-c", "notes:///", line])


@pytest.mark.parametrize(
    ("line", "call", "arguments"),
    [
        ("blockpull g vda", "block_rebase", ("vda", None, 0, 0)),
        ("blockpull g vda --base /b --bandwidth 5 --keep-relative", "block_rebase", ("vda", "/b", 5, 16)),
        ("blockpull g vda --bandwidth 5M --bytes", "block_rebase", ("vda", None, 5 << 20, 64)),
        ("blockcopy g vda /x", "block_rebase", ("vda", "/x", 0, 8)),
        ("blockcopy g vda /x --raw --shallow --blockdev", "block_rebase", ("vda", "/x", 0, 1 | 4 | 8 | 32)),
        (
            "blockcopy g vda /x --format qcow2 --bandwidth 2 --granularity 4096 --transient-job",
            "block_copy",
            (
                "vda",
                "<disk type='file'>\n  <source file='/x'/>\n  <driver type='qcow2'/>\n</disk>\n",
                [("bandwidth", "ULLONG", 2 << 20), ("granularity", "UINT", 4096)],
                4,
            ),
        ),
        ("blockcommit g vda --base /b --top /t --delete", "block_commit", ("vda", "/b", "/t", 0, 2)),
        ("blockcommit g vda --active --shallow", "block_commit", ("vda", None, None, 0, 1 | 4)),
        ("blockjob g vda --abort --async", "block_job_abort", ("vda", 1)),
        ("blockjob g vda --pivot", "block_job_abort", ("vda", 2)),
        ("blockjob g vda 7", "block_job_set_speed", ("vda", 7, 0)),
        ("blockresize g vda 5M", "block_resize", ("vda", 5120, 0)),
        ("blockresize g vda 513b", "block_resize", ("vda", 513, 1)),
        ("blockresize g vda --capacity", "block_resize", ("vda", 0, 2)),
        ("domblkthreshold g vda 5M", "set_block_threshold", ("vda", 5 << 20, 0)),
        ("domjobabort g --postcopy", "abort_job", (1,)),
        ("migrate-setspeed g 5 --postcopy", "migrate_set_max_speed", (5, 1)),
        ("migrate-postcopy g", "migrate_start_post_copy", (0,)),
        (
            "domthrottlegroupset g slow --total-bytes-sec 1M --read_iops_sec 5 --config",
            "set_throttle_group",
            ("slow", [("total_bytes_sec", "ULLONG", 1 << 20), ("read_iops_sec", "ULLONG", 5)], 2),
        ),
        ("domthrottlegroupdel g slow --live", "del_throttle_group", ("slow", 1)),
        ("qemu-agent-command g x --timeout 3", "qemu_agent_command", ("x", 3, 0)),
        ("qemu-agent-command g x --block", "qemu_agent_command", ("x", -2, 0)),
        ("guest-agent-timeout g --timeout 5", "set_agent_timeout", (5, 0)),
        ("guest-agent-timeout g", "set_agent_timeout", (-2, 0)),
        ("set-user-sshkeys g u --reset", "set_authorized_ssh_keys", ("u", [], 0)),
        ("domdirtyrate-calc g --seconds 3 --mode dirty-ring", "start_dirty_rate_calc", (3, 2)),
        ("backup-begin g --reuse-external", "backup_begin", ("<domainbackup/>", None, 1)),
        ("domdisplay-reload g --type 1", "graphics_reload", (1, 0)),
        ("setvcpu g 2-3 --disable --config", "set_vcpu", ("2-3", False, 2)),
        ("guestvcpus g 1 --enable", "set_guest_vcpus", ("1", True, 0)),
        (
            "iothreadset g 1 --poll-max-ns 5 --poll-grow 2 --thread-pool-max -1",
            "set_iothread_parameters",
            (1, [("poll_max_ns", "ULLONG", 5), ("poll_grow", "UINT", 2), ("thread_pool_max", "INT", -1)], 0),
        ),
        ("detach-device-alias g ua-x --config", "detach_device_alias", ("ua-x", 2)),
        ("autostart g --once", "set_autostart_once", (True,)),
        ("autostart g --once --disable", "set_autostart_once", (False,)),
        ("save g /s --image-format zstd --parallel-channels 2 --paused", "save", ("/s", None, "zstd", 2, 4)),
        ("dom-fd-associate g n 7,8 --seclabel-writable", "associate_fds", ("n", [7, 8], 2)),
        ("dompmsuspend g disk --duration 9", "pm_suspend", (1, 9, 0)),
    ],
)
def test_a_command_asks_with_the_right_arguments(line: str, call: str, arguments: tuple[Any, ...]) -> None:
    assert virtsh(line) == 0
    assert notes.last() == (f"domain_{call}", arguments)


@pytest.mark.parametrize(
    ("options", "flags"), [("", 1), ("--config", 2), ("--live", 1), ("--current", 0), ("--persistent", 3)]
)
def test_what_a_device_is_attached_to(options: str, flags: int) -> None:
    assert virtsh(f"attach-disk g /x vdb {options}") == 0
    name, (xml, given) = notes.last()
    assert (name, given) == ("domain_attach_device", flags)
    assert xml == "<disk type='file'>\n  <source file='/x'/>\n  <target dev='vdb'/>\n</disk>\n"


def test_a_block_job_is_waited_for_until_it_is_ready_and_then_pivots(capfd: pytest.CaptureFixture[str]) -> None:
    notes.answers["domain_block_job_info"] = BlockJobInfo(2, 0, 5, 10)  # type: ignore[arg-type]
    notes.events = [DomainBlockJob2Event(GUEST, "vda", 2, 3)]  # type: ignore[arg-type]
    assert virtsh("blockcopy g vda /x --pivot --verbose") == 0
    assert notes.last() == ("domain_block_job_abort", ("vda", 2))
    printed = capfd.readouterr()
    assert printed.err == "\rBlock Copy: [50.00 %]\rBlock Copy: [100.00 %]"
    assert printed.out == "\nSuccessfully pivoted\n"


def test_a_block_job_that_fails_fails_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    notes.answers["domain_block_job_info"] = BlockJobInfo(1, 0, 5, 10)  # type: ignore[arg-type]
    notes.events = [DomainBlockJob2Event(GUEST, "vda", 1, 1)]  # type: ignore[arg-type]
    assert virtsh("blockpull g vda --wait") == 1
    assert capfd.readouterr().out == "\nPull failed\n"


def test_a_block_job_is_aborted_when_time_is_up(capfd: pytest.CaptureFixture[str]) -> None:
    notes.answers["domain_block_job_info"] = BlockJobInfo(1, 0, 5, 10)  # type: ignore[arg-type]
    assert virtsh("blockcommit g vda --timeout 1 --async") == 1
    assert notes.last() == ("domain_block_job_abort", ("vda", 1))
    assert capfd.readouterr().out == "\nCommit aborted\n"


def test_how_far_a_block_job_is(capfd: pytest.CaptureFixture[str]) -> None:
    assert virtsh("blockjob g vda") == 0
    notes.answers["domain_block_job_info"] = BlockJobInfo(3, 2 << 20, 5, 10)  # type: ignore[arg-type]
    assert virtsh("blockjob g vda; blockjob g vda --raw") == 0
    printed = capfd.readouterr()
    assert printed.err == "\rBlock Commit: [50.00 %]"
    assert printed.out == (
        "No current block job for vda\n"
        "    Bandwidth limit: 2097152 bytes/s (2.000 MiB/s)\n\n"
        " type=Block Commit\n bandwidth=2097152\n cur=5\n end=10\n\n"
    )


def test_what_a_job_does(capfd: pytest.CaptureFixture[str]) -> None:
    ullong = TypedParameterType.ULLONG
    params = TypedParameters(
        [
            ("operation", TypedParameterType.INT, 5),
            ("time_elapsed", ullong, 1500),
            ("data_total", ullong, 4 << 20),
            ("data_processed", ullong, 1 << 20),
            ("data_remaining", ullong, 3 << 20),
            ("downtime", ullong, 30),
        ]
    )
    notes.answers["domain_job_stats"] = JobStats(DomainJobType.UNBOUNDED, params)
    assert virtsh("domjobinfo g; domjobinfo g --rawstats") == 0
    assert capfd.readouterr().out == (
        "Job type:         Unbounded   \n"
        "Operation:        Outgoing migration\n"
        "Time elapsed:     1500         ms\n"
        "Data processed:   1.000 MiB\n"
        "Data remaining:   3.000 MiB\n"
        "Data total:       4.000 MiB\n"
        "Expected downtime: 30           ms\n\n"
        "Job type: 2\n\n"
        "operation: 5\ntime_elapsed: 1500\ndata_total: 4194304\ndata_processed: 1048576\n"
        "data_remaining: 3145728\ndowntime: 30\n\n"
    )


def test_a_monitors_answer_is_printed_as_asked(capfd: pytest.CaptureFixture[str]) -> None:
    notes.answers["domain_qemu_monitor_command"] = '{"return":{"a":1},"id":"x"}'
    notes.answers["domain_qemu_monitor_command_with_files"] = MonitorReply('{"return":{}}', [])
    assert (
        virtsh("qemu-monitor-command g q; qemu-monitor-command g q --return-value; qemu-monitor-command g q --pretty")
        == 0
    )
    assert notes.last() == ("domain_qemu_monitor_command", ('{"execute":"q"}', 0))
    assert virtsh("qemu-monitor-command g q --pass-fds 1,2") == 0
    assert notes.last()[1][1] == [1, 2]
    assert capfd.readouterr().out == (
        '{"return":{"a":1},"id":"x"}\n\n{"a":1}\n\n{\n  "return": {\n    "a": 1\n  },\n  "id": "x"\n}\n\n'
        '{"return":{}}\n\n'
    )


def test_a_human_command_is_sent_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    notes.answers["domain_qemu_monitor_command"] = "VM status: running\r\n"
    assert virtsh("qemu-monitor-command g --hmp info status") == 0
    assert notes.last() == ("domain_qemu_monitor_command", ("info status", 1))
    assert capfd.readouterr().out == "VM status: running\r\n\n"


def test_events_of_a_monitor_are_chosen_by_name(capfd: pytest.CaptureFixture[str]) -> None:
    notes.events = [
        QemuMonitorEvent(GUEST, "RTC_CHANGE", 1, 5, None),
        QemuMonitorEvent(GUEST, "STOP", 2, 50, '{"a":1}'),
    ]
    assert virtsh("qemu-monitor-event --event stop --no-case") == 0
    assert capfd.readouterr().out == "event STOP at 2.000050 for domain 'g': {\"a\":1}\nevents received: 1\n\n"


def test_an_error_of_long_work_is_told_behind_what_failed(capfd: pytest.CaptureFixture[str]) -> None:
    notes.answers["domain_save"] = OperationFailed("no room")
    assert virtsh("save g /s --verbose") == 1
    assert capfd.readouterr().err == "error: Failed to save domain 'g' to /s\nerror: operation failed: no room\n"


def test_a_migration_by_the_source_itself_has_its_parameters(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    document = tmp_path / "there.xml"
    document.write_text("<domain/>")
    line = (
        "migrate g qemu://there/system --p2p --live --verbose --copy-storage-all --migrate-disks vda,vdb "
        "--disks-port 7 --dname n --bandwidth 5 --comp-mt-level 3 --persistent --tls --tls-destination t "
        f"--xml {document}"
    )
    assert virtsh(line) == 0
    name, (uri, params, _, flags) = notes.last()
    assert (name, uri) == ("domain_migrate_perform", "qemu://there/system")
    assert flags == DomainMigrateFlags.LIVE | DomainMigrateFlags.PEER2PEER | DomainMigrateFlags.NON_SHARED_DISK | (
        DomainMigrateFlags.PERSIST_DEST | DomainMigrateFlags.TLS
    )
    assert params == [
        ("disks_port", "INT", 7),
        ("destination_name", "STRING", "n"),
        ("migrate_disks", "STRING", "vda"),
        ("migrate_disks", "STRING", "vdb"),
        ("compression.mt.level", "INT", 3),
        ("destination_xml", "STRING", "<domain/>"),
        ("bandwidth", "ULLONG", 5),
        ("tls.destination", "STRING", "t"),
    ]
    assert capfd.readouterr().err.endswith("\rMigration: [100.00 %]")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--migrate-disks vda", "'--migrate-disks' requires one of '--copy-storage-all', '--copy-storage-inc'"),
        ("--postcopy-resume", "Option --postcopy is required by option --postcopy-resume"),
        ("--xml /nonexistent-folder/x", "cannot read file '/nonexistent-folder/x'"),
    ],
)
def test_a_migration_that_makes_no_sense_is_refused(
    options: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert virtsh(f"migrate g qemu://there/system --p2p {options}") == 1
    assert capfd.readouterr().err.startswith(f"error: {message}\n")
    assert not notes.calls
