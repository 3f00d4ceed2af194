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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from virtcore.errors import DBusService, InternalError

__all__ = ["FirewalldWatch", "leave_zone", "put_into_zone"]

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


# ---------------------------------------------------------------------------------------------------------------- zones

_PATH: Final = "/org/fedoraproject/FirewallD1"
_LIMIT: Final = 30.0
"""Seconds firewalld has to answer."""


@contextmanager
def _bus() -> Iterator[Any]:
    """The system's bus; None: the host has none."""
    if "DBUS_SYSTEM_BUS_ADDRESS" not in os.environ and not os.path.exists(_SYSTEM_BUS):
        yield None
        return
    from jeepney.io.blocking import open_dbus_connection

    try:
        connection = open_dbus_connection("SYSTEM")
    except OSError:
        yield None
        return
    with contextlib.closing(connection):
        yield connection


def _ask(bus: Any, part: str, method: str, *words: str) -> Any:
    """firewalld's answer.

    :raises DBusService: it refuses.
    """
    from jeepney import DBusAddress, MessageType, new_method_call

    where = DBusAddress(_PATH, bus_name=_NAME, interface=f"{_NAME}.{part}")
    reply = bus.send_and_get_reply(new_method_call(where, method, "s" * len(words) or None, words), timeout=_LIMIT)
    if reply.header.message_type is MessageType.error:
        raise DBusService(str(reply.body[0] if reply.body else method))
    return reply.body[0] if reply.body else None


def _runs(bus: Any) -> bool:
    from jeepney import message_bus

    return bus is not None and bool(bus.send_and_get_reply(message_bus.NameHasOwner(_NAME)).body[0])


def put_into_zone(network: str, bridge: str, zone: str | None, *, routed: bool, by_default: bool) -> None:
    """Put the bridge of a network into a zone of firewalld, where that runs. Blocks.

    :param zone: the one that the network names; None: libvirt's own.
    :param routed: the network is routed: libvirt has a zone for that.
    :param by_default: whether it is in a zone where it names none.
    :raises VirtError: firewalld has not got the zone, or does not run though a zone is named.
    """
    with _bus() as bus:
        runs = _runs(bus)
        if zone is not None and not runs:
            raise InternalError(f"zone {zone} requested for network {network} but firewalld is not active")
        if not runs or (zone is None and not by_default):
            return
        if zone is None:
            zones = _ask(bus, "zone", "getZones")
            if routed and "libvirt-routed" in zones and "libvirt-routed-out" in _policies(bus):
                zone = "libvirt-routed"
            elif "libvirt" in zones:
                zone = "libvirt"
            else:
                raise InternalError(
                    "firewalld can't find the 'libvirt' zone that should have been installed with libvirt"
                )
        _ask(bus, "zone", "changeZoneOfInterface", zone, bridge)


def _policies(bus: Any) -> list[str]:
    try:
        found: list[str] = _ask(bus, "policy", "getPolicies")
    except DBusService:
        return []  # an old firewalld has none
    return found


def leave_zone(bridge: str) -> None:
    """Let a bridge that goes be in no zone: firewalld would keep its name. Blocks, and never raises."""
    with _bus() as bus:
        if not _runs(bus):
            return
        try:
            _ask(bus, "zone", "removeInterface", "", bridge)
        except DBusService as error:
            log.info("%s was in no zone: %s", bridge, error)
