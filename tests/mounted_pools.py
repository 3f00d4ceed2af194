"""Pools on a loop device of this machine, in a mount namespace of one's own: ``mounted_pools.py KIND ROOT``."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from host_storage import figures, opened, told, volume
from virtcore.enums import StoragePoolBuildFlags as Build
from virtcore.errors import InternalError, InvalidArg, NoSupport, OperationInvalid, VirtError
from virtcore.runtime.launcher import launcher

MIB = 1 << 20


async def refuses(work: Awaitable[object], kind: type[VirtError], said: str) -> None:
    """Check that something is refused."""
    with pytest.raises(kind, match=re.escape(said)):
        await work


async def file_system(root: Path, device: str) -> None:
    """A file system that is made, mounted, used, found mounted, and unmounted."""
    target = root / "mounted"
    xml = (
        f"<pool type='fs'><name>p</name><source><device path='{device}'/><format type='ext4'/></source>"
        f"<target><path>{target}</path></target></pool>"
    )
    async with opened(root) as storage:
        events = told(storage)
        pool = await storage.connection_define_storage_pool(xml)
        await storage.storage_pool_build(pool, Build.NO_OVERWRITE)
        await refuses(storage.storage_pool_build(pool, Build.NO_OVERWRITE), VirtError, "already formatted using 'ext4'")
        await storage.storage_pool_build(pool, Build.OVERWRITE)
        await storage.storage_pool_create(pool)
        mounts = Path("/proc/mounts").read_text()
        assert f"{device} {target} ext4 rw,nosuid,nodev,noexec" in mounts, mounts
        await storage.storage_pool_create_volume(pool, volume(more="<allocation>0</allocation>"))
        assert (target / "v").stat().st_size == MIB
        assert figures(storage, pool)[0] < 64 * MIB
        assert [kind for _, kind in events] == ["DEFINED", "CREATED", "CREATED", "STARTED"]
    async with opened(root) as storage:
        pool = storage.connection_lookup_storage_pool("p")
        assert storage.storage_pool_is_active(pool)
        await storage.storage_pool_destroy(pool)
        assert str(target) not in Path("/proc/mounts").read_text()
    async with opened(root) as storage:
        assert not storage.storage_pool_is_active(storage.connection_lookup_storage_pool("p"))


async def partitions(root: Path, device: str) -> None:
    """A disk that is divided, with the names that the kernel gives."""
    xml = (
        f"<pool type='disk'><name>p</name><source><device path='{device}'/><format type='FORMAT'/></source>"
        "<target><path>/dev</path></target></pool>"
    )
    name = device.rsplit("/", 1)[1]
    async with opened(root) as storage:
        pool = await storage.connection_define_storage_pool(xml.replace("FORMAT", "gpt"))
        await refuses(storage.storage_pool_create(pool), VirtError, "is unrecognized, requires build")
        await storage.storage_pool_build(pool)
        await refuses(storage.storage_pool_build(pool, Build.NO_OVERWRITE), VirtError, "already formatted using 'gpt'")
        await storage.storage_pool_create(pool)
        capacity, allocation, available = figures(storage, pool)
        assert (capacity > 60 * MIB, allocation, available > 60 * MIB) == (True, 0, True)
        await refuses(storage.storage_pool_create_volume(pool, part("x")), InvalidArg, f"expected '{name}p1'")
        assert storage.storage_pool_list_volumes(pool) == []
        first = await storage.storage_pool_create_volume(pool, part(f"{name}p1"))
        assert (await storage.storage_vol_info(first)).capacity == 8 * MIB
        assert figures(storage, pool)[1] == 8 * MIB
        shown = await storage.storage_vol_xml(first)
        assert f"<device path='{device}'>\n      <extent start='" in shown, shown
        stream = await storage.storage_vol_upload(first)
        await stream.write(b"content")
        await stream.finish()
        await storage.storage_vol_wipe(first)
        stream = await storage.storage_vol_download(first, 0, 7)
        assert await stream.read(7) == bytes(7)
        await stream.finish()
        await storage.storage_vol_delete(first)
        assert figures(storage, pool) == (capacity, 0, available)
        await refuses(storage.storage_pool_create_volume(pool, part(f"{name}p1", 1 << 40)), InternalError, "no large")
        await storage.storage_pool_destroy(pool)
        await storage.storage_pool_undefine(pool)
        pool = await storage.connection_define_storage_pool(xml.replace("FORMAT", "dos"))
        await refuses(storage.storage_pool_create(pool), OperationInvalid, "does not match the expected format 'dos'")
        await storage.storage_pool_build(pool, Build.OVERWRITE)
        await storage.storage_pool_create(pool)
        for number in (1, 2, 3):
            await storage.storage_pool_create_volume(pool, part(f"{name}p{number}", 4 * MIB))
        extended = await storage.storage_pool_create_volume(pool, part(f"{name}p4", 30 * MIB, "extended"))
        await refuses(
            storage.storage_pool_create_volume(pool, part("x", MIB, "extended")), InternalError, "already exists"
        )
        await storage.storage_pool_create_volume(pool, part(f"{name}p5", 6 * MIB))
        shown = await storage.storage_vol_xml(extended)
        assert "<allocation unit='bytes'>0<" not in shown, shown
        await refuses(storage.storage_vol_wipe(extended), NoSupport, "cannot wipe extended partition")
        await storage.storage_pool_destroy(pool)


def part(name: str, size: int = 8 * MIB, format: str = "none") -> str:
    """A partition."""
    return volume(name, size, format)


async def group(root: Path, device: str) -> None:
    """A volume group. What this kernel cannot (it may lack the device mapper) is told."""
    xml = f"<pool type='logical'><name>{root.name}</name><source><device path='{device}'/></source></pool>"
    async with opened(root) as storage:
        pool = await storage.connection_define_storage_pool(xml)
        await refuses(
            storage.storage_pool_create(pool), VirtError, f"cannot find logical volume group name '{root.name}'"
        )
        await storage.storage_pool_build(pool)
        try:
            await refuses(storage.storage_pool_build(pool), VirtError, "already formatted using 'LVM2_member'")
            sources = await storage.connection_find_storage_pool_sources("logical")
            assert f"<device path='{device}'/>\n    <name>{root.name}</name>\n    <format type='lvm2'/>" in sources
            await storage.storage_pool_create(pool)
            capacity, allocation, available = figures(storage, pool)
            assert (capacity, allocation) == (available, 0)
            if not Path("/dev/mapper/control").exists():
                wrong = storage.storage_pool_create_volume(pool, volume("v", 4 * MIB))
                await refuses(wrong, InternalError, "lvcreate --yes --name v -L 4096K")
                print("no device mapper")
            await storage.storage_pool_destroy(pool)
        finally:
            if storage.storage_pool_is_active(pool):
                await storage.storage_pool_destroy(pool)
            await storage.storage_pool_delete(pool)


KINDS: dict[str, Callable[[Path, str], Awaitable[None]]] = {
    "fs": file_system,
    "disk": partitions,
    "logical": group,
}


def main(kind: str, root: Path) -> None:
    """Run one, on a loop device that goes whatever happens."""
    image = root / "device"
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    command = ["losetup", "--find", "--show", "--partscan", str(image)]
    device = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    async def inside() -> None:
        try:
            await KINDS[kind](root, device)
        finally:
            launcher().close()

    try:
        asyncio.run(inside())
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
