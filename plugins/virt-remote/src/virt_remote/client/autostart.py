"""A user's own daemon, started when somebody wants it and it does not run."""

from __future__ import annotations

import _socket
import os
import sys
import time

from virt_remote.client.address import Address, address_of, is_session, libvirt_sockets
from virt_remote.client.link import Link
from virt_remote.client.reach import unix_link
from virtcore._typing import Final
from virtcore.errors import SystemError, VirtError
from virtcore.uri import ConnectionURI

__all__ = ["open_local", "own_socket", "running", "starts_daemon"]

#: Seconds that a daemon has from its start until it listens.
START_LIMIT: Final = 10.0


def starts_daemon(address: Address) -> bool:
    """Whether a daemon may be started for an address: the user's own, where none was named."""
    return (
        address.transport == "unix"
        and hasattr(os, "geteuid")
        and address.get("socket") is None
        and is_session(address.uri)
        and os.environ.get("LIBVIRT_AUTOSTART") != "0"
    )


def own_socket(address: Address) -> str | None:
    """Where a virtcored listens for an address; None where the address names a socket or libvirt's daemons."""
    if address.transport != "unix" or address.get("socket") is not None or address.get("mode") not in (None, "auto"):
        return None
    from virtcore.driver.toolkit.folders import StateFolders

    if is_session(address.uri):
        return str(StateFolders.session("virtcored").run.parent / "libvirt-sock")
    return str(
        StateFolders.system("virtcored").run.parent / ("libvirt-sock-ro" if address.readonly else "libvirt-sock")
    )


def running(uri: ConnectionURI, *, readonly: bool = False, start: bool = False) -> bool:
    """Whether a daemon of this host serves a URI (entry points ``virtcore.daemons``).

    :param start: start the user's own, if it does not run.
    """
    if not hasattr(_socket, "AF_UNIX"):
        return False
    address = address_of(uri, readonly)
    try:
        (open_local if start else _connect)(address).close()
    except VirtError:
        return False
    return True


def open_local(address: Address) -> Link:
    """Connect to a socket of this host, starting the user's daemon where that is wanted.

    :raises SystemError: nobody listens there.
    """
    try:
        return _connect(address)
    except SystemError:
        if not starts_daemon(address):
            raise
    _start()
    end = time.monotonic() + START_LIMIT
    while True:
        try:
            return _connect(address)
        except SystemError:
            if time.monotonic() > end:
                raise
        time.sleep(0.02)


def _connect(address: Address) -> Link:
    """The first daemon that listens: virtcored, libvirt's for the driver, libvirt's for everything. Without any, the
    error is of the last one's socket."""
    own = own_socket(address)
    if own is None:
        return unix_link(address.path or "")
    *others, legacy = libvirt_sockets(address.uri, address.readonly)
    for path in (own, *others):
        try:
            return unix_link(path)
        except SystemError:
            pass  # it does not run, or ended without taking its socket with it
    return unix_link(legacy)


def _start() -> None:
    """Start ``virtcored`` for the user: in a session of its own, it ends by itself when nobody needs it."""
    import subprocess

    subprocess.Popen(
        [sys.executable, "-m", "virt_remote", "--timeout", "120"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
