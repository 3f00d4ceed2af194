"""VirtualBox's settings files: read, changed, written; files that are none."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, strategies as st

from support import costs_less_than
from virt_vbox.settings import HardDisk, Snapshot, VirtualBox, read_settings, write_settings
from virtcore.errors import NoDomainSnapshot, VirtError

NAMESPACE = "http://www.innotek.de/VirtualBox-settings"
BASE = "11111111-1111-1111-1111-111111111111"
FIRST = "22222222-2222-2222-2222-222222222222"
SECOND = "33333333-3333-3333-3333-333333333333"
OTHER = "44444444-4444-4444-4444-444444444444"


def snapshot(name: str, uuid: str, inside: str = "") -> str:
    return (
        f'<Snapshot uuid="{{{uuid}}}" name="{name}" timeStamp="2014-05-15 09:52:29.123+02:00">'
        f"<Description>of {name}</Description><Hardware><CPU count='1'/></Hardware><StorageControllers/>"
        f"<Snapshots>{inside}</Snapshots></Snapshot>"
    )


def settings(
    *,
    disks: str = "",
    snapshots: str = "",
    machine: str = 'snapshotFolder="Snapshots" lastStateChange="2014-05-15T11:49:46Z"',
    parts: str = "<Hardware version='2'/><StorageControllers/>",
) -> str:
    return (
        f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<VirtualBox xmlns="{NAMESPACE}" version="1.19-linux">'
        f'<Machine uuid="{{{OTHER}}}" name="m" {machine}>'
        f"<MediaRegistry><HardDisks>{disks}</HardDisks><DVDImages/></MediaRegistry>"
        f"<ExtraData/>{snapshots}{parts}</Machine></VirtualBox>"
    )


DISKS = (
    f'<HardDisk uuid="{{{BASE}}}" location="disk.vdi" format="VDI" type="Normal">'
    f'<HardDisk uuid="{{{FIRST}}}" location="/abs/one.vdi" format="VDI">'
    f'<HardDisk uuid="{{{SECOND}}}" location="Snapshots/fake-two.vdi" format="VDI"/></HardDisk></HardDisk>'
)
TREE = snapshot("a", FIRST, snapshot("b", SECOND) + snapshot("c", OTHER))


def load(**parts: str) -> VirtualBox:
    return read_settings(settings(**parts), "/vms/m")


def test_disks_are_found_with_what_they_are_differences_from() -> None:
    media = load(disks=DISKS).machine.media
    assert [disk.uuid for disk in media.disks_to_open("/vms/m/Snapshots/fake-two.vdi")] == [SECOND, FIRST, BASE]
    assert media.disks_to_open("/elsewhere") == []
    found = media.disk_at("/abs/one.vdi")
    assert found is not None
    assert found.uuid == FIRST
    assert media.disk_by_uuid(OTHER) is None


def test_paths_on_windows_are_absolute() -> None:
    disks = "".join(
        f'<HardDisk uuid="{{{BASE}}}" location="{path}" format="VDI"/>' for path in (r"C:\a.vdi", r"\\server\a", "C-a")
    )
    found = [disk.location for disk in load(disks=disks).machine.media.hard_disks.disks]
    assert found == [r"C:\a.vdi", r"\\server\a", "/vms/m/C-a"]


def test_disks_are_added_and_removed() -> None:
    media = load(disks=DISKS).machine.media
    media.add_disk(HardDisk(uuid=OTHER, location="/x.vdi", format="VDI"), FIRST)
    assert [disk.uuid for disk in media.disks_to_open("/x.vdi")] == [OTHER, FIRST, BASE]
    with pytest.raises(VirtError, match="internal error: Unable to get the parent disk"):
        media.add_disk(HardDisk(uuid=OTHER, location="/x.vdi", format="VDI"), "nobody")
    media.remove_fake_disks()
    assert media.disk_by_uuid(SECOND) is None
    media.remove_disk(BASE)
    assert media.hard_disks.disks == []
    with pytest.raises(VirtError, match=f"Unable to find the hard disk with uuid {BASE}"):
        media.remove_disk(BASE)


def test_snapshots_are_added_and_removed() -> None:
    machine = load(
        snapshots=TREE,
        machine=f'snapshotFolder="S" lastStateChange="2014-05-15T11:49:46Z" currentSnapshot="{{{SECOND}}}"',
    ).machine
    assert machine.is_current_snapshot("b")
    assert not machine.is_current_snapshot("c")
    with pytest.raises(NoDomainSnapshot, match="Unable to find the snapshot d"):
        machine.is_current_snapshot("d")
    new = Snapshot(uuid=BASE, name="d", time_stamp="2020-01-01T00:00:00Z", hardware="<Hardware/>")
    machine.add_snapshot(new, "c")
    for name, message in (
        ("c", "This snapshot has children, please delete these snapshots before"),
        ("x", "Unable to find the snapshot with name x"),
    ):
        with pytest.raises(VirtError, match=message):
            machine.remove_snapshot(name)
    for name in ("d", "c", "b", "a"):
        machine.remove_snapshot(name)
    assert machine.snapshot is None
    with pytest.raises(VirtError, match="the machine has no snapshot"):
        machine.remove_snapshot("a")
    with pytest.raises(VirtError, match="The machine has no snapshot and it should have it"):
        machine.add_snapshot(new, "a")
    machine.add_snapshot(new)
    with pytest.raises(VirtError, match="there is already a snapshot linked to the machine"):
        machine.add_snapshot(new)
    with pytest.raises(VirtError, match="Unable to find the snapshot a"):
        machine.add_snapshot(new, "a")


def test_what_is_written_is_libvirts_and_reads_back_the_same() -> None:
    parts = (
        '<Hardware version="2"><CPU count="1"/></Hardware><StorageControllers/><Groups><Group name="ü € /"/></Groups>'
    )
    text = write_settings(load(disks=DISKS, snapshots=TREE, parts=parts))
    assert text.startswith(b'<?xml version="1.0" encoding="ISO-8859-1"?>\n<!--WARNING: THIS IS AN AUTO-GENERATED FILE.')
    shown = text.decode("iso-8859-1")
    for row in (
        f'<VirtualBox version="1.19-linux" xmlns="{NAMESPACE}">\n',
        (
            f'  <Machine uuid="{{{OTHER}}}" name="m" snapshotFolder="Snapshots" currentStateModified="false" '
            'lastStateChange="2014-05-15T11:49:46Z">\n    <MediaRegistry>\n      <DVDImages/>\n      <HardDisks>\n'
        ),
        '" name="a" timeStamp="2014-05-15T09:52:29Z">\n      <Description>of a</Description>\n      <Hardware>',
        '<Group name="ü &#8364; /"/>',
    ):
        assert row in shown, row
    assert write_settings(read_settings(text, "/")) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'<VirtualBox xmlns="{NAMESPACE}"/>', "Cannot parse <VirtualBox> <Machine> node"),
        (
            settings(machine='lastStateChange="2014-05-15T11:49:46Z"'),
            "Cannot parse <Machine> 'snapshotFolder' attribute",
        ),
        (settings(machine='snapshotFolder="S"'), "Cannot parse <Machine> 'lastStateChange' attribute"),
        (
            settings(machine='snapshotFolder="S" lastStateChange="x"'),
            "Cannot parse <Machine> 'lastStateChange' attribute",
        ),
        (settings(parts="<StorageControllers/>"), "Cannot parse <Machine> <Hardware> node"),
        (settings(parts="<Hardware/>"), "Cannot parse <Machine> <StorageControllers> node"),
        (settings(disks='<HardDisk location="/x" format="VDI"/>'), "Cannot parse <HardDisk> 'uuid' attribute"),
        (settings(disks='<HardDisk uuid="x" location="/x" format="VDI"/>'), "Cannot parse <HardDisk> 'uuid' attribute"),
        (settings(disks=DISKS.replace("location", "loc")), "Cannot parse <HardDisk> 'location' attribute"),
        (settings(disks=DISKS.replace("format", "f")), "Cannot parse <HardDisk> 'format' attribute"),
        (settings(snapshots=TREE.replace("name", "n")), "Cannot parse <Snapshot> 'name' attribute"),
        (settings(snapshots=TREE.replace("timeStamp", "t")), "Cannot parse <Snapshot> 'timeStamp' attribute"),
        (settings(snapshots=TREE.replace("Hardware", "H")), "Cannot parse <Snapshot> <Hardware> node"),
        (settings().replace("MediaRegistry", "M"), "Cannot parse <Machine> <MediaRegistry> node"),
    ],
)
def test_refused_in_libvirts_words(text: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        read_settings(text, "/")
    assert str(caught.value) == f"XML error: {message}"


# ---------------------------------------------------------------------------------------------------------- odd input

WHOLE = settings(disks=DISKS, snapshots=TREE).encode("iso-8859-1")


def attempt(data: str | bytes) -> None:
    """Whatever it is, it is settings that can be written, or an error of ours."""
    with contextlib.suppress(VirtError):
        write_settings(read_settings(data, "/"))


def test_truncated_and_changed_anywhere() -> None:
    write_settings(read_settings(WHOLE, "/"))
    for end in range(0, len(WHOLE), 3):
        attempt(WHOLE[:end])
    chance = random.Random(5)
    for _ in range(1000):
        data = bytearray(WHOLE)
        for _ in range(chance.randrange(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        attempt(bytes(data))


@given(st.text() | st.binary())
def test_any_text_or_bytes(data: str | bytes) -> None:
    attempt(data)


def test_deep_and_wide_trees() -> None:
    with costs_less_than(20):
        deep = "".join(f'<HardDisk uuid="{{{BASE}}}" location="/{n}" format="VDI">' for n in range(10_000))
        attempt(settings(disks=deep + "</HardDisk>" * 10_000))
        wide = "".join(f'<HardDisk uuid="{{{BASE}}}" location="/{n}" format="VDI"/>' for n in range(10_000))
        attempt(settings(disks=wide))
        attempt('<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + settings().partition("?>")[2])
