"""Where a connection's URI leads: the daemon's address, and the URI it is asked to open."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from virtcore.errors import ErrorDomain, InvalidArg
from virtcore.uri import ConnectionURI

__all__ = ["Address", "address_of"]

#: Query parameters that are the transport's and not passed on.
PARAMETERS: Final = frozenset(
    [
        "name",
        "mode",
        "socket",
        "auth",
        "authfile",
        "command",
        "proxy",
        "netcat",
        "keyfile",
        "no_verify",
        "no_tty",
        "sshauth",
        "known_hosts",
        "known_hosts_verify",
        "pkipath",
        "tls_priority",
        "no_sanity",
    ]
)

TCP_PORT: Final = 16509

_MODES = ("auto", "legacy", "direct")


class Address(NamedTuple):
    """Where the daemon listens, and what it is asked for."""

    #: Path of a local socket; None for TCP.
    path: str | None
    host: str
    port: int
    #: URI for the daemon to open; empty lets it choose.
    name: str


def address_of(uri: ConnectionURI, readonly: bool) -> Address:
    """The address that a connection's URI means.

    :raises InvalidArg: parameters contradict each other or are not known.
    """
    if uri.transport == "tcp":
        return Address(None, uri.host or "localhost", uri.port or TCP_PORT, _server_name(uri))
    if uri.transport not in (None, "unix"):
        raise InvalidArg(f"transport '{uri.transport}' is not served", domain=ErrorDomain.REMOTE)
    if uri.host is not None:
        raise InvalidArg(
            f"using unix socket and remote server '{uri.host}' is not supported.", domain=ErrorDomain.REMOTE
        )
    path = uri.get("socket") or _default_socket(uri, readonly)
    return Address(path, "", 0, _server_name(uri))


def _server_name(uri: ConnectionURI) -> str:
    name = uri.get("name")
    if name is not None:
        return name
    if uri.scheme == "remote":
        return ""
    return str(uri.without(PARAMETERS)._replace(transport=None, user=None, host=None, port=None))


def _default_socket(uri: ConnectionURI, readonly: bool) -> str:
    mode = uri.get("mode") or "auto"
    if mode not in _MODES:
        raise InvalidArg(f"Unknown remote mode '{mode}'", domain=ErrorDomain.REMOTE)
    session = os.geteuid() != 0 and (uri.path == "/session" or uri.scheme in ("test", "remote"))
    if session:
        folder = os.path.join(os.environ.get("XDG_RUNTIME_DIR") or os.path.expanduser("~/.cache"), "libvirt")
        suffix = ""
    else:
        folder = "/run/libvirt"
        suffix = "-ro" if readonly else ""
    legacy = f"{folder}/libvirt-sock{suffix}"
    direct = f"{folder}/virt{uri.scheme}d-sock{suffix}"
    if mode == "direct" or (mode == "auto" and uri.scheme != "remote" and os.path.exists(direct)):
        return direct
    return legacy
