"""What containers may have, and the defaults they get."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from virt_lxc.namespace import NamespaceSharing
from virtcore.model.arch import Arch, host_arch
from virtcore.model.domain.chardev import Console, ConsoleTarget, ConsoleTargetType
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.os import OSType
from virtcore.model.domain.rules import DomainRules
from virtcore.model.domain.rules.device_list import devices_of
from virtcore.model.domain.rules.support import require_support

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules import DomainContext

__all__ = ["EMULATOR", "LXCRules"]

EMULATOR = "/usr/libexec/libvirt_lxc"
"""What libvirt has in ``<emulator>`` by default: the program that looks after a container."""

# What else a processor runs.
_NARROWER = {
    Arch.X86_64: Arch.I686,
    Arch.PPC64: Arch.PPC,
    Arch.S390X: Arch.S390,
    Arch.AARCH64: Arch.ARMV7L,
    Arch.SPARC64: Arch.SPARC,
    Arch.MIPS64: Arch.MIPS,
    Arch.PARISC64: Arch.PARISC,
}


class LXCRules(DomainRules):
    """Completion and validation of containers.

    :param emulator: program of a container that names none.
    :param host: architecture of the host; this one's by default.
    """

    def __init__(
        self,
        emulator: str = EMULATOR,
        host: Arch | None = None,
        checks: Iterable[Callable[[Domain, DomainContext], None]] = (),
    ) -> None:
        super().__init__(checks)
        self.emulator = emulator
        self.host = host or host_arch()

    def domain(self, domain: Domain, context: DomainContext) -> None:
        archs = [self.host, *([_NARROWER[self.host]] if self.host in _NARROWER else [])]
        require_support(domain, types=[VirtType.LXC], os_types=[OSType.EXE], archs=archs)
        devices = devices_of(domain)
        if devices.emulator is None:
            devices.emulator = self.emulator
        domain.hypervisor = [
            each for each in domain.hypervisor if not (isinstance(each, NamespaceSharing) and each.is_empty)
        ]

    def device(self, device: object, domain: Domain, context: DomainContext) -> None:
        if isinstance(device, Console):
            device.target = device.target or ConsoleTarget()
            if device.target.type is None:
                device.target.type = ConsoleTargetType.LXC
