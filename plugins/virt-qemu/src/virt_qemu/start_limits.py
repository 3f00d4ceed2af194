"""What the command line can describe and a start cannot yet bring about on the host: refused at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.line import unsupported
from virt_qemu.command.networks import actual_type
from virtcore.model.domain.disk import Disk
from virtcore.model.domain.graphics import GraphicsAuth
from virtcore.model.domain.hostdev import Hostdev
from virtcore.model.domain.interface import Interface, InterfaceType
from virtcore.model.domain.memory import MemorySource, NUMAPlacement
from virtcore.model.domain.vsock import Vsock
from virtcore.model.storage.source import NVMeSource

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["refuse_device", "refuse_unstartable"]


def refuse_unstartable(domain: Domain) -> None:
    """Refuse a guest that needs more of the host than a start prepares.

    :raises ConfigUnsupported: it names what is needed.
    """
    devices = domain.devices
    assert devices is not None
    if domain.launch_security is not None:
        raise unsupported("launch security")
    present = [devices.vsock] if devices.vsock is not None else []
    for device in (*devices.hostdevs, *present, *devices.disks, *devices.interfaces):
        refuse_device(device)
    for graphics in devices.graphics:
        if isinstance(graphics, GraphicsAuth) and graphics.passwd is not None:
            raise unsupported("a display's password")
    _refuse_memory(domain)


def refuse_device(device: object) -> None:
    """Refuse a device that needs more of the host than is prepared, at a start or while the guest runs.

    :raises ConfigUnsupported: it names what is needed.
    """
    if isinstance(device, Hostdev):
        raise unsupported("handing a host device over to a guest")
    if isinstance(device, Vsock):
        raise unsupported("opening a vsock device")
    if isinstance(device, Disk):
        if device.transient is not None:
            raise unsupported("a transient disk")
        if device.source is not None and device.source.reservations is not None and device.source.reservations.managed:
            raise unsupported("starting the helper for persistent reservations")
        if device.iotune is not None:
            raise unsupported("throttling of a disk")
        if isinstance(device.source, NVMeSource):
            raise unsupported("handing an NVMe disk over to a guest")
    if isinstance(device, Interface) and actual_type(device) is InterfaceType.HOSTDEV:
        raise unsupported(f"a network interface of type '{device.type}'")


def _refuse_memory(domain: Domain) -> None:
    backing = domain.memory_backing
    numatune = domain.numatune
    if numatune is not None and numatune.memory is not None and numatune.memory.placement is NUMAPlacement.AUTO:
        raise unsupported("asking the host where to put a guest")
    if backing is not None and backing.hugepages is not None and backing.source is not MemorySource.MEMFD:
        raise unsupported("memory made of huge pages")
    cells = domain.cpu.numa.cells if domain.cpu is not None and domain.cpu.numa is not None else []
    modules = domain.devices.memory if domain.devices is not None else []
    told = backing is not None and backing.access is not None
    accesses = told or any(cell.mem_access is not None for cell in cells)
    accesses = accesses or any(module.access is not None and not _has_file(module) for module in modules)
    source = backing.source if backing is not None else None
    if source is MemorySource.FILE or (accesses and source is not MemorySource.MEMFD):
        raise unsupported("memory in files")
    if any(getattr(getattr(module, "source", None), "pagesize", None) for module in modules):
        raise unsupported("memory made of huge pages")


def _has_file(module: object) -> bool:
    return getattr(getattr(module, "source", None), "path", None) is not None
