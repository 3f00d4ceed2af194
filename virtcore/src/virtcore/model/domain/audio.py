"""Host audio backends: ``<audio>``, one class per kind."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.xml import INT, YES_NO, attribute, child, declaration, element, printed

__all__ = [
    "ALSAAudio",
    "ALSAStream",
    "Audio",
    "AudioBackend",
    "AudioFormat",
    "AudioSettings",
    "AudioStream",
    "AudioType",
    "BufferedStream",
    "CoreAudio",
    "DBusAudio",
    "FileAudio",
    "JackAudio",
    "JackStream",
    "NamedStream",
    "NoAudio",
    "OSSAudio",
    "OSSStream",
    "PipewireAudio",
    "PlainStream",
    "PulseAudio",
    "SDLAudio",
    "SDLAudioDriver",
    "SpiceAudio",
]


class AudioType(StrEnum):
    """Host sound system."""

    NONE = "none"
    ALSA = "alsa"
    COREAUDIO = "coreaudio"
    JACK = "jack"
    OSS = "oss"
    PULSEAUDIO = "pulseaudio"
    SDL = "sdl"
    SPICE = "spice"
    FILE = "file"
    DBUS = "dbus"
    PIPEWIRE = "pipewire"


class AudioFormat(StrEnum):
    """Format of a sample."""

    U8 = "u8"
    S8 = "s8"
    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    F32 = "f32"


class SDLAudioDriver(StrEnum):
    """SDL's own backend."""

    ESD = "esd"
    ALSA = "alsa"
    ARTS = "arts"
    PULSEAUDIO = "pulseaudio"


@element("settings", empty="keep")
class AudioSettings:
    """Settings that are forced on the host."""

    frequency: int | None = attribute(nonzero=True, doc="samples a second")
    channels: int | None = attribute(nonzero=True, doc="number of channels")
    format: AudioFormat | None = attribute(doc="format of a sample")


@element(None)
class AudioStream:
    """What every direction has."""

    mixing_engine: bool | None = attribute("mixingEngine", codec=YES_NO, doc="mix and convert in the emulator")
    fixed_settings: bool | None = attribute(
        "fixedSettings", codec=YES_NO, doc="use the settings below; needs the mixing engine"
    )
    voices: int | None = attribute(nonzero=True, doc="number of voices")
    buffer_length: int | None = attribute("bufferLength", nonzero=True, doc="length of the buffer in microseconds")
    settings: AudioSettings | None = child(only={"fixed_settings": (True,)})


@element(None)
class PlainStream(AudioStream):
    """A direction without options of its own."""


@element(None)
class ALSAStream(AudioStream):
    """A direction of an ALSA backend."""

    dev: str | None = attribute(doc="ALSA device")


@element(None)
class BufferedStream(AudioStream):
    """A direction with a number of buffers (CoreAudio, SDL)."""

    buffer_count: int | None = attribute("bufferCount", omit=0, doc="number of buffers")


@element(None)
class JackStream(AudioStream):
    """A direction of a JACK backend."""

    server_name: str | None = attribute("serverName", doc="name of the server")
    client_name: str | None = attribute("clientName", doc="name of this client")
    connect_ports: str | None = attribute("connectPorts", doc="regular expression of ports to connect to")
    exact_name: bool | None = attribute("exactName", codec=YES_NO, doc="fail rather than change the client's name")


@element(None)
class OSSStream(AudioStream):
    """A direction of an OSS backend."""

    dev: str | None = attribute(doc="path of the device")
    buffer_count: int | None = attribute("bufferCount", omit=0, doc="number of buffers")
    try_poll: bool | None = attribute("tryPoll", codec=YES_NO, doc="poll rather than block")


@element(None)
class NamedStream(AudioStream):
    """A direction of a PulseAudio or PipeWire backend."""

    name: str | None = attribute(doc="sink or source")
    stream_name: str | None = attribute("streamName", doc="name of the stream")
    latency: int | None = attribute(omit=0, doc="desired latency in microseconds")


@element(None)
class AudioBackend:
    """What every backend has."""

    id: int = attribute(required=True, nonzero=True, doc="number that sound cards and displays refer to")
    _type = printed(lambda self: declaration(type(self)).tag, "type")
    timer_period: int | None = attribute("timerPeriod", nonzero=True, doc="timer period in microseconds")


@element("audio", tag=AudioType.NONE)
class NoAudio(AudioBackend):
    """Sound is dropped."""

    input: PlainStream | None = child("input")
    output: PlainStream | None = child("output")


@element("audio", tag=AudioType.ALSA)
class ALSAAudio(AudioBackend):
    """The Linux kernel's sound system."""

    input: ALSAStream | None = child("input")
    output: ALSAStream | None = child("output")


@element("audio", tag=AudioType.COREAUDIO)
class CoreAudio(AudioBackend):
    """The sound system of macOS."""

    input: BufferedStream | None = child("input")
    output: BufferedStream | None = child("output")


@element("audio", tag=AudioType.JACK)
class JackAudio(AudioBackend):
    """A JACK server."""

    input: JackStream | None = child("input")
    output: JackStream | None = child("output")


@element("audio", tag=AudioType.OSS)
class OSSAudio(AudioBackend):
    """The Open Sound System."""

    try_mmap: bool | None = attribute("tryMMap", codec=YES_NO, doc="map the device's buffer")
    exclusive: bool | None = attribute(codec=YES_NO, doc="nobody else may use the device")
    dsp_policy: int | None = attribute("dspPolicy", codec=INT, doc="timing policy")
    input: OSSStream | None = child("input")
    output: OSSStream | None = child("output")


@element("audio", tag=AudioType.PULSEAUDIO)
class PulseAudio(AudioBackend):
    """A PulseAudio server."""

    server_name: str | None = attribute("serverName", doc="host name of the server")
    input: NamedStream | None = child("input")
    output: NamedStream | None = child("output")


@element("audio", tag=AudioType.SDL)
class SDLAudio(AudioBackend):
    """The SDL library."""

    driver: SDLAudioDriver | None = attribute(doc="SDL's backend")
    input: BufferedStream | None = child("input")
    output: BufferedStream | None = child("output")


@element("audio", tag=AudioType.SPICE)
class SpiceAudio(AudioBackend):
    """The Spice client."""

    input: PlainStream | None = child("input")
    output: PlainStream | None = child("output")


@element("audio", tag=AudioType.FILE)
class FileAudio(AudioBackend):
    """A file that records the sound."""

    path: str | None = attribute(doc="path of the file")
    input: PlainStream | None = child("input")
    output: PlainStream | None = child("output")


@element("audio", tag=AudioType.DBUS)
class DBusAudio(AudioBackend):
    """The emulator's D-Bus display."""

    input: PlainStream | None = child("input")
    output: PlainStream | None = child("output")


@element("audio", tag=AudioType.PIPEWIRE)
class PipewireAudio(AudioBackend):
    """A PipeWire server."""

    runtime_dir: str | None = attribute("runtimeDir", doc="folder of the server's socket")
    input: NamedStream | None = child("input")
    output: NamedStream | None = child("output")


Audio: TypeAlias = (
    NoAudio
    | ALSAAudio
    | CoreAudio
    | JackAudio
    | OSSAudio
    | PulseAudio
    | SDLAudio
    | SpiceAudio
    | FileAudio
    | DBusAudio
    | PipewireAudio
)
