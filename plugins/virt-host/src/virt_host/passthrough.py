"""Devices that leave the host for a guest: which driver has a PCI device, where USB and SCSI devices are."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from virtcore.errors import InternalError, OperationFailed, SystemError
from virtcore.model.domain.hostdev import PCIOriginalState

__all__ = ["DeviceTree", "USBAddress"]

VFIO = "vfio-pci"
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
#: Capabilities of PCI devices: PCI Express with the kind of its port, access control services with what they redirect
#: (requests, completions, what goes upstream).
_EXPRESS, _DOWNSTREAM = 0x10, 6
_ACS, _REDIRECTS = 0x0D, 0x04 | 0x08 | 0x10


class USBAddress(NamedTuple):
    """Where a USB device is plugged in now, and what it is."""

    bus: int
    device: int
    vendor: int
    product: int

    @property
    def node(self) -> str:
        """Its device file."""
        return f"/dev/bus/usb/{self.bus:03}/{self.device:03}"


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def _lacks_acs(bridge: Path) -> bool:
    """Whether a bridge sends what goes from one device below it to another straight there."""
    try:
        config = (bridge / "config").read_bytes()
        express = _capability(config, _EXPRESS)
        if express is None or _number(config, express + 2, 2) >> 4 & 0xF != _DOWNSTREAM:
            return False
        services = _extended_capability(config, _ACS)
        return services is None or _number(config, services + 6, 2) & _REDIRECTS != _REDIRECTS
    except (OSError, EOFError):
        return True


def _number(config: bytes, offset: int, size: int) -> int:
    if len(config) < offset + size:
        raise EOFError
    return int.from_bytes(config[offset : offset + size], "little")


def _capability(config: bytes, wanted: int) -> int | None:
    """Where one of a device's capabilities is among its registers."""
    if not _number(config, 0x06, 2) & 0x10:
        return None
    position, seen = _number(config, 0x34, 1) & ~3, set[int]()
    while position >= 0x40 and position not in seen:
        if _number(config, position, 1) == wanted:
            return position
        seen.add(position)
        position = _number(config, position + 1, 1) & ~3
    return None


def _extended_capability(config: bytes, wanted: int) -> int | None:
    """The same of those that only PCI Express has."""
    position, seen = 0x100, set[int]()
    while position >= 0x100 and position not in seen:
        header = _number(config, position, 4)
        if header & 0xFFFF == wanted:
            return position
        seen.add(position)
        position = header >> 20 & ~3
    return None


@dataclass(frozen=True, slots=True)
class DeviceTree:
    """The kernel's files about devices.

    :ivar bus: folder of the buses.
    """

    bus: Path = Path("/sys/bus")

    # -- PCI: addresses are spelled as the kernel does, 0000:01:00.0

    def _pci(self, address: str) -> Path:
        return self.bus / "pci" / "devices" / address

    def pci_driver(self, address: str) -> str | None:
        """The driver that has a device; None without one."""
        try:
            return os.path.basename(os.readlink(self._pci(address) / "driver"))
        except OSError:
            return None

    def iommu_group(self, address: str) -> int:
        """The group of devices that only go together.

        :raises InternalError: the device has none.
        """
        try:
            return int(os.path.basename(os.readlink(self._pci(address) / "iommu_group")))
        except (OSError, ValueError):
            raise InternalError(f"Unable to resolve device {address} iommu_group symlink") from None

    def group_members(self, address: str) -> list[str]:
        """Addresses of the devices of a group."""
        try:
            return sorted(os.listdir(self._pci(address) / "iommu_group" / "devices"))
        except OSError:
            return [address]

    def goes_around_iommu(self, address: str) -> bool:
        """Whether a device may reach others past the IOMMU: it is below a port of a PCI Express switch that has no
        access control services (ACS), has them switched off, or cannot be read."""
        above = self._pci(address).resolve().parents
        return any(_lacks_acs(bridge) for bridge in above if _PCI_ADDRESS.fullmatch(bridge.name))

    def detach(self, address: str, driver: str = VFIO) -> list[PCIOriginalState]:
        """Take a device from its driver and give it to the one for guests; returns what is to be undone.

        :raises VirtError: it is not there, or stays with its driver.
        """
        device = self._pci(address)
        if not device.is_dir():
            raise OperationFailed(f"Device {address} not found: could not access {device}/config")
        if self.pci_driver(address) == driver:
            return []
        if not (self.bus / "pci" / "drivers" / driver).is_dir():
            raise InternalError(f"Failed to load PCI driver module {driver}")
        states = [PCIOriginalState.REPROBE]
        self._write(device / "driver_override", driver)
        try:
            if self.pci_driver(address) is not None:
                self._write(device / "driver" / "unbind", address)
                states.insert(0, PCIOriginalState.UNBIND)
            self._write(self.bus / "pci" / "drivers_probe", address)
            if self.pci_driver(address) != driver:
                raise InternalError(f"Failed to bind PCI device '{address}' to {driver}")
        except BaseException:
            self.reattach(address, driver)
            raise
        return states

    def reattach(self, address: str, driver: str = VFIO) -> None:
        """Give a device back to the host's own driver; one that has it already stays.

        :raises SystemError: the kernel refuses.
        """
        device = self._pci(address)
        if not device.is_dir():
            return
        self._write(device / "driver_override", "\n")
        if self.pci_driver(address) == driver:
            self._write(device / "driver" / "unbind", address)
        if self.pci_driver(address) is None:
            self._write(self.bus / "pci" / "drivers_probe", address)

    def _write(self, path: Path, text: str) -> None:
        try:
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            raise SystemError(f"Unable to write to '{path}': {error.strerror}") from None

    def virtual_function(self, address: str) -> tuple[str, int] | None:
        """The network card that a function of SR-IOV is part of, and the function's number; None of another device.

        :raises InternalError: the card has no network device.
        """
        card = self._pci(address) / "physfn"
        if not card.is_dir():
            return None
        for link in sorted(card.glob("virtfn*")):
            if os.path.basename(os.readlink(link)) == address:
                try:
                    return sorted(os.listdir(card / "net"))[0], int(link.name.removeprefix("virtfn"))
                except (OSError, IndexError):
                    break
        raise InternalError(f"Unable to get net device of the physical function of {address}")

    # -- USB

    def usb_devices(self) -> list[USBAddress]:
        """Every USB device that is plugged in."""
        found = []
        folder = self.bus / "usb" / "devices"
        for device in sorted(folder.iterdir()) if folder.is_dir() else ():
            texts = [_text(device / name) for name in ("busnum", "devnum", "idVendor", "idProduct")]
            bus, number, vendor, product = texts
            if bus and number and vendor and product:
                found.append(USBAddress(int(bus), int(number), int(vendor, 16), int(product, 16)))
        return found

    # -- SCSI

    def scsi_generic(self, adapter: str, bus: int, target: int, unit: int) -> str:
        """Name of the device file by which a SCSI device takes commands, such as ``sg0``.

        :param adapter: ``scsi_hostN``.
        :raises OperationFailed: there is no such device.
        """
        place = self.bus / "scsi" / "devices" / f"{adapter.removeprefix('scsi_host')}:{bus}:{target}:{unit}"
        try:
            return sorted(os.listdir(place / "scsi_generic"))[0]
        except (OSError, IndexError):
            raise OperationFailed(f"SCSI device '{adapter}:{bus}:{target}:{unit}': could not access {place}") from None

    # -- mediated devices

    def mdev_group(self, uuid: str) -> int:
        """The IOMMU's group of a mediated device.

        :raises OperationFailed: there is no such device.
        """
        try:
            return int(os.path.basename(os.readlink(self.bus / "mdev" / "devices" / uuid / "iommu_group")))
        except (OSError, ValueError):
            raise OperationFailed(f"mediated device '{uuid}' not found") from None
