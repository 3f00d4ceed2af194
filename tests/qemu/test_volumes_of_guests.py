"""Disks of guests that are volumes of the host's pools."""

from __future__ import annotations

import pytest
from guest_image import write_qcow2

import virtcore
from support import eventually
from virt_qemu.volumes import read_volumes
from virtcore.enums import (
    DomainBlockCopyFlags as Copy,
    DomainBlockJobAbortFlags as Abort,
    DomainCreateFlags,
    DomainModificationImpact,
    DomainSnapshotCreateFlags as Snapshot,
    DomainState,
    StorageVolType,
)
from virtcore.errors import ConfigUnsupported, InternalError, NoStoragePool, NoStorageVol, XMLError
from virtcore.model.domain import Domain
from virtcore.model.domain.disk import Disk
from virtcore.model.storage import (
    BlockSource,
    FileSource,
    NetworkSource,
    StoragePool,
    StorageType,
    VolumeSource,
    load_storage_pool,
)
from virtcore.model.storage.found_volume import FileVolume, NetworkVolume, found_as, known_as
from virtcore.operations.parameters import BLOCK_COPY
from virtcore.xml import Mode, format, parse

PAUSED = DomainCreateFlags.START_PAUSED
LIVE = DomainModificationImpact.LIVE
PORTS = "".join(f"<controller type='pci' index='{n}' model='pcie-root-port'/>" for n in range(1, 9))


def disk(volume: str, target: str = "vda", *, pool: str = "p", format: str = "raw", more: str = "") -> str:
    return (
        f"<disk type='volume' device='disk'><driver name='qemu' type='{format}'/>"
        f"<source pool='{pool}' volume='{volume}'/><target dev='{target}' bus='virtio'/>{more}</disk>"
    )


def guest(devices: str = "") -> str:
    return (
        "<domain type='qemu'><name>g</name><memory unit='MiB'>32</memory><os><type machine='q35'>hvm</type></os>"
        "<features><acpi/></features><devices><controller type='pci' index='0' model='pcie-root'/>"
        f"{PORTS}{devices}</devices></domain>"
    )


@pytest.fixture
def pool(connection, root):
    """A pool with an image of each kind."""
    folder = root / "images"
    folder.mkdir()
    write_qcow2(folder / "top.qcow2", 4)
    (folder / "plain.raw").write_bytes(bytes(4 << 20))
    (folder / "other.raw").write_bytes(bytes(4 << 20))
    for name in ("cd.iso", "cd2.iso"):
        (folder / name).write_bytes(bytes(1 << 20))
    return connection.create_storage_pool(
        f"<pool type='dir'><name>p</name><target><path>{folder}</path></target></pool>"
    )


def test_a_guest_has_volumes_as_disks_and_is_found_again(connection, pool, root):
    cdrom = "<disk type='volume' device='cdrom'><source pool='p' volume='cd.iso'/><target dev='sda' bus='sata'/></disk>"
    devices = disk("top.qcow2", format="qcow2") + disk("plain.raw", "vdb") + cdrom
    domain = connection.create_domain(guest(devices), PAUSED)
    text = domain.xml()
    assert "<source pool='p' volume='top.qcow2' index='" in text
    assert str(root / "images") not in text
    assert domain.block_info("vdb").capacity == 4 << 20
    # Another volume into a slot, and another medium into the drive.
    domain.attach_device(disk("other.raw", "vdc"), LIVE)
    assert "volume='other.raw'" in domain.xml()
    with pytest.raises(NoStorageVol, match="no storage vol with matching name 'none'"):
        domain.attach_device(disk("none", "vdd"), LIVE)
    domain.update_device(cdrom.replace("cd.iso", "cd2.iso"), LIVE)
    with pytest.raises(ConfigUnsupported, match="disk source can be changed only in removable drives"):
        domain.update_device(disk("other.raw"), LIVE)
    # Whoever opens this root next finds the guest and its volumes, though the pool does not run any more.
    connection.close()
    with virtcore.connect(f"qemu:///embed?root={root}") as again:
        found = again.lookup_domain("g")
        assert found.state().state == DomainState.PAUSED
        assert "<source pool='p' volume='other.raw' index='" in found.xml()
        assert found.block_info("vdc").capacity == 4 << 20
        found.detach_device(disk("other.raw", "vdc"), LIVE)
        found.destroy()


def test_images_of_volumes_move(connection, pool, root):
    domain = connection.create_domain(guest(disk("top.qcow2", format="qcow2")), PAUSED)
    with pytest.raises(ConfigUnsupported, match="cannot generate external snapshot name for disk 'vda' without source"):
        domain.create_snapshot("<domainsnapshot/>", Snapshot.DISK_ONLY)
    overlay = f"<disks><disk name='vda'><source file='{root}/overlay'/></disk></disks>"
    domain.create_snapshot(f"<domainsnapshot>{overlay}</domainsnapshot>", Snapshot.DISK_ONLY)
    text = domain.xml()
    assert "<disk type='file'" in text
    assert "<backingStore type='volume'" in text
    assert "<source pool='p' volume='top.qcow2'" in text
    domain.block_copy("vda", disk("plain.raw", "vdz"), BLOCK_COPY.typed({}), Copy.REUSE_EXT | Copy.TRANSIENT_JOB)
    eventually(lambda: (job := domain.block_job_info("vda")) is not None and job.cur == job.end)
    domain.block_job_abort("vda", Abort.PIVOT)
    eventually(lambda: "<mirror" not in domain.xml())
    assert "<disk type='volume'" in domain.xml()
    assert "volume='plain.raw'" in domain.xml()
    domain.destroy()


def test_volumes_that_cannot_be_used(connection, pool):
    with pytest.raises(NoStoragePool, match="no storage pool with matching name 'none'"):
        connection.create_domain(guest(disk("x", pool="none")), PAUSED)
    with pytest.raises(NoStorageVol, match="no storage vol with matching name 'none'"):
        connection.create_domain(guest(disk("none")), PAUSED)
    domain = connection.define_domain(guest(disk("plain.raw")))
    xml = pool.xml()
    pool.destroy()
    connection.define_storage_pool(xml)
    with pytest.raises(ConfigUnsupported, match=r"storage pool 'p' containing volume 'plain\.raw' is not"):
        domain.create()


def _pool(kind: str, source: str) -> StoragePool:
    return load_storage_pool(
        f"<pool type='{kind}'><name>p</name><source>{source}</source><target><path>/t</path></target></pool>"
    )


_TARGET = (
    "<host name='h'/><device path='iqn.x'/><auth type='chap' username='u'><secret usage='s'/></auth>"
    "<initiator><iqn name='iqn.me'/></initiator>"
)


def test_what_a_volume_is_to_a_guest():
    source = VolumeSource(pool="p", volume="unit:0:0:7")
    folder, target = _pool("dir", ""), _pool("iscsi", _TARGET)
    found = found_as(source, folder, StorageVolType.FILE, "/t/x")
    assert isinstance(found, FileSource) and found.file == "/t/x"  # noqa: PT018
    found = found_as(source, target, StorageVolType.BLOCK, "/dev/x")
    assert isinstance(found, BlockSource) and found.dev == "/dev/x"  # noqa: PT018
    with pytest.raises(ConfigUnsupported, match="using 'mpath' pools for backing 'volume' disks isn't yet supported"):
        found_as(source, _pool("mpath", ""), StorageVolType.BLOCK, "/dev/x")
    with pytest.raises(InternalError, match="unexpected storage volume type 'netdir' for storage pool type 'dir'"):
        found_as(source, folder, StorageVolType.NETDIR, "/x")
    [direct] = parse(
        "<domain type='qemu'><name>x</name><devices><disk type='volume'>"
        "<source pool='p' volume='unit:0:0:7' mode='direct'/><target dev='vda'/></disk></devices></domain>",
        Domain,
    ).devices.disks
    with pytest.raises(XMLError, match="disk source mode is only valid when storage pool is of iscsi type"):
        found_as(direct.source, folder, StorageVolType.FILE, "/t/x")
    printed = format(direct)
    direct.source = found_as(direct.source, target, StorageVolType.BLOCK, "/dev/x")
    assert isinstance(direct.source, NetworkSource)
    assert (direct.source.name, direct.source.hosts[0].port, direct.source.initiator) == ("iqn.x/7", 3260, "iqn.me")
    assert isinstance(direct.source, NetworkVolume)
    assert direct.source.pool_auth.username == "u"
    assert format(direct) == printed  # how the target is reached is the pool's affair
    with pytest.raises(InternalError, match="unexpected iscsi volume name 'x'"):
        found_as(VolumeSource(pool="p", volume="x"), _pool("iscsi-direct", _TARGET), StorageVolType.NETWORK, "x")


def test_the_status_tells_what_a_volume_was():
    image = Disk(
        source=found_as(VolumeSource(pool="p", volume="v", index=3), _pool("dir", ""), StorageVolType.FILE, "/x")
    )
    image.type = StorageType.VOLUME
    told = VolumeSource(pool="p", volume="v", index=3, actual_type=StorageType.FILE, file="/x")
    assert "actualType='file' file='/x'" in format(image, Mode.STATUS | Mode.VOLUME_TRANSLATED)
    again = Disk(source=told)
    read_volumes([again])
    assert isinstance(again.source, FileVolume)
    assert known_as(VolumeSource(pool="p", volume="v")) is None


def test_guests_that_start_with_the_host_find_their_pools_started(connection, root):
    folder = root / "images"
    folder.mkdir()
    (folder / "disk.raw").write_bytes(bytes(1 << 20))
    xml = f"<pool type='dir'><name>p</name><target><path>{folder}</path></target></pool>"
    connection.define_storage_pool(xml).set_autostart(True)
    connection.define_domain(guest(disk("disk.raw"))).set_autostart(True)
    connection.close()
    for name in ("qemu", "storage"):
        (root / "run" / name / "autostarted").write_text("another uptime")
    with virtcore.connect(f"qemu:///embed?root={root}") as again:
        eventually(lambda: again.lookup_domain("g").state().state == DomainState.RUNNING)
        again.lookup_domain("g").destroy()
