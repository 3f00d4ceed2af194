"""The memory of real guests in files for a debugger."""

from __future__ import annotations

import asyncio
import os
import re
import select
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest
from counting_guest import Counting
from guest_image import idle_xml, write_initramfs

import virtcore
from support import eventually
from virt_qemu.migration.control import MigrationControl
from virtcore.enums import (
    DomainCoreDumpFlags as Dump,
    DomainCoreDumpFormat as Format,
    DomainEventCrashedDetailType,
    DomainEventStoppedDetailType,
    DomainEventType,
    DomainGetJobStatsFlags,
    DomainJobOperation,
    DomainJobType,
    DomainShutoffReason,
    DomainState,
)
from virtcore.errors import OperationFailed, OperationUnsupported, SystemError, VirtError
from virtcore.operations.events import DomainLifecycleEvent, GapEvent

_MEMORY = 128 << 20
_PANIC = "<panic model='isa'/>"


@pytest.fixture
def panicking(boot: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Kernel and initramfs of a guest that tells when it panics."""
    initrd = tmp_path_factory.mktemp("panicking") / "initrd"
    write_initramfs(initrd, boot[0], modules=("pvpanic-mmio", "pvpanic"))
    return boot[0], initrd


@pytest.fixture
def counting(connection: virtcore.Connection, boot: tuple[Path, Path], tmp_path: Path) -> Iterator[Counting]:
    guest = Counting(connection, boot, tmp_path, "dumped", devices=_PANIC)
    with guest.running():
        yield guest


def test_formats_and_what_becomes_of_the_guest(counting: Counting, tmp_path: Path) -> None:
    domain, dump = counting.domain, tmp_path / "dump"
    domain.core_dump(str(dump))
    assert dump.read_bytes()[:4] == b"QEVM"
    assert dump.stat().st_mode & 0o777 == 0o600
    assert domain.state().state is DomainState.RUNNING
    for flags in (Dump.MEMORY_ONLY, Dump.MEMORY_ONLY | Dump.LIVE, Dump.MEMORY_ONLY | Dump.BYPASS_CACHE):
        domain.core_dump(str(dump), flags=flags)
        assert dump.read_bytes()[:4] == b"\x7fELF"
        assert dump.stat().st_size > _MEMORY
    stats = domain.job_stats(DomainGetJobStatsFlags.COMPLETED)
    assert (stats.type, stats.params["operation"]) == (DomainJobType.COMPLETED, DomainJobOperation.DUMP)
    assert int(stats.params["memory_total"]) >= _MEMORY
    domain.core_dump(str(dump), Format.KDUMP_ZLIB, Dump.MEMORY_ONLY)
    assert dump.read_bytes()[:12] == b"makedumpfile"
    domain.core_dump(str(dump), flags=Dump.LIVE)
    assert domain.state().state is DomainState.RUNNING
    counting.wait()
    counts = counting.counts()
    assert counts == sorted(counts)
    domain.core_dump(str(dump), flags=Dump.RESET)
    eventually(lambda: counting.counts() != sorted(counting.counts()))  # it begins again
    domain.suspend()
    domain.core_dump(str(dump), flags=Dump.MEMORY_ONLY)
    assert domain.state().state is DomainState.PAUSED
    domain.core_dump(str(dump), flags=Dump.CRASH)
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.CRASHED)


def test_what_is_refused(counting: Counting, tmp_path: Path) -> None:
    domain, dump = counting.domain, tmp_path / "dump"
    for format, flags, kind, message in (
        (Format.KDUMP_ZLIB, 0, OperationUnsupported, "kdump-compressed format is only supported with memory-only dump"),
        (Format.WIN_DMP, Dump.MEMORY_ONLY, OperationFailed, "memory-only dump failed: win-dump: "),
        (9, 0, VirtError, "dumpformat '9' is not supported"),
        (0, Dump.CRASH | Dump.LIVE, VirtError, "Flags 'VIR_DUMP_CRASH' and 'VIR_DUMP_LIVE' are mutually exclusive"),
        (0, 1 << 9, VirtError, r"unsupported flags \(0x200\) in function qemuDomainCoreDumpWithFormat"),
    ):
        with pytest.raises(kind, match=message):
            domain.core_dump(str(dump), format, int(flags))
        assert not dump.exists()
    with pytest.raises(SystemError, match="Failed to create file '/no/such/folder/dump'"):
        domain.core_dump("/no/such/folder/dump")
    with pytest.raises(VirtError, match="memory-only dump failed"):
        domain.core_dump("/dev/full", flags=Dump.MEMORY_ONLY)
    assert domain.state().state is DomainState.RUNNING
    counting.wait()


@pytest.mark.parametrize("action", ["coredump-destroy", "coredump-restart"])
def test_a_crash_is_dumped(
    connection: virtcore.Connection, panicking: tuple[Path, Path], tmp_path: Path, root: Path, action: str
) -> None:
    on_crash = f"<on_crash>{action}</on_crash>"
    guest = Counting(connection, panicking, tmp_path, "dumped", devices=_PANIC, more=on_crash)
    events: list[DomainLifecycleEvent | GapEvent] = []
    connection.on_event(events.append, DomainLifecycleEvent)
    with guest.running():
        with guest.domain.open_console() as stream:
            stream.write(b"run /bin/busybox sh -c 'echo c >/proc/sysrq-trigger'\n")
            if action == "coredump-destroy":
                guest.wait(lambda: not guest.domain.is_active())
            else:
                guest.wait(lambda: guest.counts() != sorted(guest.counts()))
        if action == "coredump-destroy":
            assert guest.domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.CRASHED)
            last = (DomainEventType.STOPPED, DomainEventStoppedDetailType.CRASHED)
            eventually(lambda: events[-1][1:] == last)
            kinds = [event[1:] for event in events]
            assert (DomainEventType.CRASHED, DomainEventCrashedDetailType.PANICKED) in kinds
        else:
            assert guest.domain.state().state is DomainState.RUNNING
    [dump] = (root / "lib/qemu/dump").iterdir()
    assert re.fullmatch(r"\d+-dumped-\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d", dump.name)
    assert dump.read_bytes()[:4] == b"\x7fELF"
    shutil.rmtree(dump.parent)


def _has_come(reader: BinaryIO) -> bool:
    return bool(select.select([reader], [], [], 0)[0])


@pytest.mark.usefixtures("image_tools")
def test_into_a_pipe(connection: virtcore.Connection, tmp_path: Path) -> None:
    domain, pipe = connection.define_domain(idle_xml("piped")), tmp_path / "pipe"
    os.mkfifo(pipe)
    domain.create()
    with ThreadPoolExecutor(1) as pool:
        for flags, head in ((Dump(0), b"QEVM"), (Dump.MEMORY_ONLY, b"\x7fELF")):
            with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
                os.set_blocking(reader.fileno(), True)
                dumped = pool.submit(domain.core_dump, str(pipe), flags=flags)
                # No end is seen before something has come.
                eventually(partial(_has_come, reader))
                assert reader.read().startswith(head)
                dumped.result(150)
            # It goes on at once, though nothing had to be brought to a disk.
            assert domain.state().state is DomainState.RUNNING
    domain.destroy()


def test_a_guest_that_qemu_has_not_let_go_of_is_waited_for() -> None:
    class Asked:
        """A guest, and its monitor."""

        def __init__(self) -> None:
            self.answers = ["finish-migrate", "finish-migrate", "postmigrate"]

        def channel(self) -> Asked:
            return self

        async def execute(self, command: str) -> dict[str, str]:
            assert command == "query-status"
            return {"status": self.answers.pop(0)}

    asyncio.run(MigrationControl(guest := Asked()).settle())  # type: ignore[arg-type]  # all that is asked of it
    assert guest.answers == []
