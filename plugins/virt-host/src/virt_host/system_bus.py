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
    """A connection to the system's bus; None: the host has none."""
    if not has_bus():
        yield None
        return
    from jeepney.io.blocking import open_dbus_connection  # type: ignore[import-untyped]

    try:
        connection = open_dbus_connection("SYSTEM")
    except OSError:
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
        """Whether it is there."""
        from jeepney import message_bus  # type: ignore[import-untyped]

        return self.bus is not None and bool(self.bus.send_and_get_reply(message_bus.NameHasOwner(self.name)).body[0])

    def ask(self, interface: str, method: str, signature: str | None = None, *arguments: object) -> Any:
        """Its answer; None: it has none but that it has done it.

        :raises DBusService: it refuses.
        """
        from jeepney import DBusAddress, MessageType, new_method_call

        where = DBusAddress(self.path, bus_name=self.name, interface=interface)
        call = new_method_call(where, method, signature, arguments)
        reply = self.bus.send_and_get_reply(call, timeout=_LIMIT)
        if reply.header.message_type is MessageType.error:
            raise DBusService(str(reply.body[0] if reply.body else method))
        return reply.body[0] if reply.body else None
