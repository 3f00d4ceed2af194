"""Checkpoints of real guests: what is recorded, where, and what becomes of it when images are merged or copied."""

from __future__ import annotations

import os
import re
import signal

import pytest
from block_guest import (
    KIB,
    MIB,
    bitmaps_in,
    check,
    disk_xml,
    execute,
    guest_writes,
    make_image,
)
from guest_image import idle_xml

from support import eventually
from virtcore.enums import (
    DomainBlockCommitFlags as Commit,
    DomainBlockCopyFlags as Copy,
    DomainBlockJobAbortFlags as Abort,
    DomainCheckpointCreateFlags as Create,
    DomainCheckpointDeleteFlags as Delete,
    DomainCheckpointXMLFlags as Shown,
    DomainCreateFlags,
)
from virtcore.errors import (
    CheckpointInconsistent,
    ConfigUnsupported,
    InternalError,
    OperationFailed,
    OperationUnsupported,
)
from virtcore.types import TypedParameters

pytestmark = pytest.mark.usefixtures("image_tools")


@pytest.fixture
def images(tmp_path):
    base = make_image(tmp_path / "base.qcow2")
    return base, make_image(tmp_path / "top.qcow2", base=base)


@pytest.fixture
def guest(connection, images, tmp_path):
    other = make_image(tmp_path / "other.raw", format="raw")
    domain = connection.define_domain(idle_xml("points", disk_xml(images[1]), disk_xml(other, "vdb", format="raw")))
    domain.create(DomainCreateFlags.START_PAUSED)
    return domain


def point(domain, name: str, more: str = ""):
    disks = f"<disks><disk name='vda' checkpoint='bitmap'/><disk name='vdb' checkpoint='no'/>{more}</disks>"
    return domain.create_checkpoint(f"<domaincheckpoint><name>{name}</name>{disks}</domaincheckpoint>")


def recorded(domain) -> dict[str, dict[str, int]]:
    """Bytes that each bitmap of each node has."""
    return {
        row["node-name"]: {each["name"]: each["count"] for each in row["dirty-bitmaps"]}
        for row in execute(domain, "query-named-block-nodes")
        if row.get("dirty-bitmaps")
    }


def size(checkpoint) -> int:
    found = re.search(r"<disk name='vda' .* size='(\d+)'/>", checkpoint.xml(Shown.SIZE | Shown.NO_DOMAIN))
    assert found is not None
    return int(found[1])


def test_each_records_from_its_moment_on_and_measures(guest, images):
    first = point(guest, "first")
    guest_writes(guest, 1, 0, 64 * KIB)
    second = point(guest, "second")
    guest_writes(guest, 2, MIB, 128 * KIB)
    assert recorded(guest) == {"libvirt-2-format": {"first": 192 * KIB, "second": 128 * KIB}}
    assert (size(first), size(second)) == (192 * KIB, 128 * KIB)
    assert recorded(guest)["libvirt-2-format"].keys() == {"first", "second"}  # what measured has gone
    first.delete()
    assert recorded(guest) == {"libvirt-2-format": {"second": 128 * KIB}}
    assert [each.name for each in guest.list_checkpoints()] == ["second"]
    guest.destroy()
    assert bitmaps_in(images[1]) == {"second": []}
    check(images[1])
    guest.create(DomainCreateFlags.START_PAUSED)
    assert size(second) == 128 * KIB
    guest_writes(guest, 2, 3 * MIB, 64 * KIB)
    assert size(second) == 192 * KIB


def test_what_was_deleted_with_its_descendants(guest, images):
    for name in ("a", "b", "c"):
        point(guest, name)
    guest.lookup_checkpoint("b").delete(Delete.CHILDREN)
    assert recorded(guest)["libvirt-2-format"].keys() == {"a"}
    guest.lookup_checkpoint("a").delete(Delete.METADATA_ONLY)
    assert recorded(guest)["libvirt-2-format"].keys() == {"a"}


def test_redefined_and_validated(guest):
    checkpoint = point(guest, "kept")
    text = checkpoint.xml()
    checkpoint.delete(Delete.METADATA_ONLY)
    again = guest.create_checkpoint(text, Create.REDEFINE | Create.REDEFINE_VALIDATE)
    assert again.xml() == text
    again.delete()
    with pytest.raises(CheckpointInconsistent, match="missing or broken bitmap 'kept' for disk 'vda'"):
        guest.create_checkpoint(text, Create.REDEFINE | Create.REDEFINE_VALIDATE)
    assert guest.list_checkpoints() == []


def test_refused(guest, connection):
    with pytest.raises(ConfigUnsupported, match="checkpoint for disk vdb unsupported for storage type raw"):
        guest.create_checkpoint("<domaincheckpoint><name>all</name></domaincheckpoint>")
    disk = "<disk name='vda' checkpoint='bitmap' bitmap='y'/>"
    named = f"<domaincheckpoint><name>x</name><disks>{disk}</disks></domaincheckpoint>"
    with pytest.raises(ConfigUnsupported, match="bitmap for disk 'vda' must match checkpoint name 'x'"):
        guest.create_checkpoint(named)
    point(guest, "once")
    with pytest.raises(OperationFailed, match="domain moment once already exists"):
        point(guest, "once")
    execute(guest, "block-dirty-bitmap-remove", {"node": "libvirt-2-format", "name": "once"})
    with pytest.raises(InternalError, match="bitmap 'once' not found in backing chain of 'vda'"):
        guest.lookup_checkpoint("once").delete()
    guest.destroy()
    with pytest.raises(OperationUnsupported, match="cannot create checkpoint for inactive domain"):
        point(guest, "off")
    with pytest.raises(OperationUnsupported, match="cannot remove checkpoint from inactive domain"):
        guest.lookup_checkpoint("once").delete()
    guest.lookup_checkpoint("once").delete(Delete.METADATA_ONLY)


def test_a_checkpoint_that_qemu_refuses_is_not_kept(guest):
    execute(guest, "block-dirty-bitmap-add", {"node": "libvirt-2-format", "name": "taken"})
    with pytest.raises(InternalError, match="Bitmap already exists: taken"):
        point(guest, "taken")
    assert guest.list_checkpoints() == []


def test_bitmaps_of_a_killed_guest_are_told_as_broken(guest, images, guests_of):
    checkpoint = point(guest, "lost")
    execute(guest, "block-dirty-bitmap-add", {"node": "libvirt-2-format", "name": "x"})
    guest.destroy()
    guest.create(DomainCreateFlags.START_PAUSED)
    guest_writes(guest, 2, MIB, 128 * KIB)
    [pid] = guests_of()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not guest.is_active())
    guest.create(DomainCreateFlags.START_PAUSED)
    assert "size=" not in checkpoint.xml(Shown.SIZE | Shown.NO_DOMAIN)
    checkpoint.delete()
    assert recorded(guest) == {}


def test_bitmaps_follow_the_data_when_images_are_merged(guest, images, tmp_path):
    first = point(guest, "first")
    guest_writes(guest, 1, 0, 64 * KIB)
    guest.block_commit("vda", flags=Commit.ACTIVE)
    eventually(lambda: "ready='yes'" in guest.xml())
    guest_writes(guest, 1, MIB, 64 * KIB)
    guest.block_job_abort("vda", Abort.PIVOT)
    guest_writes(guest, 1, 2 * MIB, 64 * KIB)
    assert recorded(guest) == {"libvirt-3-format": {"first": 192 * KIB}}
    assert size(first) == 192 * KIB
    guest.destroy()
    assert bitmaps_in(images[0]) == {"first": []}
    check(images[0])


def test_bitmaps_of_a_chain_are_merged_measured_and_removed(connection, guest, images, tmp_path):
    """The bitmap of one checkpoint in two images, as after an external snapshot."""
    first = point(guest, "first")
    guest_writes(guest, 1, 0, 64 * KIB)
    overlay = make_image(tmp_path / "overlay.qcow2", base=images[1])
    _add_layer(guest, overlay)
    guest_writes(guest, 1, MIB, 64 * KIB)
    assert recorded(guest) == {"libvirt-2-format": {"first": 64 * KIB}, "libvirt-9-format": {"first": 64 * KIB}}
    assert size(first) == 128 * KIB
    second = point(guest, "second")
    first.delete()
    assert recorded(guest) == {"libvirt-9-format": {"second": 0}}
    assert size(second) == 0


def _add_layer(domain, overlay) -> None:
    """What an external snapshot does, behind the driver's back and in its books."""
    from block_guest import state

    from virtcore.model.domain.disk import BackingFormat, BackingStore
    from virtcore.model.storage.source import FileSource, StorageFormat, StorageType

    execute(domain, "blockdev-add", {"driver": "file", "node-name": "libvirt-9-storage", "filename": str(overlay)})
    layer = {"driver": "qcow2", "node-name": "libvirt-9-format", "file": "libvirt-9-storage", "backing": None}
    execute(domain, "blockdev-add", layer)
    snapshot = {"type": "blockdev-snapshot", "data": {"node": "libvirt-2-format", "overlay": "libvirt-9-format"}}
    bitmap = {
        "type": "block-dirty-bitmap-add",
        "data": {"node": "libvirt-9-format", "name": "first", "persistent": True, "disabled": False},
    }
    execute(domain, "transaction", {"actions": [snapshot, bitmap]})
    obj = state().domains.by_uuid(domain.uuid)
    assert obj.live is not None
    assert obj.live.devices is not None
    disk = obj.live.devices.disks[0]
    assert disk.source is not None
    disk.backing_store = BackingStore(
        type=StorageType.FILE,
        index=2,
        format=BackingFormat(type=StorageFormat.QCOW2),
        source=disk.source,
        backing_store=disk.backing_store,
    )
    disk.source.index = None
    disk.source = FileSource(file=str(overlay), index=9)


def test_bitmaps_follow_the_data_when_an_image_in_the_middle_is_merged(guest, images, tmp_path):
    point(guest, "first")
    guest_writes(guest, 1, 0, 64 * KIB)
    overlay = make_image(tmp_path / "overlay.qcow2", base=images[1])
    _add_layer(guest, overlay)
    guest.block_commit("vda", None, str(images[1]))
    eventually(lambda: guest.block_job_info("vda") is None)
    assert recorded(guest) == {"libvirt-3-format": {"first": 64 * KIB}, "libvirt-9-format": {"first": 0}}
    assert size(guest.lookup_checkpoint("first")) == 64 * KIB


def test_bitmaps_follow_the_data_into_a_copy(guest, images, tmp_path):
    first = point(guest, "first")
    guest_writes(guest, 1, 0, 64 * KIB)
    copy = tmp_path / "copy.qcow2"
    guest.block_copy("vda", f"<disk><source file='{copy}'/></disk>", TypedParameters(), Copy.TRANSIENT_JOB)
    eventually(lambda: "ready='yes'" in guest.xml())
    guest_writes(guest, 1, MIB, 64 * KIB)
    guest.block_job_abort("vda", Abort.PIVOT)
    guest_writes(guest, 1, 2 * MIB, 64 * KIB)
    assert size(first) == 192 * KIB
    guest.destroy()
    assert bitmaps_in(copy) == {"first": []}
    check(copy)
