"""Devices: what the declarations print, and what the generic rules make of small documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain import Devices, Domain, DomainFeature, DomainRules, ParseFlag, load_domain
from virtcore.model.domain.chardev import PTYChardev, UnixChardev
from virtcore.model.domain.controller import PCIController, SCSIController, USBController
from virtcore.model.domain.disk import Disk, DiskBus, DiskTarget
from virtcore.model.domain.graphics import NoListen, SocketListen, SpiceGraphics, VNCGraphics
from virtcore.model.domain.interface import BridgeInterfaceSource, Interface, InterfaceType
from virtcore.model.storage.source import BlockSource, FileSource, NetworkSource, StorageType
from virtcore.xml import Mode, format, parse


class Rules(DomainRules):
    """A driver that takes everything."""

    features = (
        DomainFeature.WIDE_SCSI
        | DomainFeature.MEMORY_HOTPLUG
        | DomainFeature.USER_ALIAS
        | DomainFeature.NET_MODEL_STRING
        | DomainFeature.DISK_FD
    )


def load(
    devices: str, flags: ParseFlag = ParseFlag.INACTIVE, kind: str = "hvm", rules: DomainRules | None = None
) -> Domain:
    text = f"""<domain type='kvm'>
  <name>guest</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64'>{kind}</type></os>
  <devices>{devices}</devices>
</domain>"""
    rules = rules or Rules()
    context = rules.context(flags, arch=Arch.X86_64)
    context.random_bits = lambda bits: 0x5A
    return load_domain(text, rules, context)


def devices_of(domain: Domain) -> Devices:
    assert domain.devices is not None
    return domain.devices


def printed(domain: Domain, mode: Mode = Mode.INACTIVE) -> list[str]:
    return [line.strip() for line in format(devices_of(domain), mode).splitlines()[1:-1]]


# -------------------------------------------------------------------------------------------------------- declarations


@pytest.mark.parametrize(
    "text",
    [
        (
            "<disk type='file' device='disk'>\n  <driver name='qemu' type='qcow2' discard='unmap'/>\n"
            "  <source file='/a &amp; b'/>\n  <backingStore type='block'>\n    <format type='raw'/>\n"
            "    <source dev='/dev/x'/>\n    <backingStore/>\n  </backingStore>\n  <target dev='vda' bus='virtio'/>\n"
            "  <boot order='1'/>\n  <alias name='ua-x'/>\n"
            "  <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>\n</disk>"
        ),
        (
            "<disk type='network' device='disk'>\n  <source protocol='rbd' name='pool/image'>\n"
            "    <host name='a' port='6789'/>\n"
            "    <snapshot name='s'/>\n    <auth username='admin'>\n"
            "      <secret type='ceph' uuid='11111111-2222-3333-4444-555555555555'/>\n    </auth>\n  </source>\n"
            "  <target dev='sda' bus='scsi'/>\n  <iotune>\n    <total_iops_sec>10</total_iops_sec>\n"
            "    <group_name>g</group_name>\n  </iotune>\n  <readonly/>\n  <serial>x1</serial>\n</disk>"
        ),
        (
            "<disk type='nvme' device='disk'>\n  <source type='pci' managed='yes' namespace='1'>\n"
            "    <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n  </source>\n"
            "  <target dev='vda' bus='virtio'/>\n</disk>"
        ),
    ],
)
def test_disk_reads_back(text: str) -> None:
    assert format(parse(text, Disk)).rstrip() == text


def test_source_follows_the_type() -> None:
    disk = parse("<disk type='block'><source dev='/dev/sdb'/><target dev='sda' bus='sata'/></disk>", Disk)
    assert isinstance(disk.source, BlockSource)
    disk.source = FileSource(file="/x")
    with pytest.raises(VirtError):
        format(disk)
    disk.type = StorageType.FILE
    assert "<source file='/x'/>" in format(disk)


def test_only_what_belongs_to_the_kind_is_known() -> None:
    text = "<devices><controller type='usb' index='0' model='qemu-xhci' ports='4' vectors='3'/></devices>"
    (controller,) = parse(text, Devices).controllers
    assert isinstance(controller, USBController)
    assert controller.ports == 4
    assert "vectors='3'" in format(parse(text, Devices)), "unknown content survives a lossless round trip"


def test_hardware_numbers_keep_their_forms() -> None:
    text = (
        "<devices>\n  <controller type='pci' index='1' model='pcie-root-port'>\n    <model name='pcie-root-port'/>\n"
        "    <target chassis='1' port='0x10' hotplug='off'>\n      <node>1</node>\n    </target>\n"
        "    <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x7' multifunction='on'/>\n"
        "  </controller>\n</devices>"
    )
    devices = parse(text, Devices)
    controller = devices.controllers[0]
    assert isinstance(controller, PCIController)
    assert controller.target is not None
    assert controller.target.port == 16
    assert format(devices).rstrip() == text


def test_secrets_are_printed_only_on_request() -> None:
    graphics = VNCGraphics(autoport=True, passwd="hidden")
    devices = Devices(graphics=[graphics])
    assert "hidden" not in format(devices, Mode.LIVE)
    assert "passwd='hidden'" in format(devices, Mode.LIVE | Mode.SECURE)
    assert "hidden" not in repr(graphics)


def test_runtime_state_of_a_live_domain_is_left_out_of_its_definition() -> None:
    domain = load(
        "<serial type='pty'><source path='/dev/pts/3'/><target port='0'/><alias name='serial0'/></serial>"
        "<interface type='bridge'><mac address='52:54:00:00:00:01'/>"
        "<source bridge='br0'/><target dev='vnet4'/></interface>",
        ParseFlag.NONE,
    )
    live = printed(domain, Mode.LIVE)
    assert "<source path='/dev/pts/3'/>" in live
    assert "<console type='pty' tty='/dev/pts/3'>" in live
    assert "<target dev='vnet4'/>" in live
    inactive = printed(domain, Mode.INACTIVE)
    assert "<source path='/dev/pts/3'/>" not in inactive
    assert "<target dev='vnet4'/>" not in inactive


# -------------------------------------------------------------------------------------------------------------- disks


def test_disks_get_bus_address_and_controller() -> None:
    domain = load(
        "<disk type='file'><source file='/b'/><target dev='sdb'/></disk>"
        "<disk type='file'><source file='/i'/><target dev='sdi'/></disk>"
        "<disk type='file'><source file='/v'/><target dev='vda'/></disk>"
        "<disk type='file' device='cdrom'><target dev='hdc'/></disk>"
        "<disk type='file' device='floppy'><source file='/f'/><target dev='fda'/></disk>"
    )
    devices = devices_of(domain)
    assert {disk.target.dev: disk.target.bus for disk in devices.disks if disk.target} == {
        "sdb": DiskBus.SCSI,
        "sdi": DiskBus.SCSI,
        "vda": DiskBus.VIRTIO,
        "hdc": DiskBus.IDE,
        "fda": DiskBus.FDC,
    }
    output = printed(domain)
    assert "<address type='drive' controller='0' bus='0' target='0' unit='1'/>" in output
    assert "<address type='drive' controller='0' bus='0' target='0' unit='9'/>" in output, "unit 7 is the adapter"
    assert "<address type='drive' controller='0' bus='1' target='0' unit='0'/>" in output
    assert "<readonly/>" in output
    assert [line for line in output if line.startswith("<controller")] == [
        "<controller type='scsi' index='0'/>",
        "<controller type='fdc' index='0'/>",
        "<controller type='ide' index='0'/>",
    ]


def test_disks_of_a_bus_are_kept_in_order() -> None:
    domain = load(
        "".join(
            f"<disk type='file'><source file='/{name}'/><target dev='{name}' bus='virtio'/></disk>"
            for name in ("vdc", "vda", "vdaa", "vdb")
        )
    )
    assert [disk.target.dev for disk in devices_of(domain).disks if disk.target] == ["vda", "vdb", "vdc", "vdaa"]


def test_servers_get_the_protocol_s_port() -> None:
    domain = load(
        "<disk type='network'><source protocol='nbd'><host name='h'/></source><target dev='vda'/></disk>"
        "<disk type='network'><source protocol='iscsi' name='iqn.x'><host name='h' port='1'/></source>"
        "<target dev='vdb'/></disk>"
    )
    first, second = (disk.source for disk in devices_of(domain).disks)
    assert isinstance(first, NetworkSource)
    assert isinstance(second, NetworkSource)
    assert first.hosts[0].port == 10809
    assert (second.name, second.hosts[0].port) == ("iqn.x/0", 1)


def test_a_disk_without_source_is_of_type_file() -> None:
    domain = load("<disk type='block' device='cdrom'><target dev='sda' bus='sata'/></disk>")
    assert devices_of(domain).disks[0].type is StorageType.FILE


# -------------------------------------------------------------------------------------------------------- controllers


def test_controllers_are_sorted_and_numbered() -> None:
    domain = load(
        "<controller type='scsi' index='1'/>"
        "<controller type='usb' model='ich9-uhci1'><master startport='0'/></controller>"
        "<controller type='scsi' index='0'/><controller type='usb' model='ich9-ehci1'/><controller type='scsi'/>"
    )
    found = [(type(c), c.index) for c in devices_of(domain).controllers]
    assert [index for kind, index in found if kind is SCSIController] == [0, 1, 2]
    first = next(c for c in devices_of(domain).controllers if isinstance(c, USBController))
    assert first.model == "ich9-ehci1", "the master comes before its companion"


# ------------------------------------------------------------------------------------------------- character devices


def test_the_first_serial_port_is_the_first_console() -> None:
    domain = load("<serial type='unix'><source mode='bind' path='/s'/></serial>")
    assert (
        printed(domain)[-12:]
        == [
            "<serial type='unix'>",
            "<source mode='bind' path='/s'/>",
            "<target port='0'/>",
            "</serial>",
            "<console type='unix'>",
            "<source mode='bind' path='/s'/>",
            "<target type='serial' port='0'/>",
            "</console>",
        ][-12:]
    )
    (console,) = devices_of(domain).consoles
    assert console.is_stub
    serial = devices_of(domain).serials[0]
    assert isinstance(serial.source, UnixChardev)
    assert serial.source.source is not None
    serial.source.source.path = "/other"
    assert printed(domain).count("<source mode='bind' path='/other'/>") == 2, "one device, printed twice"


def test_a_lone_console_becomes_a_serial_port() -> None:
    domain = load("<console type='pty'/>")
    (serial,) = devices_of(domain).serials
    assert isinstance(serial.source, PTYChardev)
    assert [line for line in printed(domain) if line.startswith(("<serial", "<console"))] == [
        "<serial type='pty'>",
        "<console type='pty'>",
    ]


def test_consoles_of_containers_are_their_own() -> None:
    domain = load("<console type='pty'><target type='lxc' port='7'/></console>", kind="xen")
    assert not devices_of(domain).serials
    assert "<target type='lxc' port='0'/>" in printed(domain)


def test_udp_sources_are_sorted() -> None:
    domain = load(
        "<parallel type='udp'><source mode='connect' host='a' service='1'/><source mode='bind' service='2'/></parallel>"
    )
    assert printed(domain)[:4] == [
        "<parallel type='udp'>",
        "<source mode='bind' service='2'/>",
        "<source mode='connect' host='a' service='1'/>",
        "<target port='0'/>",
    ]


# ------------------------------------------------------------------------------------------------------------ displays


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("<graphics type='vnc'/>", ["<graphics type='vnc' port='-1' autoport='yes'>", "<listen type='address'/>"]),
        (
            "<graphics type='vnc' port='5901' listen='::1'/>",
            ["<graphics type='vnc' port='5901' autoport='no' listen='::1'>", "<listen type='address' address='::1'/>"],
        ),
        (
            "<graphics type='vnc' socket='/s'/>",
            ["<graphics type='vnc' socket='/s'>", "<listen type='socket' socket='/s'/>"],
        ),
        ("<graphics type='spice'/>", ["<graphics type='spice'>", "<listen type='none'/>"]),
        (
            "<graphics type='spice' autoport='yes' listen='h'/>",
            ["<graphics type='spice' autoport='yes' listen='h'>", "<listen type='address' address='h'/>"],
        ),
        ("<graphics type='rdp'/>", ["<graphics type='rdp' port='0' autoport='yes'>", "<listen type='address'/>"]),
    ],
)
def test_where_a_display_listens(given: str, expected: list[str]) -> None:
    domain = load(given + "<video><model type='vga'/></video>")
    assert printed(domain)[:2] == expected


def test_listens_are_objects() -> None:
    domain = load("<graphics type='spice'/><graphics type='vnc' socket='/s'/><video><model type='vga'/></video>")
    spice, vnc = devices_of(domain).graphics
    assert isinstance(spice, SpiceGraphics)
    assert isinstance(spice.listens[0], NoListen)
    assert isinstance(vnc, VNCGraphics)
    assert isinstance(vnc.listens[0], SocketListen)


def test_the_first_card_is_primary() -> None:
    domain = load("<video><model type='qxl'/></video><video><model type='vga' primary='yes'/></video>")
    assert [line for line in printed(domain) if line.startswith("<model")] == [
        "<model type='vga' vram='16384' heads='1' primary='yes'/>",
        "<model type='qxl' ram='65536' vram='65536' heads='1'/>",
    ]


# ---------------------------------------------------------------------------------------------------------- interfaces


def test_interfaces_get_what_they_lack() -> None:
    domain = load("<interface><model type='VIRTIO'/><driver queues='1' name='vhost'/></interface>")
    assert printed(domain) == [
        "<interface type='user'>",
        "<mac address='52:54:00:5a:5a:5a'/>",
        "<model type='virtio'/>",
        "<driver name='vhost'/>",
        "</interface>",
    ]


def test_interfaces_can_be_built() -> None:
    interface = Interface(type=InterfaceType.BRIDGE, source=BridgeInterfaceSource(bridge="br0"), model="e1000")
    assert format(interface) == (
        "<interface type='bridge'>\n  <source bridge='br0'/>\n  <model type='e1000'/>\n</interface>\n"
    )


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("devices", "message", "path"),
    [
        (
            (
                "<disk type='file'><source file='/a'/><target dev='vda'/></disk>"
                "<disk type='network'><source protocol='rbd' name='x'/><target dev='vdb'/></disk>"
            ),
            "XML error: can't split path 'x' into pool name and image name",
            "/domain/devices/disk[2]",
        ),
        (
            "<disk type='file'><source file='/a'/><target dev='vda'/><address type='pci' slot='0x20'/></disk>",
            "XML error: Invalid PCI address slot='0x20', must be <= 0x1F",
            "/domain/devices/disk",
        ),
        (
            "<interface type='bridge'/>",
            "XML error: interface type='bridge' requires a 'source' element",
            "/domain/devices/interface",
        ),
        (
            "<controller type='usb' model='none'/><controller type='usb'/>",
            "Can't add another USB controller: USB is disabled for this domain",
            "/domain/devices/controller[2]",
        ),
        (
            "<controller type='ide' index='0'/><controller type='ide' index='0'/>",
            "XML error: Multiple 'ide' controllers with index '0'",
            "/domain/devices/controller/@index",
        ),
        (
            "<channel type='spicevmc'><target type='xen' name='x'/></channel>",
            "unsupported configuration: spicevmc device type only supports virtio",
            "/domain/devices/channel",
        ),
        (
            "<hostdev mode='subsystem' type='pci' sgio='filtered'><source><address bus='1'/></source></hostdev>",
            "XML error: sgio is only supported for scsi host device",
            "/domain/devices/hostdev/@sgio",
        ),
        (
            (
                "<disk type='file'><source file='/a'/><target dev='vda'/><boot order='1'/></disk>"
                "<disk type='file'><source file='/b'/><target dev='vdb'/><boot order='1'/></disk>"
            ),
            "unsupported configuration: boot order '1' used for more than one device",
            "/domain/devices/disk[2]",
        ),
        (
            "<interface type='network'><source network='n'/><vlan><tag id='4096'/></vlan></interface>",
            "XML error: vlan tag id 4096 too large (maximum 4095)",
            "/domain/devices/interface",
        ),
        (
            (
                "<memory model='nvdimm'><source><path>/p</path></source><target><size unit='MiB'>1</size>"
                "<label><size>64</size></label></target></memory>"
            ),
            "XML error: nvdimm label must be at least 128KiB",
            "/domain/devices/memory",
        ),
        (
            "<graphics type='vnc' listen='1.2.3.4'><listen type='address' address='5.6.7.8'/></graphics>",
            (
                "unsupported configuration: graphics 'listen' attribute '1.2.3.4' must match 'address' attribute of "
                "first listen element (found '5.6.7.8')"
            ),
            "/domain/devices/graphics",
        ),
    ],
)
def test_refusals_have_libvirt_s_words_and_a_place(devices: str, message: str, path: str) -> None:
    with pytest.raises(VirtError) as caught:
        load(devices)
    assert str(caught.value) == message
    assert caught.value.path == path


def test_features_of_the_driver_count() -> None:
    with pytest.raises(VirtError, match="driver does not support net model 'xyz'"):
        load("<interface type='user'><model type='xyz'/></interface>", rules=DomainRules())
    assert "<model type='xyz'/>" in printed(load("<interface type='user'><model type='xyz'/></interface>"))
    user_alias = "<watchdog model='itco'><alias name='ua-1'/></watchdog>"
    assert "<alias name='ua-1'/>" in printed(load(user_alias))
    assert "<alias name='ua-1'/>" not in printed(load(user_alias, rules=DomainRules()))


def test_a_target_can_be_built_without_bus() -> None:
    assert format(DiskTarget(dev="vda")) == "<target dev='vda'/>\n"


def test_documents_of_all_drivers_read_back(shared: Path) -> None:
    """Output of libvirt's other drivers, which have device kinds QEMU has not."""
    folder = shared / "conformance" / "suites"
    changed: list[str] = []
    read = 0
    for suite in ("bhyve-domain-xml", "lxc-domain-xml", "vmx2xml", "xl-config", "xm-config"):
        for path in sorted((folder / suite / "data").rglob("*.xml")):
            text = path.read_text()
            if "xmlns:" in text or "lxc2xml" in str(path) or not text.startswith("<domain"):
                continue
            try:
                domain = parse(text, Domain)
            except VirtError:
                continue
            read += 1
            again = format(domain, Mode.SECURE | Mode.INACTIVE)
            if format(parse(again, Domain), Mode.SECURE | Mode.INACTIVE) != again:
                changed.append(path.name)
    assert not changed
    assert read > 100
