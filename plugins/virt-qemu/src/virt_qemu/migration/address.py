"""Where a guest is sent to, and where it is waited for."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.monitor import CommandError
from virt_qemu.resources import connect_socket
from virtcore.errors import ArgumentUnsupported, InternalError, InvalidArg, OperationFailed, SystemError
from virtcore.uri import URI

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from virt_qemu.settings.table import QemuSettings

__all__ = ["MigrationAddress", "Ports", "PreparedAddress", "connect", "parse_address", "prepare_address"]


_TAKEN = os.strerror(errno.EADDRINUSE)


class MigrationAddress(NamedTuple):
    """An address of QEMU's migration.

    :ivar scheme: ``tcp``, ``rdma`` or ``unix``.
    :ivar host: name or address; empty for ``unix``.
    :ivar port: 0 where it is not told.
    :ivar path: of a socket.
    :ivar well_formed: it was written as a URI, not as older peers write it (``tcp:host:port``).
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    well_formed: bool = True

    def qemu(self) -> str:
        """As QEMU has it."""
        if self.scheme == "unix":
            return f"unix:{self.path}"
        return f"{self.scheme}:{_bracketed(self.host)}:{self.port}"


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if _is_ipv6(host) else host


def parse_address(uri: str) -> MigrationAddress:
    """Read a migration URI, either way it is written.

    :raises InvalidArg: it has no scheme, or no host.
    :raises ArgumentUnsupported: QEMU knows no such scheme.
    """
    old = uri.startswith("tcp:") and not uri.startswith("tcp://")
    parsed = URI.parse(f"tcp://{uri.removeprefix('tcp:')}" if old else uri)
    if not parsed.scheme:
        raise InvalidArg(f"missing scheme in migration URI: {uri}")
    if parsed.scheme == "unix":
        return MigrationAddress("unix", path=parsed.path or "")
    if parsed.scheme not in ("tcp", "rdma"):
        raise ArgumentUnsupported(f"unsupported scheme {parsed.scheme} in migration URI {uri}")
    if not parsed.server:
        raise InvalidArg(f"missing host in migration URI: {uri}")
    return MigrationAddress(parsed.scheme, parsed.server, parsed.port or 0, well_formed=not old)


class Ports:
    """The ports that incoming guests are waited for at."""

    def __init__(self, settings: QemuSettings) -> None:
        self._range = range(settings.migration_port_min, settings.migration_port_max + 1)
        self._taken: set[int] = set()

    def acquire(self) -> int:
        """A port that nobody listens at.

        :raises OperationFailed: there is none.
        """
        for port in self._range:
            if port not in self._taken and _is_free(port):
                self._taken.add(port)
                return port
        first, last = self._range.start, self._range.stop - 1
        raise OperationFailed(f"Unable to find an unused port in range 'migration' ({first}-{last})")

    def release(self, port: int) -> None:
        """It is of no use any more."""
        self._taken.discard(port)

    async def listen(self, port: int, at: Callable[[int], Awaitable[None]]) -> None:
        """Have QEMU listen at a port that was acquired, or at another: somebody else on this host may have come first.

        :param at: has it listen; called with the number of the port, again where that is taken.
        :raises OperationFailed: all are.
        :raises CommandError: QEMU refused for another reason.
        """
        refused: list[int] = []
        try:
            while True:
                # QEMU would be content with IPv6 alone where somebody has the port of IPv4.
                if _is_free(port):
                    try:
                        return await at(port)
                    except CommandError as error:
                        if _TAKEN not in error.reason:
                            raise
                refused.append(port)
                port = self.acquire()
        finally:
            for each in refused:
                self.release(each)


def _is_free(port: int) -> bool:
    for family, host in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            with socket.socket(family) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue
            return False
    return True


def _has_ipv6() -> bool:
    try:
        return bool(socket.getaddrinfo("::", None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))
    except OSError:
        return False


@dataclass(slots=True)
class PreparedAddress:
    """Where a guest is waited for.

    :ivar listen: as this host's QEMU has it.
    :ivar told: what the source is told; None where it knows already.
    :ivar port: taken for it, to be given back; 0 for none.
    """

    listen: MigrationAddress
    told: str | None
    port: int

    def move(self, port: int) -> None:
        """It is waited for at another port."""
        self.listen = self.listen._replace(port=port)
        if self.told is not None:
            self.told = f"{self.told.removesuffix(f':{self.port}')}:{port}"
        self.port = port


def prepare_address(uri: str | None, listen: str | None, settings: QemuSettings, ports: Ports) -> PreparedAddress:
    """Choose where to wait for a guest.

    :param uri: where the source wants to send it; None for where it is told.
    :param listen: the address to listen on; None for all.
    :raises VirtError: that cannot be.
    """
    listen = listen or settings.migration_address
    if uri is None:
        host = settings.migration_host or socket.gethostname()
        if host.startswith("localhost"):
            raise InternalError("hostname on destination resolved to localhost, but migration requires an FQDN")
        port = ports.acquire()
        return PreparedAddress(_listening("tcp", listen, port), f"tcp:{_bracketed(host)}:{port}", port)
    wanted = parse_address(uri)
    if wanted.scheme == "unix":
        return PreparedAddress(wanted, None, 0)
    if wanted.port:
        return PreparedAddress(_listening(wanted.scheme, listen, wanted.port), None, 0)
    port = ports.acquire()
    told = f"{wanted.scheme}://{_bracketed(wanted.host)}:{port}" if wanted.well_formed else f"{uri}:{port}"
    return PreparedAddress(_listening(wanted.scheme, listen, port), told, port)


def _listening(scheme: str, listen: str | None, port: int) -> MigrationAddress:
    if listen is None:
        listen = "::" if _has_ipv6() else "0.0.0.0"
    elif _is_ipv6(listen) and not _has_ipv6():
        raise ArgumentUnsupported("host isn't capable of IPv6")
    return MigrationAddress(scheme, listen, port)


async def connect(address: MigrationAddress) -> socket.socket:
    """Connect to a destination that waits; the socket blocks.

    :raises SystemError: it cannot be reached.
    """
    if address.scheme == "unix":
        try:
            connected = connect_socket(address.path)
        except OSError as error:
            raise SystemError(f"Failed to connect socket to '{address.path}': {error.strerror}") from None
        connected.setblocking(True)
        return connected
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise SystemError(
            f"unable to resolve address '{address.host}' service '{address.port}': {error.strerror}"
        ) from None
    for family, kind, protocol, _, where in found:
        connected = socket.socket(family, kind, protocol)
        connected.setblocking(False)
        try:
            await loop.sock_connect(connected, where)
        except OSError as error:
            connected.close()
            failure = error
            continue
        except BaseException:
            connected.close()
            raise
        connected.setblocking(True)
        return connected
    reason = failure.strerror if failure is not None else "no address"
    raise SystemError(f"unable to connect to server at '{address.host}:{address.port}': {reason}")
