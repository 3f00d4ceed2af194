"""QEMU's domain rules, hooked into the stages that all drivers share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.rules import defaults
from virt_qemu.rules.addresses import assign_addresses
from virt_qemu.rules.audio import HostAudio, add_default_audio
from virt_qemu.rules.devices import complete_device, forget_bus, forget_socket
from virt_qemu.rules.isolation_groups import IOMMUGroup, iommu_group_of
from virt_qemu.rules.memory import complete_pluggable_memory
from virt_qemu.rules.passthrough import check_passthrough
from virt_qemu.rules.validate import refuse_spice_tls, validate_device, validate_domain
from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.graphics import DBusGraphics, RDPGraphics, SpiceGraphics, VNCGraphics
from virtcore.model.domain.pstore import Pstore
from virtcore.model.domain.rules import DomainFeature, DomainRules
from virtcore.model.domain.tpm import TPM, EmulatorTPM

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.firmware import FirmwareCatalog
    from virtcore.model.arch import Arch
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules import DomainContext
    from virtcore.model.domain.tpm import TPMVersion

__all__ = ["QemuRules"]

#: Path of an emulator -> what it can do; None where that is not known (yet).
CapabilitiesOf = Callable[[str], "EmulatorCapabilities | None"]


class _Asked(NamedTuple):
    """What was said of an emulator while one document is read."""

    emulator: str
    capabilities: EmulatorCapabilities | None


class QemuRules(DomainRules):
    """Completion and validation for QEMU guests.

    :param default_emulator: the emulator of an architecture, None where there is none.
    :param firmware: the host's firmware images; without it none is chosen.
    :param capabilities: what an emulator can do. Without it a domain is still read, with fewer defaults filled in, so
        that definitions outlive the removal of their emulator.
    :param audio: what guests may have of the host's sound.
    :param spice_tls: displays over Spice may have an encrypted port.
    :param tpm_versions: what the host's TPM emulator can be; None where that is not known.
    :param iommu_group: which devices of the host only go together.
    :param sockets: folder below which displays' sockets are made; definitions that have such a path get a new one.
    """

    features = (
        DomainFeature.MEMORY_HOTPLUG
        | DomainFeature.OFFLINE_VCPUPIN
        | DomainFeature.INDIVIDUAL_VCPUS
        | DomainFeature.USER_ALIAS
        | DomainFeature.FW_AUTOSELECT
        | DomainFeature.NET_MODEL_STRING
        | DomainFeature.DISK_FD
    )

    def __init__(
        self,
        default_emulator: Callable[[Arch], str | None],
        capabilities: CapabilitiesOf,
        checks: Iterable[Callable[[Domain, DomainContext], None]] = (),
        *,
        firmware: FirmwareCatalog | None = None,
        sockets: str | None = None,
        audio: HostAudio | None = None,
        spice_tls: bool = True,
        rdp: Callable[[], bool] = lambda: True,
        tpm_versions: Callable[[], Collection[TPMVersion] | None] = lambda: None,
        iommu_group: IOMMUGroup = iommu_group_of,
    ) -> None:
        super().__init__(checks)
        self._iommu_group = iommu_group
        self._audio = audio if audio is not None else HostAudio()
        self._sockets = sockets
        self._spice_tls = spice_tls
        self._rdp = rdp
        self._tpm_versions = tpm_versions
        self._firmware = firmware
        self._default_emulator = default_emulator
        self._capabilities = capabilities

    def _emulator(self, domain: Domain, context: DomainContext) -> EmulatorCapabilities | None:
        assert domain.devices is not None
        emulator = domain.devices.emulator
        if emulator is None:
            return None
        asked = context.capabilities  # of every device: the answer is kept
        if isinstance(asked, _Asked) and asked.emulator == emulator:
            return asked.capabilities
        context.capabilities = _Asked(emulator, self._capabilities(emulator))
        return context.capabilities.capabilities

    def basic(self, domain: Domain, context: DomainContext) -> None:
        check_passthrough(domain)
        assert domain.devices is not None
        if domain.devices.emulator is None:
            arch = domain.arch or context.arch
            domain.devices.emulator = self._default_emulator(arch)
            if domain.devices.emulator is None:
                raise ConfigUnsupported(f"No emulator found for arch '{arch}'")

    def domain(self, domain: Domain, context: DomainContext) -> None:
        capabilities = self._emulator(domain, context)
        if capabilities is None:
            return
        defaults.complete_machine(domain, capabilities)
        if self._firmware is not None:
            defaults.complete_firmware(domain, context, self._firmware)
        defaults.add_default_devices(domain, capabilities)
        add_default_audio(domain, self._audio)
        defaults.set_default_cpu(domain, capabilities)
        defaults.enable_default_features(domain, capabilities)
        defaults.check_vcpus(domain)
        defaults.complete_cpu(domain, capabilities)
        defaults.complete_sve(domain)
        defaults.check_tseg(domain, capabilities)
        defaults.fill_numa_cells(domain)
        if defaults.abi_update(context):
            complete_pluggable_memory(domain)

    def device(self, device: object, domain: Domain, context: DomainContext) -> None:
        capabilities = self._emulator(domain, context)
        if capabilities is not None:
            complete_device(device, domain, context, capabilities)
        if isinstance(device, Pstore) and device.path is None and self._firmware is not None:
            device.path = f"{self._firmware.nvram}/{domain.name}_PSTORE.raw"
        if self._sockets is not None and isinstance(device, VNCGraphics) and context.inactive:
            forget_socket(device, self._sockets)
        elif self._sockets is not None and isinstance(device, DBusGraphics) and context.inactive:
            forget_bus(device, self._sockets)

    def addresses(self, domain: Domain, context: DomainContext) -> None:
        capabilities = self._emulator(domain, context)
        if capabilities is not None:
            assign_addresses(domain, capabilities, new=defaults.abi_update(context), iommu_group=self._iommu_group)

    def validate_domain(self, domain: Domain, context: DomainContext) -> None:
        capabilities = self._emulator(domain, context)
        if capabilities is not None:
            validate_domain(domain, capabilities)

    def validate_device(self, device: object, domain: Domain, context: DomainContext) -> None:
        capabilities = self._emulator(domain, context)
        if capabilities is None:
            return
        if isinstance(device, TPM) and isinstance(device.backend, EmulatorTPM):
            versions, version = self._tpm_versions(), device.backend.version
            if versions is not None and version not in versions:
                raise ConfigUnsupported(f"TPM version '{version}' is not supported")
        validate_device(device, domain, capabilities)
        if not self._spice_tls and isinstance(device, SpiceGraphics):
            refuse_spice_tls(device)
        if isinstance(device, RDPGraphics) and not self._rdp():
            raise ConfigUnsupported("rdp graphics are not supported with this QEMU")
