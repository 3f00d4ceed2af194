"""A host's part of the capabilities document."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from virt_host.description.caches import host_caches, memory_bandwidth
from virt_host.description.memory import HostMemory
from virt_host.description.numa import host_topology
from virt_host.description.resctrl import resource_control
from virtcore.enums.host import NodeSuspendTarget
from virtcore.model.capabilities import Host, HostIOMMU, HostProcessor, PowerManagementFeatures

if TYPE_CHECKING:
    from virt_host.description.memory import MemoryView
    from virt_host.description.tree import HostTree
    from virtcore.model.arch import Arch
    from virtcore.model.cpu.element import HostCPU

__all__ = ["changing_facts", "host_capabilities"]


def host_capabilities(
    tree: HostTree,
    arch: Arch,
    memory: MemoryView | None = None,
    cpu: HostCPU | None = None,
    sleeps: Collection[NodeSuspendTarget] = (),
) -> Host:
    """What the kernel's files tell about the host; the caller adds what only it knows.

    :param memory: what is known of memory; by default what the tree tells.
    :param cpu: the processor, where its model is known (:func:`virt_host.description.cpu_model.host_cpu`).
    :param sleeps: how it can sleep (:class:`virt_host.power.HostPower`).
    :raises InternalError: the kernel's files make no sense.
    """
    control = resource_control(tree)
    caches = host_caches(tree, control)
    return Host(
        cpu=_processor(arch, cpu),
        power_management=PowerManagementFeatures(
            suspend_mem=NodeSuspendTarget.MEM in sleeps,
            suspend_disk=NodeSuspendTarget.DISK in sleeps,
            suspend_hybrid=NodeSuspendTarget.HYBRID in sleeps,
        ),
        iommu=HostIOMMU(support=tree.has_iommu()),
        topology=host_topology(tree, arch, memory or HostMemory(tree)),
        cache=caches,
        memory_bandwidth=memory_bandwidth(caches, control),
    )


def changing_facts(tree: HostTree) -> object:
    """What of :func:`host_capabilities` can change while the host is up, cheaply: equal as long as that tells the same.

    :raises InternalError: the kernel's files make no sense.
    """
    memory = HostMemory(tree)
    return (
        tree.text(tree.cpus / "present"),
        tree.text(tree.cpus / "online"),
        tree.text(tree.nodes / "online"),
        [memory.pages(node) for node in tree.numbered(tree.nodes, "node") or [0]],
        memory.page_sizes(),
        tree.has_iommu(),
        _mounted(tree),
    )


def _mounted(tree: HostTree) -> object:
    """Which mount of the resource control file system is there, and what of it can be set."""
    try:
        found = (tree.resctrl / "info").stat()
    except OSError:
        return None
    threshold = tree.text(tree.resctrl / "info" / "L3_MON" / "max_threshold_occupancy")
    return found.st_dev, found.st_ino, found.st_ctime_ns, threshold


def _processor(arch: Arch, cpu: HostCPU | None) -> HostProcessor:
    if cpu is None:
        return HostProcessor(arch=arch)
    return HostProcessor(
        arch=arch,
        model=cpu.model,
        vendor=cpu.vendor,
        microcode=cpu.microcode,
        signature=cpu.signature,
        counter=cpu.counter,
        topology=cpu.topology,
        maxphysaddr=cpu.maxphysaddr,
        features=cpu.features,
    )
