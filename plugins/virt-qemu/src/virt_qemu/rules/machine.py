"""What a machine type is: the families libvirt tells apart, and what their boards have built in."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from virtcore.model.arch import Arch
from virtcore.model.domain.controller import PCIController, PCIControllerModel

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["Machine", "pci_root"]

_MIPS = (Arch.MIPS, Arch.MIPSEL, Arch.MIPS64, Arch.MIPS64EL)
_RISCV = (Arch.RISCV32, Arch.RISCV64)
#: Boards with an IDE controller on them, the PIIX3 family apart.
_BUILTIN_IDE = ("malta", "sun4u", "g3beige")


class Machine:
    """The machine type of a domain, as questions. Domains share one for each type: every answer is found once."""

    def __init__(self, arch: Arch | None, name: str | None) -> None:
        self.arch = arch
        self.name = name or ""

    @classmethod
    def of(cls, domain: Domain) -> Machine:
        """The machine of a domain."""
        return _machine(domain.arch, domain.machine)

    def _named(self, name: str) -> bool:
        return self.name == name or self.name.startswith(name + "-")

    @cached_property
    def x86(self) -> bool:
        """A PC of any kind."""
        return self.arch is not None and self.arch.is_x86

    @cached_property
    def q35(self) -> bool:
        """A PC with a PCI Express root."""
        return self.x86 and (self.name == "q35" or self.name.startswith("pc-q35-"))

    @cached_property
    def i440fx(self) -> bool:
        """A PC with a conventional PCI root."""
        return self.x86 and (self.name == "pc" or self.name.startswith(("pc-0.", "pc-1.", "pc-i440fx-", "rhel")))

    @cached_property
    def isapc(self) -> bool:
        """A PC without PCI."""
        return self.x86 and self.name == "isapc"

    @cached_property
    def xenfv(self) -> bool:
        """A fully virtualized Xen guest."""
        return self.x86 and self._named("xenfv")

    @cached_property
    def pc(self) -> bool:
        """A PC with the devices that PCs have always had, which a micro-VM has not."""
        return self.i440fx or self.q35 or self.isapc or self.xenfv

    @cached_property
    def s390(self) -> bool:
        """Any mainframe."""
        return self.arch is not None and self.arch.is_s390

    @cached_property
    def s390_ccw(self) -> bool:
        """A mainframe with channel I/O."""
        return self.s390 and self.name.startswith("s390-ccw")

    @cached_property
    def arm_virt(self) -> bool:
        """The board ``virt`` on ARM."""
        return self.arch in (Arch.ARMV6L, Arch.ARMV7L, Arch.AARCH64) and self._named("virt")

    @cached_property
    def virtio_mmio(self) -> bool:
        """Whether the board has slots for memory-mapped virtio devices."""
        vexpress = self.arch is not None and self.arch.is_arm and self.name.startswith("vexpress-")
        return vexpress or self.arm_virt or self.riscv_virt

    @cached_property
    def riscv_virt(self) -> bool:
        """The board ``virt`` on RISC-V."""
        return self.arch in _RISCV and self._named("virt")

    @cached_property
    def loongarch_virt(self) -> bool:
        """The board ``virt`` on LoongArch."""
        return self.arch is Arch.LOONGARCH64 and self._named("virt")

    @cached_property
    def ppc64(self) -> bool:
        """Any board with a 64 bit POWER processor."""
        return self.arch is not None and self.arch.is_ppc64

    @cached_property
    def pseries(self) -> bool:
        """A PAPR guest on POWER."""
        return self.ppc64 and self._named("pseries")

    @cached_property
    def malta(self) -> bool:
        """The board ``malta`` on MIPS."""
        return self.arch in _MIPS and self.name == "malta"

    @cached_property
    def riscv(self) -> bool:
        """Any RISC-V board."""
        return self.arch in _RISCV

    @cached_property
    def mips(self) -> bool:
        """Any MIPS board."""
        return self.arch in _MIPS

    @cached_property
    def builtin_ide(self) -> bool:
        """Whether the board has an IDE controller."""
        return self.i440fx or self.name in _BUILTIN_IDE

    @cached_property
    def builtin_esp(self) -> bool:
        """Whether the board has an NCR 53c90 SCSI controller."""
        if self.arch is not None and self.arch.is_mips64:
            return self.name in ("magnum", "pica61")
        return self.arch is Arch.SPARC or (self.arch is Arch.M68K and self.name == "q800")

    @cached_property
    def many_pci_buses(self) -> bool:
        """Whether there can be several PCI buses, so that they are numbered."""
        arch = self.arch
        always = arch is not None and (arch.is_x86 or arch.is_ppc64 or arch is Arch.PPC or arch.is_s390)
        return always or self.arm_virt or self.riscv_virt or self.loongarch_virt

    @cached_property
    def supports_pci(self) -> bool:
        """Whether the board has PCI at all."""
        if self.arch is not None and self.arch.is_arm:
            return self.arm_virt or self.name == "versatilepb"
        return self.riscv_virt if self.riscv else True


@lru_cache(maxsize=1024)
def _machine(arch: Arch | None, name: str | None) -> Machine:
    return Machine(arch, name)


def pci_root(domain: Domain) -> PCIControllerModel | None:
    """Model of the PCI controller with index 0."""
    assert domain.devices is not None
    for controller in domain.devices.controllers:
        if isinstance(controller, PCIController) and (controller.index or 0) == 0:
            return controller.model
    return None
