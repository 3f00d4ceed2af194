"""Storage of test:///default: pools, volumes, their content, what is refused, what is told."""

from __future__ import annotations

import asyncio
import queue
import random
import re
import threading
import time
from types import SimpleNamespace

import pytest

import virtcore
from toydriver import expired
from virtcore.builtin.test.content import BLOCK, Content
from virtcore.enums import (
    ConnectListAllStoragePoolsFlags as ListFlags,
    StoragePoolEventLifecycleType as Kind,
    StoragePoolState,
    StorageVolDownloadFlags,
    StorageVolResizeFlags as Resize,
    StorageVolType,
    StorageVolUploadFlags,
)
from virtcore.errors import (
    InternalError,
    InvalidArg,
    NoNodeDevice,
    NoStoragePool,
    NoStorageVol,
    OperationAborted,
    OperationDenied,
    OperationFailed,
    OperationInvalid,
    SystemError,
    VirtError,
    XMLError,
)
from virtcore.operations.events import (
    NodeDeviceLifecycleEvent,
    StoragePoolLifecycleEvent,
    StoragePoolRefreshEvent,
)

GIB = 1 << 30
UUID = "11111111-2222-4333-8444-555555555555"
OTHER = f"<pool type='dir'><name>other</name><uuid>{UUID}</uuid><target><path>/other/</path></target></pool>"
FC = (
    "<pool type='scsi'><name>fc</name><source><adapter type='fc_host' wwnn='2000000012340001' "
    "wwpn='1000000012340001'/></source><target><path>/dev/disk</path></target></pool>"
)


def volume(name="disk", capacity=1 << 20, allocation=4096):
    return (
        f"<volume><name>{name}</name><key>mine</key><capacity>{capacity}</capacity>"
        f"<allocation>{allocation}</allocation><target><path>/mine</path></target></volume>"
    )


@pytest.fixture
def connection():
    with virtcore.connect("test:///default") as connection:
        yield connection


@pytest.fixture
def pool(connection):
    return connection.lookup_storage_pool(name="default-pool")


def test_the_default_pool(connection, pool):
    assert connection.list_storage_pools() == [pool]
    assert (pool.uuid, pool.is_active(), pool.is_persistent()) == ("dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566", True, True)
    assert pool.info() == (StoragePoolState.RUNNING, 100 * GIB, 0, 100 * GIB)
    assert "<path>/default-pool</path>" in pool.xml()
    assert pool.list_volumes() == []
    assert not pool.autostart()
    assert connection.lookup_storage_pool(uuid=pool.uuid.upper()) == pool
    assert connection.lookup_storage_pool(target_path="/default-pool//") == pool


def test_life_of_a_pool(connection):
    events = queue.SimpleQueue()
    connection.on_event(events.put, StoragePoolLifecycleEvent)
    connection.on_event(events.put, StoragePoolRefreshEvent)
    other = connection.define_storage_pool(OTHER)
    assert "<path>/other</path>" in other.xml()
    assert other.info() == (StoragePoolState.INACTIVE, 100 * GIB, 0, 100 * GIB)
    other.build()
    other.create()
    active = "storage pool 'other' is active"
    for change in (other.create, other.build, other.delete, other.undefine):
        with pytest.raises(OperationInvalid, match=active):
            change()
    other.refresh()
    other.create_volume(volume())
    other.destroy()
    for query in (other.refresh, lambda: other.lookup_volume("disk"), lambda: other.create_volume(volume())):
        with pytest.raises(OperationInvalid, match="storage pool 'other' is not active"):
            query()
    with pytest.raises(OperationInvalid, match="operation is not valid: storage pool is not active"):
        other.list_volumes()
    other.set_autostart(True)
    assert connection.list_storage_pools(ListFlags.AUTOSTART | ListFlags.INACTIVE) == [other]
    other.create()
    assert [found.name for found in other.list_volumes()] == ["disk"], "a pool that stops keeps its volumes"
    other.destroy()
    other.delete()
    assert other.info().allocation == 0
    other.undefine()
    with pytest.raises(NoStoragePool, match="no storage pool with matching name 'other'"):
        other.xml()
    with pytest.raises(NoStoragePool, match=f"no storage pool with matching uuid '{UUID}'$"):
        other.is_active()
    kinds = (Kind.DEFINED, Kind.CREATED, Kind.STARTED, "refresh", Kind.STOPPED, Kind.STARTED, Kind.STOPPED)
    for kind in (*kinds, Kind.DELETED, Kind.UNDEFINED):
        event = events.get(timeout=60)
        assert event.pool.name == "other"
        assert getattr(event, "type", "refresh") == kind


def test_a_transient_pool(connection):
    other = connection.create_storage_pool(OTHER)
    assert (other.is_active(), other.is_persistent()) == (True, False)
    with pytest.raises(InvalidArg, match="pool has no config file"):
        other.set_autostart(True)
    with pytest.raises(OperationInvalid, match="pool is already active as 'other'"):
        connection.create_storage_pool(OTHER)
    other.destroy()
    with pytest.raises(NoStoragePool):
        connection.lookup_storage_pool(name="other")


def test_a_new_definition_counts_from_the_next_start_and_keeps_the_volumes(pool, connection):
    pool.create_volume(volume())
    moved = (
        f"<pool type='dir'><name>default-pool</name><uuid>{pool.uuid}</uuid><target><path>/new</path></target></pool>"
    )
    connection.define_storage_pool(moved)
    assert "<path>/default-pool</path>" in pool.xml()
    pool.destroy()
    pool.create()
    assert "<path>/new</path>" in pool.xml()
    assert (pool.info().allocation, len(pool.list_volumes())) == (4096, 1)


_PATH = "<target><path>/a</path></target>"
_DEVICE = f"<source><device path='/dev/a'/></source>{_PATH}"
_VIRTUAL = "<adapter type='fc_host' parent='scsi_host5' wwnn='2000000012340001' wwpn='1000000012340001'/>"


@pytest.mark.parametrize(
    ("known", "new", "conflict"),
    [
        (("mpath", _PATH), ("mpath", _PATH), True),
        (("fs", _DEVICE), ("fs", _DEVICE), True),
        (("fs", _DEVICE), ("disk", _DEVICE), True),
        (("fs", _DEVICE), ("iscsi", f"<source><host name='h'/><device path='/dev/a'/></source>{_PATH}"), False),
        (
            ("netfs", f"<source><host name='h'/><dir path='/d'/></source>{_PATH}"),
            ("netfs", f"<source><host name='i'/><dir path='/d'/></source>{_PATH}"),
            False,
        ),
        (
            ("netfs", f"<source><host name='h' port='1'/><dir path='/d'/></source>{_PATH}"),
            ("netfs", f"<source><host name='h'/><dir path='/d'/></source>{_PATH}"),
            True,
        ),
        (
            ("scsi", f"<source><adapter name='host5'/></source>{_PATH}"),
            ("scsi", f"<source><adapter name='scsi_host5'/></source>{_PATH}"),
            True,
        ),
        (
            ("scsi", f"<source>{_VIRTUAL}</source>{_PATH}"),
            ("scsi", f"<source><adapter name='host5'/></source>{_PATH}"),
            True,
        ),
        (
            ("rbd", "<source><name>n</name><host name='h'/></source>"),
            ("rbd", "<source><name>n</name><host name='h'/></source>"),
            False,
        ),
    ],
)
def test_two_pools_do_not_share_their_storage(connection, known, new, conflict):
    first, second = (
        f"<pool type='{kind}'><name>{name}</name>{rest}</pool>"
        for name, (kind, rest) in (("known", known), ("new", new))
    )
    connection.define_storage_pool(first)
    if conflict:
        with pytest.raises(OperationFailed, match="operation failed: Storage source conflict with pool: 'known'"):
            connection.define_storage_pool(second)
        assert len(connection.list_storage_pools()) == 2
    else:
        connection.define_storage_pool(second)


def test_lists_filter_by_kind(connection):
    rbd = connection.create_storage_pool(
        "<pool type='rbd'><name>r</name><source><name>n</name><host name='h'/></source></pool>"
    )
    assert connection.list_storage_pools(ListFlags.RBD) == [rbd]
    assert connection.list_storage_pools(ListFlags.RBD | ListFlags.DIR | ListFlags.PERSISTENT) != [rbd]
    assert len(connection.list_storage_pools(ListFlags.RBD | ListFlags.DIR)) == 2
    found = rbd.create_volume(volume())
    assert (found.info().type, found.path()) == (StorageVolType.NETWORK, "n/disk")


def test_volumes(connection, pool):
    disk = pool.create_volume(volume())
    assert (disk.name, disk.key, disk.path()) == ("disk", "/default-pool/disk", "/default-pool/disk")
    assert disk.info() == (StorageVolType.FILE, 1 << 20, 4096)
    assert pool.info()[1:] == (100 * GIB, 4096, 100 * GIB - 4096)
    assert pool.lookup_volume("disk") == disk
    assert connection.lookup_storage_vol(key=disk.key) == disk
    assert connection.lookup_storage_vol(path="/default-pool//disk") == disk
    assert connection.lookup_storage_pool(volume=disk) == pool
    text = disk.xml()
    assert text.startswith("<volume type='file'>\n  <name>disk</name>\n  <key>/default-pool/disk</key>\n")
    assert "<format type='raw'/>" in text
    with pytest.raises(OperationFailed, match="operation failed: storage vol already exists"):
        pool.create_volume(volume())
    with pytest.raises(InternalError, match="Not enough free space in pool for volume 'big'"):
        pool.create_volume(volume("big", 200 * GIB, 100 * GIB))
    with pytest.raises(XMLError, match="missing capacity element"):
        pool.create_volume("<volume><name>disk2</name></volume>")
    with pytest.raises(NoStorageVol, match="no storage vol with matching name 'nope'"):
        pool.lookup_volume("nope")
    with pytest.raises(NoStorageVol, match="no storage vol with matching key 'nope'"):
        connection.lookup_storage_vol(key="nope")
    with pytest.raises(NoStorageVol, match="no storage vol with matching path '/nope'"):
        connection.lookup_storage_vol(path="/nope")
    disk.delete()
    assert pool.list_volumes() == []
    assert pool.info().allocation == 0
    with pytest.raises(NoStorageVol, match="no storage vol with matching name 'disk'"):
        disk.delete()


def test_content(connection, pool):
    disk = pool.create_volume(volume(capacity=300_000, allocation=0))
    with disk.upload(offset=65_530) as stream:
        stream.write(b"a long text")
        with pytest.raises(OperationInvalid, match="volume 'disk' is still in use"):
            disk.delete()
        with pytest.raises(InternalError, match="pool 'default-pool' has asynchronous jobs running"):
            pool.destroy()
    with disk.download(offset=65_529, length=8) as stream:
        assert b"".join(stream) == b"\0a long "
    assert disk.info().allocation == pool.info().allocation == 2 * 65_536
    copy = pool.clone_volume(volume("copy", 65_536), disk)
    assert copy.info().capacity == 65_536
    with copy.download(offset=65_530) as stream:
        assert stream.read() == b"a long"
        assert stream.read() == b""
    disk.wipe()
    with disk.download() as stream:
        assert b"".join(stream) == bytes(300_000)
    with copy.download() as stream:
        assert b"".join(stream).rstrip(b"\0").endswith(b"a long"), "a copy shares nothing"


def test_content_with_holes(pool):
    disk = pool.create_volume(volume(capacity=400_000))
    with disk.upload(flags=StorageVolUploadFlags.SPARSE_STREAM) as stream:
        stream.write_hole(200_000)
        stream.write(b"data")
    parts = []
    with disk.download(flags=StorageVolDownloadFlags.SPARSE_STREAM) as stream:
        while part := stream.read_sparse():
            parts.append(part)
    assert parts[0] == 3 * 65_536
    assert b"".join(part for part in parts if isinstance(part, bytes)).strip(b"\0") == b"data"
    assert sum(part if isinstance(part, int) else len(part) for part in parts) == 400_000


def test_content_is_what_was_written_whatever_the_blocks():
    choose = random.Random(7)
    size = 5 * BLOCK + 17
    content, expected = Content(), bytearray(size)
    for _ in range(300):
        offset = choose.choice((0, BLOCK, 2 * BLOCK, choose.randrange(size)))
        length = min(choose.choice((1, BLOCK, choose.randrange(2 * BLOCK))), size - offset)
        if choose.random() < 0.5:
            data = choose.choice((b"\0", b"\x01", b"\xff")) * length
            content.write(offset, data)
            expected[offset : offset + length] = data
        else:
            content.clear(offset, length)
            expected[offset : offset + length] = bytes(length)
        assert content.read(0, size) == expected
        hole = content.hole(offset, size - offset)
        assert not any(expected[offset : offset + hole])
        assert content.stored <= 6 * BLOCK


def test_a_stream_is_no_longer_than_its_volume(pool):
    disk = pool.create_volume(volume(capacity=10))
    stream = disk.upload(offset=4)
    stream.write(b"123456")
    with pytest.raises(SystemError, match="cannot write to stream: No space left on device"):
        stream.write(b"7")
    stream.abort()
    with disk.download() as stream:
        assert stream.read() == b"\0\0\0\x00123456"
        with pytest.raises(InternalError, match="only read"):
            stream.write(b"x")
    disk.delete()


def test_streams_end_with_their_connection(pool):
    disk = pool.create_volume(volume())
    with virtcore.connect("test:///default") as other:
        other.lookup_storage_vol(key=disk.key).upload().write(b"x")
        with pytest.raises(OperationInvalid, match="in use"):
            disk.wipe()
    disk.wipe()


def test_resize(pool):
    disk = pool.create_volume(volume(capacity=1 << 20, allocation=4096))
    disk.resize(2 << 20)
    assert disk.info()[1:] == (2 << 20, 4096)
    disk.resize(1 << 20, Resize.DELTA | Resize.ALLOCATE)
    assert disk.info()[1:] == (3 << 20, 3 << 20)
    assert pool.info().allocation == 3 << 20
    with pytest.raises(InvalidArg, match="can't shrink capacity below existing allocation"):
        disk.resize(1 << 20, Resize.SHRINK)
    with pytest.raises(OperationFailed, match="Not enough space left in storage pool"):
        disk.resize(200 * GIB, Resize.ALLOCATE)
    message = "capacity in virStorageVolResize cannot be zero without 'delta' or 'shrink' flags set"
    with pytest.raises(VirtError, match=f"^{message}$"):
        disk.resize(0)
    sparse = pool.create_volume(volume("sparse", 10, 0))
    with sparse.upload() as stream:
        stream.write(b"0123")
    with pytest.raises(InvalidArg, match="unless shrink flag explicitly specified"):
        pool.create_volume(volume("third", 10, 0)).resize(5)


def test_long_work_tells_how_far_it_is_and_may_be_aborted(pool, monkeypatch):
    going = threading.Event()

    async def held(seconds):  # work on blocks pauses after each, and may not end before it was looked at
        while not going.is_set():
            await asyncio.sleep(0.001)

    monkeypatch.setattr("virtcore.builtin.test.storage.asyncio", SimpleNamespace(sleep=held))
    size = 64 << 20
    disk = pool.create_volume(volume(capacity=size))
    with disk.upload() as stream:
        for _ in range(64):
            stream.write(b"x" * (1 << 20))
    before = pool.info()
    for work in (
        lambda deadline: pool.clone_volume(volume("copy", size), disk, deadline=deadline),
        lambda deadline: disk.wipe(deadline=deadline),
    ):
        going.clear()
        job = expired(work).job
        while job.progress is None:
            time.sleep(0.001)
        assert 0 < job.progress.percent <= 100
        assert job.progress.params["data_total"] == size
        job.abort()
        going.set()
        with pytest.raises(OperationAborted):
            job.wait(60)
        assert pool.list_volumes() == [disk], "what was begun is taken back"
        assert pool.info() == before
    with disk.download(offset=size - 3) as stream:
        assert stream.read() == b"xxx"


@pytest.mark.parametrize(
    ("type", "source", "message"),
    [
        ("dir", None, "unknown storage pool type dir"),
        ("nonsense", None, "pool type 'nonsense' does not support source discovery"),
        ("rbd", None, "pool type 'rbd' does not support source discovery"),
        ("netfs", None, "hostname must be specified for netfs sources"),
        ("netfs", "<source/>", "hostname must be specified for netfs sources"),
        ("netfs", "<x/>", "expecting root element of 'source', not 'x'"),
    ],
)
def test_sources_that_are_not_found(connection, type, source, message):
    with pytest.raises(VirtError, match=re.escape(message)):
        connection.find_storage_pool_sources(type, source)


def test_sources(connection):
    assert connection.find_storage_pool_sources("logical").count("<source>") == 2
    found = connection.find_storage_pool_sources("netfs", "<source><host name='it&apos;s'/></source>")
    assert "<host name='it&apos;s'/>" in found
    assert "<pool type='zfs' supported='yes'>" in connection.storage_pool_capabilities()


def test_flags_and_rights(connection, pool):
    disk = pool.create_volume(volume())
    for function, call in (
        ("testConnectListAllStoragePools", lambda: connection.list_storage_pools(1 << 25)),
        ("testStoragePoolBuild", lambda: pool.build(1 << 25)),
        ("testStoragePoolGetXMLDesc", lambda: pool.xml(1 << 25)),
        ("testStorageVolCreateXML", lambda: pool.create_volume(volume("x"), 1 << 25)),
        ("testStorageVolDelete", lambda: disk.delete(1 << 25)),
    ):
        with pytest.raises(VirtError, match=f"^unsupported flags \\(0x2000000\\) in function {function}$"):
            call()
    with pytest.raises(InvalidArg, match="wiping algorithm 77 not supported"):
        disk.wipe(77)
    with virtcore.connect("test:///default", readonly=True) as readonly:
        seen = readonly.lookup_storage_vol(key=disk.key)
        with pytest.raises(OperationDenied, match="read only access prevents virStorageVolDelete"):
            seen.delete()
    assert pool.list_volumes() == [disk]


def test_a_pool_on_a_virtual_adapter_has_one_made(connection):
    events = queue.SimpleQueue()
    connection.on_event(events.put, NodeDeviceLifecycleEvent)
    fc = connection.create_storage_pool(FC)
    device = connection.lookup_node_device(wwnn="2000000012340001", wwpn="1000000012340001")
    assert (device.name, device.parent()) == ("scsi_host12", "scsi_host1")
    with pytest.raises(OperationFailed, match="Storage source conflict with pool: 'fc'"):
        connection.define_storage_pool(FC.replace("<name>fc", "<name>fd"))
    fc.destroy()
    with pytest.raises(NoNodeDevice):
        device.xml()
    assert [events.get(timeout=60).type for _ in range(2)] == [0, 1]


def test_a_described_host_has_its_pools(tmp_path):
    (tmp_path / "disk.xml").write_text("<volume><name>c</name><capacity>7</capacity></volume>")
    path = tmp_path / "host.xml"
    inner = f"{volume('a')}<volume file='disk.xml'/></pool>"
    path.write_text(f"<node>{OTHER.replace('</pool>', inner)}</node>")
    with virtcore.connect(f"test://{path}") as connection:
        [other] = connection.list_storage_pools()
        assert (other.name, other.is_active(), other.info().allocation) == ("other", True, 4096 + 7)
        found = {volume.name: (volume.key, volume.path()) for volume in other.list_volumes()}
        assert found == {"a": ("mine", "/mine"), "c": ("/other/c", "/other/c")}
        other.lookup_volume("a").delete()
        assert other.info().allocation == 7
    path.write_text("<node><pool type='dir'><name>x</name></pool></node>")
    with pytest.raises(XMLError, match="missing storage pool target path"):
        virtcore.connect(f"test://{path}")
