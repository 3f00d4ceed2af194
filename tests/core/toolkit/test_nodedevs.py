"""Devices of any host: what they are known as, and what is refused where a host cannot make any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from virtcore.driver import Place
from virtcore.driver.toolkit.mdevs import MakingNodeDevices, MdevDevices, address_of
from virtcore.driver.toolkit.nodedevs import NodeDeviceObject
from virtcore.enums import ConnectListAllNodeDeviceFlags as ListFlags, NodeDeviceXMLFlags
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.nodedev import CapabilityType, load_node_device
from virtcore.operations.events import Event, NodeDeviceUpdateEvent
from virtcore.types import NodeDeviceRef

TYPES = (
    "<capability type='mdev_types'><type id='t'><deviceAPI>vfio-ccw</deviceAPI>"
    "<availableInstances>1</availableInstances></type></capability>"
)
ADAPTER = (
    "<capability type='scsi_host'><host>5</host><capability type='vport_ops'/><capability type='fc_host'>"
    "<wwnn>2000000012340001</wwnn><wwpn>1000000012340001</wwpn></capability></capability>"
)
PCI = (
    "<capability type='pci'><domain>1</domain><bus>10</bus><slot>2</slot><function>7</function><product id='1'/>"
    f"<vendor id='2'/>{TYPES}</capability>"
)
CSS = f"<capability type='css'><cssid>0xfe</cssid><ssid>0x1</ssid><devno>0x52</devno>{TYPES}</capability>"
MATRIX = f"<capability type='ap_matrix'><availableInstances>1</availableInstances>{TYPES}</capability>"
MDEV = "<capability type='mdev'><type id='t'/></capability>"


class Devices(MakingNodeDevices):
    def __init__(self, *documents: str) -> None:
        super().__init__(Place(privileged=False))
        self.devices = MdevDevices()
        for number, capability in enumerate(documents):
            text = f"<device><name>d{number}</name><path>/sys/d{number}</path>{capability}</device>"
            self.devices.adopt(NodeDeviceObject(load_node_device(text)))


def run(test: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(test())


@pytest.mark.parametrize(
    ("capability", "kinds", "address"),
    [
        (ADAPTER, ["scsi_host", "fc_host", "vports"], None),
        (PCI, ["pci", "mdev_types"], "0001:0a:02.7"),
        (CSS, ["css", "mdev_types"], "fe.1.0052"),
        (MATRIX, ["ap_matrix", "mdev_types"], "matrix"),
    ],
)
def test_what_a_device_is(capability: str, kinds: list[str], address: str | None) -> None:
    async def test() -> None:
        service = Devices(capability)
        ref = NodeDeviceRef("d0")
        assert service.node_device_capabilities(ref) == kinds
        for kind in kinds:
            assert service.connection_list_node_devices(kind) == [ref]
        others = set(CapabilityType) - set(kinds)
        assert not any(service.connection_list_node_devices(kind) for kind in others)
        order = list(CapabilityType)
        for number, flag in enumerate(list(ListFlags)[: len(order)]):
            assert bool(service.connection_list_node_devices(flags=flag)) == (order[number] in kinds), flag
        assert address_of(service.devices.by_name("d0").device) == address

    run(test)


def test_changes_are_told_and_inactive_documents_are_without_the_host() -> None:
    async def test() -> None:
        service = Devices(PCI)
        told: list[Event] = []
        service.subscribe(told.append)
        obj = service.devices.by_name("d0")
        service.devices.change(obj, obj.device)
        assert told == [NodeDeviceUpdateEvent(NodeDeviceRef("d0"))]
        assert "<path>/sys/d0</path>" in await service.node_device_xml(obj.ref)
        assert "<path>" not in await service.node_device_xml(obj.ref, NodeDeviceXMLFlags.INACTIVE)

    run(test)


def test_a_host_that_makes_no_devices_says_so() -> None:
    async def test() -> None:
        service = Devices(PCI, ADAPTER)
        told: list[Event] = []
        service.subscribe(told.append)
        mdev = f"<device><parent>d0</parent>{MDEV}</device>"
        with pytest.raises(InternalError, match="Unable to start mediated device: there are no mediated devices here"):
            await service.connection_create_node_device(mdev)
        with pytest.raises(InternalError, match="Unable to define mediated device: there are no mediated devices"):
            await service.connection_define_node_device(mdev)
        with pytest.raises(ConfigUnsupported, match="Unsupported device type"):
            await service.connection_create_node_device(f"<device>{ADAPTER}</device>")
        for name in ("d0", "d1"):
            with pytest.raises(ConfigUnsupported, match="Unsupported device type"):
                await service.node_device_destroy(NodeDeviceRef(name))
        assert len(service.connection_list_node_devices()) == 2
        assert told == []

    run(test)
