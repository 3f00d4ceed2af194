"""Saves, restores, dumps and snapshots that are cut off: our process is killed at a stage of them, or QEMU is."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from guest_image import write_qcow2

import virtcore
from support import eventually
from virtcore.enums import (
    DomainCoreDumpFlags,
    DomainCreateFlags,
    DomainPausedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainSnapshotCreateFlags as Create,
    DomainState,
)
from virtcore.errors import VirtError

_XML = (
    "<domain type='qemu'><name>cut</name><memory unit='MiB'>48</memory>"
    "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
    "<devices><disk type='file'><driver name='qemu' type='qcow2'/><source file='{}'/>"
    "<target dev='vda' bus='virtio'/></disk></devices></domain>"
)
#: What a process does that is killed in the midst, where it calls the function that ``stage`` names, or right after.
_CHILD = """
import asyncio, importlib, os, signal, sys
import virtcore
root, stage, after, work = sys.argv[1:]
module, _, name = stage.rpartition(".")
owner, _, function = name.rpartition(":")
place = importlib.import_module(module)
place = getattr(place, owner) if owner else place
real = getattr(place, function)
async def cut(*arguments, **options):
    if after == "after":
        await real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(place, function, cut)
with virtcore.connect(f"qemu:///embed?root={root}") as connection:
    domain = connection.lookup_domain("cut")
    exec(work)
print("not killed")
"""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.qcow2"
    write_qcow2(path, 8)
    return path


def check_image(path: Path) -> None:
    subprocess.run(["qemu-img", "check", "-q", "-U", path], check=True, capture_output=True)


def prepare(root: Path, disk: Path, *, running: bool = True) -> None:
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.define_domain(_XML.format(disk))
        if running:
            domain.create()


def cut(root: Path, stage: str, work: str, *, after: bool = False) -> None:
    """Kill a process of ours where it calls ``stage``, or right after."""
    words = [sys.executable, "-c", _CHILD, str(root), stage, "after" if after else "at", work]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr


def found(root: Path) -> tuple[virtcore.Connection, virtcore.Domain]:
    connection = virtcore.connect(f"qemu:///embed?root={root}")
    return connection, connection.lookup_domain("cut")


_MEMORY = "<memory snapshot='external' file='{folder}/memory'/>"
_STREAM = "virt_qemu.saving.state.migrate_out"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("stage", "work"),
    [
        (_STREAM, "domain.save('{folder}/image')"),
        (_STREAM, "domain.managed_save()"),
        ("virt_qemu.saving.dump.migrate_out", "domain.core_dump('{folder}/dump')"),
        ("virt_qemu.saving.dump._dump_memory", "domain.core_dump('{folder}/dump', flags=16)"),
        ("virt_qemu.snapshots.taking.save_inside", "domain.create_snapshot('<domainsnapshot/>')"),
        (_STREAM, f'domain.create_snapshot("<domainsnapshot>{_MEMORY}</domainsnapshot>")'),
    ],
)
def test_the_guest_runs_on(root: Path, disk: Path, tmp_path: Path, stage: str, work: str, after: bool) -> None:
    prepare(root, disk)
    cut(root, stage, work.format(folder=tmp_path), after=after)
    connection, domain = found(root)
    with connection:
        eventually(lambda: domain.state().state is DomainState.RUNNING)
        assert domain.state().reason in (DomainRunningReason.SAVE_CANCELED, DomainRunningReason.UNKNOWN)
        eventually(lambda: domain.job_stats().type == 0)
        # All that can be done with a guest can be done with this one.
        assert not domain.has_managed_save()
        domain.managed_save()
        domain.create()
        assert domain.state().reason == DomainRunningReason.RESTORED
        assert not domain.list_snapshots()
        domain.create_snapshot("<domainsnapshot><name>afterwards</name></domainsnapshot>")
        domain.destroy()
    check_image(disk)


def test_a_managed_save_that_was_whole_counts(root: Path, disk: Path) -> None:
    prepare(root, disk)
    cut(root, "virt_qemu.host.QemuState:end_guest", "domain.managed_save()")
    connection, domain = found(root)
    with connection:
        eventually(lambda: not domain.is_active())
        assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.SAVED)
        assert domain.has_managed_save()
        domain.create(DomainCreateFlags.START_PAUSED)
        assert domain.state() == (DomainState.PAUSED, DomainPausedReason.MIGRATION)
        domain.destroy()


@pytest.mark.parametrize("after", [False, True])
def test_a_restore_can_be_repeated(root: Path, disk: Path, guests_of: Callable[[], list[int]], after: bool) -> None:
    prepare(root, disk)
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        connection.lookup_domain("cut").managed_save()
    cut(root, "virt_qemu.saving.state.migrate_in", "domain.create()", after=after)
    connection, domain = found(root)
    with connection:
        assert not domain.is_active()
        assert guests_of() == []
        assert domain.has_managed_save()
        domain.create()
        assert domain.state() == (DomainState.RUNNING, DomainRunningReason.RESTORED)
        domain.destroy()
    check_image(disk)


def test_files_that_a_guest_has_gone_over_to_are_known(root: Path, disk: Path, tmp_path: Path) -> None:
    prepare(root, disk)
    work = "domain.create_snapshot('<domainsnapshot><name>over</name></domainsnapshot>', 16)"
    cut(root, "virt_qemu.snapshots.taking.make_overlays", work, after=True)
    connection, domain = found(root)
    over = tmp_path / "disk.over"
    with connection:
        eventually(lambda: f"<source file='{over}' index='2'/>" in domain.xml())
        eventually(lambda: f"<source file='{over}'/>" in domain.xml(2))
        domain.create_snapshot("<domainsnapshot><name>next</name></domainsnapshot>", Create.DISK_ONLY)
        assert f"<source file='{tmp_path}/disk.next' index='3'/>" in domain.xml()
        domain.current_snapshot().delete()
        assert f"<source file='{over}' index='2'/>" in domain.xml()
        domain.destroy()
        domain.create()
        domain.destroy()
    check_image(over)


def test_a_deletion_that_was_cut_off_is_told(root: Path, disk: Path, tmp_path: Path) -> None:
    prepare(root, disk)
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        for name in ("one", "two"):
            document = f"<domainsnapshot><name>{name}</name></domainsnapshot>"
            connection.lookup_domain("cut").create_snapshot(document, Create.DISK_ONLY)
    cut(root, "virt_qemu.snapshots.deleting.begin_pivot", "domain.lookup_snapshot('two').delete()")
    connection, domain = found(root)
    with connection:
        eventually(lambda: (info := domain.block_job_info("vda")) is not None and info.cur == info.end)
        with pytest.raises(VirtError, match="cannot delete external snapshots when there is another active block job"):
            domain.lookup_snapshot("two").delete()
        domain.block_job_abort("vda")
        with pytest.raises(VirtError, match="snapshot disk 'vda' was target of not completed snapshot delete"):
            domain.lookup_snapshot("one").delete()
        domain.lookup_snapshot("two").delete()
        domain.lookup_snapshot("one").delete()
        assert f"<source file='{disk}'/>" in domain.xml(2)
        domain.destroy()
    check_image(disk)


# -- QEMU is killed


#: Bytes that a pipe takes: what is in front of QEMU's stream (64 KiB), and not the pages of a guest that are empty.
_CAPACITY = 1 << 17


def _killed_while(
    domain: virtcore.Domain, guests_of: Callable[[], list[int]], pipe: Path, work: Callable[[], object]
) -> VirtError:
    """Kill QEMU while it writes into a pipe that is not read."""
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, _CAPACITY)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(work)
        try:
            eventually(lambda: ended.done() or domain.job_stats().params.get("memory_total"))
            assert not ended.done(), ended.exception()
            for pid in guests_of():
                os.kill(pid, signal.SIGKILL)
            failure = ended.exception(100)
        finally:
            os.close(reader)
    assert isinstance(failure, VirtError)
    return failure


def test_qemu_is_killed_while_it_writes(
    connection: virtcore.Connection, disk: Path, tmp_path: Path, guests_of: Callable[[], list[int]]
) -> None:
    domain = connection.define_domain(_XML.format(disk))
    pipe = tmp_path / "pipe"
    memory = f"<domainsnapshot><memory snapshot='external' file='{pipe}'/></domainsnapshot>"
    for work in (
        lambda: domain.save(str(pipe)),
        lambda: domain.core_dump(str(pipe)),
        lambda: domain.core_dump(str(pipe), flags=DomainCoreDumpFlags.MEMORY_ONLY),
        lambda: domain.create_snapshot(memory),
    ):
        domain.create()
        assert "domain is not running" in str(_killed_while(domain, guests_of, pipe, work))
        eventually(lambda: not domain.is_active())
        assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.CRASHED)
        assert not domain.list_snapshots()
        pipe.unlink()
    check_image(disk)
