"""Addresses of guests' sockets to the host."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from virtcore.errors import SystemError

__all__ = ["open_vsock"]

_SET_CID = 0x4008AF60
_LEAST = 3
"""The smaller addresses mean the hypervisor, loopback and the host."""


def open_vsock(cid: int | None, *, auto: bool, device: str = "/dev/vhost-vsock") -> tuple[int, int]:
    """Take an address for a guest's socket; returns a descriptor, to be closed by the caller, and the address.

    :param auto: any free address will do.
    :raises SystemError: the kernel has none, or another guest has the address.
    """
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SystemError(f"unable to open vhost-vsock device: {error.strerror}") from None
    try:
        if not auto:
            fcntl.ioctl(descriptor, _SET_CID, struct.pack("=Q", cid or 0))
            return descriptor, cid or 0
        for candidate in range(_LEAST, 1 << 32):
            try:
                fcntl.ioctl(descriptor, _SET_CID, struct.pack("=Q", candidate))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return descriptor, candidate
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    except OSError as error:
        os.close(descriptor)
        what = "failed to acquire guest cid" if auto else "failed to set guest cid"
        raise SystemError(f"{what}: {error.strerror}") from None
