"""bhyve's domain rules, hooked into the stages that all drivers share. They need no host, only its capabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from virt_bhyve.addresses import assign_addresses
from virt_bhyve.capabilities import ALL, BhyveCapabilities, BhyveCapability
from virtcore.errors import ConfigUnsupported, XMLError
from virtcore.model.arch import Arch
from virtcore.model.domain.address import DriveAddress
from virtcore.model.domain.chardev import CharacterType, Console, NMDMChardev, NMDMSource, Serial
from virtcore.model.domain.controller import ISAController, PCIController, PCIControllerModel
from virtcore.model.domain.disk import Disk, DiskBus
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.os import Firmware, OSType
from virtcore.model.domain.rng import RNG, RandomBackend, RNGModel
from virtcore.model.domain.rules import DomainFeature, DomainRules
from virtcore.model.domain.rules.device_list import add_controllers, devices_of, disk_index
from virtcore.model.domain.rules.support import require_support
from virtcore.model.domain.video import Video, VideoModel, VideoType

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules import DomainContext

__all__ = ["BhyveRules"]

#: Drives a SATA controller takes where it takes more than one.
_AHCI_PORTS = 32


class BhyveRules(DomainRules):
    """Completion and validation for bhyve guests.

    :param capabilities: what the host's programs can do.
    """

    features = DomainFeature.FW_AUTOSELECT

    def __init__(
        self,
        capabilities: BhyveCapabilities = ALL,
        checks: Iterable[Callable[[Domain, DomainContext], None]] = (),
    ) -> None:
        super().__init__(checks)
        self.capabilities = capabilities

    def domain(self, domain: Domain, context: DomainContext) -> None:
        require_support(domain, types=[VirtType.BHYVE], os_types=[OSType.HVM], archs=[Arch.X86_64])
        add_controllers(
            domain, PCIController, [0], lambda index: PCIController(index=index, model=PCIControllerModel.PCI_ROOT)
        )
        if _needs_isa(domain):
            add_controllers(domain, ISAController, [0])

    def device(self, device: object, domain: Domain, context: DomainContext) -> None:
        if isinstance(device, Disk):
            self._address_disk(device)
        elif isinstance(device, PCIController):
            if device.model in (PCIControllerModel.PCI_ROOT, PCIControllerModel.PCIE_ROOT) and device.index:
                raise XMLError("pci-root and pcie-root controllers should have index 0")
        elif isinstance(device, Video):
            if device.model is None or device.model.type in (None, VideoType.DEFAULT):
                device.model = device.model or VideoModel()
                device.model.type = VideoType.GOP
        elif isinstance(device, Serial | Console):
            _name_null_modem(device, domain)

    def addresses(self, domain: Domain, context: DomainContext) -> None:
        assign_addresses(domain)

    def validate_device(self, device: object, domain: Domain, context: DomainContext) -> None:
        if isinstance(device, ISAController) and device.index:
            raise ConfigUnsupported("Bhyve ISA controller can only have index '0'")
        if isinstance(device, RNG):
            if device.model is not RNGModel.VIRTIO:
                raise ConfigUnsupported("Only 'virio' RNG device model is supported")
            if not isinstance(device.backend, RandomBackend):
                raise ConfigUnsupported("Only 'random' backend model is supported")
            if device.backend.path != "/dev/random":
                raise ConfigUnsupported("Only /dev/random source is supported")

    def _address_disk(self, disk: Disk) -> None:
        target = disk.target
        if disk.address is not None or target is None or target.dev is None:
            return
        index = disk_index(target.dev)
        if index < 0:
            raise XMLError(f"Unknown disk name '{target.dev}' and no address specified")
        if target.bus is DiskBus.SATA:
            ports = _AHCI_PORTS if BhyveCapability.AHCI32SLOT in self.capabilities.bhyve else 1
            controller, unit = divmod(index, ports)
            disk.address = DriveAddress(controller=controller, bus=0, target=0, unit=unit)


def _needs_isa(domain: Domain) -> bool:
    """Whether firmware, serial ports or a display ask for the ISA bridge."""
    assert domain.os is not None
    devices = devices_of(domain)
    return (
        (domain.bootloader is None and domain.os.loader is not None)
        or domain.os.firmware is Firmware.EFI
        or bool(devices.serials or devices.consoles)
        or bool(devices.graphics and devices.videos)
    )


def _name_null_modem(device: Serial | Console, domain: Domain) -> None:
    """A null modem without names gets those of the domain's UUID."""
    source = device.source
    if device.type is not CharacterType.NMDM or not isinstance(source, NMDMChardev):
        return
    if source.source is None or source.source.master is None:
        source.source = NMDMSource(master=f"/dev/nmdm{domain.uuid}A", slave=f"/dev/nmdm{domain.uuid}B")
