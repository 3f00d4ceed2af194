"""Checks of controllers."""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from virt_qemu.rules.machine import Machine
from virt_qemu.rules.validate.shared import knows_iothread, require, validate_mapping
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.address import CCWAddress, PCIAddress
from virtcore.model.domain.controller import (
    Controller,
    IDEController,
    PCIController,
    PCIControllerModel,
    PCIControllerModelName,
    PCIControllerTarget,
    SATAController,
    SCSIController,
    SCSIControllerModel,
)

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.domain import Domain

__all__ = ["validate_controller"]

_VIRTIO = (
    SCSIControllerModel.VIRTIO_SCSI,
    SCSIControllerModel.VIRTIO_TRANSITIONAL,
    SCSIControllerModel.VIRTIO_NON_TRANSITIONAL,
)
#: Model of a SCSI host adapter -> the capability it needs, and what messages call it.
_SCSI_MODELS = {
    SCSIControllerModel.LSILOGIC: ("lsi", "the LSI 53C895A SCSI controller"),
    SCSIControllerModel.LSISAS1068: ("mptsas1068", "the LSI SAS1068 (MPT Fusion) controller"),
    SCSIControllerModel.LSISAS1078: ("megasas", "the LSI SAS1078 (MegaRAID) controller"),
    SCSIControllerModel.VMPVSCSI: ("pvscsi", "the pvscsi (VMware paravirtual SCSI) controller"),
    SCSIControllerModel.NCR53C90: ("ncr53c90", "the NCR53C90 (ESP) controller"),
    SCSIControllerModel.DC390: ("dc390", "the DC390 (ESP) controller"),
    SCSIControllerModel.AM53C974: ("am53c974", "the AM53C974 (ESP) controller"),
} | dict.fromkeys(_VIRTIO, ("virtio-scsi-pci", "virtio scsi controller"))
#: Option of the driver that only a virtio host adapter has -> how messages join it.
_VIRTIO_OPTIONS = {"queues": "by", "cmd_per_lun": "by", "max_sectors": "by", "ioeventfd": "by", "iothread": "for"}

#: Model of a PCI controller -> the devices of QEMU's that it can be. Roots, which need none, are treated apart.
_NAMES = {
    PCIControllerModel.PCI_BRIDGE: (PCIControllerModelName.PCI_BRIDGE,),
    PCIControllerModel.DMI_TO_PCI_BRIDGE: (PCIControllerModelName.I82801B11_BRIDGE,),
    PCIControllerModel.PCIE_ROOT_PORT: (PCIControllerModelName.IOH3420, PCIControllerModelName.PCIE_ROOT_PORT),
    PCIControllerModel.PCIE_SWITCH_UPSTREAM_PORT: (PCIControllerModelName.X3130_UPSTREAM,),
    PCIControllerModel.PCIE_SWITCH_DOWNSTREAM_PORT: (PCIControllerModelName.XIO3130_DOWNSTREAM,),
    PCIControllerModel.PCI_EXPANDER_BUS: (PCIControllerModelName.PXB,),
    PCIControllerModel.PCIE_EXPANDER_BUS: (PCIControllerModelName.PXB_PCIE,),
    PCIControllerModel.PCIE_TO_PCI_BRIDGE: (PCIControllerModelName.PCIE_PCI_BRIDGE,),
}
_ROOTS = (PCIControllerModel.PCI_ROOT, PCIControllerModel.PCIE_ROOT)
_EXPANDERS = (PCIControllerModel.PCI_EXPANDER_BUS, PCIControllerModel.PCIE_EXPANDER_BUS)
_PORTS = (PCIControllerModel.PCIE_ROOT_PORT, PCIControllerModel.PCIE_SWITCH_DOWNSTREAM_PORT)
#: Those whose device goes by another name than its capability.
_FLAGS = {PCIControllerModelName.I82801B11_BRIDGE: "dmi-to-pci-bridge"}


def validate_controller(device: Controller, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """One controller.

    :raises VirtError: with libvirt's message.
    """
    if isinstance(device, PCIController) and device.driver is None:  # of which a guest has a dozen
        _check_pci(_PCIShape.of(device, domain), capabilities.flags)
        return
    if isinstance(device, SCSIController):
        _scsi_model(device.model, capabilities)
    virtio = isinstance(device, SCSIController) and device.model in _VIRTIO
    if not virtio and device.driver is not None:
        for option, joint in _VIRTIO_OPTIONS.items():
            value = getattr(device.driver, option)
            if value or value is False:
                raise ConfigUnsupported(f"'{option}' is only supported {joint} virtio-scsi controller")
    if isinstance(device, IDEController):
        _ide(device, domain)
    elif isinstance(device, SCSIController):
        _scsi(device, domain, capabilities)
    elif isinstance(device, PCIController):
        _check_pci(_PCIShape.of(device, domain), capabilities.flags)
    elif isinstance(device, SATAController) and not (Machine.of(domain).q35 and not device.index):
        require(capabilities, "ich9-ahci", "SATA is not supported with this QEMU binary")


def _scsi_model(model: SCSIControllerModel | None, capabilities: EmulatorCapabilities) -> None:
    if model in (SCSIControllerModel.AUTO, SCSIControllerModel.BUSLOGIC):
        raise ConfigUnsupported(f"Unsupported controller model: {model}")
    if model is not None and model in _SCSI_MODELS:
        flag, name = _SCSI_MODELS[model]
        require(capabilities, flag, f"This QEMU doesn't support {name}")


def _ide(device: IDEController, domain: Domain) -> None:
    builtin = Machine.of(domain).builtin_ide
    if builtin and device.index:
        raise ConfigUnsupported("Only a single IDE controller is supported for this machine type")
    if not builtin:
        raise ConfigUnsupported("IDE controllers are unsupported for this QEMU binary or machine type")


def _scsi(device: SCSIController, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if device.model in _VIRTIO:
        _iothreads(device, domain, capabilities)
    elif device.model is SCSIControllerModel.NCR53C90:
        if device.index:
            raise ConfigUnsupported("ncr53c90 can only be used as first SCSI controller")
        if not Machine.of(domain).builtin_esp:
            raise ConfigUnsupported("ncr53c90 SCSI controller is not a built-in for this machine")


def _iothreads(device: SCSIController, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    driver = device.driver
    if driver is None or not (driver.iothread or driver.iothreads):
        return
    if device.address is not None and not isinstance(device.address, PCIAddress | CCWAddress):
        raise ConfigUnsupported("virtio-scsi IOThreads only available for virtio pci and virtio ccw controllers")
    if driver.iothreads:
        require(
            capabilities,
            "virtio-scsi.iothread-mapping",
            "IOThread mapping for virtio-scsi controllers is not available with this QEMU binary",
        )
        validate_mapping(driver.iothreads, driver.queues or 0, domain)
    elif not knows_iothread(domain, driver.iothread or 0):
        raise ConfigUnsupported(f"controller iothread '{driver.iothread}' not defined in iothreadid")


#: What is looked at of what the guest sees of a PCI controller.
_TARGET_FIELDS = ("index", "bus_nr", "node", "chassis_nr", "chassis", "port", "hotplug")
_TARGET_VALUES = attrgetter(*_TARGET_FIELDS)


class _PCIShape(NamedTuple):
    """What decides whether a PCI controller can be: most guests have the same dozen."""

    machine: Machine
    model: PCIControllerModel
    name: PCIControllerModelName | None
    number: int
    pcihole64: int | None
    target: tuple[Any, ...]

    @classmethod
    def of(cls, device: PCIController, domain: Domain) -> _PCIShape:
        assert device.model is not None
        target = device.target
        values = () if target is None else _TARGET_VALUES(target)
        return cls(Machine.of(domain), device.model, device.model_name, device.index or 0, device.pcihole64, values)


@lru_cache(maxsize=4096)
def _check_pci(shape: _PCIShape, flags: frozenset[str]) -> None:
    """Refuse a PCI controller that the emulator with these capabilities has not, or has otherwise."""
    _PCICheck(shape, flags).run()


class _PCICheck:
    """A PCI controller: its options are those of the device it is, no more and no less."""

    def __init__(self, shape: _PCIShape, flags: frozenset[str]) -> None:
        self.machine, self.model, self.name, self.index, self.pcihole64, values = shape
        self.flags = flags
        self.host_bridge = self.name is PCIControllerModelName.SPAPR_PCI_HOST_BRIDGE
        self.target = PCIControllerTarget(**dict(zip(_TARGET_FIELDS, values, strict=False)))

    def _which(self) -> str:
        name = "none" if self.name is None else self.name
        return f"for PCI controller with index '{self.index}', model '{self.model}' and modelName '{name}'"

    def _invalid(self, option: str) -> ConfigUnsupported:
        return ConfigUnsupported(f"Option '{option}' is not valid {self._which()}")

    def _missing(self, option: str) -> InternalError:
        return InternalError(f"Required option '{option}' is not set {self._which()}")

    def _require(self, flag: str, message: str) -> None:
        if flag not in self.flags:
            raise ConfigUnsupported(message)

    def _only(self, option: str, value: object, *, has: bool, needs: bool = False) -> None:
        """An option that some have, and some must have."""
        if value is None and needs:
            raise self._missing(option)
        if value is not None and not has:
            raise self._invalid(option)

    def run(self) -> None:
        """Everything, in libvirt's order."""
        self._check_name()
        self._check_index()
        target, model = self.target, self.model
        self._only("targetIndex", target.index, has=self.host_bridge, needs=self.host_bridge)
        self._check_hole()
        self._only("busNr", target.bus_nr, has=model in _EXPANDERS, needs=model in _EXPANDERS)
        further = self.host_bridge and target.index != 0  # the first one is in no node
        node = target.node if target.node is not None and target.node >= 0 else None
        self._only("numaNode", node, has=model in _EXPANDERS or further)
        bridge = model is PCIControllerModel.PCI_BRIDGE
        self._only("chassisNr", target.chassis_nr, has=bridge, needs=bridge)
        for option, value in (("chassis", target.chassis), ("port", target.port)):
            self._only(option, value, has=model in _PORTS, needs=model in _PORTS)
        self._check_hotplug()
        if self.name is not None:
            flag = _FLAGS.get(self.name, str(self.name))
            self._require(flag, f"The '{self.name}' device is not supported by this QEMU binary")
        if self.host_bridge and node is not None:
            self._require(
                "spapr-pci-host-bridge.numa_node",
                f"Option 'numaNode' is not supported by '{self.name}' device with this QEMU binary",
            )

    def _check_name(self) -> None:
        needs = self.model not in _ROOTS or (self.model is PCIControllerModel.PCI_ROOT and self.machine.pseries)
        self._only("modelName", self.name, has=needs, needs=needs)
        fits = _NAMES.get(self.model, (PCIControllerModelName.SPAPR_PCI_HOST_BRIDGE,))
        if self.name is not None and self.name not in fits:
            raise ConfigUnsupported(f"Option 'modelName' has invalid value {self._which()}")

    def _check_index(self) -> None:
        if self.model not in _ROOTS and self.index == 0:
            raise ConfigUnsupported(f"Index for '{self.model}' controllers must be > 0")
        if self.model in _ROOTS and self.index != 0 and not self.host_bridge:
            raise ConfigUnsupported(f"Index for '{self.model}' controllers must be 0")

    def _check_hole(self) -> None:
        if self.pcihole64 is None:
            return
        if self.model not in _ROOTS:
            raise self._invalid("pcihole64")
        boards = {PCIControllerModel.PCI_ROOT: self.machine.i440fx, PCIControllerModel.PCIE_ROOT: self.machine.q35}
        if not boards[self.model]:
            raise ConfigUnsupported(
                f"Setting the 64-bit PCI hole size is not supported for machine '{self.machine.name}'"
            )

    def _check_hotplug(self) -> None:
        if self.target.hotplug is None:
            return
        if self.model is PCIControllerModel.PCI_ROOT:
            flag, name = "piix4.acpi-root-pci-hotplug", "pci-root"
        elif self.model in _PORTS:
            flag, name = "pcie-root-port.hotplug", str(self.name)
        else:
            raise self._invalid("hotplug")
        self._require(
            flag,
            f"setting the 'hotplug' property on a '{name}' device is not supported by this QEMU binary",
        )
