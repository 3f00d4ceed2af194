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
        ("<graphics type='desktop'/>", {}, "unsupported graphics type 'desktop'"),
        ("<graphics type='spice'/>", {}, "spice graphics are not supported with this QEMU"),
        ("<video><model type='qxl'/></video>", {}, "does not support 'video model' value 'qxl'"),
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
        ("<vsock model='virtio'/>", {}, "vhost-vsock is not supported with this QEMU binary"),
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
            "The 'hyperv' feature is not supported",
        ),
        (
            "",
            {"rest": "<launchSecurity type='s390-pv'/>", **S390},
            "S390 PV launch security is not supported with this QEMU binary",
        ),
    ],
)
def test_what_is_not_there(devices: str, options: dict[str, Any], message: str, load: Any) -> None:
    with pytest.raises(VirtError, match=re.escape(message)):
        load(devices, **options)
