"""Displays: ``vnc``, ``sdl``, ``spice`` of fully virtual guests, ``vfb`` of others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virt_xen.config.settings import in_list
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.graphics import (
    AddressListen,
    MouseMode,
    NetworkListen,
    SDLGraphics,
    SpiceGraphics,
    VNCGraphics,
)
from virtcore.model.domain.os import OSType
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virt_xen.config.settings import Output, Settings
    from virtcore.model.domain.domain import Domain

__all__ = ["FIRST_PORT", "listen_address", "read_displays", "read_spice", "write_displays", "write_spice"]

#: The port of display 0.
FIRST_PORT = 5900
_LAST_PORT = 65535
_LONGEST_VFB = 1023
_DISPLAY = re.compile(r"[0-9]{1,5}")


# -- reading


def read_displays(settings: Settings, domain: Domain) -> None:
    """VNC and SDL; one display at most.

    :raises VirtError: it is malformed.
    """
    assert domain.devices is not None
    graphics = domain.devices.graphics
    if domain.os_type is not OSType.HVM:
        framebuffers = settings.only_strings("vfb")
        if framebuffers:
            graphics.append(_read_vfb(framebuffers[0]))
    elif settings.boolean("vnc", False):
        graphics.append(_read_vnc(settings))
    elif settings.boolean("sdl", False):
        graphics.append(SDLGraphics(display=settings.string("display"), xauth=settings.string("xauthority")))


def _read_vnc(settings: Settings) -> VNCGraphics:
    vnc = VNCGraphics(autoport=settings.boolean("vncunused", True) is True)
    if not vnc.autoport:
        vnc.port = _port(settings.number("vncdisplay", 0))
    vnc.listens.append(AddressListen(address=settings.string("vnclisten")))
    vnc.passwd = settings.string("vncpasswd")
    vnc.keymap = settings.string("keymap")
    return vnc


def _port(display: int) -> int:
    if display > _LAST_PORT - FIRST_PORT:
        raise InternalError(f"invalid vncdisplay value '{display}'", value=str(display))
    return display + FIRST_PORT


def _read_vfb(entry: str) -> VNCGraphics | SDLGraphics:
    """A paravirtual frame buffer. What is no pair ends it; keys that are unknown are skipped."""
    if len(entry) > _LONGEST_VFB:
        raise InternalError(f"VFB {entry} too big for destination")
    said: dict[str, str] = {}
    for part in entry.split(","):
        key, equals, value = part.lstrip(" \t").partition("=")
        if not equals:
            break
        said[key] = value
    if "type=sdl" in entry:
        return SDLGraphics(display=said.get("display"), xauth=said.get("xauthority"))
    vnc = VNCGraphics(autoport=said.get("vncunused") == "1", passwd=said.get("vncpasswd"), keymap=said.get("keymap"))
    if "vncdisplay" in said:
        if not _DISPLAY.fullmatch(said["vncdisplay"]):
            raise InternalError(f"invalid vncdisplay value '{said['vncdisplay']}'", value=said["vncdisplay"])
        vnc.port = _port(int(said["vncdisplay"]))
    vnc.listens.append(AddressListen(address=said.get("vnclisten")))
    return vnc


def read_spice(settings: Settings, domain: Domain) -> None:
    """Spice, in place of any other display.

    :raises InternalError: the password is missing.
    """
    assert domain.devices is not None
    if domain.os_type is not OSType.HVM or not settings.boolean("spice", False):
        return
    spice = SpiceGraphics(listens=[AddressListen(address=settings.string("spicehost"))])
    ports = settings.number("spicetls_port", 0), settings.number("spiceport", 0)
    if max(ports) > _LAST_PORT:
        raise InternalError("config value spiceport was malformed", value=str(max(ports)))
    spice.tls_port, spice.port = (port or None for port in ports)
    spice.autoport = not any(ports)
    if not settings.boolean("spicedisable_ticketing", False):
        spice.passwd = settings.required("spicepasswd")
    spice.mouse = MouseMode.CLIENT if settings.boolean("spiceagent_mouse", False) else MouseMode.SERVER
    spice.clipboard = settings.boolean("spice_clipboard_sharing", False) is True
    domain.devices.graphics = [spice]


# -- writing


def write_displays(domain: Domain, output: Output) -> None:
    """VNC and SDL, where it is the only display.

    :raises ConfigUnsupported: it is of a kind that Xen has not.
    """
    assert domain.devices is not None
    displays = domain.devices.graphics
    if len(displays) != 1 or isinstance(displays[0], SpiceGraphics):
        return
    display = displays[0]
    full = domain.os_type is OSType.HVM
    if isinstance(display, SDLGraphics):
        said = {"display": display.display, "xauthority": display.xauth}
        if full:
            output.set("sdl", 1)
            output.set("vnc", 0)
    elif isinstance(display, VNCGraphics):
        if full:
            output.set("sdl", 0)
            output.set("vnc", 1)
        said = _vnc(display)
    else:
        kind = declaration(type(display)).tag
        raise ConfigUnsupported(f"unsupported graphics type '{kind}'", value=str(kind))
    if full:
        for key, value in said.items():
            output.set(key, int(value) if key in ("vncunused", "vncdisplay") and value is not None else value)
        return
    words = ["type=sdl" if isinstance(display, SDLGraphics) else "type=vnc"]
    words += [f"{key}={in_list(value, key)}" for key, value in said.items() if value is not None]
    output.set_list("vfb", [",".join(words)])


def _vnc(display: VNCGraphics) -> dict[str, str | None]:
    autoport = bool(display.autoport)
    return {
        "vncunused": str(int(autoport)),
        "vncdisplay": None if autoport else str((display.port or 0) - FIRST_PORT),
        "vnclisten": listen_address(display),
        "vncpasswd": display.passwd,
        "keymap": display.keymap,
    }


def listen_address(display: VNCGraphics | SpiceGraphics) -> str | None:
    """Where a display listens."""
    first = display.listens[0] if display.listens else None
    return first.address if isinstance(first, AddressListen | NetworkListen) else None


def write_spice(domain: Domain, output: Output) -> None:
    """Spice, where it is the first display of a fully virtual guest."""
    assert domain.devices is not None
    spice = domain.devices.graphics[0] if domain.devices.graphics else None
    if domain.os_type is not OSType.HVM or not isinstance(spice, SpiceGraphics):
        return
    output.set("sdl", 0)
    output.set("vnc", 0)
    output.set("spice", 1)
    output.set("spicehost", listen_address(spice))
    output.set("spiceport", spice.port or 0)
    output.set("spicetls_port", spice.tls_port or 0)
    output.set("spicedisable_ticketing", spice.passwd is None)
    output.set("spicepasswd", spice.passwd)
    if spice.mouse is not None:
        output.set("spiceagent_mouse", spice.mouse is MouseMode.CLIENT)
        if spice.mouse is MouseMode.CLIENT:
            # The pointer is the agent's affair, and so is the clipboard.
            output.set("spicevdagent", 1)
    if spice.clipboard:
        output.set("spice_clipboard_sharing", 1)
        output.set("spicevdagent", 1)
