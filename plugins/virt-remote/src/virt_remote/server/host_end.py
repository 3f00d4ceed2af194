"""The end of the host, or of a user's session, as D-Bus tells of it.

logind says on the system's bus when the host goes down, and waits a while for whoever has asked it to. A session's bus
ends with the session. Each bus is listened to by a thread that sleeps: asyncio's connections take no descriptors,
and one of logind's is what it waits for.
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

__all__ = ["HostEnd"]

log = logging.getLogger("virtcored.host")

_LOGIND: Final = "org.freedesktop.login1"
_MANAGER: Final = "org.freedesktop.login1.Manager"
_PATH: Final = "/org/freedesktop/login1"
#: Where the system's bus is, unless the environment says otherwise.
_SYSTEM_BUS: Final = "/run/dbus/system_bus_socket"


class HostEnd:
    """Waits for the end of the host, or of the user's session.

    :param ending: called in the running loop when it begins.
    :param privileged: the host's daemon, which belongs to no session.
    """

    def __init__(self, ending: Callable[[], None], *, privileged: bool) -> None:
        self._ending = ending
        self._privileged = privileged
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._connections: list[Any] = []

    def watch(self) -> None:
        """Listen to the buses that there are."""
        if "DBUS_SYSTEM_BUS_ADDRESS" in os.environ or os.path.exists(_SYSTEM_BUS):
            self._start("SYSTEM", self._watch_logind)
        if not self._privileged and "DBUS_SESSION_BUS_ADDRESS" in os.environ:
            self._start("SESSION", self._watch_session)

    def _start(self, bus: str, work: Callable[[Any], None]) -> None:
        def run() -> None:
            try:
                with contextlib.closing(self._connected(bus)) as connection:
                    work(connection)
            except Exception as error:  # noqa: BLE001  # of whatever kind: it is no reason for the daemon not to serve
                if not self._closed:
                    log.info("a bus tells nothing of the host's end: %s", error)

        threading.Thread(target=run, name="virtcored-host-end", daemon=True).start()

    def _connected(self, bus: str) -> Any:
        from jeepney.io.blocking import open_dbus_connection  # type: ignore[import-untyped]

        connection = open_dbus_connection(bus, enable_fds=True)
        self._connections.append(connection)
        return connection

    def _watch_logind(self, connection: Any) -> None:
        """Have logind wait for us, and listen for what it says."""
        from jeepney import (  # type: ignore[import-untyped]
            DBusAddress,
            MatchRule,
            MessageType,
            message_bus,
            new_method_call,
        )

        rule = MatchRule(type="signal", interface=_MANAGER, member="PrepareForShutdown", path=_PATH)
        connection.send_and_get_reply(message_bus.AddMatch(rule))
        manager = DBusAddress(_PATH, bus_name=_LOGIND, interface=_MANAGER)
        words = ("shutdown", "virtcore", "Virtual machines need to be saved", "delay")
        reply = connection.send_and_get_reply(new_method_call(manager, "Inhibit", "ssss", words))
        with contextlib.ExitStack() as held:
            if reply.header.message_type is MessageType.error:
                log.info("logind does not wait for guests: %s", reply.body)
            else:
                held.callback(reply.body[0].close)
            while True:
                message = connection.receive()
                if rule.matches(message) and message.body == (True,):
                    log.info("the host goes down")
                    self._tell()

    def _watch_session(self, connection: Any) -> None:
        """Listen until the session's bus is gone."""
        from jeepney import message_bus

        connection.send_and_get_reply(message_bus.GetId())
        try:
            while True:
                connection.receive()
        except (OSError, EOFError):
            if not self._closed:
                log.info("the session ends")
                self._tell()

    def _tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ending)
        except RuntimeError:
            log.debug("the daemon has ended before")

    def close(self) -> None:
        """Listen no more; logind waits no more."""
        self._closed = True
        for connection in self._connections:
            with contextlib.suppress(OSError):  # the bus has gone before
                connection.sock.shutdown(socket.SHUT_RDWR)  # wakes up whoever listens; closing would not
