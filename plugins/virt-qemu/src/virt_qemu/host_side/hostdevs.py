"""Devices of the host that a guest is given: taken from the host's drivers, found, and used by one guest at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from virt_host.hostdev_manager import Holder
from virt_host.passthrough import VFIO, USBAddress
from virt_host.vfio import driver_for_guests
from virt_qemu.block.chain import images_of
from virtcore.errors import InternalError, OperationFailed, OperationInvalid, VirtError
from virtcore.model.domain.addresses.pci import spell
from virtcore.model.domain.disk import Disk
from virtcore.model.domain.hostdev import (
    Hostdev,
    MdevHostdev,
    PCIHostdev,
    PCIOriginalState,
    SCSIAdapterSource,
    SCSIHostdev,
    SourceUSBAddress,
    USBHostdev,
)
from virtcore.model.domain.interface import Interface
from virtcore.model.storage.source import NVMeSource, StartupPolicy
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virt_qemu.resources import HostResources
    from virtcore.model.domain.hostdev import USBHostdevSource

__all__ = [
    "give_pci",
    "guest_driver",
    "hostdev_nodes",
    "prepare",
    "prepare_nvme",
    "release",
    "release_nvme",
    "take_pci",
]

log = logging.getLogger(__name__)


async def prepare(side: HostSide, owner: Owner, device: Hostdev, resources: HostResources) -> None:
    """Take a device of the host for a guest.

    :raises VirtError: it is not there, in use, or stays with the host.
    """
    if isinstance(device, PCIHostdev):
        assert device.source is not None
        assert device.source.address is not None
        address, model = spell(device.source.address), None if device.driver is None else device.driver.model
        driver = await guest_driver(side, address, bool(device.managed), model)
        device.source.original_states = await in_thread(take_pci, side, owner, address, driver)
    elif isinstance(device, USBHostdev):
        assert device.source is not None
        _find_usb(side, owner, device.source)
    elif isinstance(device, SCSIHostdev):
        if isinstance(device.source, SCSIAdapterSource):
            source = device.source
            assert source.adapter is not None
            assert source.address is not None
            where = source.address
            name = side.devices.scsi_generic(source.adapter, where.bus, where.target, where.unit)
            if not (device.shareable or device.readonly):
                _claim(side, owner, "scsi", name, f"SCSI device {name}")
            resources.provide_scsi(source, name)
    elif isinstance(device, MdevHostdev):
        assert device.uuid is not None
        side.devices.mdev_group(device.uuid)
        _claim(side, owner, "mdev", device.uuid, f"mediated device {device.uuid}")


async def release(side: HostSide, owner: Owner, device: Hostdev) -> None:
    """Give a device back to the host."""
    if isinstance(device, PCIHostdev) and device.source is not None and device.source.address is not None:
        managed = bool(device.managed)
        await in_thread(give_pci, side, owner, spell(device.source.address), managed)
    elif isinstance(device, USBHostdev) and device.source is not None and device.source.address is not None:
        _disclaim(side, owner, "usb", _usb_name(device.source.address))
    elif isinstance(device, SCSIHostdev) and isinstance(device.source, SCSIAdapterSource):
        source = device.source
        if source.adapter is not None and source.address is not None:
            where = source.address
            name = side.devices.scsi_generic(source.adapter, where.bus, where.target, where.unit)
            _disclaim(side, owner, "scsi", name)
    elif isinstance(device, MdevHostdev) and device.uuid is not None:
        _disclaim(side, owner, "mdev", device.uuid)


async def prepare_nvme(side: HostSide, owner: Owner, disk: Disk) -> None:
    """Take the controller of an NVMe disk.

    :raises VirtError: it is not there, in use, or stays with the host.
    """
    for source in _nvme(disk):
        assert source.address is not None
        address = spell(source.address)
        driver = await guest_driver(side, address, source.managed is not False)
        await in_thread(take_pci, side, owner, address, driver)


async def release_nvme(side: HostSide, owner: Owner, disk: Disk) -> None:
    """Give the controller of an NVMe disk back."""
    for source in _nvme(disk):
        assert source.address is not None
        await in_thread(give_pci, side, owner, spell(source.address), source.managed is not False)


def _nvme(disk: Disk) -> Iterator[NVMeSource]:
    for link in images_of(disk):
        if isinstance(link.source, NVMeSource):
            yield link.source


def hostdev_nodes(side: HostSide, device: object) -> Iterator[str]:
    """Device files that QEMU opens for a device of the host."""
    if isinstance(device, PCIHostdev) and device.source is not None and device.source.address is not None:
        yield "/dev/vfio/vfio"
        yield f"/dev/vfio/{side.devices.iommu_group(spell(device.source.address))}"
    elif isinstance(device, MdevHostdev) and device.uuid is not None:
        yield "/dev/vfio/vfio"
        yield f"/dev/vfio/{side.devices.mdev_group(device.uuid)}"
    elif isinstance(device, USBHostdev) and device.source is not None and device.source.address is not None:
        where = device.source.address
        yield USBAddress(where.bus, where.device, 0, 0).node
    elif isinstance(device, SCSIHostdev) and isinstance(device.source, SCSIAdapterSource):
        adapter = device.source
        if adapter.adapter is not None and adapter.address is not None:
            place = adapter.address
            yield f"/dev/{side.devices.scsi_generic(adapter.adapter, place.bus, place.target, place.unit)}"
    elif isinstance(device, Interface):
        from virt_qemu.host_side.functions import function_address

        function = function_address(device)
        if function is not None:
            yield "/dev/vfio/vfio"
            yield f"/dev/vfio/{side.devices.iommu_group(function)}"
    elif isinstance(device, Disk):
        for source in _nvme(device):
            assert source.address is not None
            yield "/dev/vfio/vfio"
            yield f"/dev/vfio/{side.devices.iommu_group(spell(source.address))}"


# ----------------------------------------------------------------------------------------------------------------- PCI


async def guest_driver(side: HostSide, address: str, managed: bool, model: str | None = None) -> str | None:
    """The driver that a PCI device is to be given to; None where it is left with the one it has.

    :param managed: it is to be taken from the host.
    :param model: name of the driver, where the guest's definition says it.
    :raises InternalError: it cannot be loaded.
    """
    if not managed or side.devices.is_for_guests(address) or not side.devices.exists(address):
        return VFIO if managed else None
    return await driver_for_guests(side.devices, address, model)


def take_pci(side: HostSide, owner: Owner, address: str, driver: str | None) -> list[PCIOriginalState]:
    """Take a PCI device for a guest; returns what is to be undone. Blocks.

    :param driver: what it is given to, unless one for guests has it; None: nobody else.
    :raises VirtError: it is not there, in use, or stays with the host.
    """
    if not side.devices.is_endpoint(address):
        raise InternalError("Non-endpoint PCI devices cannot be assigned to guests")
    if not side.settings.relaxed_acs_check and side.devices.goes_around_iommu(address):
        raise OperationInvalid(
            f"PCI device {address} is not assignable",
            advice="it is behind a switch lacking ACS, so it may reach others there; qemu.conf: relaxed_acs_check",
        )
    with side.hostdevs.turn():
        _claim(side, owner, "pci", address, f"PCI device {address}")
        try:
            for member in side.devices.group_members(address):
                holder = side.hostdevs.holder("pci", member)
                if holder is not None and holder.uuid != owner.uuid:
                    raise OperationInvalid(
                        f"PCI device {member} is in use by driver {holder.driver}, domain {holder.domain}"
                    )
            states: list[PCIOriginalState] = []
            if driver is not None and not side.devices.is_for_guests(address):
                states = side.devices.detach(address, driver)
            if not side.devices.is_for_guests(address):
                raise OperationInvalid(f"Unmanaged PCI device {address} must be manually detached from the host")
        except BaseException:
            _give_pci(side, owner, address, driver is not None)
            raise
        return states


def give_pci(side: HostSide, owner: Owner, address: str, managed: bool) -> None:
    """Give a PCI device back that a guest has; one that was taken from the host by hand stays so. Blocks."""
    with side.hostdevs.turn():
        _give_pci(side, owner, address, managed)


def _give_pci(side: HostSide, owner: Owner, address: str, managed: bool) -> None:
    holder = side.hostdevs.holder("pci", address)
    if holder is None or holder.uuid != owner.uuid:
        return
    try:
        if managed and not side.hostdevs.is_detached(address):
            side.devices.reattach(address)
    finally:
        _disclaim(side, owner, "pci", address)


# ----------------------------------------------------------------------------------------------------------------- USB


def _usb_name(address: SourceUSBAddress) -> str:
    return f"{address.bus:03}:{address.device:03}"


def _find_usb(side: HostSide, owner: Owner, source: USBHostdevSource) -> None:
    """Find a USB device by what it is or where it is plugged in."""
    try:
        found = _look_for(side, source)
    except VirtError:
        if source.startup_policy not in (StartupPolicy.OPTIONAL, StartupPolicy.REQUISITE):
            raise
        source.missing = True
        return
    if source.address is None:
        source.auto_address = True
    source.address = SourceUSBAddress(bus=found.bus, device=found.device)
    _claim(side, owner, "usb", _usb_name(source.address), f"USB device {_usb_name(source.address)}")


def _look_for(side: HostSide, source: USBHostdevSource) -> USBAddress:
    known = side.devices.usb_devices()
    where = source.address if not source.auto_address else None
    if where is not None:
        known = [one for one in known if (one.bus, one.device) == (where.bus, where.device)]
    name = ""
    if source.vendor is not None:
        name = f" {source.vendor:04x}:{source.product or 0:04x}"
        known = [one for one in known if (one.vendor, one.product) == (source.vendor, source.product)]
    if where is not None:
        name += f" bus:{where.bus} device:{where.device}"
    if not known:
        raise InternalError(f"Did not find USB device{name}")
    if len(known) > 1:
        raise OperationFailed(
            f"Multiple USB devices for {source.vendor:x}:{source.product:x} were found, please use <address> to "
            f"specify one"
        )
    return known[0]


# ------------------------------------------------------------------------------------------------- one guest at a time


def _claim(side: HostSide, owner: Owner, kind: str, name: str, what: str) -> None:
    """Note that a guest has a device.

    :raises OperationInvalid: another has it.
    """
    side.hostdevs.claim(kind, name, Holder(owner.uuid, owner.name), what)


def _disclaim(side: HostSide, owner: Owner, kind: str, name: str) -> None:
    side.hostdevs.disclaim(kind, name, owner.uuid)
