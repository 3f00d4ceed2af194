"""What can be changed of a host's memory: how the kernel shares equal pages, and how many huge pages it sets aside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from virtcore.errors import OperationFailed, OperationInvalid, OperationUnsupported, SystemError
from virtcore.operations.parameters import NODE_MEMORY
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virt_host.description.tree import HostTree

__all__ = ["page_sharing", "reserve_pages", "share_pages"]

_PREFIX = "shm_"
#: What may be set, in the order in which it is.
_SETTABLE = ("shm_pages_to_scan", "shm_sleep_millisecs", "shm_merge_across_nodes")
_TOLD = (
    "shm_pages_to_scan",
    "shm_sleep_millisecs",
    "shm_pages_shared",
    "shm_pages_sharing",
    "shm_pages_unshared",
    "shm_pages_volatile",
    "shm_full_scans",
    "shm_merge_across_nodes",
)


def _file(tree: HostTree, name: str) -> Path:
    return tree.ksm / name.removeprefix(_PREFIX)


def page_sharing(tree: HostTree) -> TypedParameters:
    """How the kernel shares equal pages; what it does not know is left out."""
    values = {name: tree.number(_file(tree, name)) for name in _TOLD}
    return NODE_MEMORY.typed({name: value for name, value in values.items() if value is not None})


def share_pages(tree: HostTree, params: TypedParameters) -> None:
    """Change how the kernel shares equal pages.

    :raises OperationInvalid: the kernel knows nothing of a parameter; nothing has changed.
    :raises SystemError: it refuses a value.
    """
    NODE_MEMORY.validate(params, *_SETTABLE)
    wanted = dict(params.items())
    for name in wanted:
        if not _file(tree, name).exists():
            raise OperationInvalid(f"Parameter '{name}' is not supported by this kernel")
    for name in _SETTABLE:
        if name in wanted:
            try:
                _file(tree, name).write_text(f"{wanted[name]}")
            except OSError as error:
                raise SystemError(f"failed to set {name}: {error.strerror}") from error


def reserve_pages(tree: HostTree, size: int, count: int, node: int | None, *, add: bool) -> None:
    """Set how many huge pages are set aside.

    :param size: of a page, in KiB.
    :param node: in this NUMA node; None: wherever the kernel likes.
    :param add: so many more than there are.
    :raises OperationUnsupported: ordinary pages are not set aside.
    :raises OperationFailed: there are no such pages, or the kernel did not find as many.
    """
    if size == os.sysconf("SC_PAGE_SIZE") >> 10:
        raise OperationUnsupported("system pages pool can't be modified")
    folder = tree.hugepages if node is None else tree.nodes / f"node{node}" / "hugepages"
    path = folder / f"hugepages-{size}kB" / "nr_hugepages"
    before = tree.number(path)
    if before is None:
        raise OperationFailed("page size or NUMA node not available")
    wanted = before + count if add else count
    try:
        path.write_text(f"{wanted}")
    except OSError as error:
        raise SystemError(f"Unable to write to: {path}: {error.strerror}") from error
    found = tree.number(path)
    if found != wanted:
        raise OperationFailed(f"Unable to allocate {wanted} pages. Allocated only {found}")
