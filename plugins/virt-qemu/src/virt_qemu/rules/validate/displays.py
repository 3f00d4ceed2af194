"""Checks of what a user sees, hears and touches: graphics cards, displays, sound, input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.capabilities.devices import choose, video_models
from virt_qemu.rules.machine import Machine
from virt_qemu.rules.validate.shared import has_spice, require
from virtcore.errors import ConfigUnsupported, InternalError, OverflowDetected, XMLError
from virtcore.model.domain.address import CCWAddress
from virtcore.model.domain.audio import DBusAudio, SpiceAudio
from virtcore.model.domain.graphics import (
    AddressListen,
    DBusGraphics,
    EGLHeadlessGraphics,
    GraphicsType,
    NetworkListen,
    RDPGraphics,
    SpiceGraphics,
    VNCGraphics,
)
from virtcore.model.domain.input import InputBus, InputType
from virtcore.model.domain.memory import MemorySource
from virtcore.model.domain.sound import SoundModel
from virtcore.model.domain.video import VideoBackend, VideoType
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.audio import AudioBackend
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.input import Input
    from virtcore.model.domain.sound import Sound
    from virtcore.model.domain.video import Video, VideoModel

__all__ = [
    "refuse_spice_tls",
    "validate_audio",
    "validate_graphics",
    "validate_input",
    "validate_sound",
    "validate_video",
]

#: KiB that QEMU can tell a graphics card's memory in.
_MAX_VIDEO_MEMORY = (2**32 - 1) // 1024
_MIB = 1024  # KiB
_SECONDARY = (VideoType.QXL, VideoType.VIRTIO)
_RESOLVED = (VideoType.VGA, VideoType.QXL, VideoType.VIRTIO, VideoType.BOCHS)
_VIRGL = ("virtio-gpu.virgl", "virtio-gpu-gl-pci", "virtio-vga-gl")
#: Longest password of VNC.
_VNC_PASSWORD = 8


def validate_video(device: Video, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A graphics card.

    :raises VirtError: with libvirt's message.
    """
    model = device.model
    if model is None or model.type in (None, VideoType.NONE):
        return
    kind = model.type
    if str(kind) not in video_models(capabilities):
        raise ConfigUnsupported(f"domain configuration does not support video model '{kind}'")
    if kind not in _SECONDARY:
        if not model.primary:
            raise ConfigUnsupported(f"video type '{kind}' is only valid as primary video device")
        if model.heads not in (None, 1):
            raise ConfigUnsupported(f"video type '{kind}' doesn't support multiple 'heads'")
    acceleration = model.acceleration
    if acceleration is not None and acceleration.accel2d:
        raise ConfigUnsupported("qemu does not support the accel2d setting")
    _video_memory(model)
    if device.driver is not None and device.driver.name is VideoBackend.VHOSTUSER:
        require(capabilities, "vhost-user-gpu", "this QEMU does not support 'vhost-user' video device")
    elif acceleration is not None and acceleration.accel3d:
        if kind is not VideoType.VIRTIO:
            raise ConfigUnsupported("3d acceleration is supported only with 'virtio' video device")
        if not any(map(capabilities.has, _VIRGL)):
            raise ConfigUnsupported("3d acceleration is not supported by this QEMU binary")
    if kind is VideoType.VIRTIO and model.blob is not None:
        require(capabilities, "virtio-gpu.blob", "this QEMU does not support 'blob' for virtio-gpu devices")
        backing = domain.memory_backing
        if model.blob and (backing is None or backing.source is not MemorySource.MEMFD):
            raise ConfigUnsupported("'blob' support for virtio-gpu devices requires a memfd memory backend")
    if kind is VideoType.RAMFB and device.address is not None:
        raise ConfigUnsupported("'address' is not supported for 'ramfb' video devices")


def _video_memory(model: VideoModel) -> None:
    if model.type is VideoType.QXL:
        for name in ("vram", "ram"):
            if (getattr(model, name) or 0) > _MAX_VIDEO_MEMORY:
                raise OverflowDetected(f"value for '{name}' must be less than '{_MAX_VIDEO_MEMORY}'")
        if model.vgamem:
            if model.vgamem < _MIB:
                raise ConfigUnsupported("value for 'vgamem' must be at least 1 MiB (1024 KiB)")
            if model.vgamem & (model.vgamem - 1):
                raise ConfigUnsupported("value for 'vgamem' must be power of two")
    if model.type not in _RESOLVED and model.resolution is not None:
        raise XMLError("model resolution is not supported")
    if model.type in (VideoType.VGA, VideoType.VMVGA) and model.vram and model.vram < _MIB:
        raise ConfigUnsupported("value for 'vram' must be at least 1 MiB (1024 KiB)")


def validate_graphics(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A display.

    :raises ConfigUnsupported: with libvirt's message.
    """
    assert domain.devices is not None
    kind = declaration(type(device)).tag or ""
    known = choose(
        capabilities,
        (GraphicsType.SDL, "sdl"),
        (GraphicsType.VNC, "vnc"),
        (GraphicsType.RDP, "display-dbus"),
        (GraphicsType.SPICE, "spice"),
        (GraphicsType.EGL_HEADLESS, "egl-headless"),
        (GraphicsType.DBUS, "display-dbus"),
    )
    if kind not in known:
        raise ConfigUnsupported(f"{kind} graphics are not supported with this QEMU")
    if any(isinstance(other, EGLHeadlessGraphics) for other in domain.devices.graphics):
        # A headless OpenGL display goes with displays that have none of their own.
        if not isinstance(device, EGLHeadlessGraphics | VNCGraphics | SpiceGraphics):
            raise ConfigUnsupported(
                "graphics type 'egl-headless' is only supported with one of: 'vnc', 'spice' graphics types"
            )
        if isinstance(device, SpiceGraphics) and device.gl is not None and device.gl.enable is True:
            raise ConfigUnsupported("multiple OpenGL displays are not supported by QEMU")
    if isinstance(device, SpiceGraphics):
        _spice(device, capabilities)
    elif isinstance(device, EGLHeadlessGraphics) and device.rendernode is not None:
        require(
            capabilities,
            "egl-headless.rendernode",
            "This QEMU doesn't support OpenGL rendernode with egl-headless graphics type",
        )
    elif isinstance(device, VNCGraphics):
        if device.power_control is not None:
            require(capabilities, "vnc-power-control", "VNC power control is not available")
        length = len((device.passwd or "").encode())
        if length > _VNC_PASSWORD:
            raise ConfigUnsupported(f"VNC password is {length} characters long, only {_VNC_PASSWORD} permitted")
    elif isinstance(device, DBusGraphics):
        audio = next((audio for audio in domain.devices.audios if audio.id == device.audio_id), None)
        if device.audio_id and audio is not None and not isinstance(audio, DBusAudio):
            raise ConfigUnsupported("The associated audio is not of 'dbus' kind.")
    elif isinstance(device, RDPGraphics):
        for wanted, name in ((device.replace_user, "replaceUser"), (device.multi_user, "multiUser")):
            if wanted:
                raise ConfigUnsupported(f"RDP doesn't support '{name}'")
        if device.passwd_valid_to is not None:
            raise ConfigUnsupported("RDP password expiration isn't supported")


def refuse_spice_tls(device: SpiceGraphics) -> None:
    """Refuse an encrypted port on a host whose administrator has not set up TLS.

    :raises ConfigUnsupported: there is one.
    """
    listen = device.listens[0] if device.listens else None
    if (device.tls_port or 0) > 0 and isinstance(listen, AddressListen | NetworkListen | None):
        raise ConfigUnsupported("spice TLS port set in XML configuration, but TLS is disabled in qemu.conf")


def _spice(device: SpiceGraphics, capabilities: EmulatorCapabilities) -> None:
    if device.gl is None or not device.gl.enable:
        return
    require(capabilities, "spice-gl", "This QEMU doesn't support spice OpenGL")
    if device.gl.rendernode is not None:
        require(capabilities, "spice-rendernode", "This QEMU doesn't support spice OpenGL rendernode")


def validate_audio(device: AudioBackend, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Where the guest's sound goes.

    :raises ConfigUnsupported: with libvirt's message.
    """
    if isinstance(device, SpiceAudio) and not has_spice(domain):
        raise ConfigUnsupported("Spice audio is not supported without spice graphics")
    if isinstance(device, DBusAudio):
        require(capabilities, "display-dbus", "D-Bus audio is not supported with this QEMU")


def validate_sound(device: Sound, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A sound card.

    :raises VirtError: with libvirt's message.
    """
    for model, flag, message in (
        (SoundModel.USB, "usb-audio", "usb-audio controller is not supported by this QEMU binary"),
        (
            SoundModel.ICH9,
            "ich9-intel-hda",
            "The ich9-intel-hda audio controller is not supported in this QEMU binary",
        ),
        (SoundModel.VIRTIO, "virtio-sound", "virtio-sound controller is not supported in this QEMU binary"),
    ):
        if device.model is model:
            require(capabilities, flag, message)
    if device.model is SoundModel.ICH7:
        raise InternalError(f"sound card model '{device.model}' is not supported by qemu")
    if device.model in (SoundModel.ICH6, SoundModel.ICH9):
        for codec in device.codecs:
            require(capabilities, f"hda-{codec}", f"hda-{codec} not supported in this QEMU binary")


#: Type of an input device on virtio -> QEMU's name of it, which is that of its capability.
_VIRTIO_INPUT = {
    InputType.MOUSE: "virtio-mouse",
    InputType.TABLET: "virtio-tablet",
    InputType.KEYBOARD: "virtio-keyboard",
    InputType.PASSTHROUGH: "virtio-input-host",
}


def validate_input(device: Input, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """An input device.

    :raises ConfigUnsupported: with libvirt's message.
    """
    if device.bus is InputBus.PS2 and not (Machine.of(domain).pc and capabilities.has("i8042")):
        raise ConfigUnsupported(f"{device.bus} is not supported by this QEMU binary")
    if device.bus is InputBus.USB and device.type is InputType.KEYBOARD:
        require(capabilities, "usb-kbd", "usb keyboard is not supported by this QEMU binary")
    if device.bus is not InputBus.VIRTIO:
        return
    if device.model in ("virtio-transitional", "virtio-non-transitional"):
        raise ConfigUnsupported(f"virtio (non-)transitional models are not supported for input type={device.type}")
    name = _VIRTIO_INPUT.get(device.type, "input-linux")
    lacking = isinstance(device.address, CCWAddress) and not capabilities.has(f"{name}-ccw")
    if lacking or not capabilities.has(name):
        raise ConfigUnsupported(f"{name} is not supported by this QEMU binary")
