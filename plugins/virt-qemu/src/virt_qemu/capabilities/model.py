"""What is known about an emulator."""

from __future__ import annotations

from dataclasses import dataclass, field

from virtcore.model.arch import Arch
from virtcore.model.domain_capabilities import SGXCapability
from virtcore.xml import UINT, YES_NO, attribute, element, leaf

__all__ = [
    "GIC",
    "HYPERV_ENLIGHTENMENTS",
    "SEV",
    "Accelerator",
    "CPUDefinition",
    "CPUExpansion",
    "EmulatorCapabilities",
    "Machine",
]

#: Hyper-V's enlightenments that guests can have, under libvirt's names and in its order, which is QEMU's.
HYPERV_ENLIGHTENMENTS = (
    "relaxed",
    "vapic",
    "spinlocks",
    "vpindex",
    "runtime",
    "synic",
    "stimer",
    "reset",
    "vendor_id",
    "frequencies",
    "reenlightenment",
    "tlbflush",
    "ipi",
    "evmcs",
    "avic",
    "emsr_bitmap",
    "xmm_input",
)


@element("machine")
class Machine:
    """A machine type."""

    accelerator: str | None = attribute("type", doc="kvm, hvf or tcg")
    name: str = attribute(required=True)
    alias: str | None = attribute(doc="another name for it, such as q35")
    hotplug_cpus: bool | None = attribute("hotplugCpus", codec=YES_NO, omit=False)
    max_cpus: int | None = attribute("maxCpus", codec=UINT)
    default: bool | None = attribute(codec=YES_NO, omit=False, doc="QEMU's own choice")
    default_cpu: str | None = attribute("defaultCPU", doc="CPU type (qemu64-x86_64-cpu) of a domain without <cpu>")
    numa_memory: bool | None = attribute("numaMemSupported", codec=YES_NO, omit=False)
    default_ram_id: str | None = attribute("defaultRAMid", doc="id of the memory object it takes its memory from")
    deprecated: bool | None = attribute(codec=YES_NO, omit=False)
    acpi: bool | None = attribute(codec=YES_NO, doc="whether it has ACPI; absent where QEMU does not say")


@element("cpu")
class CPUDefinition:
    """A CPU model QEMU knows."""

    accelerator: str | None = attribute("type", doc="kvm, hvf or tcg")
    name: str = attribute(required=True)
    type: str | None = attribute("typename", doc="QEMU's type name")
    usable: bool | None = attribute(codec=YES_NO, doc="whether it runs here; absent when QEMU cannot tell")
    deprecated: bool | None = attribute(codec=YES_NO, omit=False)
    blockers: list[str] = attribute("name", within="blocker", doc="features that keep it from running here")


@element("gic")
class GIC:
    """A version of ARM's interrupt controller that guests can have."""

    version: int = attribute(codec=UINT, required=True)
    kernel: bool = attribute(codec=YES_NO, required=True, doc="with KVM")
    emulated: bool = attribute(codec=YES_NO, required=True, doc="by QEMU")


@element("sev")
class SEV:
    """AMD's encryption of guests' memory."""

    cbitpos: int = leaf(codec=UINT, required=True, doc="position of the bit that marks encrypted pages")
    reduced_phys_bits: int = leaf("reducedPhysBits", codec=UINT, required=True, doc="bits of addresses that are lost")
    pdh: str = leaf(required=True, doc="Diffie-Hellman key of the platform, base64")
    cert_chain: str = leaf("certChain", required=True, doc="certificates of the platform, base64")
    cpu0_id: str | None = leaf("cpu0Id", doc="identifier of the first processor, base64")


@dataclass(slots=True, kw_only=True)
class CPUExpansion:
    """What QEMU expands a CPU model to (``host`` with an accelerator, ``max`` without).

    :ivar properties: property -> value.
    :ivar migratable: property -> whether it survives migration, for those that are on; None when QEMU cannot tell.
    :ivar deprecated: properties that guests had better not have.
    """

    name: str
    properties: dict[str, bool | int | str] = field(default_factory=dict)
    migratable: dict[str, bool] | None = None
    deprecated: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Accelerator:
    """What depends on how guests are accelerated.

    :ivar machines: the one for domains that name none first.
    """

    machines: list[Machine] = field(default_factory=list)
    cpus: list[CPUDefinition] = field(default_factory=list)
    host_cpu: CPUExpansion | None = None
    #: Machines by name and alias, machines by alias, names of CPU models by type, and how many of each they are of.
    _index: tuple[dict[str, Machine], dict[str, Machine], dict[str | None, str]] = field(
        default=({}, {}, {}), init=False, repr=False, compare=False
    )
    _indexed: tuple[int, int] = field(default=(0, 0), init=False, repr=False, compare=False)

    def index(self) -> tuple[dict[str, Machine], dict[str, Machine], dict[str | None, str]]:
        """Machines by name or alias, machines by alias, names of CPU models by QEMU's type; of several the first.
        Asked for with every definition."""
        counted = (len(self.machines), len(self.cpus))
        if counted != self._indexed:
            known: dict[str, Machine] = {}
            aliases: dict[str, Machine] = {}
            for machine in self.machines:
                known.setdefault(machine.name, machine)
                if machine.alias is not None:
                    known.setdefault(machine.alias, machine)
                    aliases.setdefault(machine.alias, machine)
            types = {cpu.type: cpu.name for cpu in reversed(self.cpus)}
            self._index, self._indexed = (known, aliases, types), counted
        return self._index


@dataclass(slots=True, kw_only=True)
class EmulatorCapabilities:
    """An emulator: the binary and what it can do.

    :ivar version: major * 1,000,000 + minor * 1,000 + micro.
    :ivar flags: capabilities under libvirt's names.
    :ivar accelerators: ``kvm``, ``hvf``, ``tcg`` -> what depends on it.
    :ivar microcode: version of the microcode of the host's processor; 0 where it has none.
    :ivar gics: of ARM guests.
    :ivar hyperv: enlightenments guests can have; None when QEMU cannot tell.
    """

    binary: str
    arch: Arch
    version: int
    package: str
    flags: frozenset[str]
    accelerators: dict[str, Accelerator]
    microcode: int = 0
    gics: list[GIC] = field(default_factory=list)
    sev: SEV | None = None
    sgx: SGXCapability | None = None
    hyperv: list[str] | None = None

    def has(self, flag: str) -> bool:
        """Whether the emulator has a capability."""
        return flag in self.flags

    def gic_versions(self, domain_type: str) -> list[int]:
        """Versions of ARM's interrupt controller that guests of a type can have, the oldest first."""
        made = {"kvm": lambda gic: gic.kernel, "qemu": lambda gic: gic.emulated}.get(domain_type)
        return sorted(gic.version for gic in self.gics if made is not None and made(gic))

    def own_accelerator(self, domain_type: str) -> Accelerator | None:
        """What holds for a domain type (``kvm``, ``qemu``) and no other; None where that one was not asked."""
        return self.accelerators.get("tcg" if domain_type == "qemu" else domain_type)

    def accelerator(self, domain_type: str) -> Accelerator:
        """What holds for a domain type (``kvm``, ``qemu``); of the one there is where that one was not asked; nothing
        where none was."""
        found = self.own_accelerator(domain_type)
        return found if found is not None else next(iter(self.accelerators.values()), Accelerator())

    def machine(self, name: str, domain_type: str = "qemu") -> Machine | None:
        """A machine by name or alias."""
        return self.accelerator(domain_type).index()[0].get(name)

    def canonical_machine(self, name: str, domain_type: str = "qemu") -> str:
        """The full name of a machine that an alias stands for; the name itself where there is none."""
        machine = self.accelerator(domain_type).index()[1].get(name)
        return name if machine is None else machine.name

    def default_machine(self, domain_type: str = "qemu") -> str | None:
        """The machine of a domain that names none: libvirt's choice for the architecture, else QEMU's."""
        machines = self.accelerator(domain_type).machines
        return machines[0].name if machines else None
