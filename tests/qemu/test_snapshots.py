"""Snapshots of real guests and of images: what they remember, what stays of them, what is refused."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from guest_image import write_qcow2

import virtcore
from virtcore.enums import (
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
    return connection.define_domain(
        "<domain type='qemu'><name>still</name><memory unit='MiB'>32</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f"<devices>{disk_xml(disk)}</devices></domain>"
    )


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
