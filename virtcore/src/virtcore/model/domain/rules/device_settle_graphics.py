"""Displays as libvirt's parser leaves them: where they listen, which ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.graphics import (
    AddressListen,
    ConnectedAction,
    NetworkListen,
    RDPGraphics,
    SocketListen,
    SpiceChannelMode,
    SpiceChannelName,
    SpiceGraphics,
    VNCGraphics,
)

if TYPE_CHECKING:
    from virtcore.model.domain.graphics import Graphics, GraphicsAuth
    from virtcore.model.domain.rules.context import DomainContext

__all__ = ["settle_graphics"]


def settle_graphics(graphics: Graphics, context: DomainContext) -> None:
    """A display.

    :raises VirtError: what libvirt's parser refuses.
    """
    _settle(graphics, context)
    if context.status and isinstance(graphics, (VNCGraphics, SpiceGraphics, RDPGraphics)):
        for listen in graphics.listens:
            listen.from_config = listen.from_config or 0
            listen.auto_generated = bool(listen.auto_generated)
        if isinstance(graphics, VNCGraphics):
            graphics.websocket_generated = bool(graphics.websocket_generated)


def _settle(graphics: Graphics, context: DomainContext) -> None:
    if isinstance(graphics, VNCGraphics):
        _settle_vnc(graphics, context)
    elif isinstance(graphics, SpiceGraphics):
        _settle_spice(graphics, context)
    elif isinstance(graphics, RDPGraphics):
        _settle_listens(graphics, None)
        if graphics.port is None or graphics.port == -1:
            graphics.autoport = True
        graphics.autoport = bool(graphics.autoport)
        if graphics.autoport and context.inactive:
            graphics.port = None
        _settle_auth(graphics)


def _settle_vnc(graphics: VNCGraphics, context: DomainContext) -> None:
    _settle_listens(graphics, graphics.socket)
    graphics.socket = None
    said = graphics.autoport
    graphics.autoport = graphics.port is None or graphics.port == -1
    if graphics.port == -1 and context.inactive:
        graphics.port = None
    if said is not None:
        graphics.autoport = said
        if said and context.inactive:
            graphics.port = None
    _settle_auth(graphics)
    if graphics.connected not in (None, ConnectedAction.KEEP):
        raise ConfigUnsupported("VNC supports connected='keep' only")


def _settle_spice(graphics: SpiceGraphics, context: DomainContext) -> None:
    _settle_listens(graphics, None)
    graphics.autoport = bool(graphics.autoport) or (graphics.port == -1 and graphics.tls_port == -1)
    if graphics.autoport and context.inactive:
        graphics.port = graphics.tls_port = None
    _settle_auth(graphics)
    modes = {channel.name: channel for channel in graphics.channels if channel.mode is not SpiceChannelMode.ANY}
    graphics.channels = [modes[name] for name in SpiceChannelName if name in modes]


def _settle_auth(graphics: GraphicsAuth) -> None:
    if graphics.passwd is None:
        graphics.username = graphics.passwd_valid_to = graphics.connected = None


def _settle_listens(graphics: VNCGraphics | SpiceGraphics | RDPGraphics, socket: str | None) -> None:
    """The attributes of old documents become the first ``<listen>``."""
    listens = graphics.listens
    if not listens:
        old = SocketListen(socket=socket or None) if socket is not None else AddressListen(address=graphics.listen)
        graphics.listens = [old]
    else:
        first = listens[0]
        if isinstance(first, AddressListen):
            if first.address and graphics.listen and first.address != graphics.listen:
                raise ConfigUnsupported(
                    f"graphics 'listen' attribute '{graphics.listen}' must match 'address' attribute of first listen "
                    f"element (found '{first.address}')"
                )
            first.address = first.address or graphics.listen
        elif isinstance(first, SocketListen):
            if first.socket and socket and first.socket != socket:
                raise ConfigUnsupported(
                    f"graphics 'socket' attribute '{socket}' must match 'socket' attribute of first listen element "
                    f"(found '{first.socket}')"
                )
            first.socket = first.socket or socket
        if socket is not None and isinstance(first, (AddressListen, NetworkListen)):
            listens[0] = SocketListen(socket=socket or None)
    graphics.listen = None
