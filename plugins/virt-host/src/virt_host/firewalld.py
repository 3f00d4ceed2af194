"""firewalld, which makes the host's firewall anew when it starts or is told to: what others had put there is gone then.

D-Bus tells. The bus is listened to by a thread that sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from virt_host.system_bus import Service, has_bus, system_bus
from virtcore.errors import DBusService, InternalError

__all__ = ["FirewalldWatch", "leave_zone", "put_into_zone"]

log = logging.getLogger(__name__)

_NAME: Final = "org.fedoraproject.FirewallD1"


class FirewalldWatch:
    """Waits for firewalld to make the firewall anew, until it is closed. Belongs to the core loop.

    :param changed: called there when that has happened.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._connection: Any = None
        if has_bus():
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


def _service(bus: Any) -> Service:
    return Service(bus, _NAME, "/org/fedoraproject/FirewallD1")


def put_into_zone(network: str, bridge: str, zone: str | None, *, routed: bool, by_default: bool) -> None:
    """Put the bridge of a network into a zone of firewalld, where that runs. Blocks.

    :param zone: the one that the network names; None: libvirt's own.
    :param routed: the network is routed: libvirt has a zone for that.
    :param by_default: whether it is in a zone where it names none.
    :raises VirtError: firewalld has not got the zone, or does not run though a zone is named.
    """
    with system_bus() as bus:
        firewalld = _service(bus)
        runs = firewalld.runs
        if zone is not None and not runs:
            raise InternalError(f"zone {zone} requested for network {network} but firewalld is not active")
        if not runs or (zone is None and not by_default):
            return
        if zone is None:
            zones = firewalld.ask(_ZONES, "getZones")
            if routed and "libvirt-routed" in zones and "libvirt-routed-out" in _policies(firewalld):
                zone = "libvirt-routed"
            elif "libvirt" in zones:
                zone = "libvirt"
            else:
                raise InternalError(
                    "firewalld can't find the 'libvirt' zone that should have been installed with libvirt"
                )
        firewalld.ask(_ZONES, "changeZoneOfInterface", "ss", zone, bridge)


_ZONES: Final = f"{_NAME}.zone"


def _policies(firewalld: Service) -> list[str]:
    try:
        found: list[str] = firewalld.ask(f"{_NAME}.policy", "getPolicies")
    except DBusService:
        return []  # an old firewalld has none
    return found


def leave_zone(bridge: str) -> None:
    """Let a bridge that goes be in no zone: firewalld would keep its name. Blocks, and never raises."""
    with system_bus() as bus:
        firewalld = _service(bus)
        try:
            if firewalld.runs:
                firewalld.ask(_ZONES, "removeInterface", "ss", "", bridge)
        except DBusService as error:
            log.info("%s was in no zone: %s", bridge, error)
