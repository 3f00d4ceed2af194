"""Where a connection's URI leads: the daemon's address, how to reach it, and the URI it is asked to open."""

from __future__ import annotations

import os

from virtcore import errors
from virtcore._tuples import NamedTuple
from virtcore._typing import Final
from virtcore.errors import InvalidArg
from virtcore.uri import ConnectionURI

__all__ = ["Address", "address_of", "is_session", "libvirt_sockets", "user_folder"]

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
TLS_PORT: Final = 16514

#: Transports that run something on a far host to get to a socket there.
SSH: Final = frozenset(["ssh", "libssh", "libssh2"])

_MODES = ("auto", "legacy", "direct")
_PROXIES = ("auto", "netcat", "native")


class Address(NamedTuple):
    """How the daemon is reached, and what it is asked for."""

    uri: ConnectionURI
    transport: str
    #: Path of the daemon's socket, on this host or the far one; None for TCP, and for what finds it by itself.
    path: str | None
    host: str
    #: 0 for ssh's own.
    port: int
    #: URI for the daemon to open; empty lets it choose.
    name: str
    readonly: bool

    def get(self, name: str) -> str | None:
        """A parameter of the transport, as the user wrote it."""
        return self.uri.get(name)

    def on(self, name: str) -> bool:
        """Whether a parameter is a number other than 0.

        :raises InvalidArg: it is no number.
        """
        text = self.uri.get(name)
        if text is None:
            return False
        try:
            return int(text) != 0
        except ValueError:
            raise InvalidArg(
                f"Failed to parse value of URI component {name}", value=text, domain=errors.ErrorDomain.REMOTE
            ) from None

    @property
    def proxy(self) -> str:
        """What connects to the socket on the far side of ssh: ``netcat``, ``native`` (virt-ssh-helper) or ``auto``."""
        proxy = self.get("proxy")
        if proxy is None:
            if self.get("socket") is not None or self.get("netcat") is not None:
                return "netcat"
            return "native" if self.uri.path == "/session" else "auto"
        if proxy not in _PROXIES:
            raise InvalidArg(f"Unknown remote proxy type {proxy}", domain=errors.ErrorDomain.REMOTE)
        return proxy

    @property
    def local(self) -> bool:
        """Whether it does not leave this host."""
        return self.transport == "unix"


def address_of(uri: ConnectionURI, readonly: bool) -> Address:
    """The address that a connection's URI means.

    :raises InvalidArg: parameters contradict each other or are not known.
    """
    transport = uri.transport or ("unix" if uri.host is None else "tls")
    name = _server_name(uri)
    mode = uri.get("mode") or "auto"
    if mode not in _MODES:
        raise InvalidArg(f"Unknown remote mode '{mode}'", domain=errors.ErrorDomain.REMOTE)
    host = uri.host or "localhost"
    if transport == "unix":
        if uri.host is not None:
            raise InvalidArg(
                f"using unix socket and remote server '{uri.host}' is not supported.", domain=errors.ErrorDomain.REMOTE
            )
        path = uri.get("socket") or _default_socket(uri, mode, readonly)
        return Address(uri, transport, path, "", 0, name, readonly)
    if transport in SSH:
        if mode == "direct":
            raise InvalidArg(
                f"Cannot use direct socket mode for {transport} transport", domain=errors.ErrorDomain.REMOTE
            )
        path = uri.get("socket") or f"/run/libvirt/libvirt-sock{'-ro' if readonly else ''}"
        return Address(uri, transport, path, host, uri.port or (0 if transport == "ssh" else 22), name, readonly)
    if transport == "ext":
        if uri.get("command") is None:
            raise InvalidArg("remote_open: for 'ext' transport, command is required", domain=errors.ErrorDomain.REMOTE)
        return Address(uri, transport, None, host, 0, name, readonly)
    port = uri.port or (TLS_PORT if transport == "tls" else TCP_PORT)
    return Address(uri, transport, None, host, port, name, readonly)


def _server_name(uri: ConnectionURI) -> str:
    name = uri.get("name")
    if name is not None:
        return name
    if uri.scheme == "remote":
        return ""
    return str(uri.without(PARAMETERS)._replace(transport=None, user=None, host=None, port=None))


def user_folder() -> str:
    """Where the sockets of a user's own daemons are."""
    return os.path.join(os.environ.get("XDG_RUNTIME_DIR") or os.path.expanduser("~/.cache"), "libvirt")


def privileged() -> bool:
    """Whether this process is the administrator's. Systems without user numbers have none."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def is_session(uri: ConnectionURI) -> bool:
    """Whether a URI means the user's own daemon."""
    return not privileged() and (uri.path == "/session" or uri.scheme in ("test", "remote"))


def libvirt_sockets(uri: ConnectionURI, readonly: bool) -> list[str]:
    """Sockets on this host of libvirt's daemons that may serve a URI: the driver's, if it is known, and the one for
    everything."""
    folder, suffix = (user_folder(), "") if is_session(uri) else ("/run/libvirt", "-ro" if readonly else "")
    one = [] if uri.scheme == "remote" else [f"{folder}/virt{uri.scheme}d-sock{suffix}"]
    return [*one, f"{folder}/libvirt-sock{suffix}"]


def _default_socket(uri: ConnectionURI, mode: str, readonly: bool) -> str:
    *direct, legacy = libvirt_sockets(uri, readonly)
    if mode == "direct":
        return direct[-1] if direct else legacy
    return next((path for path in direct if mode == "auto" and os.path.exists(path)), legacy)
