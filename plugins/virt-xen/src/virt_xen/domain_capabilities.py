"""``<domainCapabilities>``: what guests of Xen can have."""

from __future__ import annotations

from collections.abc import Iterable

from virtcore.model.arch import Arch
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

__all__ = ["domain_capabilities"]

_MAX_VCPUS = {"xenfv": 128}
_MAX_VCPUS_PARAVIRTUAL = 512


def domain_capabilities(
    arch: Arch, machine: str, *, emulator: str | None = None, firmware: Iterable[str] = ()
) -> DomainCapabilities:
    """What guests can have.

    :param machine: ``xenfv``, ``xenpv`` or ``xenpvh``.
    :param emulator: path of the QEMU that emulates devices.
    :param firmware: images of firmware that the host has.
    """
    loader = LoaderCapability(supported=machine == "xenfv")
    if loader.supported:
        loader.images = list(firmware)
        loader.enums = capability_enums(type=["rom", "pflash"], readonly=["yes"])
    hostdev = offered(
        mode=["subsystem"],
        startupPolicy=["default", "mandatory", "requisite", "optional"],
        subsysType=["usb", "pci"],
        capsType=[],
        pciBackend=["xen"],
    )
    return DomainCapabilities(
        path=emulator,
        domain=VirtType.XEN,
        machine=machine,
        arch=arch,
        max_vcpus=_MAX_VCPUS.get(machine, _MAX_VCPUS_PARAVIRTUAL),
        iothreads=False,
        os=OSCapability(supported=True, loader=loader),
        cpu=no_cpu_modes(),
        devices=DeviceCapabilities(
            disk=offered(
                diskDevice=[DiskDevice.DISK, DiskDevice.CDROM],
                bus=[DiskBus.IDE, DiskBus.SCSI, DiskBus.XEN],
                model=[],
            ),
            graphics=offered(type=[GraphicsType.SDL, GraphicsType.VNC, GraphicsType.SPICE]),
            video=offered(modelType=[VideoType.VGA, VideoType.CIRRUS, VideoType.XEN]),
            # Guests of this kind have no PCI bus.
            hostdev=None if machine == "xenpvh" else hostdev,
        ),
        features=no_features(),
    )
