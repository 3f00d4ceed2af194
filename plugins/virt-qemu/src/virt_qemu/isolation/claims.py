"""Which files are a guest's: its images, its kernel, the devices of the host that it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from virt_qemu.block.chain import images_of
from virt_qemu.command.disks import disk_path
from virt_qemu.host_side.hostdevs import hostdev_nodes
from virt_qemu.isolation.labels import OwnLabel, resource_owner
from virt_qemu.isolation.ownership import Claim
from virt_qemu.lent import group_of
from virtcore.model.domain.chardev import DevChardev, PipeChardev
from virtcore.model.domain.disk import Disk
from virtcore.model.domain.memory_device import NVDIMM, VirtioPMEM
from virtcore.model.domain.rng import RNG, RandomBackend

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virtcore.model.domain import Domain
    from virtcore.model.storage.source import Source

__all__ = ["device_claims", "device_files", "domain_claims", "image_claims"]


#: Device files that every guest has that needs one of the kind.
_EVERYBODYS = ("/dev/vfio/vfio",)


def domain_claims(domain: Domain, own: OwnLabel) -> Iterator[Claim]:
    """The files of a guest beside its devices'."""
    from virt_qemu.variables import variables_path

    owner = resource_owner(own, ())
    if owner is None or domain.os is None:
        return
    os_ = domain.os
    for path in (variables_path(domain), os_.kernel, os_.initrd, os_.dtb):
        if path is not None:
            yield Claim(path, *owner)


def device_files(side: HostSide, device: object) -> Iterator[str]:
    """The files of a device, whomever they are given to."""
    paths = [disk_path(link.source) for link in images_of(device)] if isinstance(device, Disk) else []
    backend = device.backend if isinstance(device, RNG) else None
    entropy = backend.path if isinstance(backend, RandomBackend) else None
    for path in (*paths, _device_path(device), entropy):
        if path is not None:
            yield path
    yield from hostdev_nodes(side, device)


def device_claims(side: HostSide, device: object, own: OwnLabel) -> Iterator[Claim]:
    """The files of a device that are given to the guest."""
    if isinstance(device, Disk):
        yield from _disk_claims(device, own)
    owner = resource_owner(own, ())
    if owner is None:
        return
    path = _device_path(device)
    if path is not None:
        yield Claim(path, *owner)
    for path in hostdev_nodes(side, device):
        yield Claim(path, *owner, path not in _EVERYBODYS)


def _device_path(device: object) -> str | None:
    """A device of the host that a device is."""
    source = getattr(device, "source", None)
    if isinstance(source, DevChardev | PipeChardev):
        return source.source.path if source.source is not None else None
    if isinstance(device, NVDIMM | VirtioPMEM):
        return device.source.path if device.source is not None else None
    return None


def _disk_claims(disk: Disk, own: OwnLabel) -> Iterator[Claim]:
    for link in images_of(disk):
        yield from image_claims(link.source, own, remember=link is disk and not (disk.readonly or disk.shareable))


def image_claims(source: Source | None, own: OwnLabel, *, remember: bool) -> Iterator[Claim]:
    """The file of an image.

    :param remember: only one guest has it.
    """
    path = disk_path(source)
    if path is None or source is None or group_of(source) is not None:
        return
    owner = resource_owner(own, source.seclabels)
    if owner is not None:
        yield Claim(path, *owner, remember)
