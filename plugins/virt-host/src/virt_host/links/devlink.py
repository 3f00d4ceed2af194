"""What devlink tells of network cards. Loads pyroute2, which takes its time."""

from __future__ import annotations

from pyroute2.netlink import NLM_F_REQUEST  # type: ignore[import-untyped]
from pyroute2.netlink.devlink import (  # type: ignore[import-untyped]
    DEVLINK_CMD_ESWITCH_GET,
    DevlinkSocket,
    devlinkcmd,
)
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

__all__ = ["offloads_switch"]

_SWITCHDEV = 1
"""Mode of a card's switch in which the host tells it what to do."""


def offloads_switch(address: str) -> bool:
    """Whether a network card does the switching between its functions as its host tells it (``switchdev``).

    :param address: of the PCI device.
    """
    question = devlinkcmd()
    question["cmd"], question["version"] = DEVLINK_CMD_ESWITCH_GET, 1
    question["attrs"] = [("DEVLINK_ATTR_BUS_NAME", "pci"), ("DEVLINK_ATTR_DEV_NAME", address)]
    try:
        with DevlinkSocket() as netlink:
            netlink.bind()
            answers = netlink.nlm_request(question, msg_type=netlink.prid, msg_flags=NLM_F_REQUEST)
            return any(answer.get_attr("DEVLINK_ATTR_ESWITCH_MODE") == _SWITCHDEV for answer in answers)
    except (NetlinkError, OSError):
        return False  # it has no such mode, or the kernel does not know of them
