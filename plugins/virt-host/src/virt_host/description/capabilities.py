"""A host's part of the capabilities document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_host.description.caches import host_caches, memory_bandwidth
from virt_host.description.memory import HostMemory
from virt_host.description.numa import host_topology
from virt_host.description.resctrl import resource_control
from virtcore.model.capabilities import Host, HostIOMMU, HostProcessor, PowerManagementFeatures

if TYPE_CHECKING:
    from virt_host.description.memory import MemoryView
    from virt_host.description.tree import HostTree
    from virtcore.model.arch import Arch

__all__ = ["host_capabilities"]


def host_capabilities(tree: HostTree, arch: Arch, memory: MemoryView | None = None) -> Host:
    """What the kernel's files tell about the host; the caller adds what only it knows.

    :param memory: what is known of memory; by default what the tree tells.
    :raises InternalError: the kernel's files make no sense.
    """
    control = resource_control(tree)
    caches = host_caches(tree, control)
    return Host(
        cpu=HostProcessor(arch=arch),
        power_management=PowerManagementFeatures(),
        iommu=HostIOMMU(support=False),
        topology=host_topology(tree, arch, memory or HostMemory(tree)),
        cache=caches,
        memory_bandwidth=memory_bandwidth(caches, control),
    )
