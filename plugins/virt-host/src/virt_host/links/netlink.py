"""What only netlink can: devices that are made on top of others, and removed. Loads pyroute2, which takes its time."""

from __future__ import annotations

import errno
import os

from pyroute2 import IPRoute  # type: ignore[import-untyped]
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

from virt_host.links.devices import index_of
from virtcore.errors import OperationInvalid, SystemError

__all__ = ["create_macvtap", "delete", "function_settings", "neighbours", "set_function"]


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


def neighbours() -> list[tuple[str, str]]:
    """The hosts that this one has met on its networks: IP address and hardware address.

    :raises SystemError: the kernel does not tell.
    """
    try:
        with IPRoute() as netlink:
            rows = [(row.get_attr("NDA_DST"), row.get_attr("NDA_LLADDR")) for row in netlink.get_neighbours()]
    except NetlinkError as error:
        raise SystemError(f"cannot read the table of neighbours: {_reason(error)}") from None
    return [(address, link.lower()) for address, link in rows if address and link]


def function_settings(card: str, number: int) -> tuple[str, int]:
    """MAC address and VLAN of a function of a network card.

    :raises SystemError: the card does not tell.
    """
    try:
        with IPRoute() as netlink:
            [link] = netlink.link("get", index=index_of(card), ext_mask=1)
    except NetlinkError as error:
        raise SystemError(f"error dumping {card} (0) interface: {_reason(error)}") from None
    listed = link.get_attr("IFLA_VFINFO_LIST")
    for info in listed.get_attrs("IFLA_VF_INFO") if listed is not None else ():
        mac, vlan = info.get_attr("IFLA_VF_MAC"), info.get_attr("IFLA_VF_VLAN")
        if mac is not None and mac["vf"] == number:
            return mac["mac"], vlan["vlan"] if vlan is not None else 0
    raise SystemError(f"couldn't find IFLA_VF_INFO for VF {number} in netlink response")


def set_function(card: str, number: int, mac: str, vlan: int) -> None:
    """Give a function of a network card its MAC address and VLAN.

    :param vlan: 0 for none.
    :raises SystemError: the kernel refuses.
    """
    try:
        with IPRoute() as netlink:
            netlink.link("set", index=index_of(card), vf={"vf": number, "mac": mac, "vlan": vlan})
    except NetlinkError as error:
        raise SystemError(
            f"Cannot set interface MAC/vlanid to {mac}/{vlan} for ifname {card} vf {number}: {_reason(error)}"
        ) from None


def _reason(error: NetlinkError) -> str:
    return os.strerror(error.code) if isinstance(error.code, int) else str(error)
