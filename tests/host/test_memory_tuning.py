"""Sharing of pages and huge pages of a made-up host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from virt_host.description.memory_tuning import page_sharing, reserve_pages, share_pages
from virt_host.description.tree import HostTree
from virtcore.errors import OperationFailed, OperationInvalid, OperationUnsupported, VirtError
from virtcore.operations.parameters import NODE_MEMORY

PAGE = os.sysconf("SC_PAGE_SIZE") >> 10


def plant(root: Path, **files: str) -> HostTree:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("2048kB", "hugepages-2048kB")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return HostTree(system=root, ksm=root / "ksm", hugepages=root / "huge")


def test_sharing_of_pages(tmp_path: Path) -> None:
    tree = plant(tmp_path, ksm__pages_to_scan="100", ksm__sleep_millisecs="20", ksm__full_scans="7")
    assert dict(page_sharing(tree).items()) == {
        "shm_pages_to_scan": 100,
        "shm_sleep_millisecs": 20,
        "shm_full_scans": 7,
    }
    share_pages(tree, NODE_MEMORY.typed({"shm_pages_to_scan": 5, "shm_sleep_millisecs": 9}))
    assert (tmp_path / "ksm/pages_to_scan").read_text() == "5"
    with pytest.raises(OperationInvalid, match="Parameter 'shm_merge_across_nodes' is not supported by this kernel"):
        share_pages(tree, NODE_MEMORY.typed({"shm_pages_to_scan": 6, "shm_merge_across_nodes": 0}))
    assert page_sharing(tree)["shm_pages_to_scan"] == 5, "nothing was changed"
    with pytest.raises(VirtError):
        share_pages(tree, NODE_MEMORY.typed({"shm_full_scans": 1}))
    assert dict(page_sharing(plant(tmp_path / "none")).items()) == {}


def test_huge_pages(tmp_path: Path) -> None:
    tree = plant(tmp_path, huge__2048kB__nr_hugepages="3", node__node1__hugepages__2048kB__nr_hugepages="0")
    whole, node = (tmp_path / name / "hugepages-2048kB/nr_hugepages" for name in ("huge", "node/node1/hugepages"))
    reserve_pages(tree, 2048, 4, None, add=True)
    reserve_pages(tree, 2048, 4, 1, add=False)
    assert (whole.read_text(), node.read_text()) == ("7", "4")
    with pytest.raises(OperationUnsupported, match="system pages pool can't be modified"):
        reserve_pages(tree, PAGE, 1, None, add=True)
    for size, where in ((4096, None), (2048, 0)):
        with pytest.raises(OperationFailed, match="page size or NUMA node not available"):
            reserve_pages(tree, size, 1, where, add=True)
