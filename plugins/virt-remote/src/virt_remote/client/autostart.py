"""A user's own daemon, started when somebody wants it and it does not run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import Final

from virt_remote.client.address import Address, is_session
from virt_remote.client.link import Link
from virt_remote.client.reach import unix_link
from virtcore.errors import SystemError

__all__ = ["open_local", "own_socket", "starts_daemon"]

#: Seconds that a daemon has from its start until it listens.
START_LIMIT: Final = 10.0


def starts_daemon(address: Address) -> bool:
    """Whether a daemon may be started for an address: the user's own, where none was named."""
    return (
        address.transport == "unix"
        and address.get("socket") is None
        and is_session(address.uri)
        and os.environ.get("LIBVIRT_AUTOSTART") != "0"
    )


def own_socket(address: Address) -> str | None:
    """Where a virtcored listens for an address; None where the address names a socket or a driver's own daemon."""
    if address.transport != "unix" or address.get("socket") is not None or address.get("mode") == "direct":
        return None
    from virtcore.driver.toolkit.folders import StateFolders

    if is_session(address.uri):
        return str(StateFolders.session("virtcored").run.parent / "libvirt-sock")
    return str(
        StateFolders.system("virtcored").run.parent / ("libvirt-sock-ro" if address.readonly else "libvirt-sock")
    )


def open_local(address: Address) -> Link:
    """Connect to a socket of this host, starting the user's daemon where that is wanted.

    A running virtcored is asked before a running libvirtd, where no socket was named.

    :raises SystemError: nobody listens there.
    """
    own = own_socket(address)
    if own is not None and os.path.exists(own):
        with contextlib.suppress(SystemError):  # left over from one that is gone
            return unix_link(own)
    try:
        return unix_link(address.path or "")
    except SystemError:
        if own is None or not starts_daemon(address):
            raise
    _start()
    end = time.monotonic() + START_LIMIT
    while True:
        try:
            return unix_link(own)
        except SystemError:
            if time.monotonic() > end:
                raise
        time.sleep(0.02)


def _start() -> None:
    """Start ``virtcored`` for the user: in a session of its own, it ends by itself when nobody needs it."""
    subprocess.Popen(
        [sys.executable, "-m", "virt_remote", "--timeout", "120"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
