"""Devices that leave the host for a guest: which driver has a PCI device, where USB and SCSI devices are."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from virt_host.pci_config import ENDPOINT, EXPRESS, EXTENDED_ACS, PCIConfig
from virtcore.errors import InternalError, OperationFailed, SystemError
from virtcore.model.domain.hostdev import PCIOriginalState

__all__ = ["VFIO", "DeviceTree", "USBAddress"]

VFIO = "vfio-pci"
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
#: Kind of a port that looks downstream; what of access control services (ACS) redirects requests, completions, and what
#: goes upstream.
_DOWNSTREAM, _REDIRECTS = 6, 0x04 | 0x08 | 0x10


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
        config = PCIConfig.read(bridge / "config", extended=True)
        express = config.capability(EXPRESS)
        if express is None or config.number(express + 2, 2) >> 4 & 0xF != _DOWNSTREAM:
            return False
        services = config.extended_capability(EXTENDED_ACS)
        return services is None or config.number(services + 6, 2) & _REDIRECTS != _REDIRECTS
    except (OSError, EOFError):
        return True


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

    def pci_devices(self) -> list[str]:
        """Addresses of every device."""
        try:
            return sorted(os.listdir(self.bus / "pci" / "devices"))
        except OSError:
            return []

    def exists(self, address: str) -> bool:
        """Whether there is a device."""
        return self._pci(address).is_dir()

    def config(self, address: str) -> Path:
        """The file of a device's registers."""
        return self._pci(address) / "config"

    def is_endpoint(self, address: str) -> bool:
        """Whether a device is no bridge; one whose registers cannot be read is taken for none.

        :raises InternalError: it is of an unknown kind.
        """
        try:
            return PCIConfig.read(self.config(address)).header(address) == ENDPOINT
        except OSError:
            return True

    def pci_class(self, address: str) -> int | None:
        """Class and subclass of a device."""
        text = _text(self._pci(address) / "class")
        return None if text is None else int(text, 16) >> 8

    def is_for_guests(self, address: str) -> bool:
        """Whether a driver has a device that lends it to guests: VFIO's own, or a vendor's variant of it."""
        return self.pci_driver(address) == VFIO or (self._pci(address) / "vfio-dev").is_dir()

    def alias(self, address: str) -> str | None:
        """By what the kernel finds modules for a device."""
        return _text(self._pci(address) / "modalias")

    def driver_of_module(self, module: str) -> str | None:
        """The driver of PCI devices that a module has; None where it has none, or is not loaded."""
        try:
            names = os.listdir(self.bus.parent / "module" / module / "drivers")
        except OSError:
            return None
        return next((name.removeprefix("pci:") for name in sorted(names) if name.startswith("pci:")), None)

    def has_driver(self, driver: str) -> bool:
        """Whether the kernel has a driver of PCI devices."""
        return (self.bus / "pci" / "drivers" / driver).is_dir()

    def detach(self, address: str, driver: str = VFIO) -> list[PCIOriginalState]:
        """Take a device from its driver and give it to the one for guests; returns what is to be undone.

        :raises VirtError: it is not there, or stays with its driver.
        """
        if not self.exists(address):
            raise OperationFailed(f"Device {address} not found: could not access {self.config(address)}")
        if self.pci_driver(address) == driver:
            return []
        if not self.has_driver(driver):
            raise InternalError(f"Failed to load PCI driver module {driver}")
        states = [PCIOriginalState.REPROBE]
        try:
            if self._bind(address, driver):
                states.insert(0, PCIOriginalState.UNBIND)
            if self.pci_driver(address) != driver:
                raise InternalError(f"Failed to bind PCI device '{address}' to {driver}")
        except BaseException:
            if self.pci_driver(address) in (None, driver):
                self._bind(address, "\n")
            raise
        return states

    def reattach(self, address: str) -> None:
        """Give a device back to the host's own driver; one that has it already stays.

        :raises SystemError: the kernel refuses.
        """
        if self._pci(address).is_dir() and (self.pci_driver(address) is None or self.is_for_guests(address)):
            self._bind(address, "\n")

    def _bind(self, address: str, driver: str) -> bool:
        """Have a driver take a device; returns whether another had it.

        :param driver: its name; a new line for whichever of the host's knows the device.
        """
        device, former = self._pci(address), self.pci_driver(address)
        self._tell(
            device / "driver_override",
            driver,
            f"Failed to add driver '{driver}' to driver_override interface of PCI device '{address}'",
        )
        if former is not None:
            self._tell(device / "driver" / "unbind", address, f"Failed to unbind PCI device '{address}' from {former}")
        self._tell(self.bus / "pci" / "drivers_probe", address, f"Failed to trigger a probe for PCI device '{address}'")
        return former is not None

    def _tell(self, path: Path, text: str, complaint: str) -> None:
        try:
            self._write(path, text)
        except OSError as error:
            raise SystemError(f"{complaint}: {error.strerror}") from None

    def _write(self, path: Path, text: str) -> None:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)

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
