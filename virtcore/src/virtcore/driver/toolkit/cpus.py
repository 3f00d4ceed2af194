"""What drivers of hypervisors that run on this host tell of processor models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from virtcore.driver.base import Driver
from virtcore.driver.toolkit.checks import check_flags
from virtcore.enums.host import ConnectBaselineCPUFlags, ConnectCompareCPUFlags, CPUCompareResult
from virtcore.errors import ErrorDomain, InvalidArg

if TYPE_CHECKING:
    from virtcore.model.cpu import HostCPU

__all__ = ["CPUModelDriver", "HostCPUDriver"]

_COMPARE_FLAGS = ConnectCompareCPUFlags.FAIL_INCOMPATIBLE | ConnectCompareCPUFlags.VALIDATE_XML


class CPUModelDriver(Driver):
    """What needs no host: the models there are, and what processors have in common. Mixed into a driver."""

    function_prefix: ClassVar[str] = "vir"
    #: The flags of ``virConnectBaselineCPU`` that the driver knows.
    baseline_flags: ClassVar[int] = ConnectBaselineCPUFlags.EXPAND_FEATURES | ConnectBaselineCPUFlags.MIGRATABLE

    def connection_cpu_model_names(self, arch: str, flags: int = 0) -> Sequence[str]:
        from virtcore.model.arch import Arch
        from virtcore.model.cpu.models import cpu_models

        check_flags(flags, 0, "connection_cpu_model_names", self.function_prefix)
        try:
            wanted = Arch(arch)
        except ValueError:
            raise InvalidArg(f"cannot find architecture {arch}", value=arch) from None
        return cpu_models(wanted) or []

    def connection_baseline_cpu(self, xml_cpus: Sequence[str], flags: ConnectBaselineCPUFlags | int = 0) -> str:
        from virtcore.model.cpu.document import load_host_cpu
        from virtcore.model.cpu.models import baseline_cpu, expand_cpu_features
        from virtcore.xml import format

        check_flags(flags, self.baseline_flags, "connection_baseline_cpu", self.function_prefix)
        if not xml_cpus:
            raise InvalidArg("no CPUs given", domain=ErrorDomain.CPU)
        cpus = [load_host_cpu(xml) for xml in xml_cpus]
        result = baseline_cpu(cpus, migratable=bool(flags & ConnectBaselineCPUFlags.MIGRATABLE))
        if flags & ConnectBaselineCPUFlags.EXPAND_FEATURES:
            expand_cpu_features(cpus[0].arch, result)
        return format(result)


class HostCPUDriver(CPUModelDriver):
    """Beside that, what needs the host's processor."""

    def host_cpu(self) -> HostCPU | None:
        """Hook: the host's processor; None where it is not known. May block."""
        raise NotImplementedError

    def connection_compare_cpu(self, xml: str, flags: ConnectCompareCPUFlags | int = 0) -> CPUCompareResult:
        from virtcore.model.arch import host_arch
        from virtcore.model.cpu.document import load_cpu
        from virtcore.model.cpu.models import compare_cpu

        check_flags(flags, _COMPARE_FLAGS, "connection_compare_cpu", self.function_prefix)
        cpu = load_cpu(xml, validate=bool(flags & ConnectCompareCPUFlags.VALIDATE_XML))
        fail = bool(flags & ConnectCompareCPUFlags.FAIL_INCOMPATIBLE)
        return compare_cpu(host_arch(), self.host_cpu(), cpu, fail_incompatible=fail)
