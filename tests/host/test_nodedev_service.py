"""Node devices of a host that is a folder: what they are, how they come and go, what is made of them."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fake_nodedevs import FakeNodeDevices
from fake_sysfs import FakeHost, everything
from virt_host.nodedev.uevents import Uevent, parse_uevent
from virtcore.enums.nodedev import ConnectListAllNodeDeviceFlags as ListFlags, NodeDeviceXMLFlags
from virtcore.errors import NoNodeDevice, OperationInvalid, SystemError, VirtError
from virtcore.model.nodedev import NodeDevice
from virtcore.types import NodeDeviceRef

EXPECTED = Path(__file__).with_name("nodedevs_11_3.xml")
HBA = (
    "<device><parent>{}</parent>"
    "<capability type='scsi_host'><capability type='fc_host'>{}</capability></capability></device>"
)
WWNS = "<wwnn>20000000c9848143</wwnn><wwpn>10000000c9848143</wwpn>"


def run(host: FakeHost, work: Callable[[FakeNodeDevices], Awaitable[None]], **options: object) -> None:
    async def whole() -> None:
        service = FakeNodeDevices(host.root, **options)  # type: ignore[arg-type]
        await service.open()
        try:
            await work(service)
        finally:
            await service.close()

    asyncio.run(whole())


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    made = FakeHost(tmp_path)
    everything(made)
    return made


def test_everything_is_shown_as_libvirt_11_3_shows_it(host: FakeHost) -> None:
    documents = re.findall("<device>\n.*?\n</device>\n", EXPECTED.read_text(), re.DOTALL)
    expected = {re.search("<name>(.*)</name>", text)[1]: text for text in documents}  # type: ignore[index]

    async def work(service: FakeNodeDevices) -> None:
        assert service.names() == sorted(expected)
        for name, text in expected.items():
            assert await service.node_device_xml(NodeDeviceRef(name)) == text

    run(host, work)


def test_a_user_sees_nothing_of_configuration_spaces(host: FakeHost) -> None:
    async def work(service: FakeNodeDevices) -> None:
        xml = await service.node_device_xml(NodeDeviceRef("pci_0000_01_00_0"))
        assert "pci-express" not in xml
        assert "vpd" not in xml
        assert "pci_0000_00_1f_2" in service.names()  # nobody has read its header

    run(host, work, privileged=False)


def test_looking_at_them(host: FakeHost) -> None:
    async def work(service: FakeNodeDevices) -> None:
        assert service.names(ListFlags.CAP_FC_HOST) == ["scsi_host5", "scsi_host7"]
        assert service.names(ListFlags.CAP_VPORTS | ListFlags.CAP_DRM) == [
            "drm_card0", "drm_controlD64", "drm_renderD128", "scsi_host5",
        ]  # fmt: skip
        assert service.names(ListFlags.PERSISTENT) == ["computer"]
        assert service.names(ListFlags.INACTIVE) == []
        assert service.names(capability="mdev_types") == [
            "ap_matrix", "css_0_0_0002", "mtty_mtty", "pci_0000_00_02_0",
        ]  # fmt: skip
        found = service.connection_lookup_node_device(wwnn="20000000c9848142", wwpn="10000000c9848142")
        assert found.name == "scsi_host7"
        assert service.node_device_parent(found) == "scsi_host5"
        assert await service.node_device_capabilities(NodeDeviceRef("scsi_host5")) == ["scsi_host", "fc_host", "vports"]
        with pytest.raises(OperationInvalid, match="node device 'scsi_host5' is not persistent"):
            await service.node_device_xml(NodeDeviceRef("scsi_host5"), NodeDeviceXMLFlags.INACTIVE)
        for flags, function in (("connection_list_node_devices", "nodeConnectListAllNodeDevices"),
                                ("node_device_xml", "nodeDeviceGetXMLDesc")):  # fmt: skip
            with pytest.raises(VirtError, match=rf"unsupported flags \(0x1\) in function {function}"):
                service._check(1, 0, flags)
        with pytest.raises(NoNodeDevice):
            service.connection_lookup_node_device(name="nonsense")
        with pytest.raises(VirtError, match="Unsupported device type"):
            await service.node_device_destroy(NodeDeviceRef("computer"))

    run(host, work)


def test_what_changes_shows_when_asked(host: FakeHost) -> None:
    async def work(service: FakeNodeDevices) -> None:
        host.write("sys/devices/pci0000:00/0000:00:02.0/mdev_supported_types/i915-GVTg_V5_4/available_instances", "0\n")
        driver = host.path("sys/devices/pci0000:00/0000:00:02.0/driver")
        driver.unlink()
        xml = await service.node_device_xml(NodeDeviceRef("pci_0000_00_02_0"))
        assert "<availableInstances>0</availableInstances>" in xml
        assert "<driver>" not in xml
        assert service.told == []

    run(host, work)


def test_coming_and_going(host: FakeHost) -> None:
    async def work(service: FakeNodeDevices) -> None:
        host.net("virtual/net/tap7", 70, "52:54:00:00:00:07")
        path = "/sys/devices/virtual/net/tap7"
        service.source.happens(
            Uevent("add", path, None, "net"), Uevent("add", "/sys/devices/virtual/tty/x", None, "tty")
        )
        await service.settled()
        assert "net_tap7_52_54_00_00_00_07" in service.names()
        service.source.happens(Uevent("add", path, None, "net"))  # what is known already is no news
        service.source.happens(Uevent("change", path, None, "net"))
        await service.settled()
        for link in ("sys/class/net/tap7",):
            host.path(link).unlink()
        os.rename(host.path("sys/devices/virtual/net/tap7"), host.path("sys/devices/virtual/net/tap8"))
        host.write("sys/devices/virtual/net/tap8/uevent", "INTERFACE=tap8\nIFINDEX=70\n")
        service.source.happens(Uevent("move", "/sys/devices/virtual/net/tap8", path, "net"))
        await service.settled()
        service.source.happens(Uevent("remove", "/sys/devices/virtual/net/tap8", None, "net"))
        await service.settled()
        assert service.told == [
            ("CREATED", "net_tap7_52_54_00_00_00_07"),
            ("UPDATED", "net_tap7_52_54_00_00_00_07"),
            ("DELETED", "net_tap7_52_54_00_00_00_07"),
            ("CREATED", "net_tap8_52_54_00_00_00_07"),
            ("DELETED", "net_tap8_52_54_00_00_00_07"),
        ]

    run(host, work)


def test_what_goes_while_all_are_looked_for_has_gone(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeNodeDevices(host.root)
    card = "/sys/devices/pci0000:00/0000:00:02.0"
    found, gone = asyncio.Event(), threading.Event()

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        search = service.devices._search

        def slowly() -> list[NodeDevice]:
            devices = search()
            loop.call_soon_threadsafe(found.set)
            assert gone.wait(60)
            return devices

        monkeypatch.setattr(service.devices, "_search", slowly)
        opening = asyncio.ensure_future(service.open())
        await found.wait()
        service.source.happens(Uevent("remove", card, subsystem="pci"))
        await asyncio.sleep(0.05)  # were it heard now, there would be nothing to take away yet
        gone.set()
        await opening
        await service.settled()
        assert "pci_0000_00_02_0" not in service.names()
        await service.close()

    asyncio.run(whole())


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_could_not_be_opened_leaves_nothing(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    service = FakeNodeDevices(host.root)

    async def learn() -> None:
        if cancelled:
            await asyncio.sleep(3600)
        raise ValueError("broken")

    async def whole() -> None:
        monkeypatch.setattr(service.devices, "open_definitions", learn)
        opening = asyncio.ensure_future(service.open())
        if cancelled:
            while not service.names():
                await asyncio.sleep(0.005)
            opening.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else ValueError):
            await opening
        assert service.source.fileno() == -1, "it is closed"
        assert service.devices._worker._thread is None

    asyncio.run(whole())


def test_what_is_on_a_device_goes_with_it(host: FakeHost) -> None:
    async def work(service: FakeNodeDevices) -> None:
        service.source.happens(Uevent("remove", "/sys/devices/pci0000:00/0000:00:14.0/usb1", None, "usb"))
        await service.settled()
        assert [name for kind, name in service.told if kind == "DELETED"] == [
            "usb_1_2", "usb_1_1_1_0", "usb_1_1", "usb_usb1",
        ]  # fmt: skip
        with pytest.raises(NoNodeDevice):
            await service.node_device_xml(NodeDeviceRef("usb_1_1"))

    run(host, work)


def test_after_too_many_events_all_are_looked_for(host: FakeHost) -> None:
    async def work(service: FakeNodeDevices) -> None:
        host.net("virtual/net/tap9", 90, "52:54:00:00:00:09")
        host.path("sys/class/net/tap0").unlink()
        host.write("sys/devices/virtual/block/vdz/size", "128\n")
        service.source.overflows()
        await service.settled()
        assert sorted(service.told) == [
            ("CREATED", "net_tap9_52_54_00_00_00_09"),
            ("DELETED", "net_tap0_52_54_00_00_00_02"),
            ("UPDATED", "block_vdz"),
        ]

    run(host, work)


def test_virtual_adapters(host: FakeHost) -> None:
    fabric = "sys/devices/pci0000:00/0000:00:1d.0/0000:02:00.0/host5/fc_host/host5"

    async def work(service: FakeNodeDevices) -> None:
        async def kernel() -> None:
            """Makes the adapter that somebody asked for."""
            while not host.path(f"{fabric}/vport_create").read_text():
                await asyncio.sleep(0.005)
            made = {"node_name": "0x20000000c9848143\n", "port_name": "0x10000000c9848143\n"}
            host.scsi_host("pci0000:00/0000:00:1d.0/0000:02:00.0/host5/vport-5:0-2/host8", made)

        task = asyncio.create_task(kernel())
        made = await service.connection_create_node_device(HBA.format("scsi_host5", WWNS))
        await task
        assert made.name == "scsi_host8"
        assert host.path(f"{fabric}/vport_create").read_text() == "10000000c9848143:20000000c9848143"
        assert service.node_device_parent(made) == "scsi_host5"
        await service.node_device_destroy(made)
        assert host.path(f"{fabric}/vport_delete").read_text() == "10000000c9848143:20000000c9848143"
        assert service.told == [("CREATED", "scsi_host8")]  # the kernel tells of its end
        for parent, message in (
            ("scsi_host0", "Parent device scsi_host0 is not capable of vport operations"),
            ("scsi_host99", "Could not find parent device for 'new device'"),
        ):
            with pytest.raises(VirtError, match=message):
                await service.connection_create_node_device(HBA.format(parent, WWNS))
        with pytest.raises(VirtError, match="Device is not a fibre channel HBA"):
            await service.node_device_destroy(NodeDeviceRef("scsi_host0"))
        host.path(f"{fabric}/vport_create").unlink()
        host.path(f"{fabric}/vport_create").mkdir()
        with pytest.raises(SystemError, match=r"Write of '.*' to '.*' during vport create/delete failed"):
            await service.connection_create_node_device(HBA.format("scsi_host5", WWNS))

    run(host, work)


def test_messages_of_the_kernel_and_of_udevd() -> None:
    kernel = b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=net\0SEQNUM=1\0"
    assert parse_uevent(kernel) == Uevent("add", "/sys/devices/x", None, "net")
    body = b"ACTION=move\0DEVPATH=/devices/y\0DEVPATH_OLD=/devices/x\0SUBSYSTEM=net\0"
    header = b"libudev\0\xfe\xed\xca\xfe" + (40).to_bytes(4, "little") * 2 + len(body).to_bytes(4, "little") + bytes(16)
    assert parse_uevent(header + body) == Uevent("move", "/sys/devices/y", "/sys/devices/x", "net")
    for broken in (b"", b"libudev\0", b"libudev\0" + bytes(40), b"x@y\0ACTION=add\0", b"a\0ACTION=add\0DEVPATH=x\0"):
        assert parse_uevent(broken) is None
