"""Devices of test:///default: what there is, virtual adapters, what is refused, what is told."""

from __future__ import annotations

import queue

import pytest

import virtcore
from virtcore.enums import (
    ConnectListAllNodeDeviceFlags as ListFlags,
    NodeDeviceEventLifecycleType as Kind,
    NodeDeviceUpdateFlags as Update,
    NodeDeviceXMLFlags,
)
from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    NoNodeDevice,
    OperationDenied,
    OperationInvalid,
    OperationUnsupported,
    ParseFailed,
    VirtError,
)
from virtcore.operations.events import NodeDeviceLifecycleEvent, NodeDeviceUpdateEvent

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
    seen = [events.get(timeout=60) for _ in range(2)]
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
    with pytest.raises(VirtError, match="unsupported flags \\(0x2\\) in function testNodeDeviceGetXMLDesc"):
        computer.xml(2)
    with pytest.raises(ConfigUnsupported, match="unsupported configuration: Unsupported device type"):
        connection.define_node_device(adapter())
    with pytest.raises(ConfigUnsupported, match="unsupported configuration: Unsupported device type"):
        computer.undefine()
    with pytest.raises(OperationInvalid, match="Device is already active"):
        computer.create()
    with pytest.raises(OperationUnsupported, match="Unsupported device type"):
        computer.set_autostart(True)
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


PCI = """\
<device><name>pci_card</name><parent>computer</parent><capability type='pci'>
  <domain>0</domain><bus>1</bus><slot>2</slot><function>3</function><product id='0x1'/><vendor id='0x2'/>
  <capability type='mdev_types'><type id='small'><deviceAPI>vfio-pci</deviceAPI>
    <availableInstances>1</availableInstances></type></capability>
</capability></device>
<device><name>net</name><capability type='net'><interface>eth0</interface></capability></device>
"""
MDEV_UUID = "11111111-2222-4333-8444-555555555555"


def mdev(kind="small", parent="pci_card", attributes="", name="", uuid=MDEV_UUID):
    return (
        f"<device>{name}<parent>{parent}</parent><capability type='mdev'><type id='{kind}'/><uuid>{uuid}</uuid>"
        f"{attributes}</capability></device>"
    )


@pytest.fixture
def card(tmp_path):
    path = tmp_path / "host.xml"
    path.write_text(f"<node>{PCI}</node>")
    with virtcore.connect(f"test://{path}") as connection:
        yield connection


def test_life_of_a_mediated_device(card):
    events = queue.SimpleQueue()
    card.on_event(events.put, NodeDeviceLifecycleEvent)
    defined = card.define_node_device(mdev())
    assert defined.name == "mdev_11111111_2222_4333_8444_555555555555_0000_01_02_3"
    assert (defined.is_active(), defined.is_persistent(), defined.parent()) == (False, True, "pci_card")
    assert names(card.list_node_devices(flags=ListFlags.INACTIVE)) == [defined.name]
    with pytest.raises(OperationInvalid, match=f"Device '{defined.name}' is not active"):
        defined.destroy()
    defined.set_autostart(True)
    defined.create()
    assert "<driver>\n    <name>vfio_mdev</name>" in defined.xml()
    assert "<driver>" not in defined.xml(NodeDeviceXMLFlags.INACTIVE)
    parent = card.lookup_node_device(name="pci_card")
    assert "<availableInstances>0</availableInstances>" in parent.xml()
    with pytest.raises(InternalError, match="Unable to start mediated device: no more instances of type 'small'"):
        card.create_node_device(mdev(uuid="21111111-2222-4333-8444-555555555555"))
    defined.undefine()
    assert (defined.is_active(), defined.is_persistent(), defined.autostart()) == (True, False, False)
    for refused, words in (
        (defined.undefine, f"Node device '{defined.name}' is not defined"),
        (lambda: defined.set_autostart(True), "cannot set autostart for transient device"),
        (lambda: defined.xml(NodeDeviceXMLFlags.INACTIVE), f"node device '{defined.name}' is not persistent"),
    ):
        with pytest.raises(OperationInvalid, match=words):
            refused()
    defined.destroy()
    assert "<availableInstances>1</availableInstances>" in parent.xml()
    with pytest.raises(NoNodeDevice):
        defined.xml()
    seen = [events.get(timeout=60).type for _ in range(4)]
    assert seen == [Kind.DEFINED, Kind.CREATED, Kind.UNDEFINED, Kind.DELETED]


def test_a_transient_mediated_device(card):
    made = card.create_node_device(mdev())
    assert (made.is_active(), made.is_persistent()) == (True, False)
    with pytest.raises(InternalError, match="Unable to start mediated device"):
        card.create_node_device(mdev())
    assert card.define_node_device(mdev()) == made
    assert made.is_persistent()
    made.destroy()
    assert not made.is_active()
    made.undefine()
    assert names(card.list_node_devices()) == ["pci_card", "net"]


def test_updates_of_a_mediated_device(card):
    events = queue.SimpleQueue()
    card.on_event(events.put, NodeDeviceUpdateEvent)
    device = card.define_node_device(mdev())
    name = f"<name>{device.name}</name>"
    changed = mdev(name=name, attributes="<attr name='a' value='1'/>")
    with pytest.raises(OperationInvalid, match="node device is not active"):
        device.update(changed, Update.LIVE)
    device.update(changed)
    assert events.get(timeout=60).device.name == device.name
    assert "<attr name='a' value='1'/>" in device.xml()
    device.create()
    device.update(device.xml())
    assert "<attr name='a' value='1'/>" in device.xml()
    device.update(mdev(name=name, attributes="<attr name='b' value='2'/>"), Update.LIVE)
    assert "name='b'" in device.xml()
    assert "name='a'" in device.xml(NodeDeviceXMLFlags.INACTIVE)
    for other, words in (
        (mdev(name=name, uuid="21111111-2222-4333-8444-555555555555"), f"Cannot update device '{device.name}, uuid"),
        (mdev(name=name, kind="large"), f"device '{device.name}', type mismatch \\(current type 'small'\\)"),
    ):
        with pytest.raises(ConfigUnsupported, match=words):
            device.update(other)
    device.undefine()
    with pytest.raises(OperationInvalid, match="transient node devices do not have any persistent config"):
        device.update(changed, Update.CONFIG)


def test_parents_of_mediated_devices(card):
    with pytest.raises(ConfigUnsupported, match="invalid parent device 'nope'"):
        card.define_node_device(mdev(parent="nope"))
    with pytest.raises(ConfigUnsupported, match="missing parent device"):
        card.define_node_device(mdev().replace("<parent>pci_card</parent>", ""))
    with pytest.raises(ParseFailed, match="Unable to find address for parent device 'net'"):
        card.define_node_device(mdev(parent="net"))
    device = card.define_node_device(mdev(kind="large"))
    with pytest.raises(InternalError, match="Unable to create mediated device: device 'pci_card' has no type 'large'"):
        device.create()
    assert not device.is_active()
