"""A listening socket of the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from virt_remote.descriptors import DescriptorSocket
from virt_remote.server.auth import METHODS
from virt_remote.server.client import Client
from virt_remote.server.identity import Identity
from virt_remote.server.tls import ACCEPTED, distinguished_name, is_allowed
from virtcore.errors import SystemError

if TYPE_CHECKING:
    from virt_remote.server.service import Server

__all__ = ["Endpoint", "bound_tcp", "bound_unix"]

log = logging.getLogger("virtcored.server")

#: Seconds that a client may take for TLS' handshake.
_HANDSHAKE: Final = 30.0
#: Seconds to wait when the process has no descriptors left.
_PAUSE: Final = 0.5


class Endpoint:
    """One listening socket and how its clients come in.

    :param transport: ``unix``, ``tcp`` or ``tls``.
    :param sock: bound, not listening yet; or inherited.
    :param auth: ``none``, ``sasl`` or ``polkit``.
    :param readonly: every connection is read-only.
    :param path: of a socket of our own, which goes with us.
    """

    def __init__(
        self,
        server: Server,
        transport: str,
        sock: socket.socket,
        auth: str = "none",
        *,
        readonly: bool = False,
        path: Path | None = None,
        own_user_only: bool = False,
    ) -> None:
        self.server = server
        self.transport = transport
        self.readonly = readonly
        self.auth = METHODS[auth]
        self.context: ssl.SSLContext | None = None
        self._socket = sock
        self._path = path
        self._own_user_only = own_user_only
        self._accepting: asyncio.Task[None] | None = None
        self._arriving: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Begin to accept clients."""
        self._socket.setblocking(False)
        self._socket.listen(max(self.server.max_queued, 1))
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self.server.room()
            try:
                sock, _ = await loop.sock_accept(self._socket)
            except OSError as error:  # no descriptors left, or a client that left at once
                log.error("no client could be accepted: %s", error)
                await asyncio.sleep(_PAUSE)
                continue
            task = loop.create_task(self._arrive(sock))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)
            if self.context is None:
                await task  # that the limits count it

    async def _arrive(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            sock.setblocking(False)
            identity = Identity.of_socket(self.transport, sock, readonly=self.readonly)
            if self._own_user_only and identity.uid not in (0, os.geteuid()):
                log.warning("%s may not administrate this daemon", identity)
                sock.close()
                return
            passing = DescriptorSocket.of(sock) if self.transport == "unix" else None
            if passing is not None:
                sock = cast(socket.socket, passing)  # asyncio asks no more of one
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = _TLSClient(self, identity) if self.context is not None else Client(self, identity)
            client.passing = passing
            limit = _HANDSHAKE if self.context is not None else None
            await loop.connect_accepted_socket(lambda: client, sock, ssl=self.context, ssl_handshake_timeout=limit)
        except (OSError, ValueError) as error:  # it left, or speaks no TLS
            log.warning("a client could not be accepted: %s", error)
            sock.close()

    @property
    def waiting(self) -> bool:
        """Whether somebody waits to be accepted, or is on the way in."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(self._arriving or poll.poll(0))

    def stop_listening(self) -> None:
        """Accept no more clients."""
        if self._accepting is not None:
            self._accepting.cancel()
        for task in list(self._arriving):
            task.cancel()
        self._socket.close()
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()


class _TLSClient(Client):
    """A client that is taken only after a look at its certificate."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        settings = self.server.settings
        certificate = transport.get_extra_info("peercert")
        name = distinguished_name(certificate) if certificate else None
        self.identity = self.identity._replace(dname=name)
        super().connection_made(transport)
        if not settings.tls_no_verify_certificate and not is_allowed(name, settings.tls_allowed_dn_list):
            log.error(
                "Client's Distinguished Name is not on the list of allowed clients (tls_allowed_dn_list): %s", name
            )
            self.drop()
            return
        assert self._transport is not None
        self._transport.write(ACCEPTED)


def bound_unix(path: Path, mode: int, group: str | None) -> socket.socket:
    """A socket in the file system.

    :raises SystemError: it cannot be made.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # the daemon's lock is ours: what lies there is left over
        before = os.umask(0o777 if group is not None else 0o777 & ~mode)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        if group is not None:
            os.chown(path, -1, _group(group))
            os.chmod(path, mode)
    except OSError as error:
        sock.close()
        raise SystemError(f"Failed to bind socket to '{path}': {error.strerror}") from None
    except BaseException:
        sock.close()
        raise
    return sock


def _group(name: str) -> int:
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        if name.isdecimal():
            return int(name)
        raise SystemError(f"The group named '{name}' does not exist") from None


def bound_tcp(host: str | None, port: str) -> Sequence[socket.socket]:
    """Sockets on every address that a name has.

    :raises SystemError: none can be made.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG)
    except (socket.gaierror, UnicodeError) as error:
        raise SystemError(f"Unable to resolve address '{host or ''}' service '{port}': {error}") from None
    made: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in sorted(found, key=lambda one: one[0] != socket.AF_INET6):
            sock = socket.socket(family, kind, protocol)
            made.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
    except OSError as error:
        for sock in made:
            sock.close()
        raise SystemError(f"Unable to bind to port: {error.strerror}") from None
    return made
