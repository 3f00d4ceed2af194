"""Where a guest's sound goes that says nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.audio import (
    ALSAAudio,
    CoreAudio,
    DBusAudio,
    FileAudio,
    JackAudio,
    NoAudio,
    OSSAudio,
    PipewireAudio,
    PulseAudio,
    SDLAudio,
    SDLAudioDriver,
    SpiceAudio,
)
from virtcore.model.domain.graphics import SDLGraphics, SpiceGraphics, VNCGraphics

if TYPE_CHECKING:
    from virtcore.model.domain.audio import Audio
    from virtcore.model.domain.domain import Domain

__all__ = ["BACKENDS", "HostAudio", "add_default_audio"]

#: QEMU's names of sound systems, as ``-audiodev`` and ``QEMU_AUDIO_DRV`` have them.
BACKENDS: dict[str, type[Audio]] = {
    "none": NoAudio,
    "alsa": ALSAAudio,
    "coreaudio": CoreAudio,
    "jack": JackAudio,
    "oss": OSSAudio,
    "pa": PulseAudio,
    "sdl": SDLAudio,
    "spice": SpiceAudio,
    "wav": FileAudio,
    "dbus": DBusAudio,
    "pipewire": PipewireAudio,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAudio:
    """What guests may have of the host's sound.

    :ivar driver: ``QEMU_AUDIO_DRV``: the sound system.
    :ivar sdl_driver: ``SDL_AUDIODRIVER``: what SDL uses.
    :ivar vnc: guests with VNC play on the host (``vnc_allow_host_audio``).
    :ivar nographics: so do those without a display (``nographics_allow_host_audio``).
    """

    driver: str | None = None
    sdl_driver: str | None = None
    vnc: bool = False
    nographics: bool = False

    @classmethod
    def of_environment(
        cls, environment: Mapping[str, str], *, vnc: bool = False, nographics: bool = False
    ) -> HostAudio:
        """As the environment of the driver says."""
        driver, sdl = environment.get("QEMU_AUDIO_DRV"), environment.get("SDL_AUDIODRIVER")
        return cls(driver=driver, sdl_driver=sdl, vnc=vnc, nographics=nographics)

    def backend(self) -> Audio | None:
        """The sound system; None: QEMU chooses.

        :raises ConfigUnsupported: the environment names one that there is not.
        """
        if self.driver is None:
            return None
        kind = BACKENDS.get(self.driver)
        if kind is None:
            raise ConfigUnsupported(f"unknown QEMU_AUDIO_DRV setting {self.driver}")
        if kind is not SDLAudio or self.sdl_driver is None:
            return kind(id=1)
        if self.sdl_driver not in list(SDLAudioDriver):
            raise ConfigUnsupported(f"unknown SDL_AUDIODRIVER setting {self.sdl_driver}")
        return SDLAudio(id=1, driver=SDLAudioDriver(self.sdl_driver))


def add_default_audio(domain: Domain, host: HostAudio) -> None:
    """Sound goes nowhere with VNC or without a display, to the client with SPICE.

    A window on the host (SDL) plays through the host's sound system.

    :raises ConfigUnsupported: there is no such.
    """
    assert domain.devices is not None
    devices = domain.devices
    if devices.audios:
        return
    found: Audio | None = None
    if not devices.graphics:
        found = host.backend() if host.nographics else NoAudio(id=1)
    for graphics in devices.graphics:
        if isinstance(graphics, VNCGraphics):
            found = host.backend() if host.vnc else NoAudio(id=1)
        elif isinstance(graphics, SpiceGraphics):
            found = SpiceAudio(id=1)
        elif isinstance(graphics, SDLGraphics):
            found = host.backend()
    if found is not None:
        devices.audios.append(found)
