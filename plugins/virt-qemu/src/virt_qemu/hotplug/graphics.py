"""Displays: their passwords change, and what of a display cannot change while a guest runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.display_passwords import set_password
from virt_qemu.hotplug.session import kind_of
from virtcore.errors import DeviceMissing, InternalError, OperationUnsupported
from virtcore.model.domain.graphics import (
    AddressListen,
    ConnectedAction,
    NetworkListen,
    RDPGraphics,
    SocketListen,
    SpiceGraphics,
    VNCGraphics,
)

if TYPE_CHECKING:
    from virt_qemu.hotplug.session import Session
    from virtcore.model.domain.graphics import Graphics, Listen

__all__ = ["change_graphics", "find_graphics"]


def find_graphics(present: list[Graphics], wanted: Graphics) -> Graphics | None:
    """The display of the same kind."""
    return next((one for one in present if type(one) is type(wanted)), None)


async def change_graphics(session: Session, new: Graphics) -> None:
    """Change a display (``qemuDomainChangeGraphics``): its password, and nothing else.

    :raises VirtError: something else is to change, or QEMU refused.
    """
    kind = kind_of(new)
    old = find_graphics(session.devices.graphics, new)
    if old is None:
        raise DeviceMissing(f"cannot find existing graphics device to modify of type '{kind}'")
    _check_listens(kind, getattr(old, "listens", []), getattr(new, "listens", []))
    if isinstance(new, RDPGraphics) and isinstance(old, RDPGraphics):
        await _change_rdp(session, old, new)
        return
    if not isinstance(new, VNCGraphics | SpiceGraphics) or not isinstance(old, VNCGraphics | SpiceGraphics):
        raise InternalError(f"unable to change config on '{kind}' graphics type")
    ports = ("port", "tls_port") if isinstance(new, SpiceGraphics) else ("port",)
    moved = any((getattr(old, name) or 0) != (getattr(new, name) or 0) for name in ports)
    if bool(old.autoport) != bool(new.autoport) or (not new.autoport and moved):
        raise OperationUnsupported(f"cannot change port settings on {kind} graphics")
    if old.keymap != new.keymap:
        raise OperationUnsupported(f"cannot change keymap setting on {kind} graphics")
    if (
        old.passwd_valid_to is not None
        or new.passwd_valid_to is not None
        or old.connected != new.connected
        or (isinstance(new, SpiceGraphics) and new.connected is ConnectedAction.DISCONNECT)
        or old.passwd != new.passwd
    ):
        await set_password(session.monitor, new, session.host.display_password(kind))
        old.passwd, old.passwd_valid_to, old.connected = new.passwd, new.passwd_valid_to, new.connected
        session.obj.touch()


async def _change_rdp(session: Session, old: RDPGraphics, new: RDPGraphics) -> None:
    """Who may log in, which the program that serves the display is told."""
    moved = not new.autoport and (old.port or 0) != (new.port or 0)
    if bool(old.autoport) != bool(new.autoport) or moved:
        raise OperationUnsupported("cannot change port settings on rdp graphics")
    if (old.username, old.passwd) != (new.username, new.passwd):
        await session.host.tell_credentials(session.guest, new)
        old.username, old.passwd = new.username, new.passwd
        session.obj.touch()


def _check_listens(kind: str, old: list[Listen], new: list[Listen]) -> None:
    if len(old) != len(new):
        raise OperationUnsupported(f"cannot change the number of listen addresses on '{kind}' graphics")
    for ours, theirs in zip(old, new, strict=True):
        if type(ours) is not type(theirs):
            raise OperationUnsupported(f"cannot change the type of listen address on '{kind}' graphics")
        if isinstance(ours, SocketListen) and isinstance(theirs, SocketListen):
            if ours.socket != theirs.socket:
                raise OperationUnsupported(f"cannot change listen socket setting on '{kind}' graphics")
        else:
            name = "network" if isinstance(ours, NetworkListen) else "address"
            moved = getattr(ours, name, None) != getattr(theirs, name, None)
            if isinstance(ours, AddressListen | NetworkListen) and moved:
                raise OperationUnsupported(f"cannot change listen address setting on '{kind}' graphics")
