"""Devices of test:///default: what there is, virtual adapters, what is refused, what is told."""

from __future__ import annotations

import queue

import pytest

import virtcore
from virtcore.enums import ConnectListAllNodeDeviceFlags as ListFlags, NodeDeviceEventLifecycleType as Kind
from virtcore.errors import InternalError, NoNodeDevice, NoSupport, OperationDenied, VirtError
from virtcore.operations.events import NodeDeviceLifecycleEvent

WWNS = ("2000000012340000", "1000000012340000")


def adapter(parent="", wwns=WWNS):
    return (
        f"<device>{parent}<capability type='scsi_host'><capability type='fc_host'><wwnn>{wwns[0]}</wwnn>"
        f"<wwpn>{wwns[1]}</wwpn></capability></capability></device>"
    )


@pytest.fixture
def connection():
    with virtcore.connect("test:///default") as connection:
        yield connection


def names(devices):
    return [device.name for device in devices]


def test_the_default_devices(connection):
    devices = connection.list_node_devices()
    assert names(devices) == ["computer", "scsi_host1", "scsi_host2", "scsi_host11"]
    assert [device.parent() for device in devices] == [None, "computer", "computer", "scsi_host1"]
    assert [device.capabilities() for device in devices] == [["system"]] + 3 * [["scsi_host"]]
    assert all(device.is_active() and device.is_persistent() for device in devices)
    assert "<serial>123456</serial>" in devices[0].xml()
    assert "<max_vports>0</max_vports>" in devices[1].xml()
    assert connection.lookup_node_device(name="scsi_host11") == devices[3]
    assert connection.lookup_node_device(wwnn="2000000056785678", wwpn="1000000056785678") == devices[2]


def test_lists(connection):
    assert names(connection.list_node_devices("vports")) == ["scsi_host1", "scsi_host2"]
    assert names(connection.list_node_devices("fc_host")) == ["scsi_host1", "scsi_host2", "scsi_host11"]
    assert connection.list_node_devices("nonsense") == []
    both = ListFlags.CAP_SYSTEM | ListFlags.CAP_VPORTS
    assert names(connection.list_node_devices(flags=both)) == ["computer", "scsi_host1", "scsi_host2"]
    assert connection.list_node_devices(flags=ListFlags.CAP_PCI_DEV) == []
    connection.create_node_device(adapter())
    assert names(connection.list_node_devices(flags=ListFlags.TRANSIENT)) == ["scsi_host12"]
    assert connection.list_node_devices(flags=ListFlags.INACTIVE) == []


def test_life_of_a_virtual_adapter(connection):
    events = queue.SimpleQueue()
    connection.on_event(events.put, NodeDeviceLifecycleEvent)
    device = connection.create_node_device(adapter())
    assert device.xml() == (
        "<device>\n  <name>scsi_host12</name>\n  <parent>scsi_host1</parent>\n  <capability type='scsi_host'>\n"
        "    <host>11</host>\n    <unique_id>10</unique_id>\n    <capability type='fc_host'>\n"
        "      <wwnn>2000000012340000</wwnn>\n      <wwpn>1000000012340000</wwpn>\n"
        "      <fabric_wwn>2000000043214321</fabric_wwn>\n    </capability>\n  </capability>\n</device>\n"
    )
    device.destroy()
    with pytest.raises(NoNodeDevice, match="no node device with matching name 'scsi_host12'"):
        device.destroy()
    seen = [events.get(timeout=5) for _ in range(2)]
    assert [(event.device.name, event.type) for event in seen] == [
        ("scsi_host12", Kind.CREATED),
        ("scsi_host12", Kind.DELETED),
    ]


@pytest.mark.parametrize(
    "parent",
    [
        "<parent>scsi_host2</parent>",
        "<parent wwnn='2000000056785678' wwpn='1000000056785678'/>",
        "<parent fabric_wwn='2000000087658765'/>",
    ],
)
def test_parents_are_found_by_name_world_wide_names_and_fabric(connection, parent):
    assert connection.create_node_device(adapter(parent)).parent() == "scsi_host2"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (adapter("<parent>nope</parent>"), "Could not find parent device for 'new device'"),
        (adapter("<parent>computer</parent>"), "Parent device computer is not capable of vport operations"),
        (
            adapter("<parent wwnn='2000000034563456' wwpn='1000000034563456'/>"),
            "Could not find parent device for 'new device'",
        ),
        (adapter("<parent fabric_wwn='1'/>"), "Could not find parent device for 'new device'"),
        ("<device><capability type='scsi_host'/></device>", "Device is not a fibre channel HBA"),
    ],
)
def test_adapters_that_cannot_be_made(connection, document, message):
    with pytest.raises(InternalError, match=f"internal error: {message}$"):
        connection.create_node_device(document)
    assert len(connection.list_node_devices()) == 4


def test_refusals(connection):
    computer = connection.lookup_node_device(name="computer")
    with pytest.raises(InternalError, match="Device is not a fibre channel HBA"):
        computer.destroy()
    connection.lookup_node_device(name="scsi_host1").destroy()
    orphan = connection.lookup_node_device(name="scsi_host11")
    with pytest.raises(InternalError, match="cannot find parent 'scsi_host1' definition"):
        orphan.destroy()
    with pytest.raises(NoNodeDevice):
        connection.lookup_node_device(wwnn="1", wwpn="2")
    with pytest.raises(NoNodeDevice, match="no node device with matching name 'nope'"):
        connection.lookup_node_device(name="nope")
    with pytest.raises(VirtError, match="unsupported flags \\(0x1\\) in function testNodeDeviceGetXMLDesc"):
        computer.xml(1)
    with pytest.raises(NoSupport):
        connection.define_node_device(adapter())
    with (
        virtcore.connect("test:///default", readonly=True) as readonly,
        pytest.raises(OperationDenied, match="read only access prevents virNodeDeviceCreateXML"),
    ):
        readonly.create_node_device(adapter())


def test_a_described_host_has_its_devices(tmp_path):
    path = tmp_path / "host.xml"
    capability = "<capability type='net'><interface>eth0</interface></capability>"
    path.write_text(f"<node><device><name>net_eth0</name>{capability}</device></node>")
    with virtcore.connect(f"test://{path}") as connection:
        assert names(connection.list_node_devices("net")) == ["net_eth0"]
        with pytest.raises(InternalError, match="Could not find any vport capable device"):
            connection.create_node_device(adapter())
    path.write_text("<node><device><capability type='net'/></device></node>")
    with pytest.raises(InternalError, match="no network interface supplied"):
        virtcore.connect(f"test://{path}")
