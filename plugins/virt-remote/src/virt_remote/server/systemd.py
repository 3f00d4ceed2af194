"""What systemd and a daemon say to each other: inherited sockets and notes about the daemon's state."""

from __future__ import annotations

import os
import socket
import time
from typing import Final

__all__ = ["inherited_sockets", "notify", "notify_reloading"]

_FIRST: Final = 3


def inherited_sockets() -> list[socket.socket]:
    """Listening sockets that systemd opened for us (``LISTEN_FDS``); asked for once."""
    pid, count = os.environ.pop("LISTEN_PID", None), os.environ.pop("LISTEN_FDS", None)
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or count is None or not count.isdecimal():
        return []
    found = []
    for fd in range(_FIRST, _FIRST + int(count)):
        os.set_inheritable(fd, False)
        found.append(socket.socket(fileno=fd))
    return found


def notify(state: str) -> None:
    """Tell systemd something (``READY=1``), where it wants to know."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return  # nobody listens any more: nothing of ours depends on it


def notify_reloading() -> None:
    """Tell systemd that the settings are being read anew; ``READY=1`` follows."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
