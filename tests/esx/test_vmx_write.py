"""Domains as VMX files."""

from __future__ import annotations

import pytest

import virtcore
from virt_esx.rules import VMwareRules
from virt_esx.vmx import VMXContext, read_vmx, write_vmx
from virtcore.errors import VirtError
from virtcore.model.domain.controller import SCSIControllerModel
from virtcore.model.domain.disk import Disk
from virtcore.model.domain.document import format_domain, load_domain
from vmx_files import ON_ESX, domain_xml, vmx, written

SCSI_DISK = "<disk type='file'><source file='[store] a/b.vmdk'/><target dev='sda'/></disk>"


def disk(inside: str, *, kind: str = "file", device: str = "disk", dev: str = "hda", bus: str = "ide") -> str:
    return f"<disk type='{kind}' device='{device}'>{inside}<target dev='{dev}' bus='{bus}'/></disk>"


def test_identity_is_escaped() -> None:
    xml = domain_xml(rest='<description>say |"yes"|\nand go</description>').replace("<name>test", "<name>a/b%c|")
    found = written(xml)
    assert found["displayName"] == "a%2fb%25c|7c"
    assert found["annotation"] == "say |7c|22yes|22|7c|0aand go"
    assert found["uuid.bios"] == "56 4d 9b ef ac d9 b4 e0-c8 f0 ae a8 b9 10 35 15"
    zero = xml.replace("564d9bef-acd9-b4e0-c8f0-aea8b9103515", "00000000-0000-0000-0000-000000000000")
    assert written(zero)["uuid.action"] == "create"


def test_memory_and_processors() -> None:
    found = written(
        domain_xml(
            vcpu="<vcpu cpuset='1-3,8'>4</vcpu>",
            rest="<currentMemory unit='KiB'>5000</currentMemory><memtune><min_guarantee>1025</min_guarantee></memtune>"
            "<cputune><shares>4000</shares></cputune><cpu><topology sockets='2' cores='2' threads='1'/></cpu>",
            os="<smbios mode='host'/>",
        )
    )
    assert (found["memsize"], found["sched.mem.max"], found["sched.mem.minsize"]) == ("64", "5", "2")
    assert (found["numvcpus"], found["cpuid.coresPerSocket"]) == ("4", "2")
    assert (found["sched.cpu.affinity"], found["sched.cpu.shares"]) == ("1,2,3,8", "normal")
    assert found["smbios.reflecthost"] == "true"


def test_the_adapter_is_chosen_by_its_disks() -> None:
    xml = domain_xml(SCSI_DISK + "<controller type='scsi' index='0' model='auto'/>")
    seen: list[Disk] = []

    def model(disk: Disk) -> SCSIControllerModel:
        seen.append(disk)
        return SCSIControllerModel.VMPVSCSI

    assert written(xml, VMXContext(files=ON_ESX.files, scsi_model=model))["scsi0.virtualDev"] == "pvscsi"
    assert len(seen) == 1
    with pytest.raises(VirtError, match="but found 'auto'"):
        written(xml)
    models = iter([SCSIControllerModel.BUSLOGIC, SCSIControllerModel.LSILOGIC])
    two = domain_xml(
        SCSI_DISK
        + SCSI_DISK.replace("sda", "sdb").replace("b.vmdk", "c.vmdk")
        + "<controller type='scsi' model='auto'/>"
    )
    with pytest.raises(VirtError, match="Disks on SCSI controller 0 have inconsistent controller models"):
        written(two, VMXContext(files=ON_ESX.files, scsi_model=lambda disk: next(models)))


def test_the_adapter_may_be_named_by_the_old_driver_name() -> None:
    named = SCSI_DISK.replace("<source", "<driver name='BusLogic'/><source")
    assert written(domain_xml(named))["scsi0.virtualDev"] == "buslogic"
    with pytest.raises(VirtError, match=r"Inconsistent SCSI controller model \('BusLogic' is not 'lsilogic'\)"):
        written(domain_xml(named + "<controller type='scsi' model='lsilogic'/>"))
    with pytest.raises(VirtError, match="Unknown driver name 'odd'"):
        written(domain_xml(named.replace("BusLogic", "odd")))


def test_disks() -> None:
    found = written(
        domain_xml(
            disk("<source file='[store] a.iso'/>", device="cdrom", dev="hdb")
            + disk("<source dev='/dev/sr0'/>", kind="block", device="lun", dev="hdc")
            + disk("", device="cdrom", dev="sdh", bus="scsi")
            + disk("<source file='/plain/x.vmdk'/><driver cache='writethrough'/>", dev="sdp", bus="scsi").replace(
                "<target", "<transient/><target"
            )
            + disk("<source file='[store] a.flp'/>", device="floppy", dev="fdb", bus="fdc")
        )
    )
    assert found["ide0:1.deviceType"] == "cdrom-image"
    assert found["ide0:1.fileName"] == "/vmfs/volumes/store/a.iso"
    assert found["ide1:0.deviceType"] == "cdrom-raw"
    assert found["scsi0:8.fileName"] == "emptyBackingString"
    assert found["scsi1:0.fileName"] == "/plain/x.vmdk"
    assert found["scsi1:0.writeThrough"] == "true"
    assert found["scsi1:0.mode"] == "independent-nonpersistent"
    assert (found["floppy0.present"], found["floppy1.present"]) == ("false", "true")
    assert found["pciBridge7.virtualDev"] == "pcieRootPort"


def test_mounted_datastores_are_written_as_they_are_mounted() -> None:
    assert (
        written(domain_xml(SCSI_DISK.replace("store", "san")))["scsi0:0.fileName"] == "/vmfs/volumes/4980-ab/a/b.vmdk"
    )


@pytest.mark.parametrize(
    ("mac", "rows"),
    [
        ("<mac address='00:0c:29:1:2:3'/>", ["generated", None]),
        ("<mac address='00:50:56:3f:ff:ff'/>", ["static", None]),
        ("<mac address='00:50:56:40:00:00'/>", ["static", "false"]),
        ("<mac address='00:50:56:80:00:00'/>", ["vpx", None]),
        ("<mac address='52:54:00:00:00:01'/>", ["static", "false"]),
        ("<mac address='52:54:00:00:00:01' type='generated'/>", ["generated", None]),
        ("<mac address='00:0c:29:1:2:3' type='static' check='yes'/>", ["static", "true"]),
    ],
)
def test_where_a_mac_address_comes_from(mac: str, rows: list[str | None]) -> None:
    found = written(domain_xml(f"<interface type='bridge'>{mac}<source bridge='b'/></interface>"))
    assert [found["ethernet0.addressType"], found.get("ethernet0.checkMACAddress")] == rows


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (
            disk("<source file='[store] a.img'/>"),
            "Image file for ide none 'hda' has unsupported suffix, expecting '.vmdk'",
        ),
        (disk("<source file='a.vmdk'/>"), "Could not handle file name 'a.vmdk'"),
        (disk("<source file='[] a.vmdk'/>"), "Datastore path '[] a.vmdk' doesn't have expected format"),
        (disk("<source file='[store] a.vmdk'/>", dev="sda", bus="sata"), "Unsupported bus type 'sata'"),
        (disk("<source file='[store] a.vmdk'/>", dev="vda", bus="virtio"), "Unsupported disk address type 'none'"),
        (disk("<source dev='/dev/sda'/>", kind="block"), "ide none 'hda' has an unsupported type 'lease'"),
        (
            disk("<source dir='/d'/>", kind="dir"),
            "ide none 'hda' has unsupported type 'filesystem', expecting 'file' or 'block'",
        ),
        (
            disk("<source file='[store] a.vmdk'/>").replace("</disk>", "<address type='drive' unit='1'/></disk>"),
            "Disk address 0:0:1 doesn't match target device 'hda'",
        ),
        (
            disk("<source file='[store] a.vmdk'/><driver cache='none'/>", dev="sda", bus="scsi"),
            "scsi harddisk 'sda' has unsupported cache mode 'none'",
        ),
        (SCSI_DISK + "<controller type='scsi' model='virtio-scsi'/>", "or 'vmpvscsi' but found 'virtio-scsi'"),
        ("<interface type='network'><source network='n'/></interface>", "Unsupported net type 'network'"),
        (
            "<interface type='user'><model type='virtio'/></interface>",
            (
                "'devices/interface/model' to be 'vlance' or 'vmxnet' or 'vmxnet2' or 'vmxnet3' or 'e1000' or "
                "'e1000e' but found 'virtio'"
            ),
        ),
        ("<interface type='user'/>" * 11, "Ethernet controller index 10 out of [0..9] range"),
        ("<graphics type='spice'/>", "Unsupported graphics type 'spice'"),
        ("<video><model type='cirrus'/></video>", "Unsupported video device type 'cirrus'"),
        ("<video><model type='vmvga' heads='2'/></video>", "Multi-head video devices are unsupported"),
        ("<video><model type='vmvga'/></video>" * 2, "No support for multiple video devices"),
        ("<serial type='pty'/>", "Unsupported character device type 'pty'"),
        ("<serial type='null'><target port='4'/></serial>", "Serial port index 4 out of [0..3] range"),
        (
            "<parallel type='file'><source path='/x'/><target port='3'/></parallel>",
            "Parallel port index 3 out of [0..2]",
        ),
        (
            "<filesystem type='block'><source dev='/x'/><target dir='y'/></filesystem>",
            "Only 'mount' filesystem type is supported",
        ),
        (
            "<interface type='bridge'><source bridge='a&quot;&#10;b'/></interface>",
            "VMX entry 'ethernet0.networkName' cannot hold quotes, line breaks or NUL characters",
        ),
    ],
)
def test_refused(devices: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        written(domain_xml(devices))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (domain_xml(vcpu="<vcpu current='1'>2</vcpu>"), "No support for domain XML entry 'vcpu' attribute 'current'"),
        (domain_xml(rest="<cpu mode='host-model'/>"), "Expecting domain XML CPU mode 'custom' but found 'host-model'"),
        (domain_xml(os="<smbios mode='sysinfo'/>"), "Unsupported SMBIOS mode 'sysinfo'"),
        (
            domain_xml().replace("x86_64", "ppc64"),
            "could not find capabilities for arch=ppc64 domaintype=vmware ",
        ),
        (domain_xml(vcpu="<vcpu cpuset='1'>2</vcpu>"), "of entry 'vcpu' to contain at least 2 CPU(s)"),
    ],
)
def test_machines_that_vmware_has_not(xml: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        written(xml)
    assert message in str(caught.value)


def test_only_four_networks_on_old_hardware() -> None:
    xml = domain_xml("<interface type='user'/>" * 5)
    assert "ethernet4.present" in written(xml, version=7)
    with pytest.raises(VirtError, match=r"out of \[0..3\] range"):
        written(xml, version=4)


def test_what_is_written_reads_back_the_same() -> None:
    xml = domain_xml(
        SCSI_DISK
        + disk("<source file='[san] a.iso'/>", device="cdrom", dev="hdb")
        + "<controller type='scsi' model='lsisas1068'/>"
        + "<interface type='bridge'><mac address='00:0c:29:01:02:03' type='generated'/><source bridge='b'/>"
        "<model type='vmxnet3'/></interface>"
        "<interface type='vds'><mac address='00:0c:29:01:02:04' type='generated'/><source "
        "switchid='503426b2-94e9-3b16-1d68-87bfff4a5440' portid='5' portgroupid='g' connectionid='7'/></interface>"
        "<serial type='tcp'><source mode='bind' host='h' service='99'/><protocol type='telnet'/></serial>"
        "<parallel type='dev'><source path='/dev/parport0'/></parallel>"
        "<graphics type='vnc' port='5901' passwd='p' keymap='de'/>"
        "<video><model type='vmvga' vram='8192'/></video>",
        vcpu="<vcpu cpuset='0-3'>2</vcpu>",
        rest="<description>a\nb</description><cputune><shares>77</shares></cputune>",
    )
    domain = load_domain(xml, VMwareRules())
    text = write_vmx(domain, ON_ESX, 8)
    again = read_vmx(text, ON_ESX)
    # That there is one screen only XML says.
    assert format_domain(again) == format_domain(domain).replace(" heads='1'", "")
    assert write_vmx(again, ON_ESX, 8) == text


def test_conversion_without_a_connection() -> None:
    xml = virtcore.convert(vmx('ide0:0.present = "true"', 'ide0:0.fileName = "a/b.vmdk"'), from_format="vmware-vmx")
    assert "<source file='a/b.vmdk'/>" in xml
    text = virtcore.convert(xml, to_format="vmware-vmx")
    assert 'virtualHW.version = "7"\n' in text
    assert 'ide0:0.fileName = "a/b.vmdk"\n' in text
