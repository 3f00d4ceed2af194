"""firewalld, which makes the host's firewall anew when it starts or is told to: what others had put there is gone then.

D-Bus tells. The bus is listened to by a thread that sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

__all__ = ["FirewalldWatch"]

log = logging.getLogger(__name__)

_NAME: Final = "org.fedoraproject.FirewallD1"
#: Where the system's bus is, unless the environment says otherwise.
_SYSTEM_BUS: Final = "/run/dbus/system_bus_socket"


class FirewalldWatch:
    """Waits for firewalld to make the firewall anew, until it is closed. Belongs to the core loop.

    :param changed: called there when that has happened.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._connection: Any = None
        if "DBUS_SYSTEM_BUS_ADDRESS" in os.environ or os.path.exists(_SYSTEM_BUS):
            threading.Thread(target=self._run, name="virtcore-firewalld", daemon=True).start()

    def close(self) -> None:
        """Listen no more. A second call does nothing."""
        self._closed = True
        if self._connection is not None:
            with contextlib.suppress(OSError):  # the bus has gone before
                self._connection.sock.shutdown(socket.SHUT_RDWR)  # wakes up the thread; closing would not

    def _run(self) -> None:
        from jeepney.io.blocking import open_dbus_connection  # type: ignore[import-untyped]

        try:
            with contextlib.closing(open_dbus_connection("SYSTEM")) as connection:
                self._connection = connection
                if not self._closed:
                    self._listen(connection)
        except Exception as error:  # noqa: BLE001  # of whatever kind: a host without firewalld is none the worse for it
            if not self._closed:
                log.info("nobody tells of firewalld: %s", error)

    def _listen(self, connection: Any) -> None:
        from jeepney import MatchRule, message_bus  # type: ignore[import-untyped]

        owner = MatchRule(
            type="signal", sender="org.freedesktop.DBus", interface="org.freedesktop.DBus", member="NameOwnerChanged"
        )
        owner.add_arg_condition(0, _NAME)
        reloaded = MatchRule(type="signal", interface=_NAME, member="Reloaded")
        for rule in (owner, reloaded):
            connection.send_and_get_reply(message_bus.AddMatch(rule))
        while True:
            message = connection.receive()
            # It has no owner while it is away: then nothing was made anew.
            if reloaded.matches(message) or (owner.matches(message) and message.body[0] == _NAME and message.body[2]):
                log.info("firewalld has made the firewall anew")
                try:
                    self._loop.call_soon_threadsafe(self._tell)
                except RuntimeError:
                    return  # the loop has ended

    def _tell(self) -> None:
        if not self._closed:
            self._changed()
