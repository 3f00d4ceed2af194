"""Who a client is: what the kernel, TLS and SASL say of it."""

from __future__ import annotations

import functools
import os
import socket
import struct
from typing import Final, Self

from virtcore._tuples import NamedTuple
from virtcore.runtime.process_times import start_time

__all__ = ["Identity", "forget_names"]

_UCRED: Final = struct.Struct("3i")


class Identity(NamedTuple):
    """A client as access control, logs and administration see it."""

    #: ``unix``, ``tcp`` or ``tls``.
    transport: str
    #: Its address, ``HOST;PORT``; empty for unix sockets.
    address: str = ""
    #: Process, user and group of a client on a unix socket; None for others.
    pid: int | None = None
    uid: int | None = None
    gid: int | None = None
    #: When that process started, in clock ticks since boot: with the pid it names the process for good.
    start_time: int | None = None
    #: Who it authenticated as by SASL.
    sasl: str | None = None
    #: Distinguished name in its certificate.
    dname: str | None = None
    #: Its SELinux label.
    label: str | None = None
    readonly: bool = False

    @classmethod
    def of_socket(cls, transport: str, sock: socket.socket, *, readonly: bool = False) -> Self:
        """Who is at the other end of a connected socket."""
        if sock.family == getattr(socket, "AF_UNIX", None):
            pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
            return cls(transport, "", pid, uid, gid, start_time(pid), label=_label(sock), readonly=readonly)
        host, port, *_ = sock.getpeername()
        return cls(transport, f"{host};{port}", readonly=readonly)

    @property
    def user(self) -> str | None:
        """Login name of the user of a local client; None where there is none."""
        return None if self.uid is None else _user_name(self.uid)

    @property
    def groups(self) -> frozenset[str]:
        """Names of the groups of the user of a local client."""
        return frozenset() if self.uid is None or self.gid is None else _group_names(self.uid, self.gid)

    def __str__(self) -> str:
        parts = [self.transport]
        if self.uid is not None:
            parts.append(f"pid {self.pid} of {self.user or self.uid}")
        if self.address:
            parts.append(self.address)
        if self.dname is not None:
            parts.append(self.dname)
        if self.sasl is not None:
            parts.append(f"user {self.sasl}")
        return " ".join(parts)


def _label(sock: socket.socket) -> str | None:
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERSEC, 256).rstrip(b"\0").decode() or None
    except (OSError, AttributeError, UnicodeDecodeError):
        return None  # no security module that labels sockets


@functools.lru_cache(maxsize=256)
def _user_name(uid: int) -> str | None:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


@functools.lru_cache(maxsize=256)
def _group_names(uid: int, gid: int) -> frozenset[str]:
    import grp

    name = _user_name(uid)
    gids = {gid} if name is None else set(os.getgrouplist(name, gid))
    found = set()
    for one in gids:
        try:
            found.add(grp.getgrgid(one).gr_name)
        except KeyError:
            found.add(str(one))
    return frozenset(found)


def forget_names() -> None:
    """Ask the system anew for names of users and groups: they may have changed."""
    _user_name.cache_clear()
    _group_names.cache_clear()
