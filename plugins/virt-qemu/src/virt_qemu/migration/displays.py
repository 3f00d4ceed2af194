"""Clients of a guest's display are sent to the other host with it: those of SPICE, as no others can be."""

from __future__ import annotations

import ipaddress
import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from virtcore.errors import InvalidArg, VirtError
from virtcore.model.domain.graphics import GraphicsType
from virtcore.uri import URI

if TYPE_CHECKING:
    from virt_qemu.migration_cookie import MigrationCookie
    from virt_qemu.monitor import JSON, EventQueue, Monitor

__all__ = ["DisplayMove", "DisplayPlace", "place_of"]

log = logging.getLogger(__name__)

_MOVED = "SPICE_MIGRATE_COMPLETED"
#: Seconds that clients have to go over when the guest has; then it ends here all the same.
_PATIENCE = 30.0


class DisplayPlace(NamedTuple):
    """Where clients of a SPICE display go.

    :ivar port: without encryption; 0 or less for none. Likewise with it.
    :ivar subject: of the server's certificate.
    """

    host: str
    port: int
    tls_port: int
    subject: str | None

    def arguments(self) -> dict[str, JSON]:
        """Of ``client_migrate_info``."""
        found: dict[str, JSON] = {"protocol": "spice", "hostname": self.host}
        if self.port > 0:
            found["port"] = self.port
        if self.tls_port > 0:
            found["tls-port"] = self.tls_port
        if self.subject is not None:
            found["cert-subject"] = self.subject
        return found


def place_of(cookie: MigrationCookie, uri: str | None) -> DisplayPlace | None:
    """Where the destination's display is; None where clients are not sent anywhere.

    :param cookie: what the destination has told.
    :param uri: what the caller has said, ``spice://HOST:PORT?tlsPort=NUMBER&tlsSubject=NAME``, in parts.
    :raises InvalidArg: the URI names no kind of display, or a port that is none.
    :raises InternalError: it is no URI.
    """
    told = cookie.graphics
    kind = told.type if told is not None else None
    host, port, tls_port, subject = "", -1, -1, None
    if told is not None:
        host = cookie.host_name if _everywhere(told.listen) else told.listen
        port, tls_port = told.port, told.tls_port if told.tls_port is not None else -1
        subject = told.certificate.value if told.certificate is not None else None
    if uri is not None:
        parsed = URI.parse(uri)
        try:
            kind = GraphicsType(parsed.scheme or "")
        except ValueError:
            raise InvalidArg(f"unknown graphics type {parsed.scheme}") from None
        host, port = parsed.server or host, parsed.port or port
        for name, value in parsed.params():
            if name.lower() == "tlsport":
                tls_port = _port(value)
            elif name.lower() == "tlssubject":
                subject = value
    if kind is not GraphicsType.SPICE or (port <= 0 and tls_port <= 0):
        return None
    return DisplayPlace(host, port, tls_port, subject)


def _everywhere(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return not address


def _port(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArg(f"invalid tlsPort number: {text}") from None


class DisplayMove:
    """The clients of one guest's display."""

    def __init__(self) -> None:
        self._listening = ExitStack()
        self._moved: EventQueue | None = None

    async def begin(self, monitor: Monitor, cookie: MigrationCookie, uri: str | None) -> None:
        """Tell clients where the guest will be; they connect there when it is. That it cannot be told is logged."""
        try:
            place = place_of(cookie, uri)
            if place is None:
                return
            moved = self._listening.enter_context(monitor.events(_MOVED))
            await monitor.execute("client_migrate_info", place.arguments())
            self._moved = moved
        except VirtError as error:
            log.warning("unable to provide data for graphics client relocation: %s", error)
            self.end()

    async def wait(self) -> None:
        """Wait until clients have gone over: QEMU must not end before. Those who take too long are left behind."""
        if self._moved is None:
            return
        try:
            if await self._moved.next(_PATIENCE) is None:
                log.warning("clients of a display have not followed their guest in time")
        except VirtError as error:
            log.info("clients of a display need not be waited for: %s", error)
        finally:
            self.end()

    def end(self) -> None:
        """Nobody waits for them any more; twice does no harm."""
        self._moved = None
        self._listening.close()
