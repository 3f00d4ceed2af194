"""``<domainCapabilities>``: what guests of bhyve can have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from virt_bhyve.capabilities import BhyveCapabilities, BhyveCapability
from virtcore.model.domain.disk import DiskBus, DiskDevice
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.graphics import GraphicsType
from virtcore.model.domain.video import VideoType
from virtcore.model.domain_capabilities import (
    DeviceCapabilities,
    DomainCapabilities,
    LoaderCapability,
    OSCapability,
    capability_enums,
    no_cpu_modes,
    no_features,
    offered,
)

if TYPE_CHECKING:
    from virtcore.model.arch import Arch

__all__ = ["domain_capabilities"]


def domain_capabilities(
    capabilities: BhyveCapabilities,
    arch: Arch,
    *,
    emulator: str = "/usr/sbin/bhyve",
    machine: str | None = None,
    firmware: Iterable[str] = (),
) -> DomainCapabilities:
    """What guests can have.

    :param firmware: images of UEFI that the host has.
    """
    screen = BhyveCapability.FBUF in capabilities.bhyve
    loader = LoaderCapability(supported=BhyveCapability.LPC_BOOTROM in capabilities.bhyve)
    if loader.supported:
        loader.images = list(firmware)
        loader.enums = capability_enums(type=["pflash"], readonly=["yes"])
    return DomainCapabilities(
        path=emulator,
        domain=VirtType.BHYVE,
        machine=machine,
        arch=arch,
        iothreads=False,
        os=OSCapability(supported=True, loader=loader),
        cpu=no_cpu_modes(),
        devices=DeviceCapabilities(
            disk=offered(diskDevice=[DiskDevice.DISK, DiskDevice.CDROM], bus=[DiskBus.VIRTIO, DiskBus.SATA], model=[]),
            graphics=offered(supported=screen, type=[GraphicsType.VNC]),
            video=offered(supported=screen, modelType=[VideoType.GOP]),
            hostdev=offered(supported=False),
        ),
        features=no_features(),
    )
