"""Operations on one domain: virtual CPUs, memory, and what share of the host it may use."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import DomainMemoryModFlags, DomainModificationImpact, DomainVcpuFlags
    from virtcore.operations.values import IOThreadInfo, SchedulerType, VcpuInfo
    from virtcore.types import CpuMap, DomainRef, TypedParameters

__all__ = ["DomainTuningOperations"]


class DomainTuningOperations(OperationSet, family="domain"):
    """Virtual CPUs, memory, I/O threads and every limit. Fields of typed parameters are declared in
    :mod:`virtcore.operations.parameters`."""

    # -- virtual CPUs

    @operation(Kind.CHANGE)
    def domain_set_vcpus(self, domain: DomainRef, nvcpus: int, flags: DomainVcpuFlags | int = 0) -> Result[None]:
        """Set the number of virtual CPUs (``virDomainSetVcpusFlags``)."""

    @operation(Kind.CHANGE)
    def domain_set_vcpu(
        self, domain: DomainRef, vcpumap: str, state: bool, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Plug or unplug virtual CPUs by number (``virDomainSetVcpu``).

        :param vcpumap: their numbers, e.g. ``2-3``.
        """

    @operation(Kind.QUERY)
    def domain_vcpus(self, domain: DomainRef) -> Result[Sequence[VcpuInfo]]:
        """The running guest's virtual CPUs (``virDomainGetVcpus``)."""

    @operation(Kind.QUERY)
    def domain_vcpu_pin_info(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> Result[Sequence[CpuMap]]:
        """Host CPUs that each virtual CPU may be on (``virDomainGetVcpuPinInfo``)."""

    @operation(Kind.CHANGE)
    def domain_pin_vcpu(
        self, domain: DomainRef, vcpu: int, cpumap: CpuMap, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set the host CPUs that a virtual CPU may be on (``virDomainPinVcpuFlags``)."""

    @operation(Kind.QUERY)
    def domain_emulator_pin_info(self, domain: DomainRef, flags: DomainModificationImpact | int = 0) -> Result[CpuMap]:
        """Host CPUs that the emulator's own threads may be on (``virDomainGetEmulatorPinInfo``)."""

    @operation(Kind.CHANGE)
    def domain_pin_emulator(
        self, domain: DomainRef, cpumap: CpuMap, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set the host CPUs that the emulator's own threads may be on (``virDomainPinEmulator``)."""

    # -- I/O threads

    @operation(Kind.QUERY)
    def domain_iothreads(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> Result[Sequence[IOThreadInfo]]:
        """I/O threads and the host CPUs they may be on (``virDomainGetIOThreadInfo``)."""

    @operation(Kind.CHANGE)
    def domain_pin_iothread(
        self, domain: DomainRef, iothread_id: int, cpumap: CpuMap, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set the host CPUs that an I/O thread may be on (``virDomainPinIOThread``)."""

    @operation(Kind.CHANGE)
    def domain_add_iothread(
        self, domain: DomainRef, iothread_id: int, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Add an I/O thread (``virDomainAddIOThread``)."""

    @operation(Kind.CHANGE)
    def domain_del_iothread(
        self, domain: DomainRef, iothread_id: int, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Remove an I/O thread that nothing uses (``virDomainDelIOThread``)."""

    @operation(Kind.CHANGE)
    def domain_set_iothread_parameters(
        self, domain: DomainRef, iothread_id: int, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set polling and pool size of an I/O thread (``virDomainSetIOThreadParams``)."""

    # -- memory

    @operation(Kind.CHANGE)
    def domain_set_memory(self, domain: DomainRef, memory: int, flags: DomainMemoryModFlags | int = 0) -> Result[None]:
        """Set how much memory the guest has, or with flag ``MAXIMUM`` may have (``virDomainSetMemoryFlags``).

        :param memory: in KiB.
        """

    @operation(Kind.CHANGE)
    def domain_set_memory_stats_period(
        self, domain: DomainRef, period: int, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set how often the balloon collects statistics (``virDomainSetMemoryStatsPeriod``).

        :param period: seconds; 0 for never.
        """

    @operation(Kind.CHANGE)
    def domain_set_memory_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set memory limits in KiB (``virDomainSetMemoryParameters``)."""

    @operation(Kind.QUERY)
    def domain_numa_parameters(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> Result[TypedParameters]:
        """Mode and host nodes of memory placement (``virDomainGetNumaParameters``)."""

    @operation(Kind.CHANGE)
    def domain_set_numa_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set mode and host nodes of memory placement (``virDomainSetNumaParameters``)."""

    # -- CPU time, I/O weight

    @operation(Kind.QUERY)
    def domain_scheduler_type(self, domain: DomainRef) -> Result[SchedulerType]:
        """The scheduler that gives it CPU time (``virDomainGetSchedulerType``)."""

    @operation(Kind.QUERY)
    def domain_scheduler_parameters(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> Result[TypedParameters]:
        """Shares and limits of CPU time (``virDomainGetSchedulerParametersFlags``)."""

    @operation(Kind.CHANGE)
    def domain_set_scheduler_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set shares and limits of CPU time (``virDomainSetSchedulerParametersFlags``)."""

    @operation(Kind.QUERY)
    def domain_blkio_parameters(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> Result[TypedParameters]:
        """Weights and limits of I/O on host devices (``virDomainGetBlkioParameters``)."""

    @operation(Kind.CHANGE)
    def domain_set_blkio_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set weights and limits of I/O on host devices (``virDomainSetBlkioParameters``)."""

    # -- performance events, launch security

    @operation(Kind.QUERY)
    def domain_perf_events(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> Result[TypedParameters]:
        """Performance events that are counted (``virDomainGetPerfEvents``)."""

    @operation(Kind.CHANGE)
    def domain_set_perf_events(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set which performance events are counted (``virDomainSetPerfEvents``)."""

    @operation(Kind.QUERY)
    def domain_launch_security_info(self, domain: DomainRef, flags: int = 0) -> Result[TypedParameters]:
        """Measurement of a protected guest's start (``virDomainGetLaunchSecurityInfo``)."""

    @operation(Kind.CHANGE, secret=("params",))
    def domain_set_launch_security_state(
        self, domain: DomainRef, params: TypedParameters, flags: int = 0
    ) -> Result[None]:
        """Give a protected guest, which is paused at its start, a secret (``virDomainSetLaunchSecurityState``)."""
