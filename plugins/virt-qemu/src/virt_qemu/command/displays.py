"""Displays: VNC, SPICE, windows on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.audio import default_audio
from virt_qemu.command.line import Builder, escape, on_off, unsupported
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.graphics import (
    AddressListen,
    DBusGraphics,
    EGLHeadlessGraphics,
    NetworkListen,
    NoListen,
    RDPGraphics,
    SDLGraphics,
    SocketListen,
    SpiceChannelName,
    SpiceGraphics,
    VNCGraphics,
)

if TYPE_CHECKING:
    from virtcore.model.domain.graphics import GL, Listen

__all__ = ["add_graphics"]


_CHANNELS = list(SpiceChannelName)


def add_graphics(builder: Builder) -> None:
    """Displays."""
    devices = builder.domain.devices
    assert devices is not None
    for graphics in devices.graphics:
        if len(getattr(graphics, "listens", ())) > 1:
            raise ConfigUnsupported("QEMU does not support multiple listens for one graphics device.")
    kinds = [type(graphics) for graphics in devices.graphics]
    if len(set(kinds)) < len(kinds):
        raise ConfigUnsupported(
            "only 1 graphics device of each type (sdl, vnc, spice, headless, dbus, rdp) is supported"
        )
    for graphics in devices.graphics:
        if isinstance(graphics, VNCGraphics):
            _add_vnc(builder, graphics)
        elif isinstance(graphics, SpiceGraphics):
            _add_spice(builder, graphics)
        elif isinstance(graphics, SDLGraphics):
            _add_sdl(builder, graphics)
        elif isinstance(graphics, EGLHeadlessGraphics):
            graphics.rendernode = graphics.rendernode or builder.resources.render_node()
            builder.add("-display", f"egl-headless,rendernode={escape(graphics.rendernode)}")
        elif isinstance(graphics, DBusGraphics):
            _add_dbus(builder, graphics)
        elif not isinstance(graphics, RDPGraphics):  # that is served by a program, from the display on D-Bus
            raise unsupported(f"a display of this kind ({type(graphics).__name__})")


def _first(listens: list[Listen]) -> Listen:
    if not listens:
        raise InternalError("missing listen element")
    return listens[0]


def _add_vnc(builder: Builder, graphics: VNCGraphics) -> None:
    listen, host = _first(graphics.listens), builder.host
    if isinstance(listen, SocketListen):
        words = [f"vnc=unix:{escape(listen.socket or '')}"]
    elif isinstance(listen, AddressListen | NetworkListen):
        port = graphics.port or 0
        if not 5900 <= port <= 65535:
            raise ConfigUnsupported("vnc port must be in range [5900,65535]")
        address = listen.address or ""
        words = [f"{f'[{address}]' if ':' in address else address}:{port - 5900}"]
        if graphics.websocket:
            words.append(f"websocket={graphics.websocket}")
    else:
        assert isinstance(listen, NoListen)
        words = ["none"]
    if graphics.share_policy is not None and graphics.share_policy != "default":
        words.append(f"share={graphics.share_policy}")
    if graphics.passwd is not None or host.vnc_password:
        words.append("password=on")  # itself it is told the monitor, where nobody sees it
    if host.vnc_tls:
        builder.tls_credentials(
            "vnc-tls-creds0",
            host.vnc_tls,
            server=True,
            verify=host.vnc_tls_verify,
            secret=("vnc-tls-creds0-secret0", host.vnc_tls_secret),
        )
        words.append("tls-creds=vnc-tls-creds0")
    if host.vnc_sasl:
        builder.environment["SASL_CONF_PATH"] = host.vnc_sasl
        words.append("sasl=on")
    if graphics.power_control is not None:
        words.append(f"power-control={on_off(graphics.power_control)}")
    audio = default_audio(builder, graphics.audio_id)
    if audio is not None:
        words.append(f"audiodev={audio}")
    builder.add("-vnc", ",".join(words))
    if graphics.keymap is not None:
        builder.add("-k", graphics.keymap)


def _add_spice(builder: Builder, graphics: SpiceGraphics) -> None:
    host, words = builder.host, []
    listen = _first(graphics.listens)
    port, tls_port = graphics.port or 0, graphics.tls_port or 0
    secure = False
    if isinstance(listen, SocketListen):
        words += ["unix=on", f"addr={escape(listen.socket or '')}"]
    elif isinstance(listen, AddressListen | NetworkListen):
        if tls_port > 0 and not host.spice_tls:
            raise ConfigUnsupported("spice TLS port set in XML configuration, but TLS is disabled in qemu.conf")
        words += [f"port={port}"] if port > 0 else []
        words += [f"tls-port={tls_port}"] if tls_port > 0 else []
        words += [f"addr={listen.address}"] if listen.address else []
        secure = tls_port > 0
        if not words:
            words.append("port=0")
    else:
        words.append("port=0")
    if host.spice_sasl:
        words.append("sasl=on")
        builder.environment["SASL_CONF_PATH"] = host.spice_sasl
    if graphics.mouse is not None:
        words.append(f"agent-mouse={'on' if graphics.mouse == 'client' else 'off'}")
    if graphics.passwd is None and not host.spice_password:
        words.append("disable-ticketing=on")
    if secure:
        words.append(f"x509-dir={escape(host.spice_tls or '')}")
    words += _spice_channels(graphics, secure)
    for name, value in (
        ("image-compression", graphics.image_compression),
        ("jpeg-wan-compression", graphics.jpeg_compression),
        ("zlib-glz-wan-compression", graphics.zlib_compression),
        ("playback-compression", graphics.playback_compression),
        ("streaming-video", graphics.streaming),
    ):
        if value is not None:
            words.append(f"{name}={on_off(value) if isinstance(value, bool) else value}")
    if graphics.clipboard is False:
        words.append("disable-copy-paste=on")
    if graphics.filetransfer is False:
        words.append("disable-agent-file-xfer=on")
    words += _gl(builder, graphics.gl)
    words.append("seamless-migration=on")
    builder.add("-spice", ",".join(words))
    if graphics.keymap is not None:
        builder.add("-k", graphics.keymap)


def _spice_channels(graphics: SpiceGraphics, secure: bool) -> list[str]:
    words = []
    if graphics.default_mode == "secure":
        if not secure:
            raise ConfigUnsupported(
                "spice defaultMode secure requested in XML configuration, but TLS connection is not available"
            )
        words.append("tls-channel=default")
    elif graphics.default_mode == "insecure":
        words.append("plaintext-channel=default")
    for channel in sorted(graphics.channels, key=lambda each: _CHANNELS.index(each.name)):
        if channel.mode == "secure":
            if not secure:
                raise ConfigUnsupported(
                    "spice secure channels set in XML configuration, but TLS connection is not available"
                )
            words.append(f"tls-channel={channel.name}")
        elif channel.mode == "insecure":
            words.append(f"plaintext-channel={channel.name}")
    return words


def _gl(builder: Builder, gl: GL | None) -> list[str]:
    if gl is None or not gl.enable:
        return []
    gl.rendernode = gl.rendernode or builder.resources.render_node()
    return ["gl=on", f"rendernode={escape(gl.rendernode)}"]


def _add_sdl(builder: Builder, graphics: SDLGraphics) -> None:
    if graphics.xauth is not None:
        builder.environment["XAUTHORITY"] = graphics.xauth
    if graphics.display is not None:
        builder.environment["DISPLAY"] = graphics.display
    if graphics.fullscreen:
        builder.add("-full-screen")
    gl = graphics.gl.enable if graphics.gl is not None else None
    words = ["sdl", *([f"gl={on_off(gl)}"] if gl is not None else [])]
    builder.add("-display", ",".join(words))


def _add_dbus(builder: Builder, graphics: DBusGraphics) -> None:
    words = ["dbus"]
    if graphics.p2p:
        words.append("p2p=on")
    elif graphics.address is not None:
        words.append(f"addr={escape(graphics.address)}")
    gl = graphics.gl
    if gl is not None:
        if gl.enable:
            gl.rendernode = gl.rendernode or builder.resources.render_node()
        words += [f"gl={on_off(gl.enable)}"] if gl.enable is not None else []
        words += [f"rendernode={escape(gl.rendernode)}"] if gl.rendernode is not None else []
    if graphics.audio_id:
        words.append(f"audiodev={default_audio(builder, graphics.audio_id)}")
    builder.add("-display", ",".join(words))
