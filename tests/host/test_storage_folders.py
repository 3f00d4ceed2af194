"""Pools that are folders of this host: their life, their images, what is done with these."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from host_storage import figures, folder_pool, opened, run, told, volume
from support import comes
from virt_host.storage import content, service
from virt_host.storage.service import HostStorage
from virt_host.tools import find_tool
from virtcore.driver.composition import PlaceServices
from virtcore.enums import (
    StoragePoolBuildFlags as Build,
    StoragePoolCreateFlags as Create,
    StorageVolCreateFlags as Made,
    StorageVolDeleteFlags as Delete,
    StorageVolInfoFlags,
    StorageVolResizeFlags as Resize,
    StorageVolUploadFlags,
    StorageVolWipeAlgorithm as Wipe,
    StorageXMLFlags,
)
from virtcore.errors import (
    ArgumentUnsupported,
    ConfigUnsupported,
    InternalError,
    InvalidArg,
    NoSecret,
    NoStorageVol,
    NoSupport,
    OperationFailed,
    OperationInvalid,
    OperationUnsupported,
    SystemError as SystemFailure,
    VirtError,
)
from virtcore.types import StoragePoolRef

MIB = 1 << 20

needs_qemu_img = pytest.mark.skipif(find_tool("qemu-img") is None, reason="no qemu-img (Debian: qemu-utils)")
deep = pytest.mark.deep
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


async def started(storage: HostStorage, path: Path, name: str = "p") -> StoragePoolRef:
    path.mkdir(parents=True, exist_ok=True)
    return await storage.connection_create_storage_pool(folder_pool(path, name))


def test_life(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where"

    async def test(storage: HostStorage) -> None:
        events = told(storage)
        permissions = "<permissions><mode>0750</mode></permissions>"
        pool = await storage.connection_define_storage_pool(folder_pool(path, more=permissions))
        with pytest.raises(SystemFailure, match=f"cannot open directory '{path}': No such file or directory"):
            await storage.storage_pool_create(pool)
        with pytest.raises(InvalidArg, match="mutually exclusive"):
            await storage.storage_pool_build(pool, Build.OVERWRITE | Build.NO_OVERWRITE)
        with pytest.raises(OperationInvalid, match="No source device specified when formatting pool 'p'"):
            await storage.storage_pool_build(pool, Build.OVERWRITE)
        path.rmdir()
        await storage.storage_pool_build(pool)
        assert stat.S_IMODE(path.stat().st_mode) == 0o750
        await storage.storage_pool_create(pool)
        system = os.statvfs(path)
        capacity, allocation, available = figures(storage, pool)
        assert capacity == system.f_frsize * system.f_blocks == allocation + available
        for wrong in (storage.storage_pool_build, storage.storage_pool_delete, storage.storage_pool_undefine):
            with pytest.raises(OperationInvalid):
                await wrong(pool)
        (path / "appeared").write_bytes(bytes(1000))
        await storage.storage_pool_refresh(pool)
        assert [found.name for found in storage.storage_pool_list_volumes(pool)] == ["appeared"]
        await storage.storage_pool_destroy(pool)
        shown = await storage.storage_pool_xml(pool, StorageXMLFlags.INACTIVE)
        assert f"<capacity unit='bytes'>{capacity}<" in shown  # as libvirt keeps it
        with pytest.raises(SystemFailure, match=f"failed to remove pool '{path}': Directory not empty"):
            await storage.storage_pool_delete(pool)
        (path / "appeared").unlink()
        await storage.storage_pool_delete(pool)
        assert not path.exists()
        await storage.storage_pool_undefine(pool)
        kinds = ["DEFINED", "CREATED", "STARTED", "REFRESHED", "STOPPED", "DELETED", "UNDEFINED"]
        assert events == [("p", kind) for kind in kinds]

    run(tmp_path, test)


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    path.mkdir(mode=0o700)

    async def test(storage: HostStorage) -> None:
        await storage.connection_create_storage_pool(folder_pool(path), Create.WITH_BUILD)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700

    run(tmp_path, test)


def test_the_same_folder_twice_and_kinds_that_there_are_not(tmp_path: Path) -> None:
    async def test(storage: HostStorage) -> None:
        await started(storage, tmp_path / "pool")
        with pytest.raises(OperationFailed, match="Storage source conflict with pool: 'p'"):
            await storage.connection_define_storage_pool(folder_pool(tmp_path / "pool", "q"))
        sheepdog = "<pool type='sheepdog'><name>s</name><source><host name='h'/><name>s</name></source></pool>"
        with pytest.raises(InternalError, match=r"missing backend for pool type 10 \(sheepdog\)"):
            await storage.connection_define_storage_pool(sheepdog)
        shown = await storage.connection_storage_pool_capabilities()
        assert "<pool type='dir' supported='yes'>" in shown
        assert "<pool type='sheepdog' supported='no'>" in shown
        with pytest.raises(NoSupport, match="pool type 'dir' does not support source discovery"):
            await storage.connection_find_storage_pool_sources("dir")

    run(tmp_path, test)


def test_pools_survive_their_process(tmp_path: Path) -> None:
    """What is defined, what was started, and what is there without anybody having started it."""
    places = {name: tmp_path / name for name in ("kept", "transient", "gone", "vanished", "marked")}

    async def before() -> None:
        async with opened(tmp_path) as storage:
            await storage.connection_define_storage_pool(folder_pool(places["kept"], "kept"), 0)
            await started(storage, places["transient"], "transient")
            await started(storage, places["vanished"], "vanished")
            gone = await storage.connection_define_storage_pool(folder_pool(places["gone"], "gone"))
            await storage.storage_pool_build(gone)
            await storage.storage_pool_create(gone)
            marked = await storage.connection_define_storage_pool(folder_pool(places["marked"], "marked"))
            await storage.storage_pool_set_autostart(marked, True)
            places["gone"].rmdir()
            places["vanished"].rmdir()
            places["kept"].mkdir()

    async def after() -> None:
        async with opened(tmp_path) as storage:
            pools = {ref.name: ref for ref in storage.connection_list_storage_pools()}
            assert set(pools) == {"kept", "transient", "gone", "marked"}
            assert [name for name in sorted(pools) if storage.storage_pool_is_active(pools[name])] == [
                "kept",  # its folder is there: libvirt takes it for active, too
                "transient",
            ]
            assert storage.storage_pool_autostart(pools["marked"])
            assert storage.in_use

    asyncio.run(before())
    asyncio.run(after())
    # The host is up anew: what is marked starts.
    places["marked"].mkdir()

    async def booted() -> None:
        (tmp_path / "run" / "storage" / "autostarted").write_text("another uptime")
        async with opened(tmp_path) as storage:
            marked = storage.connection_lookup_storage_pool("marked")
            await comes(lambda: storage.storage_pool_is_active(marked))

    asyncio.run(booted())


def test_what_is_no_image_is_no_volume(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    path.mkdir()
    os.mkfifo(path / "fifo")
    (path / "terminal").symlink_to("/dev/null")
    (path / "dangling").symlink_to(path / "nowhere")
    (path / "loop").symlink_to(path / "loop")
    (path / "new\nline").touch()
    (path / "folder").mkdir()
    (path / "image").write_bytes(b"QFI\xfb\0\0\0\x09 not a version that there is")
    (path / "linked").symlink_to(path / "image")
    (path / "ploop").mkdir()
    (path / "ploop" / "DiskDescriptor.xml").touch()
    (path / "ploop" / "root.hds").write_bytes(b"WithouFreSpacExt".ljust(36, b"\0") + (2048).to_bytes(8, "little"))

    async def test(storage: HostStorage) -> None:
        pool = await started(storage, path)
        found = {ref.name: await storage.storage_vol_xml(ref) for ref in storage.storage_pool_list_volumes(pool)}
        assert set(found) == {"folder", "image", "linked", "ploop"}
        for name, kind, format in (("folder", "dir", "dir"), ("image", "file", "raw"), ("ploop", "ploop", "ploop")):
            assert f"<volume type='{kind}'>" in found[name]
            assert f"<format type='{format}'/>" in found[name]
        assert "<capacity unit='bytes'>44</capacity>" in found["ploop"]

    run(tmp_path, test)


def test_raw_images(tmp_path: Path) -> None:
    path = tmp_path / "pool"

    async def test(storage: HostStorage) -> None:
        pool = await started(storage, path)
        before = figures(storage, pool)
        sparse = await storage.storage_pool_create_volume(pool, volume("sparse", more="<allocation>0</allocation>"))
        assert tuple(storage_info := await storage.storage_vol_info(sparse))[1:] == (MIB, 0), storage_info
        assert (await storage.storage_vol_info(sparse, StorageVolInfoFlags.GET_PHYSICAL)).allocation == MIB
        whole = await storage.storage_pool_create_volume(pool, volume("whole"))
        taken = (await storage.storage_vol_info(whole)).allocation
        assert taken >= MIB
        assert stat.S_IMODE((path / "whole").stat().st_mode) == 0o600
        assert figures(storage, pool) == (before[0], before[1] + taken, before[2] - taken)
        (path / "there").touch()
        for wrong, error, match in (
            (volume("there"), OperationInvalid, f"volume target path '{path}/there' already exists"),
            (volume("a/b"), VirtError, "a/b"),
            (volume(more="<backingStore><path>/x</path></backingStore>"), NoSupport, "not supported for raw volumes"),
        ):
            with pytest.raises(error, match=match):
                await storage.storage_pool_create_volume(pool, wrong)
        with pytest.raises(ConfigUnsupported, match="metadata preallocation is not supported for raw volumes"):
            await storage.storage_pool_create_volume(pool, volume(), Made.PREALLOC_METADATA)
        assert sorted(os.listdir(path)) == ["sparse", "there", "whole"]
        with pytest.raises(InvalidArg, match=r"unsupported flags \(0x1\) in function virStorageBackendVolDeleteLocal"):
            await storage.storage_vol_delete(whole, Delete.ZEROED)
        await storage.storage_vol_delete(whole)
        assert figures(storage, pool) == before
        (path / "sparse").unlink()
        with pytest.raises(NoStorageVol, match=f"no storage vol with matching path '{path}/sparse'"):
            await storage.storage_vol_info(sparse)
        await storage.storage_vol_delete(sparse)  # it has gone already

    run(tmp_path, test)


@needs_root
def test_owner_and_mode(tmp_path: Path) -> None:
    async def test(storage: HostStorage) -> None:
        pool = await started(storage, tmp_path / "pool")
        wanted = "<permissions><mode>0640</mode><owner>12</owner><group>34</group></permissions>"
        for format in ("raw", "dir"):
            ref = await storage.storage_pool_create_volume(pool, volume(format, format=format, target=wanted))
            found = (tmp_path / "pool" / format).stat()
            assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, 12, 34)
            assert "<owner>12</owner>" in await storage.storage_vol_xml(ref)

    run(tmp_path, test)


def test_copies(tmp_path: Path) -> None:
    path = tmp_path / "pool"

    async def test(storage: HostStorage) -> None:
        pool = await started(storage, path)
        (path / "source").write_bytes(bytes(MIB) + b"\1" * 4096 + bytes(MIB - 4096))
        await storage.storage_pool_refresh(pool)
        source = storage.storage_pool_lookup_volume(pool, "source")
        thin = volume("thin", more="<allocation>0</allocation>")
        copy = await storage.storage_pool_clone_volume(pool, thin, source)
        assert (path / "thin").read_bytes() == (path / "source").read_bytes()
        assert tuple(await storage.storage_vol_info(copy))[1:] == (2 * MIB, 4096)
        await storage.storage_pool_clone_volume(pool, volume("thick"), source)
        assert (path / "thick").stat().st_blocks * 512 >= 2 * MIB
        with pytest.raises(InternalError, match="cannot copy from volume to a directory volume"):
            await storage.storage_pool_clone_volume(pool, volume("folder", format="dir"), source)
        try:
            await storage.storage_pool_clone_volume(pool, volume("shared"), source, Made.REFLINK)
        except SystemFailure as error:
            said = str(error)  # this file system shares no blocks
        else:
            said = "shared"
        assert said == "shared" or "failed to clone files from" in said
        assert (path / "shared").exists() is (said == "shared")

    run(tmp_path, test)


def test_what_is_ended_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pool"

    async def test(storage: HostStorage) -> None:
        pool = await started(storage, path)
        (path / "source").write_bytes(b"\1" * (4 * MIB))
        await storage.storage_pool_refresh(pool)
        source = storage.storage_pool_lookup_volume(pool, "source")
        begun: list[int] = []
        stops: list[content.Stop] = []
        gate = threading.Event()

        class Noted(content.Stop):
            def __init__(self) -> None:
                super().__init__()
                stops.append(self)

        def waiting(done: int, total: int) -> None:
            begun.append(done)
            gate.wait()

        monkeypatch.setattr(content, "Stop", Noted)
        monkeypatch.setattr(content, "report_progress", waiting)
        task = asyncio.create_task(storage.storage_pool_clone_volume(pool, volume("copy"), source))
        await comes(lambda: begun)
        copy = storage.storage_pool_lookup_volume(pool, "copy")
        with pytest.raises(OperationInvalid, match="volume 'copy' is still being allocated"):
            await storage.storage_vol_delete(copy)
        with pytest.raises(InternalError, match="has asynchronous jobs running"):
            await storage.storage_pool_destroy(pool)
        assert (await storage.storage_vol_info(copy)).capacity == 4 * MIB
        task.cancel()
        await comes(stops[-1]._event.is_set)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert begun == [MIB]
        assert os.listdir(path) == ["source"]
        await storage.storage_pool_destroy(pool)

    run(tmp_path, test)


def test_sizes(tmp_path: Path) -> None:
    path = tmp_path / "pool"

    async def test(storage: HostStorage) -> None:
        pool = await started(storage, path)
        ref = await storage.storage_pool_create_volume(pool, volume(more="<allocation>0</allocation>"))
        await storage.storage_vol_resize(ref, 2 * MIB)
        assert (path / "v").stat().st_size == 2 * MIB
        with pytest.raises(InvalidArg, match="unless shrink flag explicitly specified"):
            await storage.storage_vol_resize(ref, MIB)
        await storage.storage_vol_resize(ref, MIB // 2, Resize.SHRINK | Resize.DELTA)
        assert (path / "v").stat().st_size == MIB * 3 // 2
        await storage.storage_vol_resize(ref, 3 * MIB, Resize.ALLOCATE)
        assert (path / "v").stat().st_blocks * 512 >= 3 * MIB
        with pytest.raises(InvalidArg, match="can't shrink capacity below existing allocation"):
            await storage.storage_vol_resize(ref, MIB, Resize.SHRINK)
        with pytest.raises(OperationFailed, match="Not enough space left in storage pool"):
            await storage.storage_vol_resize(ref, 1 << 60, Resize.ALLOCATE)

    run(tmp_path, test)


def test_wiping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, tools = tmp_path / "pool", tmp_path / "tools"
    tools.mkdir()
    (tools / "scrub").write_text(f'#!/bin/sh\necho "$@" >> {tools}/done\n[ "$3" != gutmann ]\n')
    (tools / "scrub").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    async def test(storage: HostStorage) -> None:
        pool = await started(storage, path)
        (path / "full").write_bytes(b"QFI\xfb\0\0\0\3".ljust(8192, b"\1"))
        with (path / "sparse").open("wb") as file:
            file.write(b"\1" * 100)
            file.truncate(MIB)
        await storage.storage_pool_refresh(pool)
        full, sparse = (storage.storage_pool_lookup_volume(pool, name) for name in ("full", "sparse"))
        assert "type='qcow2'" in await storage.storage_vol_xml(full)
        for ref in (full, sparse):
            await storage.storage_vol_wipe(ref)
            assert not any((path / ref.name).read_bytes())
        assert (path / "sparse").stat().st_blocks == 0
        assert "type='raw'" in await storage.storage_vol_xml(full)  # which it is now
        await storage.storage_vol_wipe(full, Wipe.DOD)
        assert (tools / "done").read_text() == f"-f -p dod {path}/full\n"
        with pytest.raises(InternalError, match=r"Child process .* unexpected exit status 1"):
            await storage.storage_vol_wipe(full, Wipe.GUTMANN)
        with pytest.raises(ArgumentUnsupported, match="'trim' algorithm not supported"):
            await storage.storage_vol_wipe(full, Wipe.TRIM)

    run(tmp_path, test)


def test_content_with_holes(tmp_path: Path) -> None:
    path = tmp_path / "pool"

    async def test(storage: HostStorage) -> None:
        pool = await started(storage, path)
        (path / "v").write_bytes(b"\1" * MIB)
        await storage.storage_pool_refresh(pool)
        ref = storage.storage_pool_lookup_volume(pool, "v")
        stream = await storage.storage_vol_upload(ref, flags=StorageVolUploadFlags.SPARSE_STREAM)
        with pytest.raises(OperationInvalid, match="volume 'v' is still in use"):
            await storage.storage_vol_delete(ref)
        await stream.write(b"a" * 4096)
        await stream.write_hole(8192)  # type: ignore[attr-defined]
        await stream.write(b"b" * 4096)
        await stream.write_hole(MIB - 16384)  # type: ignore[attr-defined]
        events = told(storage)
        await stream.finish()
        await comes(lambda: ("p", "REFRESHED") in events)
        expected = b"a" * 4096 + bytes(8192) + b"b" * 4096 + bytes(MIB - 16384)
        assert (path / "v").read_bytes() == expected
        stream = await storage.storage_vol_download(ref, flags=1)
        found = b""
        while piece := await stream.read_sparse(1 << 16):  # type: ignore[attr-defined]
            found += bytes(piece)
        await stream.finish()
        assert found == expected
        stream = await storage.storage_vol_download(ref, 4000, 200)
        assert await stream.read(1000) + await stream.read(1000) == expected[4000:4200]
        await stream.abort()
        stream = await storage.storage_vol_upload(ref, 0, 10)
        with pytest.raises(SystemFailure, match="No space left on device"):
            await stream.write(b"x" * 11)
        await stream.abort()

    run(tmp_path, test)


def test_threads_of_streams_keep_their_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives up a write or an opening waits for its thread: it might reach another file else, or none."""
    path = tmp_path / "v"
    path.write_bytes(b"")
    begun, held = threading.Event(), threading.Event()
    write_all, open_file = content._write_all, content.FileStream._open

    def slow_write(*words: int | bytes) -> None:
        begun.set()
        held.wait(10)
        write_all(*words)  # type: ignore[arg-type]

    def slow_open(stream: content.FileStream) -> None:
        open_file(stream)
        begun.set()
        held.wait(10)

    def open_ones() -> list[str]:
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return [link for link in links if os.path.lexists(link) and os.path.realpath(link) == str(path)]

    async def given_up(work: asyncio.Task[object]) -> None:
        while not begun.is_set():
            await asyncio.sleep(0)
        work.cancel()
        done, _ = await asyncio.wait([work], timeout=0.05)
        assert not done
        assert open_ones()
        held.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        begun.clear()
        held.clear()

    async def test() -> None:
        monkeypatch.setattr(content, "_write_all", slow_write)
        stream = await content.FileStream.open(str(path), 0, 0, writes=True)
        await given_up(asyncio.ensure_future(stream.write(b"all of it")))
        assert path.read_bytes() == b"all of it"
        await stream.abort()
        monkeypatch.setattr(content.FileStream, "_open", slow_open)
        await given_up(asyncio.ensure_future(content.FileStream.open(str(path), 0, 0, writes=False)))
        assert not open_ones()

    asyncio.run(test())


@needs_qemu_img
def test_images_with_a_format(tmp_path: Path) -> None:
    path = tmp_path / "pool"

    async def test(storage: HostStorage) -> None:
        pool = await started(storage, path)
        features = "<compat>1.1</compat><clusterSize unit='KiB'>128</clusterSize><features><lazy_refcounts/></features>"
        base = await storage.storage_pool_create_volume(pool, volume("base", 8 * MIB, "qcow2", target=features))
        over = volume(
            "over", 8 * MIB, "qcow2", f"<backingStore><path>{path}/base</path><format type='qcow2'/></backingStore>"
        )
        top = await storage.storage_pool_create_volume(pool, over)
        relative = volume(
            "relative", 8 * MIB, "qcow2", "<backingStore><path>base</path><format type='qcow2'/></backingStore>"
        )
        await storage.storage_pool_create_volume(pool, relative)
        await storage.storage_pool_refresh(pool)
        shown = await storage.storage_vol_xml(base)
        for expected in ("<compat>1.1</compat>", "<clusterSize unit='B'>131072</clusterSize>", "<lazy_refcounts/>"):
            assert expected in shown
        for name in ("over", "relative"):
            shown = await storage.storage_vol_xml(storage.storage_pool_lookup_volume(pool, name))
            assert (
                f"<backingStore>\n    <path>{path}/base</path>\n    <format type='qcow2'/>\n    <permissions>" in shown
            )
        await storage.storage_vol_resize(top, 16 * MIB)
        await storage.storage_vol_resize(top, 8 * MIB, Resize.SHRINK)
        with pytest.raises(OperationUnsupported, match="preallocate is only supported for raw type volume"):
            await storage.storage_vol_resize(top, 32 * MIB, Resize.ALLOCATE)
        copy = await storage.storage_pool_clone_volume(pool, volume("copy", format="vmdk"), top)
        assert (await storage.storage_vol_info(copy)).capacity == 8 * MIB
        nowhere = volume("x", MIB, "qcow2", "<backingStore><path>/nowhere</path><format type='raw'/></backingStore>")
        with pytest.raises(
            SystemFailure, match="inaccessible backing store volume /nowhere: No such file or directory"
        ):
            await storage.storage_pool_create_volume(pool, nowhere)
        assert not (path / "x").exists()
        (path / "base").unlink()
        await storage.storage_pool_refresh(pool)
        shown = await storage.storage_vol_xml(storage.storage_pool_lookup_volume(pool, "over"))
        assert f"<path>{path}/base</path>\n    <format type='qcow2'/>\n  </backingStore>" in shown

    run(tmp_path, test)


#: A program in place of ``qemu-img``: it looks for the passphrase where it is told, and makes an image of 1 MiB.
LUKS_TOOL = f"""\
#!{sys.executable} -IS
import os, re, sys
[secret] = [word for word in sys.argv if word.startswith("secret,")]
file = re.search("file=([^,]*)", secret)[1]
assert os.readlink(file).startswith("/memfd:")  # no file that others find, or that a crash leaves
assert open(file).read() == "a passphrase, with a comma"
with open(sys.argv[-2], "xb") as image:
    image.write(b"LUKS\\xba\\xbe\\0\\1".ljust(104, b"\\0") + (2048).to_bytes(4, "big"))
    image.truncate(2 << 20)
"""


def _link(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:  # that of the list
        return ""


@pytest.mark.parametrize(
    ("format", "real"),
    [("raw", False), *(pytest.param(name, True, marks=(deep, needs_qemu_img)) for name in ("raw", "qcow2"))],
)
def test_encrypted_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, real: bool) -> None:
    """With the real program it takes long: keys are made of the passphrase, slowly on purpose."""
    if not real:
        (tmp_path / "qemu-img").write_text(LUKS_TOOL)
        (tmp_path / "qemu-img").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    path = tmp_path / "pool"
    encryption = "<encryption format='luks'><secret type='passphrase' usage='{}'/></encryption>"

    async def test(storage: HostStorage) -> None:
        pool = await started(storage, path)
        services = PlaceServices(storage.place)
        try:
            text = f"<secret private='yes'><usage type='volume'><volume>{path}/v</volume></usage></secret>"
            secret = await services.call("secret", "connection_define_secret", text)
            xml = volume(format=format, target=encryption.format(f"{path}/v"))
            with pytest.raises(NoSecret, match="does not have a value"):
                await storage.storage_pool_create_volume(pool, xml)
            await services.call("secret", "secret_set_value", secret, b"a passphrase, with a comma")
            ref = await storage.storage_pool_create_volume(pool, xml)
            assert (path / "v").read_bytes()[:4] == (b"LUKS" if format == "raw" else b"QFI\xfb")
            assert (await storage.storage_vol_info(ref)).capacity == MIB
            await storage.storage_pool_refresh(pool)
            shown = await storage.storage_vol_xml(ref)
            assert "<capacity unit='bytes'>1048576</capacity>" in shown
            assert f"<encryption format='luks'>\n      <secret type='passphrase' uuid='{secret.uuid}'/>" in shown
            with pytest.raises(NoSecret, match="nobody"):
                await storage.storage_pool_create_volume(pool, volume("x", target=encryption.format("nobody")))
            assert os.listdir(path) == ["v"]
            if real:
                await storage.storage_vol_resize(ref, 8 * MIB)
                assert (await storage.storage_vol_info(ref)).capacity == 8 * MIB
                copy = await storage.storage_pool_clone_volume(pool, volume("plain"), ref)
                assert (path / "plain").stat().st_size == 8 * MIB
                assert "encryption" not in await storage.storage_vol_xml(copy)
            assert not [name for name in os.listdir("/proc/self/fd") if "memfd:passphrase" in _link(name)]
        finally:
            await services.close()

    run(tmp_path, test)


def test_the_service_says_whether_it_is_needed(tmp_path: Path) -> None:
    async def test(storage: HostStorage) -> None:
        used = [storage.in_use]
        pool = await started(storage, tmp_path / "pool")
        used.append(storage.in_use)
        await storage.storage_pool_destroy(pool)
        assert [*used, storage.in_use] == [False, True, False]

    assert service.HostStorage.error_domain == "STORAGE"
    run(tmp_path, test)
