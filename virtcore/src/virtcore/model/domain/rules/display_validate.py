"""Validation of displays, sound and input that is the same for every driver.

Errors name places below the device; who iterates completes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, XMLError
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.input import InputBus, InputType, PassthroughInputSource
from virtcore.model.domain.os import OSType
from virtcore.model.domain.rules.device_list import devices_of
from virtcore.model.domain.rules.disk_validate import refuse_virtio_options
from virtcore.model.domain.rules.settle_os import is_paravirtual
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.graphics import Graphics
    from virtcore.model.domain.input import Input
    from virtcore.model.domain.sound import Sound
    from virtcore.model.domain.video import Video

__all__ = ["validate_graphics", "validate_input", "validate_sound", "validate_video"]


def validate_video(device: Video, domain: Domain) -> None:
    from virtcore.model.domain.video import VideoBackend, VideoType

    model = device.model
    kind = model.type if model is not None else None
    if model is None or kind in (None, VideoType.DEFAULT):
        raise InternalError("missing video model and cannot determine default", path="model/@type")
    if device.driver is not None and device.driver.name is VideoBackend.VHOSTUSER:
        if kind is not VideoType.VIRTIO:
            raise ConfigUnsupported("'vhostuser' driver is only supported with 'virtio' device", path="driver/@name")
    elif model.acceleration is not None and model.acceleration.rendernode is not None:
        raise ConfigUnsupported(
            "unsupported rendernode accel attribute without 'vhostuser'", path="model/acceleration/@rendernode"
        )
    if model.resolution is not None and not (model.resolution.x and model.resolution.y):
        raise ConfigUnsupported("video resolution values must be greater than 0", path="model/resolution")
    if kind is not VideoType.QXL:
        for name in ("ram", "vram64", "vgamem"):
            if getattr(model, name):
                raise ConfigUnsupported(f"{name} attribute only supported for video type qxl", path=f"model/@{name}")
    if kind is VideoType.RAMFB and device.address is not None:
        raise ConfigUnsupported("address not supported for video type ramfb", path="address")
    if kind is not VideoType.VIRTIO:
        refuse_virtio_options(device.driver)
        if model.blob is not None:
            raise ConfigUnsupported(f"video type '{kind}' does not support blob resources", path="model/@blob")


def validate_graphics(device: Graphics, domain: Domain) -> None:
    from virtcore.model.domain import graphics

    if isinstance(device, (graphics.VNCGraphics, graphics.SpiceGraphics, graphics.RDPGraphics)):
        for listen in device.listens:
            if isinstance(listen, graphics.NetworkListen):
                if listen.network is None:
                    raise XMLError("'network' attribute is required for listen type 'network'", path="listen/@network")
            elif isinstance(device, graphics.RDPGraphics) and not isinstance(listen, graphics.AddressListen):
                kind = declaration(type(listen)).tag
                raise ConfigUnsupported(
                    f"listen type '{kind}' is not available for graphics type 'rdp'", path="listen/@type"
                )
    if isinstance(device, graphics.VNCGraphics):
        _require_audio(device.audio_id, domain)
    elif isinstance(device, graphics.DBusGraphics) and device.p2p and device.address is not None:
        raise XMLError("D-Bus p2p with an address is not supported", path="@address")


def _require_audio(number: int | None, domain: Domain) -> None:
    if number and all(audio.id != number for audio in devices_of(domain).audios):
        raise XMLError(f"no audio device with ID {number}", path="audio/@id")


def validate_sound(device: Sound, domain: Domain) -> None:
    _require_audio(device.audio_id, domain)


def validate_input(device: Input, domain: Domain) -> None:
    _validate_input_bus(device, domain)
    if device.type is InputType.PASSTHROUGH:
        if device.bus is not InputBus.VIRTIO:
            raise ConfigUnsupported("only bus 'virtio' is supported for 'passthrough' input devices", path="@bus")
    elif device.type is InputType.EVDEV:
        if device.bus not in (InputBus.NONE, None):
            raise ConfigUnsupported("input evdev doesn't support bus element", path="@bus")
    elif isinstance(device.source, PassthroughInputSource) and device.source.evdev is not None:
        raise ConfigUnsupported(
            "setting source evdev path only supported for passthrough input devices", path="source/@evdev"
        )
    if device.model is not None and device.bus is not InputBus.VIRTIO:
        raise ConfigUnsupported(f"only bus 'virtio' is supported for input model '{device.model}'", path="@model")
    if device.bus is InputBus.PS2:
        ps2 = domain.features.ps2 if domain.features is not None else None
        if ps2 is not None and not ps2.state:
            raise ConfigUnsupported("ps2 bus inputs require the ps2 feature not to be disabled", path="@bus")


def _validate_input_bus(device: Input, domain: Domain) -> None:
    plain = device.type in (InputType.MOUSE, InputType.KEYBOARD)
    if domain.os_type is OSType.HVM:
        if device.bus is InputBus.PS2 and not plain:
            raise InternalError(f"ps2 bus does not support {device.type} input device", path="@type")
        if device.bus is InputBus.XEN:
            raise InternalError(f"unsupported input bus {device.bus}", path="@bus")
    elif is_paravirtual(domain) or domain.os_type is OSType.XENPVH:
        if device.bus is not InputBus.XEN:
            raise InternalError(f"unsupported input bus {device.bus}", path="@bus")
        if not plain:
            raise InternalError(f"xen bus does not support {device.type} input device", path="@type")
    elif domain.type in (VirtType.VZ, VirtType.PARALLELS):
        if device.bus is not InputBus.PARALLELS:
            raise InternalError(f"parallels containers don't support input bus {device.bus}", path="@bus")
        if not plain:
            raise InternalError(f"parallels bus does not support {device.type} input device", path="@type")
    else:
        raise InternalError("Input devices are not supported by this virtualization driver.")
