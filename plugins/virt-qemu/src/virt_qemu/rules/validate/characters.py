"""Checks of character devices, and of devices that have a host side like theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.capabilities.devices import rng_models
from virt_qemu.rules.machine import Machine
from virt_qemu.rules.validate.shared import has_spice, require
from virtcore.errors import ConfigUnsupported, InvalidArg
from virtcore.model.domain.address import CCIDAddress, ISAAddress, PCIAddress, SpaprVIOAddress, USBAddress
from virtcore.model.domain.chardev import (
    Parallel,
    SerialModel,
    SerialTargetType,
    SpicePortChardev,
    SpiceVMCChardev,
    TCPChardev,
    TCPProtocol,
    UnixChardev,
    VDAgentChardev,
)
from virtcore.model.domain.redirdev import RedirdevBus
from virtcore.model.domain.rng import BuiltinBackend, EGDBackend, RandomBackend
from virtcore.model.domain.smartcard import PassthroughSmartcard

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.chardev import Channel, Console, Serial
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.redirdev import Redirdev
    from virtcore.model.domain.rng import RNG
    from virtcore.model.domain.smartcard import HostCertificatesSmartcard, HostSmartcard

__all__ = [
    "validate_character_device",
    "validate_redirdev",
    "validate_rng",
    "validate_serial",
    "validate_smartcard",
]

#: Type of a serial port -> the address that it needs, and what messages call that.
_ADDRESSES = {
    SerialTargetType.ISA_SERIAL: (ISAAddress, "isa"),
    SerialTargetType.ISA_DEBUG: (ISAAddress, "isa"),
    SerialTargetType.USB_SERIAL: (USBAddress, "usb"),
    SerialTargetType.PCI_SERIAL: (PCIAddress, "pci"),
    SerialTargetType.SPAPR_VIO_SERIAL: (SpaprVIOAddress, "spapr-vio"),
}
#: Model of a serial port -> its type.
_TYPES = {
    SerialModel.ISA_SERIAL: SerialTargetType.ISA_SERIAL,
    SerialModel.USB_SERIAL: SerialTargetType.USB_SERIAL,
    SerialModel.PCI_SERIAL: SerialTargetType.PCI_SERIAL,
    SerialModel.SPAPR_VTY: SerialTargetType.SPAPR_VIO_SERIAL,
    SerialModel.PL011: SerialTargetType.SYSTEM_SERIAL,
    SerialModel._16550A: SerialTargetType.SYSTEM_SERIAL,
    SerialModel.SCLPCONSOLE: SerialTargetType.SCLP_SERIAL,
    SerialModel.SCLPLMCONSOLE: SerialTargetType.SCLP_SERIAL,
    SerialModel.ISA_DEBUGCON: SerialTargetType.ISA_DEBUG,
}


def _host_side(side: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    source = getattr(side, "source", None)
    if isinstance(side, TCPChardev | UnixChardev):
        reconnect = getattr(source, "reconnect", None)
        if reconnect is not None and reconnect.enabled and not reconnect.timeout:
            raise InvalidArg("chardev reconnect source timeout cannot be '0'")
    if isinstance(side, TCPChardev) and side.protocol is TCPProtocol.TELNETS:
        raise ConfigUnsupported(f"tcp chardev protocol '{side.protocol}' not supported")
    if isinstance(side, VDAgentChardev):
        require(capabilities, "chardev.qemu-vdagent", "chardev 'qemu-vdagent' not supported in this QEMU binary")
    if isinstance(side, SpiceVMCChardev | SpicePortChardev) and not has_spice(domain):
        name = "spicevmc" if isinstance(side, SpiceVMCChardev) else "spiceport"
        raise ConfigUnsupported(f"chardev '{name}' not supported without spice graphics")


def validate_character_device(
    device: Channel | Console | Parallel, domain: Domain, capabilities: EmulatorCapabilities
) -> None:
    """A console, a channel or a parallel port.

    :raises VirtError: with libvirt's message.
    """
    _host_side(device.source, domain, capabilities)
    machine = Machine.of(domain)
    if isinstance(device, Parallel) and (machine.pseries or machine.s390):
        raise ConfigUnsupported("parallel ports are not supported")


def validate_serial(device: Serial, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A serial port.

    :raises VirtError: with libvirt's message.
    """
    _host_side(device.source, domain, capabilities)
    target, machine = device.target, Machine.of(domain)
    if target is None:
        return
    kind, model = target.type, target.model
    if device.address is not None:
        if kind in (SerialTargetType.SYSTEM_SERIAL, SerialTargetType.SCLP_SERIAL):
            raise ConfigUnsupported(f"Target type '{kind}' cannot have an associated address")
        if kind is not None:
            wanted, name = _ADDRESSES[kind]
            if not isinstance(device.address, wanted):
                raise ConfigUnsupported(f"Target type '{kind}' requires address type '{name}'")
    if model is not None and kind is not _TYPES[model]:
        raise ConfigUnsupported(f"Target model '{model}' requires target type '{_TYPES[model]}'")
    models: dict[SerialModel | None, bool] = {
        SerialModel.PL011: machine.arm_virt,
        SerialModel._16550A: machine.riscv_virt or machine.loongarch_virt,
    }
    types: dict[SerialTargetType | None, bool] = {
        SerialTargetType.SPAPR_VIO_SERIAL: machine.pseries,
        SerialTargetType.SCLP_SERIAL: machine.s390,
    }
    if not (models.get(model, True) and types.get(kind, True)):
        raise ConfigUnsupported(
            f"Serial device with target type '{kind}' and target model '{model}' "
            "not compatible with guest architecture or machine type"
        )


def validate_smartcard(
    device: HostSmartcard | HostCertificatesSmartcard | PassthroughSmartcard,
    domain: Domain,
    capabilities: EmulatorCapabilities,
) -> None:
    """A smart card: QEMU has one.

    :raises ConfigUnsupported: with libvirt's message.
    """
    assert domain.devices is not None
    address = device.address
    if len(domain.devices.smartcards) > 1 or not isinstance(address, CCIDAddress) or address.controller or address.slot:
        raise ConfigUnsupported("this QEMU binary lacks multiple smartcard support")
    if isinstance(device, PassthroughSmartcard):
        require(capabilities, "ccid-passthru", "this QEMU binary lacks smartcard passthrough mode support")
        _host_side(device.source, domain, capabilities)
    else:
        require(capabilities, "ccid-emulated", "this QEMU binary lacks smartcard host mode support")


_RNG_BACKENDS = {RandomBackend: "rng-random", EGDBackend: "rng-egd", BuiltinBackend: "rng-builtin"}


def validate_rng(device: RNG, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A random number generator.

    :raises VirtError: with libvirt's message.
    """
    name = _RNG_BACKENDS.get(type(device.backend))
    if name is not None:
        require(capabilities, name, f"this qemu doesn't support the {name} backend")
    if isinstance(device.backend, EGDBackend):
        _host_side(device.backend.source, domain, capabilities)
    if str(device.model) not in rng_models(capabilities):
        raise ConfigUnsupported(f"domain configuration does not support rng model '{device.model}'")


def validate_redirdev(device: Redirdev, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A device of a client's.

    :raises VirtError: with libvirt's message.
    """
    assert domain.devices is not None
    _host_side(device.source, domain, capabilities)
    if device.bus is not RedirdevBus.USB:
        raise ConfigUnsupported(f"Redirection bus {device.bus} is not supported by QEMU")
    require(capabilities, "usb-redir", "USB redirection is not supported by this version of QEMU")
    filter_ = domain.devices.redirfilter
    if filter_ is not None and filter_.usbdevs:
        require(capabilities, "usb-redir.filter", "USB redirection filter is not supported by this version of QEMU")
