"""Operations on a connection: the host, its CPUs and its memory."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Mapping, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        ConnectBaselineCPUFlags,
        ConnectCompareCPUFlags,
        CPUCompareResult,
        NodeAllocPagesFlags,
        NodeSuspendTarget,
    )
    from virtcore.operations.values import NodeCpuMap
    from virtcore.types import TypedParameters

__all__ = ["HostOperations"]


class HostOperations(OperationSet, family="connection"):
    """What a driver offers on the host that the hypervisor runs on."""

    # -- CPUs

    @operation(Kind.QUERY)
    def connection_node_cpu_stats(self, cpu: int = -1, flags: int = 0) -> Result[Mapping[str, int]]:
        """Times of a host CPU in ns: ``kernel``, ``user``, ``idle``, ``iowait``, ``intr``; or ``utilization`` in
        percent (``virNodeGetCPUStats``).

        :param cpu: its number; -1 for all together.
        """

    @operation(Kind.QUERY)
    def connection_node_cpu_map(self, flags: int = 0) -> Result[NodeCpuMap]:
        """Which of the host's CPUs are there and online (``virNodeGetCPUMap``)."""

    @operation(Kind.QUERY)
    def connection_cpu_model_names(self, arch: str, flags: int = 0) -> Result[Sequence[str]]:
        """Names of CPU models of an architecture (``virConnectGetCPUModelNames``)."""

    @operation(Kind.QUERY)
    def connection_compare_cpu(self, xml: str, flags: ConnectCompareCPUFlags | int = 0) -> Result[CPUCompareResult]:
        """Compare a CPU with the host's (``virConnectCompareCPU``).

        :param xml: the ``cpu`` element, or capabilities with one.
        """

    @operation(Kind.QUERY)
    def connection_compare_hypervisor_cpu(
        self,
        emulator: str | None,
        arch: str | None,
        machine: str | None,
        virttype: str | None,
        xml: str,
        flags: ConnectCompareCPUFlags | int = 0,
    ) -> Result[CPUCompareResult]:
        """Compare a CPU with what a hypervisor can give its guests here (``virConnectCompareHypervisorCPU``); None
        chooses the default of each.
        """

    @operation(Kind.QUERY)
    def connection_baseline_cpu(self, xml_cpus: Sequence[str], flags: ConnectBaselineCPUFlags | int = 0) -> Result[str]:
        """The CPU that all of some hosts can give their guests, as XML (``virConnectBaselineCPU``).

        :param xml_cpus: ``cpu`` elements, or capabilities with one.
        """

    @operation(Kind.QUERY)
    def connection_baseline_hypervisor_cpu(
        self,
        emulator: str | None,
        arch: str | None,
        machine: str | None,
        virttype: str | None,
        xml_cpus: Sequence[str],
        flags: ConnectBaselineCPUFlags | int = 0,
    ) -> Result[str]:
        """As :meth:`connection_baseline_cpu`, of what a hypervisor can give (``virConnectBaselineHypervisorCPU``)."""

    # -- memory

    @operation(Kind.QUERY)
    def connection_node_memory_stats(self, cell: int = -1, flags: int = 0) -> Result[Mapping[str, int]]:
        """Memory of the host in KiB: ``total``, ``free``, ``buffers``, ``cached`` (``virNodeGetMemoryStats``).

        :param cell: number of a NUMA cell; -1 for all together.
        """

    @operation(Kind.QUERY)
    def connection_node_cells_free_memory(self, start_cell: int = 0, max_cells: int = 1024) -> Result[Sequence[int]]:
        """Free memory of NUMA cells in bytes (``virNodeGetCellsFreeMemory``)."""

    @operation(Kind.QUERY)
    def connection_node_free_pages(
        self, pages: Sequence[int], start_cell: int = -1, cell_count: int = 1, flags: int = 0
    ) -> Result[Sequence[int]]:
        """Numbers of free pages: for each cell one per page size (``virNodeGetFreePages``).

        :param pages: page sizes in KiB.
        :param start_cell: first NUMA cell; -1 for all together.
        """

    @operation(Kind.CHANGE)
    def connection_node_alloc_pages(
        self,
        page_sizes: Sequence[int],
        page_counts: Sequence[int],
        start_cell: int = -1,
        cell_count: int = 1,
        flags: NodeAllocPagesFlags | int = 0,
    ) -> Result[int]:
        """Reserve huge pages, or set how many are reserved; returns how many were (``virNodeAllocPages``).

        :param page_sizes: page sizes in KiB.
        :param page_counts: how many of each.
        """

    @operation(Kind.CHANGE)
    def connection_node_set_memory_parameters(self, params: TypedParameters, flags: int = 0) -> Result[None]:
        """Set parameters of the host's page sharing (``virNodeSetMemoryParameters``)."""

    # -- sleep, security

    @operation(Kind.CHANGE)
    def connection_node_suspend(self, target: NodeSuspendTarget | int, duration: int, flags: int = 0) -> Result[None]:
        """Have the host sleep (``virNodeSuspendForDuration``).

        :param duration: seconds until it wakes up, at least 60.
        """

    @operation(Kind.QUERY)
    def connection_node_sev_info(self, flags: int = 0) -> Result[TypedParameters]:
        """The host's memory encryption for guests (``virNodeGetSEVInfo``)."""

    @operation(Kind.CHANGE)
    def connection_set_identity(self, params: TypedParameters, flags: int = 0) -> Result[None]:
        """Say on whose behalf a daemon calls (``virConnectSetIdentity``)."""
