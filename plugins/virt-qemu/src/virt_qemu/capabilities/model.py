"""What is known about an emulator."""

from __future__ import annotations

from dataclasses import dataclass, field

from virtcore.model.arch import Arch

__all__ = ["Accelerator", "CPUDefinition", "CPUExpansion", "EmulatorCapabilities", "Machine"]


@dataclass(slots=True, kw_only=True)
class Machine:
    """A machine type.

    :ivar alias: another name for it, such as ``q35``.
    :ivar default_cpu: libvirt's name of the CPU type a domain without ``<cpu>`` gets (``qemu64-x86_64-cpu``).
    :ivar default_ram_id: id of the memory object the machine takes its memory from.
    :ivar acpi: whether it has ACPI; None where QEMU does not say.
    """

    name: str
    alias: str | None = None
    max_cpus: int = 0
    hotplug_cpus: bool = False
    default: bool = False
    numa_memory: bool = False
    default_cpu: str | None = None
    default_ram_id: str | None = None
    deprecated: bool = False
    acpi: bool | None = None


@dataclass(slots=True, kw_only=True)
class CPUDefinition:
    """A CPU model QEMU knows.

    :ivar type: QEMU's type name.
    :ivar blockers: features that keep it from running here; None when QEMU cannot tell.
    """

    name: str
    type: str | None = None
    blockers: list[str] | None = None
    deprecated: bool = False


@dataclass(slots=True, kw_only=True)
class CPUExpansion:
    """What QEMU expands a CPU model to (``host`` with an accelerator, ``max`` without).

    :ivar properties: property -> value.
    :ivar migratable: property -> whether it survives migration, for those that are on.
    """

    name: str
    properties: dict[str, bool | int | str] = field(default_factory=dict)
    migratable: dict[str, bool] = field(default_factory=dict)
    deprecated: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Accelerator:
    """What depends on how guests are accelerated."""

    machines: list[Machine] = field(default_factory=list)
    cpus: list[CPUDefinition] = field(default_factory=list)
    host_cpu: CPUExpansion | None = None


@dataclass(slots=True, kw_only=True)
class EmulatorCapabilities:
    """An emulator: the binary and what it can do.

    :ivar version: major * 1,000,000 + minor * 1,000 + micro.
    :ivar flags: capabilities under libvirt's names.
    :ivar accelerators: ``kvm``, ``tcg`` -> what depends on it.
    """

    binary: str
    arch: Arch
    version: int
    package: str
    flags: frozenset[str]
    accelerators: dict[str, Accelerator]

    def has(self, flag: str) -> bool:
        """Whether the emulator has a capability."""
        return flag in self.flags

    def accelerator(self, domain_type: str) -> Accelerator:
        """What holds for a domain type (``kvm``, ``qemu``); of the one there is where that one was not asked."""
        wanted = {"qemu": "tcg"}.get(domain_type, domain_type)
        found = self.accelerators.get(wanted)
        return found if found is not None else next(iter(self.accelerators.values()))

    def machine(self, name: str, domain_type: str = "qemu") -> Machine | None:
        """A machine by name or alias."""
        for machine in self.accelerator(domain_type).machines:
            if name in (machine.name, machine.alias):
                return machine
        return None

    def canonical_machine(self, name: str, domain_type: str = "qemu") -> str:
        """The full name of a machine that an alias stands for; the name itself where there is none."""
        for machine in self.accelerator(domain_type).machines:
            if name == machine.alias:
                return machine.name
        return name

    def default_machine(self, domain_type: str = "qemu") -> str | None:
        """The machine of a domain that names none: libvirt's choice for the architecture, else QEMU's."""
        from virt_qemu.capabilities.flags import PREFERRED_MACHINES

        machines = self.accelerator(domain_type).machines
        preferred = PREFERRED_MACHINES.get(self.arch)
        for machine in machines:
            if preferred is not None and preferred in (machine.name, machine.alias):
                return machine.name
        for machine in machines:
            if machine.default:
                return machine.name
        return machines[0].name if machines else None
