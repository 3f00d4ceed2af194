"""What the host and its emulators offer, as XML."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from virt_host.description.capabilities import host_capabilities as describe_host
from virt_host.description.cpu_model import address_bits
from virt_host.description.memory import HostMemory
from virt_host.description.tree import HostTree
from virt_qemu.cpu_modes import cpu_modes
from virtcore.errors import InvalidArg
from virtcore.model.arch import Arch, host_arch
from virtcore.model.capabilities import (
    Capabilities,
    FeatureToggle,
    Guest,
    GuestArch,
    GuestDomain,
    GuestFeatures,
    GuestMachine,
    MigrationFeatures,
    PageSize,
    SecurityModel,
    format_capabilities,
)
from virtcore.model.domain import OSType, VirtType
from virtcore.model.domain_capabilities import (
    CapabilityEnum,
    DeviceCapabilities,
    DomainCapabilities,
    EnumeratedCapability,
    LoaderCapability,
    OSCapability,
    format_domain_capabilities,
)

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.cpu.element import HostCPU

__all__ = [
    "domain_capabilities",
    "host_capabilities",
    "parse_arch",
]


def parse_arch(name: str | None) -> Arch:
    """An architecture by name; the host's when none is given.

    :raises InvalidArg: there is none of that name.
    """
    if name is None:
        return host_arch()
    try:
        return Arch(name)
    except ValueError:
        raise InvalidArg(f"unknown architecture: {name}") from None


def _host_uuid(folder: Path) -> str:
    """Names this host: the machine's SMBIOS UUID, else one made and kept."""
    # The hardware's can be read by root only.
    with suppress(OSError, ValueError):
        return str(uuid.UUID(Path("/sys/devices/virtual/dmi/id/product_uuid").read_text().strip()))
    file = folder / "host-uuid"
    kept = HostTree.text(file)
    if not kept:
        kept = str(uuid.uuid4())
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(kept)
    return kept


def _machines(capabilities: EmulatorCapabilities) -> list[GuestMachine]:
    machines = list(capabilities.accelerator("qemu").machines)
    default = capabilities.default_machine()
    machines.sort(key=lambda machine: machine.name != default)
    found: dict[str, GuestMachine] = {}
    for machine in machines:
        for name, canonical in ((machine.name, None), (machine.alias, machine.name)):
            if name is not None and name not in found:
                found[name] = GuestMachine(
                    name=name,
                    canonical=canonical,
                    max_cpus=machine.max_cpus or None,
                    deprecated=machine.deprecated or None,
                )
    return list(found.values())


def _guest(arch: Arch, capabilities: EmulatorCapabilities) -> Guest:
    native = capabilities.has("kvm") and (arch == host_arch() or (arch is Arch.I686 and host_arch() is Arch.X86_64))
    kinds = [VirtType.QEMU] if capabilities.has("tcg") else []
    if native:
        kinds.append(VirtType.KVM)
    modern = arch.is_x86 or arch is Arch.AARCH64
    return Guest(
        os_type=OSType.HVM,
        arch=GuestArch(
            name=arch,
            wordsize=arch.bits,
            emulator=capabilities.binary,
            machines=_machines(capabilities),
            domains=[GuestDomain(type=kind) for kind in kinds],
        ),
        features=GuestFeatures(
            pae=arch is Arch.I686,
            nonpae=arch is Arch.I686,
            acpi=FeatureToggle(default=True, toggle=True) if modern else None,
            apic=FeatureToggle(default=True, toggle=False) if arch.is_x86 else None,
            cpuselection=True,
            deviceboot=True,
            disksnapshot=FeatureToggle(default=True, toggle=False),
            external_snapshot=modern,
        ),
    )


def host_capabilities(emulators: Mapping[Arch, EmulatorCapabilities], folder: Path, cpu: HostCPU | None = None) -> str:
    """The capabilities document.

    :param folder: where this host's UUID is kept when the hardware has none.
    :param cpu: the host's processor, where it is known.
    """
    tree = HostTree()
    host = describe_host(tree, host_arch(), cpu=cpu)
    assert host.cpu is not None
    host.uuid = _host_uuid(folder)
    host.cpu.pages = [PageSize(unit="KiB", size=size) for size in HostMemory(tree).page_sizes()]
    host.migration_features = MigrationFeatures(live=True, uri_transports=["tcp", "rdma"])
    host.secmodels = [SecurityModel(model="none", doi="0")]
    guests = [_guest(arch, capabilities) for arch, capabilities in emulators.items()]
    return format_capabilities(Capabilities(host=host, guests=guests))


def _offered(**enums: Iterable[str]) -> EnumeratedCapability:
    return EnumeratedCapability(
        supported=True, enums=[CapabilityEnum(name=name, values=list(values)) for name, values in enums.items()]
    )


def domain_capabilities(
    capabilities: EmulatorCapabilities, arch: Arch, machine: str | None, virttype: str | None
) -> str:
    """The domain capabilities document: what this driver gives guests of an emulator.

    :raises InvalidArg: there is no such machine or domain type.
    """
    kind = virttype or ("kvm" if capabilities.has("kvm") and arch == host_arch() else "qemu")
    if kind not in ("qemu", "kvm"):
        raise InvalidArg(f"unknown virttype: {kind}")
    if kind == "kvm" and not capabilities.has("kvm"):
        raise InvalidArg(f"KVM is not supported by '{capabilities.binary}' on this host")
    name = capabilities.canonical_machine(machine, kind) if machine else capabilities.default_machine(kind)
    found = capabilities.machine(name or "", kind)
    if found is None:
        raise InvalidArg(f"the machine '{machine}' is not supported by emulator '{capabilities.binary}'")
    has = capabilities.has
    return format_domain_capabilities(
        DomainCapabilities(
            path=capabilities.binary,
            domain=VirtType(kind),
            machine=found.name,
            arch=arch,
            max_vcpus=found.max_cpus or None,
            iothreads=True,
            os=OSCapability(
                supported=True,
                loader=LoaderCapability(supported=True, enums=_offered(type=["rom"], readonly=["yes", "no"]).enums),
            ),
            cpu=cpu_modes(capabilities, kind, address_bits(HostTree())),
            memory_backing=_offered(sourceType=["memfd", "anonymous"]),
            devices=DeviceCapabilities(
                disk=_offered(
                    diskDevice=["disk", "cdrom", "floppy", "lun"],
                    bus=["ide", "fdc", "scsi", "virtio", "usb", "sata"],
                ),
                graphics=_offered(type=["vnc"] if has("vnc") else []),
                rng=_offered(
                    model=["virtio", "virtio-transitional", "virtio-non-transitional"],
                    backendModel=["random", "builtin"],
                ),
            ),
        )
    )
