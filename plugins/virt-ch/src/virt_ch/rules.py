"""What Cloud Hypervisor's guests may have, and the defaults they get."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from enum import Flag, auto
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.arch import Arch, host_arch
from virtcore.model.domain.chardev import CharacterType
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.os import OSType
from virtcore.model.domain.rules import DomainFeature, DomainRules
from virtcore.model.domain.rules.device_list import devices_of
from virtcore.model.domain.rules.support import require_support
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules import DomainContext

__all__ = ["CHCapability", "CHRules"]

_PROGRAM = "cloud-hypervisor"

#: Devices that its guests cannot have, by element.
_UNSUPPORTED = frozenset(
    {
        "audio",
        "crypto",
        "filesystem",
        "graphics",
        "hub",
        "input",
        "iommu",
        "lease",
        "memballoon",
        "nvram",
        "panic",
        "pstore",
        "redirdev",
        "shmem",
        "smartcard",
        "sound",
        "tpm",
        "video",
        "watchdog",
    }
)


class CHCapability(Flag):
    """What depends on the program's version."""

    NONE = 0
    #: A serial port and a console at the same time.
    SERIAL_AND_CONSOLE = auto()
    #: A serial port on a Unix socket.
    SERIAL_SOCKET = auto()


class CHRules(DomainRules):
    """Completion and validation of Cloud Hypervisor's domains.

    :param types: what the host runs them with: KVM, Hyper-V or both.
    :param capabilities: what the program can do; by default what version 36 and newer can.
    :param host: architecture of the host; this one's by default.
    :param find_emulator: finds the program for a domain that names none; by default in the search path.
    """

    features = DomainFeature.NO_STUB_CONSOLE | DomainFeature.USER_ALIAS

    def __init__(
        self,
        types: Iterable[VirtType] = (VirtType.KVM,),
        capabilities: CHCapability = CHCapability.SERIAL_AND_CONSOLE | CHCapability.SERIAL_SOCKET,
        host: Arch | None = None,
        find_emulator: Callable[[], str | None] = lambda: shutil.which(_PROGRAM),
        checks: Iterable[Callable[[Domain, DomainContext], None]] = (),
    ) -> None:
        super().__init__(checks)
        self.types = frozenset(types)
        self.capabilities = capabilities
        self.host = host or host_arch()
        self.find_emulator = find_emulator

    def basic(self, domain: Domain, context: DomainContext) -> None:
        devices = devices_of(domain)
        if devices.emulator is None:
            devices.emulator = self.find_emulator()
            if devices.emulator is None:
                raise ConfigUnsupported("No emulator found for cloud-hypervisor", path="/domain/devices/emulator")

    def domain(self, domain: Domain, context: DomainContext) -> None:
        require_support(domain, types=self.types, os_types=[OSType.HVM], archs=[self.host])

    def validate_device(self, device: object, domain: Domain, context: DomainContext) -> None:
        name = declaration(type(device)).name
        if name in _UNSUPPORTED:
            raise ConfigUnsupported(f"Cloud-Hypervisor doesn't support '{name}' device")
        self._check_ports(domain)

    def _check_ports(self, domain: Domain) -> None:
        """Of consoles, serial ports and random number generators one each, on what the program can open."""
        devices = devices_of(domain)
        console = devices.consoles[0].type if devices.consoles else None
        serial = devices.serials[0].type if devices.serials else None
        if CHCapability.SERIAL_AND_CONSOLE not in self.capabilities and console is serial is CharacterType.PTY:
            raise InternalError("Only a single console or serial can be configured for this domain")
        for found, what in ((devices.consoles, "console"), (devices.rngs, "RNG device"), (devices.serials, "serial")):
            if len(found) > 1:
                raise InternalError(f"Only a single {what} can be configured for this domain")
        if console not in (None, CharacterType.PTY):
            raise InternalError("Console only works in PTY mode")
        if serial not in (None, CharacterType.PTY, CharacterType.UNIX):
            raise InternalError("Serial only works in UNIX/PTY modes")
        if serial is CharacterType.UNIX and CHCapability.SERIAL_SOCKET not in self.capabilities:
            raise InternalError("Unix Socket backend is not supported by this version of ch.")
