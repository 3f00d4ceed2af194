"""Snapshots of real guests and of images: what they remember, what stays of them, what is refused."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import agent_image
import pytest
from counting_guest import Counting
from guest_image import guest_xml, idle_xml, write_initramfs, write_qcow2

import virtcore
from support import eventually
from virtcore.enums import (
    DomainCreateFlags,
    DomainEventDefinedDetailType,
    DomainEventResumedDetailType,
    DomainEventStartedDetailType,
    DomainEventStoppedDetailType,
    DomainEventType,
    DomainPausedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainSnapshotCreateFlags as Create,
    DomainSnapshotDeleteFlags as Delete,
    DomainSnapshotListFlags as List,
    DomainSnapshotRevertFlags as Revert,
    DomainSnapshotXMLFlags,
    DomainState,
    DomainUndefineFlags,
)
from virtcore.errors import (
    ConfigUnsupported,
    OperationFailed,
    OperationInvalid,
    OperationUnsupported,
    SnapshotRevertRisky,
    SystemError,
    VirtError,
    XMLDetail,
)
from virtcore.operations.events import DomainLifecycleEvent, GapEvent


def check_image(path: Path) -> None:
    """An image is whole."""
    subprocess.run(["qemu-img", "check", "-q", "-U", path], check=True, capture_output=True)


def inside(path: Path) -> list[str]:
    """Names of the snapshots in an image."""
    found = subprocess.run(["qemu-img", "info", "-U", "--output=json", path], check=True, capture_output=True).stdout
    return [row["name"] for row in json.loads(found).get("snapshots", [])]


def first_line(path: Path) -> str:
    """What the guest wrote at the beginning of its disk."""
    reading = ["qemu-io", "-U", "-r", "-c", "read -v 0 16", str(path)]
    shown = subprocess.run(reading, check=True, capture_output=True, text=True).stdout
    data = bytes.fromhex("".join(re.findall(r"^0+:((?:\s+[0-9a-f]{2})+)", shown, re.M)).replace(" ", ""))
    return data.split(b"\n")[0].rstrip(b"\0").decode()


def write_line(path: Path, text: str) -> None:
    """Write the beginning of a disk that nobody uses."""
    commands = [f"write -P {ord(character)} {place} 1" for place, character in enumerate(f"{text}\n")]
    words = [word for command in commands for word in ("-c", command)]
    subprocess.run(["qemu-io", *words, str(path)], check=True, capture_output=True)


def snapshot_xml(name: str, more: str = "") -> str:
    return f"<domainsnapshot><name>{name}</name>{more}</domainsnapshot>"


def disk_xml(path: Path) -> str:
    source = f"<driver name='qemu' type='qcow2'/><source file='{path}'/>"
    return f"<disk type='file'>{source}<target dev='vda' bus='virtio'/></disk>"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.qcow2"
    write_qcow2(path, 8)
    return path


@pytest.fixture
def defined(connection: virtcore.Connection, disk: Path) -> virtcore.Domain:
    """A guest with a disk and nothing to boot."""
    return connection.define_domain(idle_xml("still", disk_xml(disk)))


# -- of a domain that does not run


def test_inside_images(defined: virtcore.Domain, disk: Path) -> None:
    write_line(disk, "first")
    first = defined.create_snapshot(snapshot_xml("first"))
    assert inside(disk) == ["first"]
    write_line(disk, "second")
    defined.create_snapshot(snapshot_xml("second"))
    write_line(disk, "third")
    first.revert()
    assert first_line(disk) == "first"
    assert defined.current_snapshot().name == "first"
    text = first.xml()
    assert "<state>shutoff</state>" in text
    assert "<memory snapshot='no'/>" in text
    assert "<disk name='vda' snapshot='internal'/>" in text
    defined.lookup_snapshot("second").revert()
    assert first_line(disk) == "second"
    with pytest.raises(OperationInvalid, match="cannot delete inactive domain with 2 snapshots"):
        defined.undefine()
    first.delete()
    assert inside(disk) == ["second"]
    defined.lookup_snapshot("second").delete(Delete.METADATA_ONLY)
    assert inside(disk) == ["second"]
    check_image(disk)


def test_files_of_their_own(defined: virtcore.Domain, disk: Path, tmp_path: Path) -> None:
    write_line(disk, "first")
    first = defined.create_snapshot(snapshot_xml("first"), Create.DISK_ONLY)
    over = tmp_path / "disk.first"
    assert f"<source file='{over}'/>" in defined.xml()
    write_line(over, "second")
    defined.create_snapshot(snapshot_xml("second"), Create.DISK_ONLY)
    write_line(tmp_path / "disk.second", "third")
    assert (first_line(disk), first_line(over)) == ("first", "second")
    # Back: what was written after it goes, and what comes is written to a new file.
    defined.lookup_snapshot("second").revert()
    [path] = re.findall(r"<source file='(.*)'/>", defined.xml())
    assert re.fullmatch(rf"{tmp_path}/disk\.\d+", path)
    assert first_line(Path(path)) == "second"
    assert not (tmp_path / "disk.second").exists()
    first.revert()
    [path] = re.findall(r"<source file='(.*)'/>", defined.xml())
    assert first_line(Path(path)) == "first"
    assert "<revertDisks>" in first.xml()
    check_image(Path(path))
    check_image(over)


def test_merged_away(defined: virtcore.Domain, disk: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two", "three")):
        write_line(tmp_path / f"disk.{('qcow2', 'one', 'two')[number]}", f"before {name}")
        defined.create_snapshot(snapshot_xml(name), Create.DISK_ONLY)
    write_line(tmp_path / "disk.three", "now")
    defined.lookup_snapshot("two").delete()
    assert not (tmp_path / "disk.two").exists()
    assert first_line(tmp_path / "disk.one") == "before three"
    assert first_line(tmp_path / "disk.three") == "now"
    three = defined.lookup_snapshot("three")
    assert three.parent().name == "one"
    assert f"<source file='{tmp_path}/disk.one'/>" in three.xml()
    three.delete()
    assert not (tmp_path / "disk.three").exists()
    assert first_line(tmp_path / "disk.one") == "now"
    assert f"<source file='{tmp_path}/disk.one'/>" in defined.xml()
    defined.current_snapshot().delete()
    assert first_line(disk) == "now"
    assert f"<source file='{disk}'/>" in defined.xml()
    assert not defined.list_snapshots()
    check_image(disk)
    assert defined.state().state is DomainState.SHUTOFF


def test_what_is_refused(connection: virtcore.Connection, defined: virtcore.Domain, disk: Path, tmp_path: Path) -> None:
    def take(flags: int = 0, more: str = "", name: str = "taken") -> None:
        defined.create_snapshot(snapshot_xml(name, more), flags)

    def disks(attributes: str, inside: str = "") -> str:
        return f"<disks><disk name='vda' {attributes}>{inside}</disk></disks>"

    memory = f"<memory snapshot='external' file='{tmp_path}/memory'/>"
    (tmp_path / "there").write_text("something")
    there = f"<source file='{tmp_path}/there'/>"
    for flags, more, kind, message in (
        (0, disks("snapshot='no'"), ConfigUnsupported, "must use snapshot mode 'internal'"),
        (Create.DISK_ONLY, disks("snapshot='no'"), ConfigUnsupported, "nothing selected for snapshot"),
        (0, memory, VirtError, "memory state cannot be saved with offline or disk-only snapshot"),
        (Create.LIVE, "", OperationUnsupported, "live snapshot creation is supported only during full system snap"),
        (Create.DISK_ONLY, disks("snapshot='external'", there), ConfigUnsupported, "already exists and is not a block"),
        (
            Create.DISK_ONLY,
            disks("snapshot='external'", f"<driver type='raw'/><source file='{tmp_path}/raw'/>"),
            ConfigUnsupported,
            "external snapshot format for disk vda is unsupported: raw",
        ),
        (
            Create.DISK_ONLY | Create.REUSE_EXT,
            disks("snapshot='external'", f"<source file='{tmp_path}/none'/>"),
            SystemError,
            "missing existing file for disk vda: .*none: No such file or directory",
        ),
        (Create.QUIESCE, "", VirtError, "'VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY' is required by"),
        (Create.CURRENT, "", VirtError, "'VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE' is required by"),
        (Create.REDEFINE | Create.HALT, "", VirtError, "are mutually exclusive"),
        (1 << 20, "", VirtError, r"unsupported flags \(0x100000\) in function qemuDomainSnapshotCreateXML"),
    ):
        with pytest.raises(kind, match=message):
            take(int(flags), more)
    for name, message in (("a/b", "name can't contain '/'"), (".a", "name can't start with '.'")):
        with pytest.raises(XMLDetail, match=message):
            take(name=name)
    assert not defined.list_snapshots()
    assert inside(disk) == []
    taken = defined.create_snapshot(snapshot_xml("taken"))
    with pytest.raises(OperationFailed, match="domain moment taken already exists"):
        take()
    with pytest.raises(VirtError, match="'VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING' and 'VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED'"):
        taken.revert(Revert.RUNNING | Revert.PAUSED)
    defined.create()
    defined.managed_save()
    with pytest.raises(SnapshotRevertRisky, match="snapshot without memory state, removal of existing managed saved"):
        taken.revert()
    taken.revert(Revert.FORCE)
    defined.managed_save_remove()
    defined.undefine(DomainUndefineFlags.SNAPSHOTS_METADATA)
    assert inside(disk) == ["taken"]


def test_no_metadata_reuse_and_redefine(defined: virtcore.Domain, disk: Path, tmp_path: Path) -> None:
    over = tmp_path / "mine"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk, over], check=True)
    mine = f"<disks><disk name='vda' snapshot='external'><source file='{over}'/></disk></disks>"
    flags = Create.DISK_ONLY | Create.REUSE_EXT | Create.NO_METADATA
    defined.create_snapshot(snapshot_xml("mine", mine), flags)
    assert f"<source file='{over}'/>" in defined.xml()
    assert not defined.list_snapshots()
    taken = defined.create_snapshot(snapshot_xml("taken"), Create.DISK_ONLY)
    text = taken.xml(DomainSnapshotXMLFlags.SECURE)
    taken.delete(Delete.METADATA_ONLY)
    again = defined.create_snapshot(text, Create.REDEFINE | Create.CURRENT)
    assert again.is_current()
    assert again.xml(DomainSnapshotXMLFlags.SECURE) == text
    assert [each.name for each in defined.list_snapshots(List.EXTERNAL | List.LEAVES)] == ["taken"]
    again.delete()
    assert f"<source file='{over}'/>" in defined.xml()


# -- of a running guest


class Writing(Counting):
    """A guest that counts and writes to its disk when told."""

    def run(self, command: str) -> None:
        """Have the guest's shell run something."""
        before = len(re.findall(r"^done-now$", self.text(), re.M))
        # It hears only who stays.
        with self.domain.open_console() as stream:
            stream.write(f"run {command}; echo done-now\n".encode())
            self.wait(lambda: len(re.findall(r"^done-now$", self.text(), re.M)) > before)

    def write(self, text: str) -> None:
        """Have the guest write the first line of its disk."""
        self.run(f"echo {text} | /bin/busybox dd of=/mnt/vda bs=512 count=1 conv=sync,notrunc,fsync 2>/dev/null")

    def taking(self, take: Callable[[], virtcore.DomainSnapshot]) -> tuple[virtcore.DomainSnapshot, range]:
        """Take a snapshot; gives it and the numbers one of which is the first that the guest counts from there."""
        earliest = self.counts()[-1]
        taken = take()
        return taken, range(earliest, self.counts()[-1] + 3)

    def goes_back(self, moment: range, go: Callable[[], None]) -> None:
        """It is made to go back to when a snapshot was taken, and counts on from there."""
        running = self.domain.state().state is DomainState.RUNNING
        if running:
            self.wait(lambda: self.counts()[-1] >= moment.stop)
        start = len(self.text())

        def counted() -> list[int]:
            return [int(found) for found in re.findall(r"^count (\d+)\n", self.text()[start:], re.M)]

        go()
        self.wait(lambda: len(counted()) > 2 and any(number in moment for number in counted()))
        if not running:
            assert counted()[0] in moment


@pytest.fixture
def disk_boot(boot: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Kernel and initramfs of a guest that can use its disk."""
    initrd = tmp_path_factory.mktemp("disk-guest") / "initrd"
    write_initramfs(initrd, boot[0], modules=("virtio_pci", "virtio_blk"))
    return boot[0], initrd


@pytest.fixture
def writing(
    connection: virtcore.Connection, disk_boot: tuple[Path, Path], disk: Path, tmp_path: Path
) -> Iterator[Writing]:
    guest = Writing(connection, disk_boot, tmp_path, "writing", devices=disk_xml(disk))
    with guest.running():
        guest.run("/bin/busybox mount -t devtmpfs dev /mnt")
        yield guest


def _kinds(events: list[DomainLifecycleEvent | GapEvent]) -> list[tuple[object, ...]]:
    return [event[1:] for event in events]


def test_memory_inside_images(writing: Writing, connection: virtcore.Connection, disk: Path) -> None:
    domain = writing.domain
    writing.write("first")
    first, moment = writing.taking(lambda: domain.create_snapshot(snapshot_xml("first")))
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.UNPAUSED)
    assert inside(disk) == ["first"]
    text = first.xml()
    assert "<state>running</state>" in text
    assert "<memory snapshot='internal'/>" in text
    assert "<cookie>\n    <cpu mode='custom' match='exact' check='full'>" in text
    assert "<inactiveDomain type='qemu'>" in text
    writing.wait()
    writing.write("second")
    assert first_line(disk) == "second"
    events: list[DomainLifecycleEvent | GapEvent] = []
    connection.on_event(events.append, DomainLifecycleEvent)
    writing.goes_back(moment, first.revert)
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.FROM_SNAPSHOT)
    assert first_line(disk) == "first"
    eventually(lambda: len(events) >= 4)
    types, resumed = DomainEventType, DomainEventResumedDetailType
    assert _kinds(events) == [
        (types.STOPPED, DomainEventStoppedDetailType.FROM_SNAPSHOT),
        (types.STARTED, DomainEventStartedDetailType.FROM_SNAPSHOT),
        (types.RESUMED, resumed.FROM_SNAPSHOT),
        (types.DEFINED, DomainEventDefinedDetailType.FROM_SNAPSHOT),
    ]
    first.revert(Revert.PAUSED)
    assert domain.state() == (DomainState.PAUSED, DomainPausedReason.FROM_SNAPSHOT)
    domain.create_snapshot(snapshot_xml("halted"), Create.HALT)
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.FROM_SNAPSHOT)
    assert inside(disk) == ["first", "halted"]
    writing.goes_back(moment, lambda: domain.lookup_snapshot("halted").revert(Revert.RUNNING))
    first.delete()
    assert inside(disk) == ["halted"]
    domain.destroy()
    domain.lookup_snapshot("halted").delete()
    assert inside(disk) == []
    check_image(disk)


def test_memory_and_disks_outside(
    writing: Writing, connection: virtcore.Connection, disk: Path, tmp_path: Path
) -> None:
    domain = writing.domain
    writing.write("first")
    memory = tmp_path / "memory"
    outside = f"<memory snapshot='external' file='{memory}'/>"
    first, moment = writing.taking(lambda: domain.create_snapshot(snapshot_xml("first", outside)))
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.UNPAUSED)
    assert memory.read_bytes()[:16] == b"LibvirtQemudSave"
    over = tmp_path / "disk.first"
    assert f"<source file='{over}' index='2'/>" in domain.xml()
    assert f"<source file='{over}'/>" in domain.xml(2)
    writing.write("second")
    assert (first_line(disk), first_line(over)) == ("first", "second")
    outside = snapshot_xml("live", f"<memory snapshot='external' file='{tmp_path}/live'/>")
    live, live_moment = writing.taking(lambda: domain.create_snapshot(outside, Create.LIVE))
    writing.write("third")
    writing.goes_back(moment, first.revert)
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.FROM_SNAPSHOT)
    [path] = re.findall(r"<source file='(.*)'/>", domain.xml(2).split("<backingStore")[0])
    assert re.fullmatch(rf"{tmp_path}/disk\.\d+", path)
    writing.write("again")
    assert (first_line(disk), first_line(Path(path))) == ("first", "again")
    live.revert(Revert.PAUSED)
    assert not Path(path).exists()
    writing.goes_back(live_moment, domain.resume)
    domain.destroy()
    [path] = re.findall(r"<source file='(.*)'/>", domain.xml(2).split("<backingStore")[0])
    assert first_line(Path(path)) == "second"
    for image in (disk, over, Path(path)):
        check_image(image)


def test_files_of_a_running_guest_are_merged_away(writing: Writing, disk: Path, tmp_path: Path) -> None:
    domain = writing.domain
    for name in ("one", "two", "three"):
        writing.write(f"before-{name}")
        domain.create_snapshot(snapshot_xml(name), Create.DISK_ONLY | Create.ATOMIC)
    writing.write("now")
    assert "<state>disk-snapshot</state>" in domain.current_snapshot().xml()
    domain.lookup_snapshot("two").delete()
    assert not (tmp_path / "disk.two").exists()
    assert first_line(tmp_path / "disk.one") == "before-three"
    domain.lookup_snapshot("three").delete()
    assert not (tmp_path / "disk.three").exists()
    assert first_line(tmp_path / "disk.one") == "now"
    writing.write("later")
    domain.lookup_snapshot("one").delete()
    assert f"<source file='{disk}'/>" in domain.xml(2)
    assert not domain.list_snapshots()
    assert sorted(path.name for path in tmp_path.glob("disk.*")) == ["disk.qcow2"]
    domain.destroy()
    assert first_line(disk) == "later"
    check_image(disk)


def test_variables_of_firmware_take_part(connection: virtcore.Connection, disk: Path, tmp_path: Path) -> None:
    code, template = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
    if not code.exists():
        pytest.skip("no firmware is installed (Debian: ovmf)")
    kept = tmp_path / "variables"
    for format in ("raw", "qcow2"):
        convert = ["qemu-img", "convert", "-f", "raw", "-O", format, template, kept]
        subprocess.run(convert, check=True, capture_output=True)
        domain = connection.define_domain(
            f"<domain type='qemu'><name>{format}</name><memory unit='MiB'>64</memory>"
            f"<os><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' type='pflash'>{code}</loader>"
            f"<nvram template='{template}' templateFormat='raw' format='{format}'>{kept}</nvram></os>"
            f"<features><acpi/></features><devices>{disk_xml(disk)}</devices></domain>"
        )
        domain.create(DomainCreateFlags.START_PAUSED)
        if format == "raw":
            with pytest.raises(OperationUnsupported, match="pflash based firmware require QCOW2 nvram format"):
                domain.create_snapshot(snapshot_xml("with"))
        else:
            taken = domain.create_snapshot(snapshot_xml("with"))
            assert inside(kept) == inside(disk) == ["with"]
            taken.revert(Revert.PAUSED)
            taken.delete()
            assert inside(kept) == inside(disk) == []
        domain.destroy()


def test_what_running_guests_refuse(writing: Writing, disk: Path, tmp_path: Path) -> None:
    domain = writing.domain
    one = "<disks><disk name='vda' snapshot='{}'/></disks>"
    for flags, more, kind, message in (
        (0, "<memory snapshot='no'/>", OperationUnsupported, "internal snapshot of a running VM must include the mem"),
        (Create.DISK_ONLY, one.format("internal"), ConfigUnsupported, "active qemu domains require external disk snap"),
        (Create.DISK_ONLY, one.format("no"), ConfigUnsupported, "nothing selected|disk-only snapshots require"),
        (Create.DISK_ONLY | Create.QUIESCE, "", VirtError, "QEMU guest agent is not configured"),
    ):
        with pytest.raises(kind, match=message):
            domain.create_snapshot(snapshot_xml("refused", more), int(flags))
    # A file that cannot be made: nothing has changed.
    before = domain.xml()
    elsewhere = "<disks><disk name='vda'><source file='/no/such/folder/file'/></disk></disks>"
    with pytest.raises(VirtError):
        domain.create_snapshot(snapshot_xml("refused", elsewhere), Create.DISK_ONLY)
    with pytest.raises(SystemError, match="Failed to create file '/no/such/memory'"):
        domain.create_snapshot(snapshot_xml("refused", "<memory snapshot='external' file='/no/such/memory'/>"))
    assert domain.xml() == before
    assert not domain.list_snapshots()
    assert domain.state().state is DomainState.RUNNING
    assert sorted(path.name for path in tmp_path.glob("disk.*")) == ["disk.qcow2"]
    # Those that are mixed, or of the same file.
    domain.create_snapshot(snapshot_xml("inside"))
    outside = domain.create_snapshot(snapshot_xml("outside"), Create.DISK_ONLY)
    with pytest.raises(OperationUnsupported, match="deleting external snapshot that has internal snapshot as parent"):
        outside.delete()
    with pytest.raises(OperationUnsupported, match="disk image 'vda' for internal snapshot 'inside' is not the same"):
        domain.lookup_snapshot("inside").delete()
    # The name is taken: that is said last.
    with pytest.raises(ConfigUnsupported, match=r"external snapshot file for disk vda already exists"):
        domain.create_snapshot(snapshot_xml("outside"), Create.DISK_ONLY)
    # Only one image of the live XML has its number in the source: the uppermost.
    assert len(re.findall(r"<source [^>]* index=", domain.xml())) == 1
    writing.write("later")
    outside.revert()  # of the disk alone: as if the power had been cut
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.FROM_SNAPSHOT)
    assert "later" not in first_line(disk)
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob("disk.[0-9]*"))


def test_a_guest_that_writes_nothing_meanwhile(
    connection: virtcore.Connection, agent_boot: tuple[Path, Path], tmp_path: Path
) -> None:
    image = tmp_path / "mounted.raw"
    with image.open("wb") as file:
        file.truncate(4 << 20)
    source = f"<driver name='qemu' type='raw'/><source file='{image}'/><target dev='vda' bus='virtio'/>"
    devices = f"{agent_image.CHANNEL}<disk type='file'>{source}</disk>"
    domain = connection.define_domain(guest_xml("quiet", *agent_boot, devices=devices))
    domain.create()

    def answers() -> bool:
        try:
            return bool(domain.fs_info())
        except VirtError:
            return False

    eventually(answers)
    domain.create_snapshot(snapshot_xml("quiet"), Create.DISK_ONLY | Create.QUIESCE)
    assert f"<source file='{tmp_path}/mounted.quiet' index='2'/>" in domain.xml()
    assert domain.fs_freeze() == 1  # it was let go on
    with pytest.raises(VirtError, match="frozen"):
        domain.create_snapshot(snapshot_xml("again"), Create.DISK_ONLY | Create.QUIESCE)
    assert [each.name for each in domain.list_snapshots()] == ["quiet"]
    assert domain.fs_thaw() == 1
    domain.destroy()
