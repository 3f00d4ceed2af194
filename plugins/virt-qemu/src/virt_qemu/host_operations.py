"""What QEMU can do on this host, compared and put together: processors, encryption of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from virt_qemu import host_capabilities
from virt_qemu.capabilities.find import find_emulator
from virt_qemu.host import QemuState
from virtcore.driver.toolkit import StatefulDriver
from virtcore.enums.host import ConnectBaselineCPUFlags, ConnectCompareCPUFlags, CPUCompareResult
from virtcore.errors import ConfigUnsupported, ErrorDomain, InvalidArg, OperationUnsupported
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import Accelerator, EmulatorCapabilities
    from virtcore.model.arch import Arch

__all__ = ["HostOperations"]

_COMPARE = ConnectCompareCPUFlags.FAIL_INCOMPATIBLE | ConnectCompareCPUFlags.VALIDATE_XML
_BASELINE = ConnectBaselineCPUFlags.EXPAND_FEATURES | ConnectBaselineCPUFlags.MIGRATABLE


class HostOperations(StatefulDriver[QemuState]):
    """Questions about an emulator."""

    async def _asked(
        self, emulator: str | None, arch: str | None, machine: str | None, virttype: str | None
    ) -> tuple[Arch, EmulatorCapabilities, Accelerator, str]:
        """What a question is about: architecture, emulator, accelerator, and the domain type's name."""
        from virt_qemu.domain_capabilities import choose_machine

        wanted = host_capabilities.parse_arch(arch)
        path = emulator or find_emulator(wanted)
        if path is None:
            raise InvalidArg(f"unable to find any emulator to serve '{wanted}' architecture")
        capabilities = await self.state.capabilities.get(path)
        kind, _ = choose_machine(capabilities, wanted, machine, virttype)
        return wanted, capabilities, capabilities.accelerator(str(kind)), str(kind)

    async def connection_compare_hypervisor_cpu(
        self,
        emulator: str | None,
        arch: str | None,
        machine: str | None,
        virttype: str | None,
        xml: str,
        flags: ConnectCompareCPUFlags | int = 0,
    ) -> CPUCompareResult:
        from virt_qemu.cpu_model import hypervisor_models, x86_data_of
        from virtcore.model.cpu.document import load_cpu
        from virtcore.model.cpu.models import compare_cpu
        from virtcore.model.cpu.x86 import host_cpu_of

        self.check_flags(flags, _COMPARE, "connection_compare_hypervisor_cpu")
        wanted, capabilities, accelerator, kind = await self._asked(emulator, arch, machine, virttype)
        if not wanted.is_x86:
            raise OperationUnsupported(f"comparing with the hypervisor CPU is not supported for arch {wanted}")
        expansion = accelerator.host_cpu
        if expansion is None:
            raise ConfigUnsupported(
                f"QEMU '{capabilities.binary}' does not support reporting CPU model for virttype '{kind}'"
            )
        host = host_cpu_of(x86_data_of(expansion), wanted, hypervisor_models(accelerator.cpus))
        cpu = load_cpu(xml, validate=bool(int(flags) & ConnectCompareCPUFlags.VALIDATE_XML))
        fail = bool(int(flags) & ConnectCompareCPUFlags.FAIL_INCOMPATIBLE)
        return compare_cpu(wanted, host, cpu, fail_incompatible=fail)

    async def connection_baseline_hypervisor_cpu(
        self,
        emulator: str | None,
        arch: str | None,
        machine: str | None,
        virttype: str | None,
        xml_cpus: Sequence[str],
        flags: ConnectBaselineCPUFlags | int = 0,
    ) -> str:
        from virt_qemu.cpu_model import hypervisor_models
        from virtcore.model.cpu.document import load_cpu
        from virtcore.model.cpu.element import CPUFallback
        from virtcore.model.cpu.models import baseline_cpu, expand_cpu_features
        from virtcore.xml import format

        self.check_flags(flags, _BASELINE, "connection_baseline_hypervisor_cpu")
        if not xml_cpus:
            raise InvalidArg("no CPUs given", domain=ErrorDomain.CPU)
        wanted, capabilities, accelerator, kind = await self._asked(emulator, arch, machine, virttype)
        if not wanted.is_x86:
            raise OperationUnsupported(f"computing baseline hypervisor CPU is not supported for arch {wanted}")
        migratable = bool(int(flags) & ConnectBaselineCPUFlags.MIGRATABLE)
        models = hypervisor_models(accelerator.cpus)
        if models is None:
            raise ConfigUnsupported(
                f"QEMU '{capabilities.binary}' does not support any CPU models for virttype '{kind}'"
            )
        result = baseline_cpu([load_cpu(xml) for xml in xml_cpus], wanted, models=models, migratable=migratable)
        if result.model is not None:
            result.model.fallback = CPUFallback.FORBID
        if int(flags) & ConnectBaselineCPUFlags.EXPAND_FEATURES:
            expand_cpu_features(wanted, result)
        return format(result)

    async def connection_node_sev_info(self, flags: int = 0) -> TypedParameters:
        from virt_qemu.host_facts import sev_of_host
        from virtcore.model.arch import host_arch
        from virtcore.operations.parameters import SEV

        self.check_flags(flags, 0, "connection_node_sev_info")
        emulator = find_emulator(host_arch())
        found = (await self.state.capabilities.get(emulator)).sev if emulator is not None else None
        if found is None:
            raise OperationUnsupported("QEMU does not support SEV guest")
        values: dict[str, str | int | None] = {
            "pdh": found.pdh,
            "cert-chain": found.cert_chain,
            "cpu0-id": found.cpu0_id,
            "cbitpos": found.cbitpos,
            "reduced-phys-bits": found.reduced_phys_bits,
        }
        limits = sev_of_host()
        if limits is not None:
            values["max-guests"] = limits.guests - limits.first_plain + 1
            values["max-es-guests"] = limits.first_plain - 1
        return SEV.typed({name: value for name, value in values.items() if value is not None})
