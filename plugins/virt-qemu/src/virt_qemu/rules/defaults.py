"""What QEMU's machines have without being asked, and the domain-wide defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.rules.controllers import find_controller, insert_controller
from virt_qemu.rules.machine import Machine
from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg, VirtError, XMLError
from virtcore.model.arch import Arch
from virtcore.model.cpu.element import (
    CPUCheck,
    CPUFallback,
    CPUFeature,
    CPUFeaturePolicy,
    CPUMatch,
    CPUMode,
    CPUModel,
    GuestCPU,
)
from virtcore.model.domain.controller import (
    PCIController,
    PCIControllerModel,
    SATAController,
    USBController,
    USBControllerModel,
)
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.features import GIC, IOAPIC, Features, GICVersion, IOAPICDriver
from virtcore.model.domain.input import Input, InputBus, InputType
from virtcore.model.domain.iommu import IOMMU, IOMMUDriver, IOMMUModel
from virtcore.model.domain.memballoon import Memballoon, MemballoonModel
from virtcore.model.domain.os import Loader
from virtcore.model.domain.panic import Panic, PanicModel
from virtcore.model.domain.rules.context import ParseFlag
from virtcore.model.domain.rules.validate import validate_os
from virtcore.model.domain.watchdog import Watchdog, WatchdogAction, WatchdogModel
from virtcore.model.storage.source import StorageFormat
from virtcore.xml import CpuSet

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.firmware import FirmwareCatalog
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules.context import DomainContext

__all__ = [
    "MAX_VCPUS_WITHOUT_EIM",
    "add_default_devices",
    "check_tseg",
    "check_vcpus",
    "complete_cpu",
    "complete_firmware",
    "complete_machine",
    "complete_sve",
    "default_panic_model",
    "enable_default_features",
    "fill_numa_cells",
    "needs_eim",
    "set_default_cpu",
]

#: More virtual CPUs need the extended interrupt mode of an IOMMU.
MAX_VCPUS_WITHOUT_EIM = 255
#: A CPU without a mode is a custom one.
_CUSTOM = (None, CPUMode.CUSTOM)
#: Name in lower case -> libvirt's spelling.
_POWER_MODELS = {
    name.casefold(): name
    for name in ("POWER6", "POWER7", "POWER8", "POWER9", "POWER10", "POWERPC_e5500", "POWERPC_e6500")
}


def complete_machine(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Fill in the machine type, and its full name for an alias.

    :raises InvalidArg: the emulator has none for the domain type.
    """
    assert domain.os is not None
    assert domain.os.type is not None
    if domain.os.type.machine is None:
        machine = capabilities.default_machine(domain.type)
        if machine is None:
            raise InvalidArg(f"could not get preferred machine for {capabilities.binary} type={domain.type}")
        domain.os.type.machine = machine
    domain.os.type.machine = capabilities.canonical_machine(domain.os.type.machine, domain.type)


def complete_firmware(domain: Domain, context: DomainContext, firmware: FirmwareCatalog) -> None:
    """Choose the firmware of a domain.

    :raises VirtError: of a new domain: there is no such firmware. One that was loaded is left as it is then, and
        refused when it starts.
    """
    assert domain.os is not None
    new = abi_update(context)
    if not new and domain.os.firmware is not None:
        # Once there were raw images only; what is stored goes on meaning one.
        domain.os.loader = domain.os.loader if domain.os.loader is not None else Loader()
        domain.os.loader.format = domain.os.loader.format or StorageFormat.RAW
    try:
        validate_os(domain, context)
        firmware.complete(domain, abi_update=new)
    except VirtError:
        if new:
            raise


class _Implied(NamedTuple):
    """What a board brings along."""

    pci: PCIControllerModel | None = None
    usb: bool = False
    usb_model: USBControllerModel | None = None
    balloon: bool = False
    sata: bool = False
    watchdog: bool = False
    panic: bool = False
    usb_input: bool = False
    iommu: bool = False


_ROOT, _EXPRESS = PCIControllerModel.PCI_ROOT, PCIControllerModel.PCIE_ROOT


def _implied(domain: Domain, machine: Machine, capabilities: EmulatorCapabilities) -> _Implied:
    arch = machine.arch
    if machine.x86:
        if machine.isapc:
            return _Implied(balloon=True)
        if machine.q35:
            model = None
            for flag, candidate in (
                ("qemu-xhci", USBControllerModel.QEMU_XHCI),
                ("nec-usb-xhci", USBControllerModel.NEC_XHCI),
                ("ich9-usb-ehci1", USBControllerModel.ICH9_EHCI1),
            ):
                if model is None and capabilities.has(flag):
                    model = candidate
            return _Implied(
                pci=_EXPRESS,
                usb=model is not None,
                usb_model=model,
                balloon=True,
                sata=True,
                watchdog=True,
                iommu=domain.vcpu_maximum > MAX_VCPUS_WITHOUT_EIM,
            )
        return _Implied(pci=_ROOT if machine.i440fx else None, usb=True, balloon=True)
    if arch is None:
        return _Implied()
    if arch.is_arm:
        old = machine.name == "versatilepb" or machine.name.startswith("realview")
        root = _ROOT if machine.name == "versatilepb" else _EXPRESS if machine.arm_virt else None
        return _Implied(pci=root, usb=old, usb_model=USBControllerModel.PCI_OHCI if old else None)
    if arch.is_ppc64:
        return _Implied(pci=_ROOT, usb=True, balloon=True, panic=machine.pseries, usb_input=True)
    if arch.is_s390:
        return _Implied(pci=_ROOT if capabilities.has("zpci") else None, balloon=True, panic=True)
    if machine.riscv:
        return _Implied(pci=_EXPRESS if machine.riscv_virt else None, balloon=True)
    if arch is Arch.LOONGARCH64:
        return _Implied(pci=_EXPRESS)
    if machine.mips:
        return _Implied(pci=_ROOT if machine.malta else None, usb=True, balloon=True)
    if arch in (Arch.ALPHA, Arch.PPC, Arch.PPCEMB, Arch.SH4, Arch.SH4EB, Arch.SPARC64):
        return _Implied(pci=_ROOT, usb=True, balloon=True)
    return _Implied()


def add_default_devices(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Add the devices the machine has whether or not the document names them.

    :raises XMLError: the PCI controller with index 0 is not the machine's.
    """
    assert domain.devices is not None
    devices, machine = domain.devices, Machine.of(domain)
    _add_ps2(domain, machine, capabilities)
    implied = _implied(domain, machine, capabilities)
    if implied.usb and find_controller(devices.controllers, USBController, 0) is None:
        _add_usb(domain, implied.usb_model)
    if implied.sata and find_controller(devices.controllers, SATAController, 0) is None:
        insert_controller(devices.controllers, SATAController(index=0))
    if implied.pci is not None:
        root = find_controller(devices.controllers, PCIController, 0)
        if root is None:
            insert_controller(devices.controllers, PCIController(index=0, model=implied.pci))
        elif isinstance(root, PCIController) and root.model is not implied.pci:
            raise XMLError(
                f"The PCI controller with index='0' must be model='{implied.pci}' for this machine type, "
                f"but model='{root.model or '(null)'}' was found instead"
            )
    if implied.balloon and devices.memballoon is None:
        devices.memballoon = Memballoon(model=MemballoonModel.VIRTIO)
    if implied.usb_input and devices.graphics:
        tablet = any(device.type is InputType.TABLET and device.bus is InputBus.USB for device in devices.inputs)
        _add_input(domain, InputType.KEYBOARD, InputBus.USB)
        if not tablet:
            _add_input(domain, InputType.MOUSE, InputBus.USB)
    if implied.panic:
        accepted = (None, PanicModel.DEFAULT, default_panic_model(machine))
        if not any(panic.model in accepted for panic in devices.panics):
            devices.panics.append(Panic())
    if implied.watchdog and not any(watchdog.model is WatchdogModel.ITCO for watchdog in devices.watchdogs):
        action = devices.watchdogs[0].action if devices.watchdogs else WatchdogAction.RESET
        devices.watchdogs.append(Watchdog(model=WatchdogModel.ITCO, action=action))
    if (
        implied.iommu
        and devices.iommu is None
        and all(map(capabilities.has, ("intel-iommu", "intel-iommu.intremap", "intel-iommu.eim")))
    ):
        devices.iommu = IOMMU(model=IOMMUModel.INTEL, driver=IOMMUDriver(intremap=True, eim=True))


def _add_ps2(domain: Domain, machine: Machine, capabilities: EmulatorCapabilities) -> None:
    """A PC has PS/2 mouse and keyboard unless its controller is switched off."""
    board = machine.i440fx or machine.q35 or machine.isapc or machine.xenfv
    if not board or not capabilities.has("i8042"):
        return
    features = domain.features
    if features is not None and features.ps2 is not None and features.ps2.state is False:
        return
    _add_input(domain, InputType.MOUSE, InputBus.PS2)
    _add_input(domain, InputType.KEYBOARD, InputBus.PS2)


def _add_input(domain: Domain, kind: InputType, bus: InputBus) -> None:
    assert domain.devices is not None
    inputs = domain.devices.inputs
    if not any(device.type is kind and device.bus is bus for device in inputs):
        inputs.append(Input(type=kind, bus=bus))


def _add_usb(domain: Domain, model: USBControllerModel | None) -> None:
    """A USB controller, with its companions where the model has them."""
    assert domain.devices is not None
    controllers = domain.devices.controllers
    insert_controller(controllers, USBController(index=0, model=model))
    if model is USBControllerModel.ICH9_EHCI1:
        for number, companion in enumerate(
            (USBControllerModel.ICH9_UHCI1, USBControllerModel.ICH9_UHCI2, USBControllerModel.ICH9_UHCI3)
        ):
            controllers.append(USBController(index=0, model=companion, master_startport=2 * number))


def default_panic_model(machine: Machine) -> PanicModel:
    """The panic device of a machine."""
    if machine.pseries:
        return PanicModel.PSERIES
    if machine.arch is not None and machine.arch.is_s390:
        return PanicModel.S390
    if machine.x86:
        return PanicModel.ISA
    return PanicModel.PVPANIC if machine.arm_virt else PanicModel.DEFAULT


def set_default_cpu(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Write down the CPU that QEMU would choose, so that it stays when QEMU's choice changes.

    :raises InternalError: QEMU says "host" for an emulated CPU.
    """
    if domain.cpu is not None and (domain.cpu.mode not in _CUSTOM or domain.cpu.model is not None):
        return
    arch = domain.arch
    if arch is None:
        return
    # What QEMU says about the other architectures holds for emulated guests only.
    everywhere = arch.is_x86 or arch.is_s390 or arch.is_ppc64
    emulated = arch.is_arm or arch in (Arch.RISCV64, Arch.LOONGARCH64)
    if not everywhere and not (emulated and domain.type is VirtType.QEMU):
        return
    model = _default_cpu(domain, capabilities)
    if model is None:
        return
    if model == "host" and domain.type is not VirtType.KVM:
        raise InternalError('QEMU reports invalid default CPU model "host" for non-kvm domain virt type')
    if domain.cpu is None:
        domain.cpu = GuestCPU()
    cpu = domain.cpu
    if model == "host":
        cpu.mode = CPUMode.HOST_MODEL if arch.is_s390 else CPUMode.HOST_PASSTHROUGH
        return
    cpu.check = CPUCheck.NONE
    cpu.mode = CPUMode.CUSTOM
    cpu.match = CPUMatch.EXACT
    cpu.model = CPUModel(name=model, fallback=CPUFallback.FORBID)


def _default_cpu(domain: Domain, capabilities: EmulatorCapabilities) -> str | None:
    """Name of the machine's default CPU, which QEMU gives as a type."""
    machine = capabilities.machine(domain.machine or "", domain.type)
    if machine is None or machine.default_cpu is None:
        return None
    name = capabilities.accelerator(domain.type).index()[2].get(machine.default_cpu)
    return None if name is None else _libvirt_name(name, capabilities.arch)


def _libvirt_name(model: str, arch: Arch) -> str:
    """libvirt's spelling of a CPU model: QEMU writes those of POWER in lower case."""
    if not arch.is_ppc64:
        return model
    return _POWER_MODELS.get(model.casefold(), model)


def complete_cpu(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Defaults of the guest CPU: migratability and how strictly it is checked."""
    cpu = domain.cpu
    if cpu is None:
        return
    if domain.id is None and cpu.mode is CPUMode.HOST_PASSTHROUGH and cpu.migratable is None:
        if capabilities.has("cpu.migratable"):
            cpu.migratable = True
        elif domain.arch is not None and domain.arch.is_x86:
            cpu.migratable = False
    if cpu.mode in _CUSTOM and cpu.model is None:
        return
    if cpu.check is not None:
        return
    if cpu.mode in (CPUMode.HOST_PASSTHROUGH, CPUMode.MAXIMUM):
        cpu.check = CPUCheck.NONE
    elif cpu.mode in _CUSTOM and domain.type is VirtType.QEMU:
        # An emulated CPU is not compared with the host's.
        cpu.check = CPUCheck.NONE
    else:
        cpu.check = CPUCheck.PARTIAL


def needs_eim(domain: Domain) -> bool:
    """Whether there are more virtual CPUs than interrupts can address without extended mode."""
    machine = Machine.of(domain)
    return machine.q35 and domain.vcpu_maximum > MAX_VCPUS_WITHOUT_EIM


def complete_sve(domain: Domain) -> None:
    """Lengths of vectors are those of SVE, which they ask for.

    :raises ConfigUnsupported: it is switched off.
    """
    cpu = domain.cpu
    if cpu is None or not any(feature.name.startswith("sve") and feature.name != "sve" for feature in cpu.features):
        return
    sve = next((feature for feature in cpu.features if feature.name == "sve"), None)
    if sve is None:
        sve = CPUFeature(name="sve")
        cpu.features.append(sve)
    elif sve.policy in (CPUFeaturePolicy.DISABLE, CPUFeaturePolicy.FORBID):
        raise ConfigUnsupported("SVE disabled, but SVE vector lengths provided")
    sve.policy = CPUFeaturePolicy.REQUIRE


def _default_gic(domain: Domain, capabilities: EmulatorCapabilities) -> GICVersion:
    """The newest that there is; every board can have version 2."""
    for version in reversed(capabilities.gic_versions(domain.type)):
        # Emulated, version 3 lacks what PCI Express wants.
        if version == 3 and domain.type is VirtType.QEMU:
            continue
        return GICVersion(str(version))
    return GICVersion.V2


def enable_default_features(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Features that the board or other devices need."""
    assert domain.devices is not None
    gic = domain.features.gic if domain.features is not None else None
    if (gic is None and Machine.of(domain).arm_virt) or (gic is not None and gic.version is None):
        if domain.features is None:
            domain.features = Features()
        domain.features.gic = GIC(version=_default_gic(domain, capabilities))
    iommu = domain.devices.iommu
    if iommu is None:
        return
    remaps = iommu.driver is not None and iommu.driver.intremap is True
    if remaps or needs_eim(domain):
        if domain.features is None:
            domain.features = Features()
        if domain.features.ioapic is None:
            domain.features.ioapic = IOAPIC(driver=IOAPICDriver.QEMU)


def check_vcpus(domain: Domain) -> None:
    """Rules for hot-pluggable virtual CPUs.

    :raises ConfigUnsupported: with libvirt's message.
    """
    if not domain.vcpus:
        return
    rows = sorted(domain.vcpus, key=lambda vcpu: vcpu.id)
    first = rows[0]
    if not first.enabled:
        raise ConfigUnsupported("vcpu 0 can't be offline")
    if first.hotpluggable:
        raise ConfigUnsupported("vcpu0 can't be hotpluggable")
    if first.order not in (None, 0, 1):
        raise ConfigUnsupported("vcpu0 must be enabled first")
    ordered, before = bool(first.order), first
    for vcpu in rows[1:]:
        if vcpu.enabled and bool(vcpu.order) != ordered:
            raise ConfigUnsupported("all vcpus must have either set or unset order")
        if vcpu.hotpluggable is False:
            if before.hotpluggable:
                raise ConfigUnsupported("online non-hotpluggable vcpus need to be ordered prior to hotpluggable vcpus")
            if (before.order or 0) > (vcpu.order or 0):
                raise ConfigUnsupported("online non-hotpluggable vcpus must be ordered in ascending order")
        before = vcpu


def fill_numa_cells(domain: Domain) -> None:
    """Virtual CPUs that no NUMA cell names belong to the first."""
    numa = domain.cpu.numa if domain.cpu is not None else None
    if numa is None or not numa.cells:
        return
    named = [frozenset(cell.cpus or ()) for cell in numa.cells]
    if sum(map(len, named)) < domain.vcpu_maximum:
        numa.cells[0].cpus = CpuSet(set(range(domain.vcpu_maximum)).difference(*named[1:]))


def check_tseg(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Rules for the size of the SMM segment.

    :raises ConfigUnsupported: with libvirt's message.
    """
    smm = domain.features.smm if domain.features is not None else None
    if smm is None or smm.state is False or smm.tseg is None:
        return
    if not Machine.of(domain).q35:
        raise ConfigUnsupported("SMM TSEG is only supported with q35 machine type")
    if not capabilities.has("mch.extended-tseg-mbytes"):
        raise ConfigUnsupported("Setting TSEG size is not supported with this QEMU binary")
    if smm.tseg % (1 << 20):
        raise ConfigUnsupported("SMM TSEG size must be divisible by 1 MiB")


def abi_update(context: DomainContext) -> bool:
    """Whether defaults of a newly defined domain may be chosen."""
    return ParseFlag.ABI_UPDATE in context.flags
