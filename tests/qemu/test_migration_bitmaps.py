"""Bitmaps of checkpoints that go with the disks that are copied."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from block_guest import KIB, MIB, bitmaps_in, disk_xml, make_image, run, write
from guest_image import idle_xml
from test_migration_ways import peer, peer_root  # noqa: F401  # fixtures

import virtcore
from virtcore.enums import DomainCreateFlags, DomainMigrateFlags as Flags, DomainState
from virtcore.errors import VirtError

pytestmark = pytest.mark.usefixtures("image_tools")

FULL, TOP = Flags.LIVE | Flags.NON_SHARED_DISK, Flags.LIVE | Flags.NON_SHARED_INC


def ask(domain: virtcore.Domain, command: str, **arguments: object) -> object:
    """What QEMU answers."""
    told = domain.qemu_monitor_command(json.dumps({"execute": command, "arguments": arguments}))
    return json.loads(told)["return"]


def writes(domain: virtcore.Domain, pattern: int, offset: int, length: int) -> None:
    """Write to the disk as the guest does: through its device."""
    device = "/machine/peripheral/virtio-disk0/virtio-backend"
    line = f'qemu-io -d {device} "write -P {pattern} {offset} {length}"'
    assert ask(domain, "human-monitor-command", **{"command-line": line}) == ""


def recorded(domain: virtcore.Domain) -> dict[str, dict[str, tuple[int, bool]]]:
    """By node and name, bytes of bitmaps, and whether the image keeps them."""
    rows = ask(domain, "query-named-block-nodes", flat=True)
    assert isinstance(rows, list)
    told = {row["node-name"]: row.get("dirty-bitmaps", []) for row in rows}
    return {
        node: {each["name"]: (each["count"], each["persistent"]) for each in bitmaps if "name" in each}
        for node, bitmaps in told.items()
        if bitmaps
    }


@pytest.fixture
def images(tmp_path: Path) -> tuple[Path, Path]:
    """An image, and one over it. The bitmap of a first checkpoint has parts in both, that of a second in one."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    base = make_image(tmp_path / "base.qcow2")
    run("qemu-img", "bitmap", "--add", base, "first")
    write(base, 1, 0, 64 * KIB)
    top = make_image(tmp_path / "here/disk.qcow2", base=base)
    for name in ("first", "second"):
        run("qemu-img", "bitmap", "--add", top, name)
    return base, top


@pytest.fixture
def domain(connection: virtcore.Connection, images: tuple[Path, Path]) -> virtcore.Domain:
    """A guest that has written since both."""
    found = connection.define_domain(idle_xml("mover", disk_xml(images[1])))
    found.create(DomainCreateFlags.START_PAUSED)
    writes(found, 2, MIB, 64 * KIB)
    return found


def parameters(domain: virtcore.Domain, here: Path, there: Path, *, alone: bool = True) -> dict[str, object]:
    """How it moves to another image.

    :param alone: which has none below it.
    """
    xml = domain.xml(1 | 8)
    assert str(here) in xml
    if alone:
        xml = re.sub(r"(?s)<backingStore.*</backingStore>", "<backingStore/>", xml)
    return {"destination_xml": xml.replace(str(here), str(there)), "migrate_uri": "tcp://127.0.0.1"}


def test_images_that_become_one(domain, peer, images, tmp_path):  # noqa: F811
    there = make_image(tmp_path / "there/disk.qcow2")
    moved = domain.migrate(peer, parameters(domain, images[1], there), FULL)
    [bitmaps] = recorded(moved).values()
    assert bitmaps == {"first": (128 * KIB, True), "second": (64 * KIB, True)}
    writes(moved, 3, 2 * MIB, 64 * KIB)
    [bitmaps] = recorded(moved).values()
    assert {name: count for name, (count, _) in bitmaps.items()} == {"first": 192 * KIB, "second": 128 * KIB}
    moved.destroy()
    assert bitmaps_in(there) == {"first": [], "second": []}
    assert bitmaps_in(images[1]).keys() == {"first", "second"}


def test_the_image_on_top(domain, peer, images, tmp_path):  # noqa: F811
    there = make_image(tmp_path / "there/disk.qcow2", base=images[0])
    moved = domain.migrate(peer, parameters(domain, images[1], there, alone=False), TOP)
    found = recorded(moved)
    assert [bitmaps for bitmaps in found.values() if "second" in bitmaps] == [
        {"first": (64 * KIB, True), "second": (64 * KIB, True)}
    ]
    moved.destroy()
    assert bitmaps_in(there).keys() == {"first", "second"}
    assert bitmaps_in(images[0]) == {"first": []}


def test_images_that_keep_none(domain, peer, images, tmp_path):  # noqa: F811
    there = make_image(tmp_path / "there/disk.raw", format="raw")
    wanted = parameters(domain, images[1], there)
    wanted["destination_xml"] = str(wanted["destination_xml"]).replace("'qcow2'", "'raw'")
    moved = domain.migrate(peer, wanted, FULL)
    assert moved.state().state is DomainState.PAUSED
    assert recorded(moved) == {}


def test_a_guest_that_stays_has_no_more_than_before(domain, peer, images, tmp_path):  # noqa: F811
    before = recorded(domain)
    small = make_image(tmp_path / "there/disk.qcow2", MIB)
    with pytest.raises(VirtError):
        domain.migrate(peer, parameters(domain, images[1], small), FULL)
    assert recorded(domain) == before
    assert peer.list_domains() == []
