"""Real guests into files and back: what they remember, what the files are, what stays when it fails."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from block_guest import execute
from counting_guest import Counting
from guest_image import MARKER

import virtcore
from support import eventually
from virtcore.enums import (
    DomainCreateFlags,
    DomainEventResumedDetailType,
    DomainEventStartedDetailType,
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
    DomainGetJobStatsFlags,
    DomainJobOperation,
    DomainJobType,
    DomainPausedReason,
    DomainRunningReason,
    DomainSaveImageXMLFlags,
    DomainSaveRestoreFlags,
    DomainShutoffReason,
    DomainState,
    DomainUndefineFlags,
)
from virtcore.errors import (
    ArgumentUnsupported,
    ConfigUnsupported,
    InternalError,
    OperationAborted,
    OperationFailed,
    OperationInvalid,
    SystemError,
    VirtError,
)
from virtcore.operations.events import DomainLifecycleEvent, GapEvent

_SET_PIPE_SIZE = 1031


class Remembering(Counting):
    """A guest that is to go on where it was."""

    def check_goes_on(self, limit: int = 3) -> None:
        """It goes on counting, and has never begun again nor left out more than was printed nowhere."""
        last = self.counts()[-1]
        self.wait(lambda: self.counts()[-1] > last + limit)
        counts = self.counts()
        assert counts[0] == 1
        assert counts == sorted(counts)
        assert all(later - earlier <= 2 for earlier, later in pairwise(counts))
        assert self.text().count(MARKER) == 1


@pytest.fixture
def counting(connection: virtcore.Connection, boot: tuple[Path, Path], tmp_path: Path) -> Iterator[Remembering]:
    """A guest that counts and runs."""
    guest = Remembering(connection, boot, tmp_path, "counting")
    with guest.running():
        yield guest


def test_what_it_remembers(counting: Remembering, connection: virtcore.Connection, tmp_path: Path) -> None:
    events: list[DomainLifecycleEvent | GapEvent] = []
    connection.on_event(events.append, DomainLifecycleEvent)
    domain, image = counting.domain, tmp_path / "image"
    before = domain.xml()
    domain.save(str(image))
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.SAVED)
    magic, version, size, running, format, cookie = struct.unpack("=16s5I", image.read_bytes()[:36])
    assert (magic, version, running, format) == (b"LibvirtQemudSave", 2, 1, 0)
    assert 0 < cookie < size
    assert image.read_bytes()[92 + size :][:4] == b"QEVM"
    assert image.stat().st_mode & 0o777 == 0o600
    stats = domain.job_stats(DomainGetJobStatsFlags.COMPLETED)
    assert (stats.type, stats.params["operation"]) == (DomainJobType.COMPLETED, DomainJobOperation.SAVE)
    assert int(stats.params["memory_total"]) > 128 << 20
    connection.restore(str(image))
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.RESTORED)
    anew = r" id='\d+'|/dev/pts/\d+"  # what each start has its own of
    assert re.sub(anew, "", domain.xml()) == re.sub(anew, "", before)
    counting.check_goes_on()
    with pytest.raises(OperationInvalid, match="domain 'counting' is already active"):
        connection.restore(str(image))
    eventually(lambda: len(events) >= 4)
    types, stopped, started = DomainEventType, DomainEventStoppedDetailType, DomainEventStartedDetailType
    assert [event[1:] for event in events] == [
        (types.SUSPENDED, DomainEventSuspendedDetailType.PAUSED),
        (types.STOPPED, stopped.SAVED),
        (types.STARTED, started.RESTORED),
        (types.RESUMED, DomainEventResumedDetailType.FROM_SNAPSHOT),
    ]


def _there_and_back(counting: Remembering, connection: virtcore.Connection, image: Path, format: str) -> None:
    counting.domain.save(str(image), image_format=format)
    _, _, size, _, number, _ = struct.unpack("=16s5I", image.read_bytes()[:36])
    assert number == ["raw", "gzip", "bzip2", "xz", "lzop", "zstd"].index(format)
    assert not image.read_bytes()[92 + size :].startswith(b"QEVM")
    connection.restore(str(image))
    counting.check_goes_on()


def test_compressed(counting: Remembering, connection: virtcore.Connection, tmp_path: Path) -> None:
    for format in ("gzip", "lzop", "zstd"):
        if shutil.which(format) is not None:
            _there_and_back(counting, connection, tmp_path / format, format)
    for format, message in (
        ("rar", "Invalid image_format 'rar'"),
        ("lzop", "Compression program for save image format in configuration file isn't available"),
    ):
        if shutil.which(format) is None:
            with pytest.raises(OperationFailed, match=message):
                counting.domain.save(str(tmp_path / "image"), image_format=format)
    assert not (tmp_path / "image").exists()


@pytest.mark.deep
@pytest.mark.parametrize("format", ["bzip2", "xz"])
def test_compressed_slowly(counting: Remembering, connection: virtcore.Connection, tmp_path: Path, format: str) -> None:
    if shutil.which(format) is None:
        pytest.skip(f"{format} is not installed")
    _there_and_back(counting, connection, tmp_path / "image", format)


def test_states_that_a_restore_begins_in(
    counting: Remembering, connection: virtcore.Connection, tmp_path: Path
) -> None:
    domain, image = counting.domain, str(tmp_path / "image")
    flags = DomainSaveRestoreFlags
    domain.save(image, flags=flags.PAUSED)
    connection.restore(image)
    assert domain.state() == (DomainState.PAUSED, DomainPausedReason.MIGRATION)
    domain.save(image)
    connection.restore(image, flags=flags.RUNNING | flags.BYPASS_CACHE)
    counting.check_goes_on()
    domain.save(image, flags=flags.BYPASS_CACHE)
    connection.restore(image, flags=flags.PAUSED | flags.RESET_NVRAM)
    assert domain.state().state is DomainState.PAUSED
    domain.resume()
    counting.check_goes_on()
    with pytest.raises(VirtError, match="Flags 'VIR_DOMAIN_SAVE_RUNNING' and 'VIR_DOMAIN_SAVE_PAUSED' are mutually"):
        domain.save(image, flags=flags.PAUSED | flags.RUNNING)
    with pytest.raises(VirtError, match=r"unsupported flags \(0x40\) in function qemuDomainSaveParams"):
        domain.save(image, flags=64)
    with pytest.raises(VirtError, match="Parallel save is only supported with the 'sparse' save image format"):
        domain.save(image, parallel_channels=2)
    assert domain.state().state is DomainState.RUNNING


def test_files_with_holes(counting: Remembering, connection: virtcore.Connection, tmp_path: Path) -> None:
    """Every page has its place in the file; several channels write and read it, past the host's cache too."""
    domain, image = counting.domain, tmp_path / "image"
    told = execute(domain, "query-migrate-capabilities")
    if "mapped-ram" not in {row["capability"] for row in told}:
        with pytest.raises(ArgumentUnsupported, match="image format 'sparse' is not supported by this QEMU binary"):
            domain.save(str(image), image_format="sparse")
        assert domain.state().state is DomainState.RUNNING
        pytest.skip("QEMU can write files with holes since version 9")
    past_cache = DomainSaveRestoreFlags.BYPASS_CACHE
    for channels, flags in ((None, DomainSaveRestoreFlags(0)), (3, past_cache)):
        domain.save(str(image), image_format="sparse", parallel_channels=channels, flags=flags)
        facts = image.stat()
        assert facts.st_blocks * 512 < facts.st_size
        connection.restore(str(image), parallel_channels=channels, flags=flags)
        counting.check_goes_on()
    assert "'multifd', 'state': True" not in str(execute(domain, "query-migrate-capabilities"))
    assert execute(domain, "query-fdsets") == [row for row in execute(domain, "query-fdsets") if row["fds"]]


def test_managed_save(counting: Remembering, connection: virtcore.Connection, root: Path) -> None:
    domain = counting.domain
    image = root / "lib/qemu/save/counting.save"
    with pytest.raises(OperationInvalid, match="domain does not have managed save image"):
        domain.managed_save_xml()
    domain.managed_save()
    assert domain.has_managed_save()
    assert image.exists()
    assert "<name>counting</name>" in domain.managed_save_xml(DomainSaveImageXMLFlags.SECURE)
    with pytest.raises(OperationInvalid, match="Refusing to undefine while domain managed save image exists"):
        domain.undefine()
    domain.create()
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.RESTORED)
    assert not domain.has_managed_save()
    assert not image.exists()
    counting.check_goes_on()
    domain.managed_save(DomainSaveRestoreFlags.PAUSED)
    changed = domain.managed_save_xml().replace("<on_reboot>restart</on_reboot>", "<on_reboot>destroy</on_reboot>")
    domain.managed_save_define_xml(changed, DomainSaveRestoreFlags.RUNNING)
    domain.create(DomainCreateFlags.START_PAUSED)
    assert domain.state().state is DomainState.PAUSED
    assert "<on_reboot>destroy</on_reboot>" in domain.xml()
    domain.resume()
    counting.check_goes_on()
    # A transient guest has no next start.
    domain.undefine()
    with pytest.raises(OperationInvalid, match="cannot do managed save for transient domain"):
        domain.managed_save()


def test_an_image_goes_with_its_domain(connection: virtcore.Connection, root: Path) -> None:
    os_ = "<os><type machine='q35'>hvm</type></os>"
    domain = connection.define_domain(
        f"<domain type='qemu'><name>before</name><memory unit='MiB'>32</memory>{os_}</domain>"
    )
    domain.create(DomainCreateFlags.START_PAUSED)
    domain.managed_save()
    image = root / "lib/qemu/save/before.save"
    data = image.read_bytes()
    image.write_bytes(data[:100])
    with pytest.raises(OperationFailed, match="failed to read"):
        domain.rename("after")
    assert domain.name == "before"
    image.write_bytes(data)
    domain.rename("after")
    assert [path.name for path in (root / "lib/qemu/save").iterdir()] == ["after.save"]
    assert "<name>after</name>" in domain.managed_save_xml()
    domain.create()
    assert domain.state() == (DomainState.PAUSED, DomainPausedReason.MIGRATION)
    domain.destroy()


def test_managed_images_that_are_of_no_use(counting: Remembering, connection: virtcore.Connection, root: Path) -> None:
    domain = counting.domain
    image = root / "lib/qemu/save/counting.save"
    domain.managed_save()
    data = image.read_bytes()
    other = counting.xml.replace("<name>counting</name>", "<name>other</name>")
    stranger = connection.define_domain(other)
    shutil.copy(image, image.with_name("other.save"))
    domain.managed_save_remove()
    with pytest.raises(SystemError, match=r"Failed to remove managed save file '.*counting\.save': No such file"):
        domain.managed_save_remove()
    with virtcore.connect(str(connection.uri())) as again:  # another connection, the same state
        assert not again.lookup_domain("counting").has_managed_save()
    domain.create(DomainCreateFlags.START_PAUSED)
    domain.managed_save()
    # Cut off while it was written: it is ignored, and goes.
    image.write_bytes(b"LibvirtQemudPart" + data[16:])
    domain.create(DomainCreateFlags.START_PAUSED)
    assert domain.state().reason == DomainPausedReason.USER
    assert not image.exists()
    domain.managed_save()
    domain.create(DomainCreateFlags.START_FORCE_BOOT | DomainCreateFlags.START_PAUSED)
    assert not image.exists()
    for gone in (domain.managed_save_remove, lambda: domain.create(DomainCreateFlags.START_PAUSED)):
        domain.managed_save()
        image.unlink()  # by somebody else
        gone()
        assert not domain.has_managed_save()
        if not domain.is_active():
            domain.create(DomainCreateFlags.START_PAUSED)
    domain.managed_save()
    # Cut short after it was written: it is kept, for what can be saved of it, and the start fails.
    image.write_bytes(data[: len(data) // 2])
    with pytest.raises(InternalError, match="QEMU unexpectedly closed the monitor"):
        domain.create()
    assert domain.state().state is DomainState.SHUTOFF
    assert image.exists()
    domain.undefine(DomainUndefineFlags.MANAGED_SAVE)
    assert not image.exists()
    assert not stranger.has_managed_save()  # it was put there behind our back


def test_what_is_in_an_image(counting: Remembering, connection: virtcore.Connection, tmp_path: Path) -> None:
    image = str(tmp_path / "image")
    counting.domain.save(image)
    text = connection.save_image_xml(image)
    for old, new, message in (
        ("<name>counting<", "<name>other<", "Target domain name 'other' does not match source 'counting'"),
        ("KiB'>131072</memory", "KiB'>262144</memory", "Target domain max memory 262144 does not match source 131072"),
        ("model='virtio'", "model='none'", "Target balloon model none does not match source virtio"),
    ):
        changed = text.replace(old, new)
        assert changed != text
        for use in (connection.save_image_define_xml, connection.restore):
            with pytest.raises(ConfigUnsupported, match=message):
                use(image, changed)
    title = text.replace("<memory ", "<title>restored</title>\n  <memory ", 1)
    with pytest.raises(OperationFailed, match="new xml too large to fit in file"):
        connection.save_image_define_xml(image, title.replace("restored", "x" * 70000))
    assert connection.save_image_xml(image) == text
    connection.restore(image, title)
    assert counting.domain.metadata(1) == "restored"
    counting.check_goes_on()
    data = Path(image).read_bytes()
    for spoilt, message in (
        (b"", "failed to read qemu header"),
        (b"x" * 200, "image magic is incorrect"),
        (b"LibvirtQemudPart" + data[16:200], "save image is incomplete"),
        (data[:16] + struct.pack("=I", 77) + data[20:], "image version is not supported"),
        (data[:20] + struct.pack("=I", 0) + data[24:], "invalid header data length: 0"),
        (data[:28] + struct.pack("=I", 9) + data[32:], "unsupported save image format: 9"),
        (data[:300], "failed to read domain XML"),
    ):
        Path(image).write_bytes(spoilt)
        for read in (connection.save_image_xml, connection.restore):
            with pytest.raises(OperationFailed, match=message):
                read(image)
    swapped = struct.pack(">5I", *struct.unpack("=5I", data[16:36]))
    Path(image).write_bytes(data[:16] + swapped + data[36:])
    assert connection.save_image_xml(image) == text


# -- what fails, and what is broken off


def test_a_save_that_fails_leaves_the_guest_and_no_file(
    counting: Remembering, connection: virtcore.Connection, tmp_path: Path
) -> None:
    domain = counting.domain
    with pytest.raises(SystemError, match="Failed to create file '/no/such/folder/image': No such file"):
        domain.save("/no/such/folder/image")
    with pytest.raises(ConfigUnsupported, match="Target domain name"):
        domain.save(str(tmp_path / "image"), dxml=domain.xml().replace("<name>counting<", "<name>other<"))
    assert not (tmp_path / "image").exists()
    for place in ("/dev/full",):
        with pytest.raises(VirtError):
            domain.save(place)
    with pytest.raises(OperationFailed, match="domain save job: "):
        _with_little_room(lambda path: domain.save(path), tmp_path)
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.SAVE_CANCELED)
    counting.check_goes_on()


def _with_little_room(work: Callable[[str], object], folder: Path) -> None:
    """Do something with a file where there is room for 8 MiB."""
    place = folder / "little"
    place.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place]).returncode
    if mounted != 0:
        pytest.skip("no file system of a given size can be mounted here")
    try:
        try:
            work(str(place / "image"))
        finally:
            assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", place], check=True)


def _unread(pipe: Path) -> int:
    """Make a pipe that has room for what is written first, and that nobody reads."""
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, _SET_PIPE_SIZE, 1 << 20)
    return reader


@contextmanager
def _stuck_save(counting: Remembering, folder: Path) -> Iterator[tuple[int, list[VirtError]]]:
    """Save a guest into a pipe that nobody reads; gives its other end, and what the save fails with afterwards."""
    pipe, failures = folder / "pipe", list[VirtError]()
    reader = _unread(pipe)

    def save() -> None:
        try:
            counting.domain.save(str(pipe))
        except VirtError as error:
            failures.append(error)

    thread = threading.Thread(target=save)
    thread.start()
    try:
        eventually(lambda: counting.domain.job_stats().params.get("memory_total"))
        yield reader, failures
        thread.join(150)
        assert not thread.is_alive()
    finally:
        os.close(reader)


def test_an_abort_leaves_the_guest_and_no_file(counting: Remembering, tmp_path: Path) -> None:
    domain, aborted = counting.domain, threading.Event()
    with _stuck_save(counting, tmp_path) as (reader, failures):
        assert domain.job_stats().params["operation"] == DomainJobOperation.SAVE
        assert domain.state() == (DomainState.PAUSED, DomainPausedReason.SAVE)
        with pytest.raises(VirtError, match="cannot acquire state change lock"):
            _impatiently(domain.reset)
        slowly = threading.Thread(target=_drain, args=(reader, aborted))
        slowly.start()
        domain.abort_job()
        eventually(lambda: failures)
        aborted.set()
        slowly.join()
    assert isinstance(failures[0], OperationAborted)
    assert "domain save job: canceled by client" in str(failures[0])
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.SAVE_CANCELED)
    assert domain.job_stats(DomainGetJobStatsFlags.COMPLETED).type is DomainJobType.CANCELLED
    counting.check_goes_on()


def _drain(reader: int, enough: threading.Event) -> None:
    """Read what comes, too slowly for the guest to get through."""
    while not enough.wait(0.02):
        try:
            os.read(reader, 1 << 16)
        except BlockingIOError:
            continue


def _impatiently(work: Callable[[], object]) -> None:
    from virtcore.driver.toolkit.jobs import JobLock

    patience, JobLock.limit = JobLock.limit, 0.2
    try:
        work()
    finally:
        JobLock.limit = patience


def test_destroy_ends_a_save(counting: Remembering, tmp_path: Path) -> None:
    with _stuck_save(counting, tmp_path) as (_, failures):
        began = time.monotonic()
        counting.domain.destroy()
        assert time.monotonic() - began < 25
    assert failures
    assert counting.domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.DESTROYED)
