"""Addresses on the buses that some machines have for paravirtualized devices instead of PCI.

Channel I/O on s390, the PAPR virtual I/O bus of pSeries, memory-mapped virtio on ARM and RISC-V boards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from virt_qemu.rules.controllers import addressed_devices
from virt_qemu.rules.machine import Machine, pci_root
from virtcore.errors import InternalError, XMLError
from virtcore.model.domain.address import CCWAddress, SpaprVIOAddress, VirtioMMIOAddress
from virtcore.model.domain.chardev import SerialTargetType
from virtcore.model.domain.controller import (
    PCIControllerModel,
    SCSIController,
    SCSIControllerModel,
    VirtioSerialController,
)
from virtcore.model.domain.disk import DiskBus
from virtcore.model.domain.hostdev import MdevHostdev, MdevModel, VHostSCSIHostdev
from virtcore.model.domain.input import InputBus
from virtcore.model.domain.memory_device import VirtioMEM, VirtioPMEM
from virtcore.model.domain.sound import SoundModel
from virtcore.model.domain.tpm import TPMModel
from virtcore.model.domain.video import VideoType

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.domain import Domain

__all__ = ["assign_ccw", "assign_spapr_vio", "assign_virtio_mmio"]

#: The channel subsystem of virtual devices.
_VIRTUAL_CSS = 0xFE
_LAST_SSID, _LAST_DEVNO = 3, 0xFFFF
_VIRTIO_NICS = ("virtio", "virtio-transitional", "virtio-non-transitional")


def _virtio_devices(domain: Domain) -> Iterator[Any]:
    """Every virtio device whatever its bus, file systems and vsock apart."""
    devices = domain.devices
    assert devices is not None
    for disk in devices.disks:
        if disk.target is not None and disk.target.bus is DiskBus.VIRTIO:
            yield disk
    yield from (interface for interface in devices.interfaces if interface.model in _VIRTIO_NICS)
    yield from (video for video in devices.videos if video.model is not None and video.model.type is VideoType.VIRTIO)
    yield from (device for device in devices.inputs if device.bus is InputBus.VIRTIO)
    for controller in devices.controllers:
        if isinstance(controller, VirtioSerialController | SCSIController):
            yield controller
    yield from (hostdev for hostdev in devices.hostdevs if isinstance(hostdev, VHostSCSIHostdev))
    if devices.memballoon is not None and devices.memballoon.model != "none":
        yield devices.memballoon
    yield from devices.rngs
    yield from (device for device in devices.memory if isinstance(device, VirtioPMEM | VirtioMEM))
    yield from devices.cryptos
    yield from (sound for sound in devices.sounds if sound.model is SoundModel.VIRTIO)


def _prime(devices: Iterator[Any], address: Callable[[], Any]) -> None:
    """Put the devices without an address onto a bus."""
    for device in devices:
        if device.address is None:
            device.address = address()


# -- s390


def assign_ccw(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Device numbers of channel I/O.

    :raises VirtError: one is used twice, or there are no more.
    """
    if not Machine.of(domain).s390_ccw:
        return
    devices = domain.devices
    assert devices is not None
    for hostdev in devices.hostdevs:
        if not isinstance(hostdev, MdevHostdev):
            continue
        if hostdev.model is MdevModel.VFIO_CCW and hostdev.address is None and capabilities.has("vfio-ccw"):
            hostdev.address = CCWAddress()
        elif hostdev.model is MdevModel.VFIO_AP and capabilities.has("vfio-ccw"):
            hostdev.address = None  # these are on no bus
    _prime(_virtio_devices(domain), CCWAddress)
    _prime(iter(devices.filesystems), CCWAddress)
    if devices.vsock is not None:
        _prime(iter([devices.vsock]), CCWAddress)
    on_channel = [device for device in addressed_devices(domain) if isinstance(device.address, CCWAddress)]
    taken: set[tuple[int, int, int]] = set()
    waiting = []
    for device in on_channel:
        address = device.address
        if address.devno is None:
            waiting.append(address)
            continue
        where = (address.cssid or 0, address.ssid or 0, address.devno)
        if where in taken:
            raise XMLError(f"The CCW devno '{where[0]:x}.{where[1]:x}.{where[2]:04x}' is in use already")
        taken.add(where)
    numbers = (
        (_VIRTUAL_CSS, ssid, devno)
        for ssid in range(_LAST_SSID + 1)
        for devno in range(_LAST_DEVNO + 1)
        if (_VIRTUAL_CSS, ssid, devno) not in taken
    )
    for address in waiting:
        free = next(numbers, None)
        if free is None:
            raise InternalError("There are no more free CCW devnos.")
        address.cssid, address.ssid, address.devno = free


# -- pSeries

#: First registers, which are QEMU's own choices.
_NET, _SCSI, _NVRAM, _TPM, _SERIAL = 0x1000, 0x2000, 0x3000, 0x4000, 0x30000000
_STEP = 0x1000


def assign_spapr_vio(domain: Domain) -> None:
    """Registers of the PAPR virtual I/O bus.

    :raises XMLError: two devices have the same.
    """
    devices = domain.devices
    assert devices is not None
    pseries = Machine.of(domain).pseries
    plan: list[tuple[Any, bool, int]] = [(nic, nic.model == "spapr-vlan", _NET) for nic in devices.interfaces]
    for controller in devices.controllers:
        ibm = isinstance(controller, SCSIController) and controller.model is SCSIControllerModel.IBMVSCSI
        plan.append((controller, ibm, _SCSI))
    for serial in devices.serials:
        terminal = serial.target is not None and serial.target.type is SerialTargetType.SPAPR_VIO_SERIAL
        plan.append((serial, terminal, _SERIAL))
    if devices.nvram is not None:
        plan.append((devices.nvram, pseries, _NVRAM))
    plan += [(tpm, pseries and tpm.model is not TPMModel.SPAPR_TPM_PROXY, _TPM) for tpm in devices.tpms]
    for device, belongs, first in plan:
        if belongs and not isinstance(device.address, SpaprVIOAddress):
            device.address = SpaprVIOAddress()
        if isinstance(device.address, SpaprVIOAddress):
            _choose_register(domain, device, first)


def _choose_register(domain: Domain, device: Any, first: int) -> None:
    taken = {
        other.address.reg
        for other in addressed_devices(domain)
        if other is not device and isinstance(other.address, SpaprVIOAddress)
    }
    register = device.address.reg
    if register is None:
        register = first
        while register in taken:
            register += _STEP
        device.address.reg = register
    elif register in taken:
        raise XMLError(f"spapr-vio address {register:#x} already in use")


# -- memory-mapped virtio


def assign_virtio_mmio(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Memory-mapped virtio on boards that have it, unless PCI Express serves and no device asks for it."""
    machine = Machine.of(domain)
    if not machine.virtio_mmio or not capabilities.has("virtio-mmio"):
        return
    ports = capabilities.has("pcie-root-port") or capabilities.has("ioh3420")
    express = pci_root(domain) is PCIControllerModel.PCIE_ROOT and ports
    if express and not any(isinstance(device.address, VirtioMMIOAddress) for device in addressed_devices(domain)):
        return
    _prime(_virtio_devices(domain), VirtioMMIOAddress)
