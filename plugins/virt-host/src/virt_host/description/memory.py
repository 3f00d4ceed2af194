"""A host's memory: how much of it is in which NUMA node, in pages of which size, how far away."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from virtcore.errors import OperationFailed

if TYPE_CHECKING:
    from virt_host.description.tree import HostTree

__all__ = ["HostMemory", "MemoryView", "PageCount"]


class PageCount(NamedTuple):
    """Pages of one size, in KiB, and how many there are."""

    size: int
    number: int


class MemoryView(Protocol):
    """What can be asked about memory, node by node."""

    def memory(self, node: int) -> int:
        """A node's memory in KiB."""

    def pages(self, node: int) -> list[PageCount]:
        """A node's pages of every size, the ordinary ones first."""

    def distances(self, node: int) -> list[tuple[int, int]]:
        """Other nodes and how far they are."""


def _meminfo(text: str | None, name: str) -> int | None:
    found = re.search(rf"\b{name}:\s+(\d+)", text or "")
    return int(found[1]) if found else None


class HostMemory:
    """Memory as the kernel's files tell it."""

    def __init__(self, tree: HostTree) -> None:
        self.tree = tree

    def total(self) -> int:
        """The host's memory in KiB, which is that of its nodes."""
        return self._in_all("MemTotal")

    def free(self) -> int:
        """The host's free memory in KiB, which is that of its nodes."""
        return self._in_all("MemFree")

    def _in_all(self, name: str) -> int:
        nodes = [_meminfo(self.tree.text(path), name) for path in self.tree.nodes.glob("node[0-9]*/meminfo")]
        known = [value for value in nodes if value is not None]
        return sum(known) if known else _meminfo(self.tree.text(self.tree.meminfo), name) or 0

    def memory(self, node: int) -> int:
        """A node's memory in KiB; the host's where the kernel knows no nodes."""
        folder = self.tree.nodes / f"node{node}"
        found = _meminfo(self.tree.text(folder / "meminfo"), "MemTotal")
        return self.total() if found is None and not folder.exists() else found or 0

    def free_in(self, node: int) -> int:
        """A node's free memory in KiB."""
        return _meminfo(self.tree.text(self.tree.nodes / f"node{node}" / "meminfo"), "MemFree") or 0

    def page_sizes(self) -> list[int]:
        """In KiB, the ordinary size first."""
        return [os.sysconf("SC_PAGE_SIZE") >> 10, *(size for size, _ in self._huge(self.tree.hugepages))]

    def pages(self, node: int) -> list[PageCount]:
        """A node's pages of every size; what is set aside for huge pages is no ordinary page."""
        folder = self.tree.nodes / f"node{node}"
        huge = [
            PageCount(size, self.tree.require_number(path / "nr_hugepages"))
            for size, path in self._huge(folder / "hugepages" if folder.exists() else self.tree.hugepages)
        ]
        size = os.sysconf("SC_PAGE_SIZE") >> 10
        ordinary = self.memory(node) - sum(each.size * each.number for each in huge)
        return [PageCount(size, max(ordinary, 0) // size), *huge]

    def free_pages(self, size: int, node: int | None = None) -> int:
        """How many pages of a size are free.

        :param size: in KiB.
        :param node: in this node; None: in the whole host.
        :raises OperationFailed: there are no such pages.
        """
        if size == os.sysconf("SC_PAGE_SIZE") >> 10:
            return (self.free() if node is None else self.free_in(node)) // size
        folder = self.tree.hugepages if node is None else self.tree.nodes / f"node{node}" / "hugepages"
        found = self.tree.number(folder / f"hugepages-{size}kB" / "free_hugepages")
        if found is None:
            raise OperationFailed(f"page size {size} is not available on node {-1 if node is None else node}")
        return found

    def statistics(self, node: int | None = None) -> dict[str, int]:
        """In KiB: ``total``, ``free``, and of the whole host ``buffers``, ``cached``.

        :param node: of this node; None: of the whole host.
        """
        path = self.tree.meminfo if node is None else self.tree.nodes / f"node{node}" / "meminfo"
        text = self.tree.text(path)
        names = {"total": "MemTotal", "free": "MemFree"}
        if node is None:
            names |= {"buffers": "Buffers", "cached": "Cached"}
        found = {name: _meminfo(text, theirs) for name, theirs in names.items()}
        return {name: value for name, value in found.items() if value is not None}

    def _huge(self, folder: Path) -> list[tuple[int, Path]]:
        try:
            entries = list(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = ((re.fullmatch(r"hugepages-(\d+)kB", entry.name), entry) for entry in entries)
        return sorted((int(match[1]), entry) for match, entry in found if match)

    def distances(self, node: int) -> list[tuple[int, int]]:
        """Other nodes and how far they are; 10 is the node itself."""
        values = (self.tree.text(self.tree.nodes / f"node{node}" / "distance") or "").split()
        return [
            (other, int(value))
            for other, value in zip(self.tree.numbered(self.tree.nodes, "node"), values, strict=False)
            if int(value)
        ]
