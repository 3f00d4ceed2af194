"""Sound cards: ``<sound>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import Device
from virtcore.model.domain.disk import VirtioOptions
from virtcore.xml import YES_NO, attribute, child, element, inherited

__all__ = [
    "Sound",
    "SoundCodec",
    "SoundDriver",
    "SoundModel",
]


class SoundModel(StrEnum):
    """Kind of sound card."""

    SB16 = "sb16"
    ES1370 = "es1370"
    PCSPK = "pcspk"
    AC97 = "ac97"
    ICH6 = "ich6"
    ICH9 = "ich9"
    USB = "usb"
    ICH7 = "ich7"
    VIRTIO = "virtio"


class SoundCodec(StrEnum):
    """Codec on an HDA card."""

    DUPLEX = "duplex"
    MICRO = "micro"
    OUTPUT = "output"


@element("driver")
class SoundDriver(VirtioOptions):
    """Options of the virtio device."""


@element("sound")
class Sound(Device):
    """A sound card."""

    model: SoundModel = attribute(required=True, doc="kind of card")
    multichannel: bool | None = attribute(
        codec=YES_NO, only={"model": (SoundModel.USB,)}, doc="more than two channels", since="9.4.0"
    )
    streams: int | None = attribute(
        nonzero=True, only={"model": (SoundModel.VIRTIO,)}, doc="number of streams", since="10.4.0"
    )
    codecs: list[SoundCodec] = attribute(
        "type",
        within="codec",
        only={"model": (SoundModel.ICH6, SoundModel.ICH9)},
        invalid="unknown codec type '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="codecs of an HDA card",
    )
    audio_id: int | None = attribute("id", within="audio", nonzero=True, doc="audio backend", since="6.7.0")
    _device = inherited()
    driver: SoundDriver | None = child(only={"model": (SoundModel.VIRTIO,)})
