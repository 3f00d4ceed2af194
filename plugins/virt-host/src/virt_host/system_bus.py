"""Asking services of the host by D-Bus. Blocks; jeepney is loaded when there is a bus."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from virtcore.errors import DBusService

__all__ = ["SYSTEM_BUS", "Service", "has_bus", "system_bus"]

#: Where the system's bus is, unless the environment says otherwise.
SYSTEM_BUS: Final = "/run/dbus/system_bus_socket"
_LIMIT: Final = 30.0
"""Seconds a service has to answer."""


def has_bus() -> bool:
    """Whether the host has a bus."""
    return "DBUS_SYSTEM_BUS_ADDRESS" in os.environ or os.path.exists(SYSTEM_BUS)


@contextmanager
def system_bus() -> Iterator[Any]:
    """A connection to the system's bus; None: the host has none that lets us in."""
    if not has_bus():
        yield None
        return
    from jeepney import DBusErrorResponse  # type: ignore[import-untyped]
    from jeepney.io.blocking import open_dbus_connection  # type: ignore[import-untyped]

    try:
        connection = open_dbus_connection("SYSTEM")
    except (OSError, ValueError, DBusErrorResponse):  # nobody listens there, or nobody lets us in
        yield None
        return
    with contextlib.closing(connection):
        yield connection


class Service(NamedTuple):
    """A service on a bus.

    :ivar bus: a connection, or None.
    """

    bus: Any
    name: str
    path: str

    @property
    def runs(self) -> bool:
        """Whether it is there.

        :raises DBusService: the bus does not answer.
        """
        from jeepney import message_bus

        return self.bus is not None and bool(self._send(message_bus.NameHasOwner(self.name)).body[0])

    def ask(self, interface: str, method: str, signature: str | None = None, *arguments: object) -> Any:
        """Its answer; None: it has none but that it has done it.

        :raises DBusService: it refuses, or does not answer.
        """
        from jeepney import DBusAddress, new_method_call

        where = DBusAddress(self.path, bus_name=self.name, interface=interface)
        reply = self._send(new_method_call(where, method, signature, arguments))
        return reply.body[0] if reply.body else None

    def _send(self, call: Any) -> Any:
        from jeepney import HeaderFields, MessageType

        try:
            reply = self.bus.send_and_get_reply(call, timeout=_LIMIT)
        except OSError as error:  # also one that the time is up
            raise DBusService(str(error) or f"{self.name} did not answer within {_LIMIT:g} s") from None
        if reply.header.message_type is MessageType.error:
            raise DBusService(str(reply.body[0] if reply.body else call.header.fields[HeaderFields.member]))
        return reply
