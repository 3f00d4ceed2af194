"""What drivers of hypervisors that run on a Linux host tell of it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from virt_host.description.cpuinfo import cpu_times, node_info, online_cpus, present_cpus
from virt_host.description.memory import HostMemory
from virt_host.description.tree import HostTree
from virtcore.driver.toolkit import check_flags
from virtcore.driver.toolkit.cpus import HostCPUDriver
from virtcore.enums.host import NodeAllocPagesFlags, NodeSuspendTarget
from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg, VirtError
from virtcore.model.arch import host_arch
from virtcore.operations.declare import inline
from virtcore.operations.values import NodeCpuMap, NodeInfo
from virtcore.types import CpuMap, TypedParameters

if TYPE_CHECKING:
    from virtcore.model.cpu import HostCPU

__all__ = ["LinuxHostDriver"]

log = logging.getLogger(__name__)


@functools.cache
def _host_cpu(tree: HostTree) -> HostCPU | None:
    """The processor, which is asked once, as by libvirt."""
    from virt_host.description.cpu_model import host_cpu

    return host_cpu(tree, host_arch())


class LinuxHostDriver(HostCPUDriver):
    """Processors, memory and firmware of the host. Mixed into a driver.

    :ivar tree: where the kernel's files are.
    """

    tree = HostTree()

    def host_cpu(self) -> HostCPU | None:
        """The host's processor; None where nothing is known of it: capabilities then do without, as libvirt's do."""
        try:
            return _host_cpu(self.tree)
        except VirtError as error:
            log.warning("the host's processor is not known: %s", error)
            return None

    async def connection_sysinfo(self, flags: int = 0) -> str:
        from virt_host.description.sysinfo import format_sysinfo, host_sysinfo

        check_flags(flags, 0, "connection_sysinfo", self.function_prefix)
        try:
            return format_sysinfo(await host_sysinfo(self.tree, host_arch()))
        except VirtError as error:
            raise ConfigUnsupported("Host SMBIOS information is not available") from error

    @inline
    def connection_node_info(self) -> NodeInfo:
        return node_info(self.tree, host_arch(), memory=HostMemory(self.tree).total())

    async def sleeps(self) -> Collection[NodeSuspendTarget]:
        """How the host can sleep, for its capabilities; none where what would tell does not answer, as libvirt's."""
        from virt_host.power import host_power

        try:
            return await host_power().commands()
        except VirtError as error:
            log.warning("Failed to get host power management capabilities: %s", error)
            return ()

    async def connection_node_suspend(self, target: NodeSuspendTarget | int, duration: int, flags: int = 0) -> None:
        from virt_host.power import host_power

        check_flags(flags, 0, "connection_node_suspend", function="virNodeSuspend")
        await host_power().sleep(target, duration)

    @inline
    def connection_node_free_memory(self) -> int:
        return HostMemory(self.tree).free() << 10

    @inline
    def connection_node_cpu_map(self, flags: int = 0) -> NodeCpuMap:
        check_flags(flags, 0, "connection_node_cpu_map", self.function_prefix)
        online = online_cpus(self.tree)
        return NodeCpuMap(CpuMap(online), len(online), len(present_cpus(self.tree)))

    @inline
    def connection_node_cpu_stats(self, cpu: int = -1, flags: int = 0) -> Mapping[str, int]:
        check_flags(flags, 0, "connection_node_cpu_stats", self.function_prefix)
        found = cpu_times(self.tree, None if cpu == -1 else cpu)
        if found is None:
            raise InvalidArg("Invalid cpuNum in virHostCPUGetStatsLinux", value=str(cpu))
        return found

    @inline
    def connection_node_memory_stats(self, cell: int = -1, flags: int = 0) -> Mapping[str, int]:
        check_flags(flags, 0, "connection_node_memory_stats", self.function_prefix)
        last = self._last_cell()
        if cell != -1 and not 0 <= cell <= last:
            raise InvalidArg(f"cellNum in virHostMemGetStatsLinux must be less than or equal to {last}")
        return HostMemory(self.tree).statistics(None if cell == -1 else cell)

    @inline
    def connection_node_cells_free_memory(self, start_cell: int = 0, max_cells: int = 1024) -> Sequence[int]:
        memory = HostMemory(self.tree)
        return [memory.free_in(cell) << 10 for cell in self._cells(start_cell, max_cells)]

    @inline
    def connection_node_free_pages(
        self, pages: Sequence[int], start_cell: int = -1, cell_count: int = 1, flags: int = 0
    ) -> Sequence[int]:
        check_flags(flags, 0, "connection_node_free_pages", self.function_prefix)
        memory = HostMemory(self.tree)
        cells: Sequence[int | None] = self._cells(start_cell, cell_count) if start_cell != -1 else [None]
        found = [memory.free_pages(size, cell) for cell in cells for size in pages]
        if not found:
            raise InternalError("no suitable info found")
        return found

    @inline
    def connection_node_memory_parameters(self, flags: int = 0) -> TypedParameters:
        from virt_host.description.memory_tuning import page_sharing

        check_flags(flags, 0, "connection_node_memory_parameters", self.function_prefix)
        return page_sharing(self.tree)

    def connection_node_set_memory_parameters(self, params: TypedParameters, flags: int = 0) -> None:
        from virt_host.description.memory_tuning import share_pages

        check_flags(flags, 0, "connection_node_set_memory_parameters", self.function_prefix)
        share_pages(self.tree, params)

    def connection_node_alloc_pages(
        self,
        page_sizes: Sequence[int],
        page_counts: Sequence[int],
        start_cell: int = -1,
        cell_count: int = 1,
        flags: NodeAllocPagesFlags | int = 0,
    ) -> int:
        from virt_host.description.memory_tuning import reserve_pages

        check_flags(flags, NodeAllocPagesFlags.SET, "connection_node_alloc_pages", self.function_prefix)
        cells: Sequence[int | None] = self._cells(start_cell, cell_count) if start_cell != -1 else [None]
        add = not int(flags) & NodeAllocPagesFlags.SET
        for cell in cells:
            for size, count in zip(page_sizes, page_counts, strict=True):
                reserve_pages(self.tree, size, count, cell, add=add)
        return len(cells) * len(page_sizes)

    def _last_cell(self) -> int:
        return max(self.tree.numbered(self.tree.nodes, "node"), default=0)

    def _cells(self, start: int, count: int) -> range:
        """NUMA cells from one on.

        :raises InternalError: there is no such cell.
        """
        last = self._last_cell()
        if not 0 <= start <= last:
            raise InternalError(f"start cell {start} out of range (0-{last})")
        return range(start, min(start + count - 1, last) + 1)
