"""Mediated devices of a host that is a folder, with an mdevctl that keeps its definitions as the real one does."""

from __future__ import annotations

import asyncio
import json
import select
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fake_nodedevs import FakeMdevctl, FakeNodeDevices
from fake_sysfs import MDEV, FakeHost, everything
from virt_host.nodedev.folder_watch import FolderWatch
from virt_host.nodedev.uevents import Uevent
from virtcore.enums.nodedev import ConnectListAllNodeDeviceFlags as ListFlags, NodeDeviceUpdateFlags, NodeDeviceXMLFlags
from virtcore.errors import NoNodeDevice, VirtError
from virtcore.types import NodeDeviceRef

UUID = "11111111-2222-4333-8444-555555555555"
NAME = f"mdev_{UUID.replace('-', '_')}_0000_00_02_0"
KIND = "i915-GVTg_V5_8"
GIVEN = "sys/devices/pci0000:00/0000:00:02.0/mdev_supported_types/i915-GVTg_V5_8/available_instances"

Work = Callable[[FakeNodeDevices, FakeMdevctl], Awaitable[None]]


def document(settings: str = "", *, kind: str = KIND, parent: str = "pci_0000_00_02_0", uuid: str = UUID) -> str:
    return (
        f"<device><parent>{parent}</parent><capability type='mdev'><type id='{kind}'/><uuid>{uuid}</uuid>"
        f"{settings}</capability></device>"
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Work], None]:
    host = FakeHost(tmp_path)
    everything(host)
    mdevctl = FakeMdevctl(host)

    def once(work: Work) -> None:
        async def whole() -> None:
            service = FakeNodeDevices(host.root, mdevctl)
            await service.open()
            try:
                await work(service, mdevctl)
            finally:
                await service.close()

        asyncio.run(whole())

    return once


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(12000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come")


def test_the_life_of_a_definition(run: Callable[[Work], None]) -> None:
    async def define(service: FakeNodeDevices, mdevctl: FakeMdevctl) -> None:
        ref = await service.connection_define_node_device(document("<attr name='a' value='1'/>"))
        assert ref.name == NAME
        assert json.loads((mdevctl.folder / "0000:00:02.0" / UUID).read_text())["start"] == "manual"
        await service.node_device_set_autostart(ref, True)
        assert service.names(ListFlags.INACTIVE) == [NAME]
        assert service.told == [("DEFINED", NAME)]

    async def use(service: FakeNodeDevices, mdevctl: FakeMdevctl) -> None:
        ref = NodeDeviceRef(NAME)  # another process finds it
        assert (service.node_device_is_persistent(ref), service.node_device_autostart(ref)) == (True, True)
        assert not service.node_device_is_active(ref)
        await service.node_device_create(ref)
        assert mdevctl.commands[-3] == f"mdevctl start --uuid={UUID}"
        xml = await service.node_device_xml(ref)
        assert "<attr name='a' value='1'/>" in xml
        assert f"<path>/sys/devices/pci0000:00/0000:00:02.0/{UUID}</path>" in xml
        assert (service.root / GIVEN).read_text() == "1\n"
        group = xml[xml.index("<iommuGroup") :].partition("/>")[0]
        assert group in await service.node_device_xml(ref, NodeDeviceXMLFlags.INACTIVE)
        with pytest.raises(VirtError, match=f"Unable to start mediated device: Error: Device {UUID} already exists"):
            await service.connection_create_node_device(document())
        with pytest.raises(VirtError, match="Device is already active"):
            await service.node_device_create(ref)
        live, config = NodeDeviceUpdateFlags.LIVE, NodeDeviceUpdateFlags.CONFIG
        await service.node_device_update(ref, xml.replace("value='1'", "value='2'"), live)
        assert "value='2'" in await service.node_device_xml(ref)
        assert "value='1'" in await service.node_device_xml(ref, NodeDeviceXMLFlags.INACTIVE)
        await service.node_device_update(ref, xml.replace("value='1'", "value='3'"), config)
        assert "value='3'" in await service.node_device_xml(ref, NodeDeviceXMLFlags.INACTIVE)
        await service.node_device_destroy(ref)
        assert not service.node_device_is_active(ref)
        await service.node_device_undefine(ref)
        with pytest.raises(NoNodeDevice):
            await service.node_device_xml(ref)
        assert not (mdevctl.folder / "0000:00:02.0" / UUID).exists()
        assert [kind for kind, name in service.told if name == NAME and kind != "UPDATED"] == [
            "CREATED", "DELETED", "UNDEFINED",
        ]  # fmt: skip

    run(define)
    run(use)


def test_transient_devices(run: Callable[[Work], None]) -> None:
    async def work(service: FakeNodeDevices, mdevctl: FakeMdevctl) -> None:
        ref = await service.connection_create_node_device(document("<attr name='x' value='y'/>"))
        assert "<attr name='x' value='y'/>" in await service.node_device_xml(ref)
        assert service.node_device_parent(ref) == "pci_0000_00_02_0"
        assert not service.node_device_is_persistent(ref)
        for ask, message in (
            (service.node_device_undefine(ref), f"Node device '{NAME}' is not defined"),
            (service.node_device_set_autostart(ref, True), "cannot set autostart for transient device"),
            (
                service.connection_create_node_device(document(kind="nonsense", uuid=MDEV)),
                "Unable to start mediated device",
            ),
        ):
            with pytest.raises(VirtError, match=message):
                await ask
        service.source.happens(Uevent("add", f"/sys/devices/pci0000:00/0000:00:02.0/{UUID}", None, "mdev"))
        await service.settled()
        await service.node_device_destroy(ref)
        service.source.happens(Uevent("remove", f"/sys/devices/pci0000:00/0000:00:02.0/{UUID}", None, "mdev"))
        await service.settled()
        found = [kind for kind, name in service.told if name == NAME]
        assert found == ["CREATED", "UPDATED", "DELETED"]  # mdevctl has told of the settings

    run(work)


def test_what_mdevctl_refuses(run: Callable[[Work], None]) -> None:
    async def work(service: FakeNodeDevices, mdevctl: FakeMdevctl) -> None:
        for kind, message in (
            (
                "nonsense",
                "Unable to start mediated device: Error: Parent 0000:00:02.0 does not support mdev type nonsense",
            ),
        ):
            with pytest.raises(VirtError, match=message):
                await service.connection_create_node_device(document(kind=kind))
        for parent, message in (
            ("pci_9999", "invalid parent device 'pci_9999'"),
            ("block_vdz", "Unable to find address for parent device 'block_vdz'"),
        ):
            with pytest.raises(VirtError, match=message):
                await service.connection_define_node_device(document(parent=parent))
        (mdevctl.folder / "0000:00:02.0").mkdir()
        (mdevctl.folder / "0000:00:02.0" / MDEV).write_text("{}")
        with pytest.raises(VirtError, match="Unable to define mediated device: Error: Cowardly refusing to overwrite"):
            await service.connection_define_node_device(document(uuid=MDEV))

    run(work)


def test_what_others_do_with_mdevctl_is_heard(run: Callable[[Work], None]) -> None:
    async def work(service: FakeNodeDevices, mdevctl: FakeMdevctl) -> None:
        folder = mdevctl.folder / "mtty"
        folder.mkdir()
        name = f"mdev_{UUID.replace('-', '_')}_mtty"
        (folder / UUID).write_text(json.dumps({"mdev_type": "mtty-1", "start": "auto"}))
        await eventually(lambda: ("DEFINED", name) in service.told)
        ref = NodeDeviceRef(name)
        assert service.node_device_parent(ref) == "mtty_mtty"
        assert service.node_device_autostart(ref)
        (folder / UUID).write_text(json.dumps({"mdev_type": "mtty-1", "start": "manual", "attrs": [{"a": "b"}]}))
        await eventually(lambda: ("UPDATED", name) in service.told)
        assert not service.node_device_autostart(ref)
        (folder / UUID).unlink()
        await eventually(lambda: ("UNDEFINED", name) in service.told)
        assert name not in service.names()

    run(work)


def test_a_device_somebody_uses_is_not_taken_away(run: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(service: FakeNodeDevices, mdevctl: FakeMdevctl) -> None:
        import errno
        import os

        ref = await service.connection_create_node_device(document())
        opened = os.open

        def busy(path: str, *more: int) -> int:
            if "/dev/vfio/" in os.fspath(path):
                raise OSError(errno.EBUSY, "Device or resource busy")
            return opened(path, *more)

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", busy)
            with pytest.raises(VirtError, match=f"Unable to destroy '{NAME}': device in use"):
                await service.node_device_destroy(ref)
        await service.node_device_destroy(ref)

    run(work)


def test_without_mdevctl(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    everything(host)

    async def whole() -> None:
        service = FakeNodeDevices(host.root)
        await service.open()
        with pytest.raises(VirtError, match="Unable to define mediated device: Cannot find 'mdevctl' in path"):
            await service.connection_define_node_device(document())
        await service.close()

    asyncio.run(whole())


def test_other_folders_than_mdevctls_are_of_no_concern(tmp_path: Path) -> None:
    folder = tmp_path / "mdevctl.d"
    watch = FolderWatch(str(folder))

    def changes() -> bool:
        return bool(select.select([watch], [], [], 0)[0]) and watch.changed()

    try:
        (tmp_path / "hosts").touch()
        assert not changes()
        folder.mkdir()
        assert changes()
        (tmp_path / "hosts").write_text("of no concern")
        assert not changes(), "there is the folder, and nothing else is looked at"
        (folder / "0000:00:02.0").mkdir()
        assert changes()
        (folder / "0000:00:02.0" / UUID).touch()
        assert changes()
        shutil.rmtree(folder)
        assert changes()
        folder.mkdir()
        assert changes(), "it is waited for again"
    finally:
        watch.close()
