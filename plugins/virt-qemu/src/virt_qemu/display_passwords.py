"""Passwords of displays, which QEMU is told where nobody sees them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from virtcore.model.domain.graphics import SpiceGraphics, VNCGraphics

if TYPE_CHECKING:
    from virt_qemu.monitor import JSON, Monitor
    from virt_qemu.settings.table import QemuSettings
    from virtcore.model.domain import Domain

__all__ = ["has_expired", "set_password", "set_passwords"]


def _seconds(moment: str) -> int:
    """Seconds since 1970 of a moment as domains have it."""
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())


def has_expired(graphics: VNCGraphics | SpiceGraphics) -> bool:
    """Whether a display's password is not valid any more."""
    return graphics.passwd_valid_to is not None and _seconds(graphics.passwd_valid_to) <= datetime.now(UTC).timestamp()


async def set_passwords(monitor: Monitor, domain: Domain, settings: QemuSettings, limit: float = 30.0) -> None:
    """Tell QEMU the passwords of a guest's displays.

    :raises VirtError: QEMU refuses one.
    """
    assert domain.devices is not None
    for graphics in domain.devices.graphics:
        if isinstance(graphics, VNCGraphics | SpiceGraphics):
            default = settings.vnc_password if isinstance(graphics, VNCGraphics) else settings.spice_password
            await set_password(monitor, graphics, default, limit)


async def set_password(
    monitor: Monitor, graphics: VNCGraphics | SpiceGraphics, default: str | None = None, limit: float = 30.0
) -> None:
    """Tell QEMU the password of a display.

    :param default: where the display has none of its own; None: then it needs none.
    :raises VirtError: QEMU refuses it.
    """
    password = graphics.passwd if graphics.passwd is not None else default
    if password is None:
        return
    protocol = "vnc" if isinstance(graphics, VNCGraphics) else "spice"
    arguments: dict[str, JSON] = {"protocol": protocol, "password": password}
    if graphics.connected is not None:
        arguments["connected"] = str(graphics.connected)
    await monitor.execute("set_password", arguments, limit=limit)
    until = "never"
    if not password or has_expired(graphics):
        until = "now"
    elif graphics.passwd_valid_to is not None:
        until = str(_seconds(graphics.passwd_valid_to))
    await monitor.execute("expire_password", {"protocol": protocol, "time": until}, limit=limit)
