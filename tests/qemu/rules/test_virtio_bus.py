"""Addresses beside PCI: channel I/O, PAPR's virtual I/O, memory-mapped virtio, identifiers of s390's PCI functions."""

from __future__ import annotations

from typing import Any

import pytest

from virtcore.errors import InternalError, XMLError
from virtcore.model.arch import Arch
from virtcore.model.domain.address import CCWAddress, PCIAddress, SpaprVIOAddress, VirtioMMIOAddress

DISK = "<disk type='file' device='disk'><source file='/d{0}'/><target dev='vd{0}' bus='virtio'/>{1}</disk>"
S390 = {"arch": Arch.S390X, "machine": "s390-ccw-virtio"}
PSERIES = {"arch": Arch.PPC64, "machine": "pseries", "flags": ("pci-ohci", "spapr-pci-host-bridge")}


def test_channel_numbers_leave_out_what_is_taken(load: Any) -> None:
    taken = "<address type='ccw' cssid='0xfe' ssid='0x0' devno='0x0001'/>"
    devices = load(DISK.format("a", "") + DISK.format("b", taken) + DISK.format("c", ""), **S390).devices
    assert [disk.address.devno for disk in devices.disks] == [0, 1, 2]
    assert devices.memballoon.address == CCWAddress(cssid=0xFE, ssid=0, devno=3)


def test_channel_number_used_twice(load: Any) -> None:
    taken = "<address type='ccw' cssid='0xfe' ssid='0x0' devno='0x0001'/>"
    with pytest.raises(XMLError, match=r"The CCW devno 'fe\.0\.0001' is in use already"):
        load(DISK.format("a", taken) + DISK.format("b", taken), **S390)


def test_functions_of_s390_have_identifiers(load: Any) -> None:
    address = "<address type='pci'><zpci uid='0x0001' fid='0x00000005'/></address>"
    devices = load(
        DISK.format("a", "<address type='pci'/>") + DISK.format("b", address), **S390, flags=("zpci",)
    ).devices
    assert [(disk.address.zpci.uid, disk.address.zpci.fid) for disk in devices.disks] == [(2, 0), (1, 5)]


def test_identifier_used_twice(load: Any) -> None:
    address = "<address type='pci'><zpci uid='0x000a'/></address>"
    with pytest.raises(InternalError, match="zPCI uid 12 is already reserved"):
        load(DISK.format("a", address) + DISK.format("b", address), **S390, flags=("zpci",))


def test_registers_begin_where_qemu_begins(load: Any) -> None:
    serial = "<serial type='pty'/>"
    devices = load("<controller type='scsi' model='ibmvscsi'/>" + serial * 2, **PSERIES).devices
    assert [serial.address for serial in devices.serials] == [
        SpaprVIOAddress(reg=0x30000000),
        SpaprVIOAddress(reg=0x30001000),
    ]
    assert SpaprVIOAddress(reg=0x2000) in [controller.address for controller in devices.controllers]


def test_register_used_twice(load: Any) -> None:
    serial = "<serial type='pty'><address type='spapr-vio' reg='0x30000000'/></serial>"
    with pytest.raises(XMLError, match="spapr-vio address 0x30000000 already in use"):
        load(serial * 2, **PSERIES)


@pytest.mark.parametrize(("asked", "kind"), [("", PCIAddress), ("<address type='virtio-mmio'/>", VirtioMMIOAddress)])
def test_memory_mapped_only_when_one_device_asks(load: Any, asked: str, kind: type) -> None:
    domain = load(
        DISK.format("a", "") + DISK.format("b", asked), arch=Arch.AARCH64, machine="virt", flags=("virtio-mmio",)
    )
    assert all(isinstance(disk.address, kind) for disk in domain.devices.disks)


def test_default_processors(load: Any) -> None:
    assert load(**PSERIES).cpu.model.name == "POWER9"
    assert load(arch=Arch.RISCV64, machine="virt").cpu.model.name == "rv64"
