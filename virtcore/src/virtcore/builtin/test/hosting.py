"""What the test driver says of its host's CPUs and memory."""

from __future__ import annotations

from collections.abc import Sequence

from virtcore.builtin.test.state import TestState
from virtcore.driver.toolkit.stateful import StatefulDriver
from virtcore.errors import InvalidArg
from virtcore.operations.declare import inline
from virtcore.operations.values import NodeCpuMap
from virtcore.types import CpuMap

__all__ = ["HostParts"]

#: Times in ns, always the same ones.
_CPU_TIMES = {"user": 9797400000, "kernel": 34678723400000, "idle": 87264900000, "iowait": 763600000}
_CPU_MAP = NodeCpuMap(CpuMap((0, 2, 4)), 3, 8)
#: By which the free pages of a cell begin, and the next cell's.
_FREE_PAGES_STEP = 6
#: Most numbers that are told at once (the limit of libvirt's protocol).
_MOST_COUNTS = 1024


class HostParts(StatefulDriver[TestState]):
    """Operations on the host."""

    @inline
    def connection_node_cpu_stats(self, cpu: int = -1, flags: int = 0) -> dict[str, int]:
        from virtcore.driver.toolkit.arguments import invalid_argument

        if cpu < -1:
            raise invalid_argument("cpuNum in virNodeGetCPUStats only accepts -1 as a negative value")
        self.check_flags(flags, 0, "connection_node_cpu_stats")
        return dict(_CPU_TIMES)

    @inline
    def connection_node_cpu_map(self, flags: int = 0) -> NodeCpuMap:
        self.check_flags(flags, 0, "connection_node_cpu_map")
        return _CPU_MAP

    @inline
    def connection_node_cells_free_memory(self, start_cell: int = 0, max_cells: int = 1024) -> list[int]:
        from virtcore.driver.toolkit.arguments import invalid_argument, refuse_negative

        operation = "connection_node_cells_free_memory"
        if max_cells <= 0:
            raise invalid_argument("maxCells in virNodeGetCellsFreeMemory must be greater than zero")
        refuse_negative(start_cell, "startCell", operation)
        cells = self.state.cells
        if start_cell >= len(cells):
            raise InvalidArg("Range exceeds available cells")
        # libvirt's driver tells all of their memory here, not what is free of it.
        return [cell.memory for cell in cells[start_cell : start_cell + max_cells]]

    @inline
    def connection_node_free_pages(
        self, pages: Sequence[int], start_cell: int = -1, cell_count: int = 1, flags: int = 0
    ) -> list[int]:
        from virtcore.driver.toolkit.arguments import refuse_zero

        operation = "connection_node_free_pages"
        refuse_zero(len(pages), "npages", operation)
        refuse_zero(cell_count, "cellCount", operation)
        if cell_count * len(pages) > _MOST_COUNTS:
            raise InvalidArg(f"too many NUMA cells: {cell_count * len(pages)} > {_MOST_COUNTS}")
        self.check_flags(flags, 0, operation)
        counts: list[int] = []
        last = _FREE_PAGES_STEP * start_cell
        while len(counts) < cell_count * len(pages):
            last = (last * 2 + 7) & 0x7FFFFFFF
            counts.append(last)
        return counts
