"""The guest's devices: ``<devices>``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.patterns import ABSOLUTE_PATH
from virtcore.xml import child, children, element, leaf, printed
from virtcore.xml.fields import BAD_TAG, NO_TAG

if TYPE_CHECKING:
    from virtcore.model.domain.audio import Audio
    from virtcore.model.domain.chardev import Channel, Console, Parallel, Serial
    from virtcore.model.domain.controller import AnyController
    from virtcore.model.domain.crypto import Crypto
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.filesystem import Filesystem
    from virtcore.model.domain.graphics import Graphics
    from virtcore.model.domain.hostdev import AnyHostdev
    from virtcore.model.domain.hub import Hub
    from virtcore.model.domain.input import Input
    from virtcore.model.domain.interface import Interface
    from virtcore.model.domain.iommu import IOMMU
    from virtcore.model.domain.lease import Lease
    from virtcore.model.domain.memballoon import Memballoon
    from virtcore.model.domain.memory_device import AnyMemoryDevice
    from virtcore.model.domain.nvram import NVRAM
    from virtcore.model.domain.panic import Panic
    from virtcore.model.domain.pstore import Pstore
    from virtcore.model.domain.redirdev import Redirdev, RedirFilter
    from virtcore.model.domain.rng import RNG
    from virtcore.model.domain.shmem import Shmem
    from virtcore.model.domain.smartcard import Smartcard
    from virtcore.model.domain.sound import Sound
    from virtcore.model.domain.tpm import TPM
    from virtcore.model.domain.video import Video
    from virtcore.model.domain.vsock import Vsock
    from virtcore.model.domain.watchdog import Watchdog

__all__ = [
    "Devices",
]


def _has_no_stub(devices: Devices) -> bool:
    return not any(console.is_stub for console in devices.consoles)


def _consoles_with_serials(devices: Devices) -> list[Console]:
    if _has_no_stub(devices):
        return []
    from virtcore.model.domain.chardev import printed_consoles

    return printed_consoles(devices.consoles, devices.serials)


_INTERNAL = ErrorCode.INTERNAL_ERROR


@element("devices", empty="open")
class Devices:
    """All devices of a domain, in the order libvirt prints them."""

    emulator: str | None = leaf(pattern=ABSOLUTE_PATH, doc="path of the emulator's program")
    disks: list[Disk] = children("disk", doc="disks, CD-ROM and floppy drives")
    controllers: list[AnyController] = children(
        "controller", tag="@type", default="ide", tagged=True, invalid=BAD_TAG, doc="controllers of buses"
    )
    leases: list[Lease] = children("lease", doc="leases of a lock manager")
    filesystems: list[Filesystem] = children("filesystem", doc="shared folders, container mounts")
    interfaces: list[Interface] = children("interface", doc="network interfaces")
    smartcards: list[Smartcard] = children("smartcard", tag="@mode", missing=NO_TAG, doc="smart cards")
    serials: list[Serial] = children("serial", doc="serial ports")
    parallels: list[Parallel] = children("parallel", doc="parallel ports")
    consoles: list[Console] = children("console", shown=_has_no_stub, doc="consoles")
    _serial_consoles = printed(_consoles_with_serials, "console", as_="child")
    channels: list[Channel] = children("channel", doc="channels between host and guest")
    inputs: list[Input] = children("input", doc="mice, tablets, keyboards")
    tpms: list[TPM] = children("tpm", doc="trusted platform modules")
    graphics: list[Graphics] = children("graphics", tag="@type", missing=NO_TAG, doc="displays")
    sounds: list[Sound] = children("sound", doc="sound cards")
    audios: list[Audio] = children("audio", tag="@type", missing=NO_TAG, doc="host audio backends")
    videos: list[Video] = children("video", doc="graphics cards")
    hostdevs: list[AnyHostdev] = children(
        "hostdev", tag=("@mode", "@type"), default=("subsystem", None), doc="devices of the host"
    )
    redirdevs: list[Redirdev] = children("redirdev", doc="devices of a client")
    redirfilter: RedirFilter | None = child(
        "redirfilter", repeat="refuse", repeated="only one set of redirection filter rule is supported", code=_INTERNAL
    )
    hubs: list[Hub] = children("hub", doc="USB hubs")
    watchdogs: list[Watchdog] = children("watchdog", doc="watchdogs")
    memballoon: Memballoon | None = child(
        "memballoon", repeat="refuse", repeated="only a single memory balloon device is supported", code=_INTERNAL
    )
    rngs: list[RNG] = children("rng", doc="random number generators")
    nvram: NVRAM | None = child(
        "nvram", repeat="refuse", repeated="only a single nvram device is supported", code=_INTERNAL
    )
    panics: list[Panic] = children("panic", doc="panic notifiers")
    shmems: list[Shmem] = children("shmem", doc="memory shared between guests")
    memory: list[AnyMemoryDevice] = children("memory", tag="@model", missing=NO_TAG, doc="memory devices")
    cryptos: list[Crypto] = children("crypto", doc="crypto devices")
    iommu: IOMMU | None = child("iommu", repeat="refuse", repeated="only a single IOMMU device is supported")
    vsock: Vsock | None = child("vsock", repeat="refuse", repeated="only a single vsock device is supported")
    pstore: Pstore | None = child("pstore", repeat="refuse", repeated="only a single pstore device is supported")
