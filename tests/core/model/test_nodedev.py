"""Node devices: every kind of capability, what is dropped or put in order, and what is refused."""

from __future__ import annotations

import pytest

from virtcore.errors import ErrorDomain, VirtError
from virtcore.model.nodedev import (
    NodeDevice,
    NodeDeviceContext,
    PCICapability,
    SCSIHostCapability,
    VPDCapability,
    format_node_device,
    load_node_device,
)
from virtcore.xml import format, parse

PCI = (
    "<domain>0</domain><bus>1</bus><slot>2</slot><function>3</function>"
    "<product id='0x10c9'>card</product><vendor id='0x8086'/>{}"
)
PCI_WITHOUT_VENDOR = PCI.replace("<vendor id='0x8086'/>", "")
CCW = "<cssid>0x0</cssid><ssid>0</ssid><devno>ff02</devno>"
GROUP = "<group_device>g</group_device>"
MEMBERS = "<members><ccw_device ref='cdev0'>c</ccw_device></members>"
SCSI_HOST = "<host>1</host><capability type='fc_host'><wwnn>1</wwnn></capability>"


def device(kind: str, content: str = "", rest: str = "") -> str:
    return f"<device><name>d</name>{rest}<capability type='{kind}'>{content}</capability></device>"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("system", "<product>p</product><hardware><uuid>12345678-1234-1234-9596-a088b277d677</uuid></hardware>"),
        ("pci", PCI.format("")),
        ("usb_device", "<bus>1</bus><device>2</device><product id='1'/><vendor id='0002'>v</vendor>"),
        ("usb", "<number>0</number><class>9</class><subclass>0</subclass><protocol>0</protocol>"),
        ("net", "<interface>eth0</interface><link speed='10' state='up'/><capability type='80211'/>"),
        ("scsi_host", "<host>1</host><unique_id>-1</unique_id><capability type='vport_ops'/>"),
        (
            "scsi_target",
            "<target>t</target><capability type='fc_remote_port'><rport>r</rport><wwpn>w</wwpn></capability>",
        ),
        ("scsi", "<host>0</host><bus>0</bus><target>0</target><lun>0</lun>"),
        ("storage", "<block>/dev/a</block><size>1</size><capability type='hotpluggable'/>"),
        ("drm", "<type>render</type>"),
        ("mdev", "<type id='t'/><attr name='a' value='b'/>"),
        ("ccw", f"<state>offline</state>{CCW}<capability type='ccwgroup_member'>{GROUP}</capability>"),
        ("css", "<cssid>0x0</cssid><ssid>0x1</ssid><devno>0x0001</devno><capability type='other'/>"),
        ("ap_card", "<ap-adapter>7</ap-adapter>"),
        ("ap_queue", "<ap-adapter>7</ap-adapter><ap-domain>0xff</ap-domain>"),
        ("ap_matrix", ""),
        ("ccwgroup", f"<state>online</state>{CCW}{MEMBERS}<capability type='qeth_layer2'/>"),
    ],
)
def test_loading_what_was_printed_changes_nothing(kind: str, content: str) -> None:
    once = format_node_device(load_node_device(device(kind, content)))
    assert format_node_device(load_node_device(once)) == once
    assert format(parse(once, NodeDevice)) == once


def test_parts_of_a_pci_device_have_an_order() -> None:
    given = PCI.format(
        "<class>020000</class>"
        "<capability type='vpd'><name>n</name>"
        "<fields access='readwrite'><system_field index='B'>s</system_field></fields>"
        "<fields access='readonly'><vendor_field index='1'>a</vendor_field><vendor_field>b</vendor_field>"
        "<vendor_field index='12'>c</vendor_field><vendor_field index='1'>d</vendor_field></fields></capability>"
        "<capability type='mdev_types'/><capability type='endpoint'/><capability type='cardbus-bridge'/>"
        "<capability type='virt_functions' maxCount='0'><address slot='0x1f'/></capability>"
        "<iommuGroup number='1'/><numa node='-1'/>"
        "<pci-express><link validity='sta' width='0'/><link validity='cap' port='-1' speed='64' width='4'/>"
        "<link validity='bad' width='x'/></pci-express>"
    )
    found = load_node_device(device("pci", given))
    assert (
        format_node_device(found)
        == """\
<device>
  <name>d</name>
  <capability type='pci'>
    <class>0x020000</class>
    <domain>0</domain>
    <bus>1</bus>
    <slot>2</slot>
    <function>3</function>
    <product id='0x10c9'>card</product>
    <vendor id='0x8086'/>
    <capability type='virt_functions'>
      <address domain='0x0000' bus='0x00' slot='0x1f' function='0x0'/>
    </capability>
    <capability type='cardbus-bridge'/>
    <capability type='vpd'>
      <name>n</name>
      <fields access='readonly'>
        <vendor_field index='1'>d</vendor_field>
      </fields>
      <fields access='readwrite'>
        <system_field index='B'>s</system_field>
      </fields>
    </capability>
    <pci-express>
      <link validity='cap' speed='64' width='4'/>
      <link validity='sta' width='0'/>
    </pci-express>
  </capability>
</device>
"""
    )
    pci = found.capability(PCICapability)
    assert pci is not None
    assert any(isinstance(each, VPDCapability) for each in pci.capabilities)


def test_paths_have_an_order() -> None:
    nodes = (
        "<devnode type='link'>/l</devnode><devnode type='dev'>/a</devnode><devnode type='dev'>/b</devnode>"
        "<devnode type='link'>/m</devnode>"
    )
    found = load_node_device(device("ap_matrix", rest=nodes))
    assert [node.path for node in found.devnodes] == ["/b", "/l", "/m"]


def test_what_only_a_present_device_has() -> None:
    given = device("ap_matrix", rest="<path>/sys/x</path><driver><name>drv</name></driver>")
    present = parse(given, NodeDevice)
    assert "<name>drv</name>" in format_node_device(present)
    assert "drv" not in format_node_device(present, inactive=True)
    assert "/sys/x" not in format_node_device(present, inactive=True)
    # The kernel knows the driver, a document does not.
    assert load_node_device(given).driver is None


def test_a_usb_device_without_names() -> None:
    given = device("usb_device", "<bus>1</bus><device>2</device><product id='1'/><vendor id='2'/>")
    assert "<product id='0x0001' />\n    <vendor id='0x0002' />" in format_node_device(load_node_device(given))


def test_a_virtual_adapter_gets_its_names() -> None:
    context = NodeDeviceContext(create=True, virt_type="QEMU", random_bits=lambda bits: 0xABC)
    made = load_node_device(device("scsi_host", "<capability type='fc_host'/>"), context=context)
    host = made.capability(SCSIHostCapability)
    assert made.name == "new device"
    assert host is not None
    assert "<wwnn>5001a4a000000abc</wwnn>" in format_node_device(made)


def test_a_parent_can_be_told_by_what_it_is() -> None:
    found = load_node_device(device("ap_matrix", rest="<parent wwnn='1' wwpn='2'/>"))
    assert "<parent wwnn='1' wwpn='2'/>" in format_node_device(found)


@pytest.mark.parametrize(
    ("given", "message", "path"),
    [
        ("<device/>", "missing name information", "/device/name"),
        ("<device><name>d</name></device>", "internal error: no device capabilities for 'd'", "/device/capability"),
        (
            "<device><name>d</name><capability/></device>",
            "XML error: Missing required attribute 'type' in element 'capability'",
            "/device/capability",
        ),
        (
            device("toaster"),
            "XML error: Invalid value for attribute 'type' in element 'capability': 'toaster'.",
            "/device/capability/@type",
        ),
        (device("vpd"), "internal error: unknown capability type '21' for 'd'", "/device/capability"),
        (
            device("vdpa", "<chardev>/c</chardev>"),
            "internal error: unknown capability type '17' for 'd'",
            "/device/capability",
        ),
        (
            device("ap_matrix", rest="<devnode type='door'>/x</devnode>"),
            "XML error: Invalid value for attribute 'type' in element 'devnode': 'door'.",
            "/device/devnode/@type",
        ),
        (
            device("ap_matrix", rest="<parent wwnn='1'/>"),
            "XML error: when providing parent wwnn='1', the wwpn must also be provided",
            "/device/parent",
        ),
        (device("system"), "internal error: no system UUID supplied for 'd'", "/device/capability"),
        (
            device("system", "<hardware><uuid>1</uuid></hardware>"),
            "internal error: malformed uuid element for 'd'",
            "/device/capability/hardware/uuid",
        ),
        (device("pci"), None, "/device/capability"),
        (
            device("pci", PCI.format("<class>1000000</class>")),
            "internal error: invalid PCI class supplied for 'd'",
            "/device/capability/class",
        ),
        (
            device("pci", PCI_WITHOUT_VENDOR.format("")),
            "internal error: no PCI vendor ID supplied for 'd'",
            "/device/capability",
        ),
        (
            device("pci", PCI_WITHOUT_VENDOR.format("<vendor id='x'/>")),
            "internal error: invalid PCI vendor ID supplied for 'd'",
            "/device/capability/vendor/@id",
        ),
        (device("pci", PCI.format("<capability/>")), "XML error: Missing capability type", None),
        (
            device("pci", PCI.format("<capability type='phys_function'/>")),
            "XML error: Missing address in 'phys_function' capability",
            "/device/capability/capability",
        ),
        (
            device("pci", PCI.format("<capability type='virt_functions' maxCount='-1'/>")),
            "XML error: Malformed 'maxCount' parameter",
            "/device/capability/capability/@maxCount",
        ),
        (
            device("pci", PCI.format("<capability type='virt_functions'><address slot='32'/></capability>")),
            "XML error: Invalid PCI address slot='0x20', must be <= 0x1F",
            None,
        ),
        (
            device("pci", PCI.format("<capability type='mdev_types'><type id='t'/></capability>")),
            "XML error: missing device API for mediated device type 't'",
            "/device/capability/capability/type",
        ),
        (
            device(
                "css",
                "<cssid>0</cssid><ssid>0</ssid><devno>0</devno><capability type='mdev_types'><type id='t'>"
                "<deviceAPI>a</deviceAPI><availableInstances>x</availableInstances></type></capability>",
            ),
            "XML error: missing number of available instances for mediated device type 't'",
            "/device/capability/capability/type/availableInstances",
        ),
        (
            device(
                "pci",
                PCI.format("<capability type='vpd'><name>n</name><fields access='none'/></capability>"),
            ),
            "XML error: Unsupported VPD field access type specified none",
            "/device/capability/capability/fields/@access",
        ),
        (
            device("usb", "<number>1</number>"),
            "internal error: no USB interface class supplied for 'd'",
            "/device/capability",
        ),
        (device("net"), "internal error: no network interface supplied for 'd'", "/device/capability"),
        (
            device("net", "<interface>i</interface><feature/>"),
            "XML error: missing network device feature name",
            "/device/capability/feature/@name",
        ),
        (
            device("net", "<interface>i</interface><feature name='fly'/>"),
            "XML error: unknown network device feature 'fly'",
            "/device/capability/feature/@name",
        ),
        (
            device("net", "<interface>i</interface><capability type='ip'/>"),
            "unsupported configuration: invalid network type supplied for 'd'",
            "/device/capability/capability/@type",
        ),
        (device("scsi_host"), "internal error: no SCSI host ID supplied for 'd'", "/device/capability/host"),
        (
            device("scsi_host", "<host>1</host><capability type='zip'/>"),
            "internal error: unknown SCSI host capability type 'zip' for 'd'",
            "/device/capability/capability/@type",
        ),
        (
            device("scsi_host", SCSI_HOST),
            "internal error: no WWPN supplied for 'd', and auto-generation failed",
            "/device/capability",
        ),
        (
            device("scsi_target", "<target>t</target><capability type='fc_remote_port'/>"),
            "internal error: missing rport name for 'd'",
            "/device/capability/capability",
        ),
        (device("storage"), "internal error: no block device path supplied for 'd'", "/device/capability"),
        (
            device("storage", "<block>b</block>"),
            "internal error: no size supplied for 'd'",
            "/device/capability/size",
        ),
        (
            device("storage", "<block>b</block><capability type='removable'/>"),
            "internal error: no removable media size supplied for 'd'",
            "/device/capability/capability",
        ),
        (
            device("drm", "<type>paint</type>"),
            "unsupported configuration: unknown drm type 'paint' for 'd'",
            "/device/capability/type",
        ),
        (
            device("mdev"),
            "unsupported configuration: missing type id attribute for 'd'",
            "/device/capability/type/@id",
        ),
        (
            device("mdev", "<type id='t'/><uuid>u</uuid>"),
            "internal error: Invalid uuid 'u' for new mdev device",
            "/device/capability/uuid",
        ),
        (
            device("css", "<cssid>0</cssid><ssid>x</ssid><devno>0</devno>"),
            "unsupported configuration: invalid ssid value 'x' for 'd'",
            "/device/capability/ssid",
        ),
        (
            device("ap_card"),
            "unsupported configuration: missing ap-adapter value for 'd'",
            "/device/capability",
        ),
        (
            device("ap_queue", "<ap-adapter>1</ap-adapter><ap-domain>0x100</ap-domain>"),
            "unsupported configuration: ap-domain value '0x100' is out of range for 'd'",
            "/device/capability/ap-domain",
        ),
    ],
)
def test_refused(given: str, message: str | None, path: str | None) -> None:
    with pytest.raises(VirtError) as caught:
        load_node_device(given)
    if message is not None:
        assert str(caught.value) == message
    if path is not None:
        assert caught.value.path == path


def test_errors_come_from_the_node_device_driver() -> None:
    with pytest.raises(VirtError) as caught:
        load_node_device("<device><name>d</name></device>")
    assert caught.value.domain is ErrorDomain.NODEDEV
