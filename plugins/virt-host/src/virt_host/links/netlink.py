"""What only netlink can: devices that are made on top of others, and removed. Loads pyroute2, which takes its time."""

from __future__ import annotations

import errno
import os

from pyroute2 import IPRoute  # type: ignore[import-untyped]
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

from virt_host.links.devices import index_of
from virtcore.errors import OperationInvalid, SystemError

__all__ = ["create_macvtap", "delete"]


def create_macvtap(name: str, lower: str, mode: str, mac: str) -> int:
    """Make a macvtap on a device; returns its number.

    :param mode: ``vepa``, ``bridge``, ``private`` or ``passthru``.
    :raises FileExistsError: the name is taken.
    :raises SystemError: the kernel refuses.
    """
    below = index_of(lower)
    try:
        with IPRoute() as netlink:
            netlink.link("add", ifname=name, kind="macvtap", link=below, address=mac, macvtap_mode=mode)
    except NetlinkError as error:
        if error.code == errno.EEXIST:
            raise FileExistsError(errno.EEXIST, "File exists", name) from None
        raise SystemError(f"error creating macvtap interface {name}@{lower} ({mac}): {_reason(error)}") from None
    return index_of(name)


def delete(name: str) -> None:
    """Remove a device.

    :raises OperationInvalid: the kernel does not.
    """
    try:
        with IPRoute() as netlink:
            netlink.link("del", index=index_of(name))
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise OperationInvalid(f"error destroying network device {name}: {_reason(error)}") from None


def _reason(error: NetlinkError) -> str:
    return os.strerror(error.code) if isinstance(error.code, int) else str(error)
