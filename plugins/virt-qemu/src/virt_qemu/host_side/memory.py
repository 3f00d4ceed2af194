"""Folders for memory that is in files, or made of huge pages; nodes of the host that are advised for it."""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.tools import tool
from virtcore.errors import InternalError
from virtcore.model.domain.memory import MemorySource, NUMAPlacement
from virtcore.xml import CpuSet

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virtcore.model.domain import Domain

__all__ = ["advised_nodes", "memory_folders", "prepare_memory", "release_memory", "wants_advice"]

log = logging.getLogger(__name__)


def _may_be_in_files(domain: Domain) -> bool:
    """Whether some of a guest's memory is, or may come to be, in files."""
    backing = domain.memory_backing
    if backing is not None and (backing.source is MemorySource.FILE or backing.access is not None):
        return True
    cells = domain.cpu.numa.cells if domain.cpu is not None and domain.cpu.numa is not None else []
    modules = domain.devices.memory if domain.devices is not None else []
    return any(cell.mem_access is not None for cell in cells) or any(module.access is not None for module in modules)


def _has_huge_pages(domain: Domain) -> bool:
    backing = domain.memory_backing
    modules = domain.devices.memory if domain.devices is not None else []
    own = any(getattr(getattr(module, "source", None), "pagesize", None) for module in modules)
    return own or (backing is not None and backing.hugepages is not None)


def memory_folders(side: HostSide, owner: Owner) -> list[str]:
    """Where a guest's memory in files is: ordinary ones, then those of huge pages."""
    huge = [side.host.hugepage_folder(size, owner.short_name) for size in side.host.hugepages]
    return [f"{side.host.memory_folder}/{owner.short_name}", *huge]


def prepare_memory(side: HostSide, owner: Owner, domain: Domain) -> None:
    """Make the folders that QEMU makes files in.

    :raises SystemError: one cannot be made, or given to the guest.
    """
    in_files, *huge = memory_folders(side, owner)
    wanted = [in_files] if _may_be_in_files(domain) else []
    wanted += huge if _has_huge_pages(domain) else []
    for folder in wanted:
        side.make_folder(os.path.dirname(folder))
        side.make_folder(folder, 0o700)
        side.hand_over(owner, folder)


def release_memory(side: HostSide, owner: Owner) -> None:
    """Remove the folders with what is in them."""
    for folder in memory_folders(side, owner):
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("cannot remove %s: %s", folder, error.strerror)


def wants_advice(domain: Domain) -> bool:
    """Whether the host is to say where a guest is put."""
    numatune = domain.numatune
    memory = numatune.memory if numatune is not None else None
    return memory is not None and memory.placement is NUMAPlacement.AUTO


async def advised_nodes(domain: Domain) -> frozenset[int]:
    """The nodes numad advises.

    :raises VirtError: it is not there, or does not know.
    """
    mebibytes = -(-domain.memory_total // 1024)
    finished = await finish_program([tool("numad"), "-w", f"{domain.vcpu_count}:{mebibytes}"])
    try:
        if finished.status:
            raise ValueError(finished.errors)
        return frozenset(CpuSet.parse(finished.output.strip()))
    except ValueError:
        raise InternalError("Failed to query numad for the advisory nodeset") from None
