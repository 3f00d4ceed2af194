"""Graphics cards: ``<video>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.model.domain.address import Device
from virtcore.model.domain.disk import VirtioOptions
from virtcore.xml import ON_OFF, YES_NO, attribute, child, element, inherited

__all__ = [
    "VGAConf",
    "Video",
    "VideoAcceleration",
    "VideoBackend",
    "VideoDriver",
    "VideoModel",
    "VideoResolution",
    "VideoType",
]


class VideoType(StrEnum):
    """Kind of graphics card."""

    DEFAULT = "default"
    VGA = "vga"
    CIRRUS = "cirrus"
    VMVGA = "vmvga"
    XEN = "xen"
    VBOX = "vbox"
    QXL = "qxl"
    PARALLELS = "parallels"
    VIRTIO = "virtio"
    GOP = "gop"
    NONE = "none"
    BOCHS = "bochs"
    RAMFB = "ramfb"


class VideoBackend(StrEnum):
    """Who implements the card."""

    QEMU = "qemu"
    VHOSTUSER = "vhostuser"


class VGAConf(StrEnum):
    """How bhyve shows the VGA ports."""

    IO = "io"
    ON = "on"
    OFF = "off"


@element("acceleration", empty="keep")
class VideoAcceleration:
    """Acceleration by the host."""

    accel3d: bool | None = attribute(codec=YES_NO, doc="3D commands of the guest are executed by the host")
    accel2d: bool | None = attribute(codec=YES_NO, doc="2D commands of the guest are executed by the host")
    rendernode: str | None = attribute(doc="path of the host's render node", since="5.8.0")


@element("resolution", empty="keep")
class VideoResolution:
    """Smallest resolution the guest is offered."""

    x: int | None = attribute(required=True, doc="pixels across")
    y: int | None = attribute(required=True, doc="pixels down")


@element("driver")
class VideoDriver(VirtioOptions):
    """Options of the card's implementation."""

    _virtio = inherited()
    vgaconf: VGAConf | None = attribute(omit=VGAConf.IO, doc="VGA ports (bhyve)")
    name: VideoBackend | None = attribute(doc="who implements it", since="5.8.0")


@element("model", empty="keep")
class VideoModel:
    """The card and its memory."""

    type: VideoType | None = attribute(doc="kind of card")
    ram: int | None = attribute(omit=0, doc="size of the primary bar in KiB (qxl)")
    vram: int | None = attribute(omit=0, doc="video memory in KiB")
    vram64: int | None = attribute(omit=0, doc="video memory behind the 64-bit bar in KiB (qxl)")
    vgamem: int | None = attribute(omit=0, doc="VGA frame buffer in KiB (qxl)")
    heads: int | None = attribute(omit=0, doc="number of screens")
    primary: bool | None = attribute(codec=YES_NO, omit=False, doc="the card firmware shows")
    blob: bool | None = attribute(codec=ON_OFF, doc="blob resources (virtio)", since="9.2.0")
    acceleration: VideoAcceleration | None = child()
    resolution: VideoResolution | None = child()


@element("video")
class Video(Device):
    """A graphics card."""

    driver: VideoDriver | None = child()
    model: VideoModel | None = child()
