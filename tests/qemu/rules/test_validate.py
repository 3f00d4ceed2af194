"""What QEMU's rules refuse, with libvirt's messages."""

from __future__ import annotations

import re
from typing import Any

import pytest

from virtcore.errors import VirtError
from virtcore.model.arch import Arch

DISK = "<disk type='file' device='disk'>{0}<source file='/d'/><target dev='sda' bus='{1}'/>{2}</disk>"
S390 = {"arch": Arch.S390X, "machine": "s390-ccw-virtio"}


@pytest.mark.parametrize(
    ("devices", "options", "message"),
    [
        (DISK.format("<driver name='qemu' type='iso'/>", "sata", ""), {}, "storage format 'iso' is not directly"),
        (
            DISK.format("<driver type='vmdk'/>", "sata", "<encryption format='luks'/>"),
            {},
            "encryption is supported only with 'raw' and 'qcow2' image format",
        ),
        (DISK.format("", "sata", "<vendor>me</vendor>"), {}, "Only scsi disk supports 'vendor'"),
        ("<iommu model='intel'/>", {}, "IOMMU device: 'intel' is only supported with Q35 machines"),
        (
            "<iommu model='virtio'/>",
            {"machine": "q35"},
            "'virtio' is not supported with this QEMU binary",
        ),
        ("<graphics type='sdl'/><graphics type='egl-headless'/>", {}, "is only supported with one of: 'vnc', 'spice'"),
        ("<parallel type='pty'/>", S390, "parallel ports are not supported"),
        ("<panic model='pseries'/>", {}, "only pSeries guests support panic device of model 'pseries'"),
        ("", {"kind": "xen"}, "Emulator '/usr/bin/qemu' does not support virt type 'xen'"),
        ("", {"machine": "pc-i440fx-99"}, "Emulator '/usr/bin/qemu' does not support machine type 'pc-i440fx-99'"),
        (
            "",
            {"rest": "<features><gic version='2'/></features>"},
            "The 'gic' feature is not supported",
        ),
        ("", {"rest": "<features><ps2 state='off'/></features>"}, "ps2 feature state cannot be controlled"),
        (
            "",
            {"rest": "<clock offset='utc'><timer name='tsc' present='yes'/></clock>", **S390},
            "Configuring the 'tsc' timer is not supported for virtType=qemu arch=s390x",
        ),
        (
            "",
            {"rest": "<cpu mode='host-model'><cache mode='passthrough'/></cpu>"},
            "CPU cache mode 'passthrough' can only be used with 'host-passthrough' / 'maximum' CPUs",
        ),
        ("", {"rest": "<maxMemory slots='2'>4194304</maxMemory>"}, "At least one numa node has to be configured"),
        ("", {"os": "<loader type='pflash'>/x</loader>"}, "UEFI requires ACPI on this architecture"),
        (
            "",
            {"arch": Arch.AARCH64, "machine": "virt", "rest": "<features><acpi/></features>"},
            "ACPI requires UEFI on this architecture",
        ),
        (
            "",
            {"rest": "<on_crash>rename-restart</on_crash>"},
            "qemu driver doesn't support the 'rename-restart' action",
        ),
        ("", {"rest": "<on_reboot>preserve</on_reboot>"}, "qemu driver doesn't support the 'preserve' action"),
        (
            "",
            {"rest": "<on_poweroff>restart</on_poweroff><on_reboot>destroy</on_reboot>"},
            "qemu driver doesn't support 'onReboot' set to 'destroy and 'onPoweroff' set to 'reboot'",
        ),
        ("", {"rest": "<vcpu>289</vcpu>"}, "Maximum CPUs greater than specified machine type limit 288"),
        ("", {"rest": "<vcpu>256</vcpu>"}, "more than 255 vCPUs are only supported on q35-based machine types"),
        (
            "",
            {"rest": "<vcpu>256</vcpu>", "machine": "q35"},
            "more than 255 vCPUs require extended interrupt mode enabled on the iommu device",
        ),
        (
            "",
            {"rest": "<vcpu>4</vcpu><cpu><topology sockets='1' cores='2' threads='1'/></cpu>"},
            "CPU topology doesn't match maximum vcpu count",
        ),
    ],
)
def test_refused(load: Any, devices: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load(devices, **options)
    assert message in str(caught.value)


def test_what_is_ordinary_passes(load: Any) -> None:
    load(
        DISK.format("<driver name='qemu' type='qcow2'/>", "sata", "") + "<graphics type='vnc'/>",
        machine="q35",
        rest="<features><acpi/><apic/></features><clock offset='utc'><timer name='hpet' present='no'/></clock>",
    )


@pytest.mark.parametrize(
    ("devices", "options", "message"),
    [
        ("<watchdog model='diag288'/>", {}, "diag288 model of watchdog is allowed for s390 and s390x only"),
        ("<watchdog model='itco'/>", {}, "itco model of watchdog is only part of q35 machine"),
        ("<graphics type='desktop'/>", {}, "desktop graphics are not supported with this QEMU"),
        ("<graphics type='spice'/>", {}, "spice graphics are not supported with this QEMU"),
        ("<video><model type='qxl'/></video>", {}, "domain configuration does not support video model 'qxl'"),
        (
            "<rng model='virtio'><backend model='random'>/dev/random</backend></rng>",
            {"flags": ("virtio-rng",)},
            "this qemu doesn't support the rng-random backend",
        ),
        (
            "<serial type='pty'><target type='spapr-vio-serial'/></serial>",
            {},
            "target type 'spapr-vio-serial' and target model 'spapr-vty' not compatible with guest architecture",
        ),
        ("<console type='pty'><target type='uml'/></console>", {}, "unsupported console target type uml"),
        ("<nvram><address type='spapr-vio'/></nvram>", {}, "nvram device is only supported for PPC64"),
        ("<sound model='usb'/>", {}, "usb-audio controller is not supported by this QEMU binary"),
        ("<vsock model='virtio'/>", {}, "vsock device is not supported with this QEMU binary"),
        (
            "<tpm model='tpm-crb'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
            {"flags": ("tpm-passthrough",)},
            "The QEMU executable /usr/bin/qemu does not support TPM model tpm-crb",
        ),
        (
            "<filesystem><driver type='virtiofs'/><source dir='/a'/><target dir='m'/></filesystem>",
            {"flags": ("vhost-user-fs",)},
            "'virtiofs' requires shared memory",
        ),
        ("", {"rest": "<features><vmcoreinfo/></features>"}, "vmcoreinfo is not available with this QEMU binary"),
        (
            "",
            {"rest": "<features><hyperv><relaxed state='on'/></hyperv></features>", **S390},
            "Hyperv features are not supported for architecture 's390x' or machine type 's390-ccw-virtio'",
        ),
        (
            "",
            {"rest": "<launchSecurity type='s390-pv'/>", **S390},
            "'s390-pv' launch security is not supported with this QEMU binary",
        ),
    ],
)
def test_what_is_not_there(devices: str, options: dict[str, Any], message: str, load: Any) -> None:
    with pytest.raises(VirtError, match=re.escape(message)):
        load(devices, **options)


IDE = "<disk type='file' device='{}'><source file='/d'/><target dev='{}' bus='{}'/>{}</disk>"
NIC = "<interface type='{}'><source network='n' dev='/v'/><model type='{}'/>{}</interface>"
PORT = "<controller type='pci' index='1' model='pcie-root-port'>{}</controller>"
MODULE = "<memory model='dimm'><target><size>262144</size>{}</target></memory>"
ROOM = "<maxMemory slots='1' unit='GiB'>16</maxMemory><cpu><numa><cell id='0' cpus='0' memory='4194304'/></numa></cpu>"


@pytest.mark.parametrize(
    ("devices", "options", "message"),
    [
        (IDE.format("disk", "sda", "sata", "<wwn>5000c50015ea71ad</wwn>"), {}, "Only ide and scsi disk support wwn"),
        (IDE.format("cdrom", "vda", "virtio", ""), {}, "disk type of 'vda' does not support ejectable media"),
        (IDE.format("disk", "sda1", "sata", ""), {}, "invalid disk target 'sda1', partitions can't appear in disk"),
        (
            IDE.format("disk", "hdaxxxxxxxxxx", "ide", "<address type='drive'/>"),
            {},
            "invalid disk target 'hdaxxxxxxxxxx'",
        ),
        (IDE.format("disk", "hda", "ide", "<readonly/>"), {}, "readonly ide disks are not supported"),
        (
            IDE.format("disk", "vda", "virtio", "<driver iothread='2'/>"),
            {"rest": "<iothreads>1</iothreads>"},
            "Disk iothread '2' not defined in iothreadid",
        ),
        (
            IDE.format(
                "disk",
                "vda",
                "virtio",
                "<driver queues='2'><iothreads><iothread id='1'><queue id='0'/></iothread></iothreads></driver>",
            ),
            {"rest": "<iothreads>1</iothreads>", "flags": ("virtio-blk.iothread-mapping",)},
            "missing iothread mapping for queue '1'",
        ),
        (
            IDE.format("disk", "sda", "sata", "<address type='drive' bus='1'/>"),
            {},
            "bus must be 0 for sata controller",
        ),
        ("<controller type='ide' index='1'/>", {}, "Only a single IDE controller is supported for this machine type"),
        ("<controller type='ide'/>", {"machine": "q35"}, "IDE controllers are unsupported for this QEMU binary or"),
        (
            "<controller type='scsi' model='ncr53c90'/>",
            {"flags": ("ncr53c90",)},
            "ncr53c90 SCSI controller is not a built-in for this machine",
        ),
        (
            "<controller type='sata' index='1'><driver queues='2'/></controller>",
            {"flags": ("ich9-ahci",)},
            "'queues' is only supported by virtio-scsi controller",
        ),
        (
            "<controller type='pci' index='0' model='pcie-root'><model name='pxb-pcie'/></controller>",
            {"machine": "q35"},
            "Option 'modelName' is not valid for PCI controller with index '0', model 'pcie-root' and modelName",
        ),
        (
            PORT.format("<model name='pxb'/>"),
            {"machine": "q35"},
            "Option 'modelName' has invalid value for PCI controller with index '1', model 'pcie-root-port'",
        ),
        (PORT.format("<target busNr='3'/>"), {"machine": "q35"}, "Option 'busNr' is not valid for PCI controller"),
        (
            PORT.format("<target hotplug='off'/>"),
            {"machine": "q35"},
            "setting the 'hotplug' property on a 'pcie-root-port' device is not supported by this QEMU binary",
        ),
        (
            NIC.format("vdpa", "e1000", ""),
            {"flags": ("netdev.vhost-vdpa",)},
            "invalid model for interface of type 'vdpa': 'e1000' - must be 'virtio'",
        ),
        (
            NIC.format("network", "virtio", "<driver rx_queue_size='300'/>"),
            {},
            "rx_queue_size has to be a power of two",
        ),
        (
            NIC.format("network", "e1000", "<teaming type='persistent'/>"),
            {},
            "virtio-net teaming persistent interface must be <model type='virtio'/>, not 'e1000'",
        ),
        (
            "<interface type='mcast'><source address='230.0.0.1' port='5'/><mtu size='9000'/></interface>",
            {},
            "setting MTU on interface type mcast is not supported yet",
        ),
        (
            "<serial type='pty'><target type='isa-serial'><model name='usb-serial'/></target></serial>",
            {},
            "Target model 'usb-serial' requires target type 'usb-serial'",
        ),
        (
            "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>",
            {},
            "chardev 'spicevmc' not supported without spice graphics",
        ),
        (
            "<watchdog model='i6300esb' action='reset'/><watchdog model='i6300esb' action='pause'/>",
            {},
            "watchdogs with different actions are not supported with this QEMU binary",
        ),
        ("<watchdog model='ib700'/>", {"machine": "q35"}, "ib700 model of watchdog cannot be used with this machine"),
        ("<graphics type='vnc' passwd='123456789'/>", {}, "VNC password is 9 characters long, only 8 permitted"),
        (
            "<video><model type='vga' heads='2'/></video>",
            {},
            "video type 'vga' doesn't support multiple 'heads'",
        ),
        (
            "<input type='mouse' bus='virtio'/>",
            {"flags": ("virtio-keyboard",)},
            "virtio-mouse is not supported by this QEMU binary",
        ),
        (
            "<filesystem fmode='0644'><source dir='/a'/><target dir='m'/></filesystem>",
            {},
            "fmode and dmode must be used with accessmode=mapped",
        ),
        (MODULE.format("<node>0</node>"), {}, "cannot use/hotplug a memory device when domain 'maxMemory' is not"),
        (MODULE.format(""), {"rest": ROOM}, "target NUMA node needs to be specified for memory device"),
        (
            MODULE.format("<node>0</node>").replace("</memory>", "<address type='dimm' slot='1'/></memory>"),
            {"rest": ROOM},
            "memory device slot '1' exceeds slots count '1'",
        ),
        ("", {"rest": "<features><pvspinlock/></features>", **S390}, "The 'pvspinlock' feature is not supported for"),
        (
            "",
            {"rest": "<features><apic eoi='on'/></features>", **S390},
            "The 'eoi' attribute of the 'apic' feature is not supported for architecture 's390x'",
        ),
        ("", {"rest": "<pm><suspend-to-mem enabled='no'/></pm>", **S390}, "setting ACPI S3/S4 not supported"),
        ("", {"os": "<bios useserial='yes'/>"}, "need at least one serial port to use BIOS serial output"),
        (
            "",
            {"rest": "<sysinfo type='fwcfg'><entry name='opt/ovmf/x'>1</entry></sysinfo>"},
            "That firmware name is reserved",
        ),
        (
            "",
            {"rest": "<memoryBacking><hugepages/><allocation mode='ondemand'/></memoryBacking>"},
            "hugepages are not allowed with memory allocation ondemand",
        ),
    ],
)
def test_what_contradicts_itself(devices: str, options: dict[str, Any], message: str, load: Any) -> None:
    with pytest.raises(VirtError, match=re.escape(message)):
        load(devices, **options)
