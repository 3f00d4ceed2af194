"""Sound: backends on the host, cards of the guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.address import place, virtio
from virt_qemu.command.line import Builder
from virt_qemu.rules.audio import BACKENDS
from virtcore.errors import InternalError
from virtcore.model.domain.audio import AudioBackend, AudioStream, PipewireAudio, SDLAudio
from virtcore.model.domain.sound import SoundCodec, SoundModel

if TYPE_CHECKING:
    from virtcore.model.domain.sound import Sound

__all__ = ["add_audio", "add_sounds", "default_audio", "speaker_audio"]

_DRIVERS: dict[type[AudioBackend], str] = {kind: name for name, kind in BACKENDS.items()}
#: Attribute of a backend -> QEMU's name of it.
_BACKEND = {
    "try_mmap": "try-mmap",
    "exclusive": "exclusive",
    "dsp_policy": "dsp-policy",
    "server_name": "server",
    "path": "path",
}
#: Attribute of a backend's stream -> QEMU's name of it.
_STREAM = {
    "dev": "dev",
    "buffer_count": "buffer-count",
    "try_poll": "try-poll",
    "server_name": "server-name",
    "client_name": "client-name",
    "connect_ports": "connect-ports",
    "exact_name": "exact-name",
    "name": "name",
    "stream_name": "stream-name",
    "latency": "latency",
}
_CARDS = {
    SoundModel.SB16: "sb16",
    SoundModel.ES1370: "ES1370",
    SoundModel.AC97: "AC97",
    SoundModel.ICH6: "intel-hda",
    SoundModel.ICH9: "ich9-intel-hda",
    SoundModel.USB: "usb-audio",
}


def add_audio(builder: Builder) -> None:
    """Host sides of sound."""
    devices = builder.domain.devices
    assert devices is not None
    for audio in devices.audios:
        props: dict[str, object] = {
            "id": f"audio{audio.id}",
            "driver": _DRIVERS[type(audio)],
            "timer-period": audio.timer_period or None,
        }
        for ours, theirs in _BACKEND.items():
            value = getattr(audio, ours, None)
            props[theirs] = value if isinstance(value, bool) else value or None
        for name in ("input", "output"):
            stream = getattr(audio, name, None)
            words = _stream(stream) if stream is not None else {}
            props["in" if name == "input" else "out"] = words or None
        builder.json("-audiodev", props)
        if isinstance(audio, PipewireAudio) and audio.runtime_dir is not None:
            builder.environment["PIPEWIRE_RUNTIME_DIR"] = audio.runtime_dir
        if isinstance(audio, SDLAudio) and audio.driver is not None:
            builder.environment["SDL_AUDIODRIVER"] = str(audio.driver)


def _stream(stream: AudioStream) -> dict[str, object]:
    settings = stream.settings
    props: dict[str, object] = {
        "mixing-engine": stream.mixing_engine,
        "fixed-settings": stream.fixed_settings,
        "voices": stream.voices or None,
        "buffer-length": stream.buffer_length or None,
    }
    if settings is not None:
        props |= {
            "frequency": settings.frequency or None,
            "channels": settings.channels or None,
            "format": str(settings.format) if settings.format is not None else None,
        }
    for ours, theirs in _STREAM.items():
        value = getattr(stream, ours, None)
        props[theirs] = value if isinstance(value, bool) else value or None
    return {name: value for name, value in props.items() if value is not None}


def default_audio(builder: Builder, wanted: int | None) -> str | None:
    """Id of the backend a device uses: the one it names, or the first.

    :raises InternalError: there is none of that number.
    """
    devices = builder.domain.devices
    assert devices is not None
    if wanted and all(audio.id != wanted for audio in devices.audios):
        raise InternalError("unable to find audio backend for sound device")
    number = wanted or (devices.audios[0].id if devices.audios else None)
    return f"audio{number}" if number is not None else None


def speaker_audio(builder: Builder) -> str | None:
    """Id of the backend of the PC speaker, which the machine has built in."""
    devices = builder.domain.devices
    assert devices is not None
    for sound in devices.sounds:
        if sound.model is SoundModel.PCSPK:
            return default_audio(builder, sound.audio_id)
    return None


def add_sounds(builder: Builder) -> None:
    """Sound cards."""
    devices = builder.domain.devices
    assert devices is not None
    for sound in devices.sounds:
        if sound.model is SoundModel.PCSPK:
            continue
        builder.device(_card(builder, sound) | place(builder, sound))
        if sound.model in (SoundModel.ICH6, SoundModel.ICH9):
            audio = default_audio(builder, sound.audio_id)
            for number, codec in enumerate(sound.codecs or [SoundCodec.DUPLEX]):
                builder.device(
                    {
                        "driver": f"hda-{codec}",
                        "id": f"{sound.alias}-codec{number}",
                        "bus": f"{sound.alias}.0",
                        "cad": number,
                        "audiodev": audio,
                    }
                )


def _card(builder: Builder, sound: Sound) -> dict[str, object]:
    audio = default_audio(builder, sound.audio_id)
    if sound.model is SoundModel.VIRTIO:
        return virtio("virtio-sound", sound, None, sound.driver) | {
            "id": sound.alias,
            "audiodev": audio,
            "streams": sound.streams or None,
        }
    if sound.model not in _CARDS:
        raise InternalError(f"invalid sound model '{sound.model}'")
    props: dict[str, object] = {"driver": _CARDS[sound.model], "id": sound.alias}
    if sound.model not in (SoundModel.ICH6, SoundModel.ICH9):
        props["audiodev"] = audio
    if sound.model is SoundModel.USB:
        props["multi"] = sound.multichannel
    return props
