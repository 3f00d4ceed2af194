"""Devices of s390: the channel subsystem and crypto cards."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.nodedev.fields import s390_number
from virtcore.model.patterns import CSSID, DEVNO, SSID, UINT16
from virtcore.xml import attribute, child, children, element, leaf, text

if TYPE_CHECKING:
    from virtcore.model.nodedev.mdev import MdevTypesCapability

__all__ = [
    "APCardCapability",
    "APMatrixCapability",
    "APQueueCapability",
    "CCWAddress",
    "CCWCapability",
    "CCWDeviceReference",
    "CCWGroupCapability",
    "CCWGroupMemberCapability",
    "CCWGroupType",
    "CCWState",
    "CSSCapability",
    "ChannelDeviceAddress",
    "QethCapability",
]


class CCWState(StrEnum):
    """Whether a device is in use by the host."""

    OFFLINE = "offline"
    ONLINE = "online"


class CCWGroupType(StrEnum):
    """Driver of a group."""

    QETH_GENERIC = "qeth_generic"
    QETH_LAYER2 = "qeth_layer2"
    QETH_LAYER3 = "qeth_layer3"


#: How the schema has the numbers.
AP_ADAPTER = "0x[0-9a-fA-F]{1,2}|[0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-5]"
AP_DOMAIN = f"0x[0-9a-fA-F]{{1,4}}|{UINT16}"


@element(None)
class CCWAddress:
    """A place in the channel subsystem."""

    cssid: int = s390_number("cssid", "0x%x", "channel subsystem", CSSID)
    ssid: int = s390_number("ssid", "0x%x", "subchannel set", SSID)
    devno: int = s390_number("devno", "0x%04x", "number of the device", DEVNO, base=16)


@element("channel_dev_addr")
class ChannelDeviceAddress(CCWAddress):
    """The device behind a subchannel."""


@element(None)
class _State:
    """Whether the device is in use."""

    state: CCWState | None = leaf(
        invalid="unknown state '{value}' for '{document}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="in use by the host",
        since="10.9.0",
    )


@element("capability", tag="ccwgroup_member", empty="open", since="11.1.0")
class CCWGroupMemberCapability:
    """The device belongs to a group."""

    group_device: str = leaf(
        required=True,
        missing="missing group_device value for '{document}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="name of the group",
    )


@element("capability", tag="ccw", empty="open", since="6.10.0")
class CCWCapability(_State, CCWAddress):
    """A device with channel command words."""

    capabilities: list[CCWGroupMemberCapability] = children(
        tag="@type", missing="Missing capability type", invalid="", doc="what more it is"
    )


@element("capability", tag="css", empty="open", since="6.10.0")
class CSSCapability(CCWAddress):
    """A subchannel."""

    channel_dev_addr: ChannelDeviceAddress | None = child(doc="the device behind it", since="8.4.0")
    capabilities: list[MdevTypesCapability] = children(
        tag="@type", missing="Missing capability type", invalid="", doc="what more it is"
    )


@element("ccw_device")
class CCWDeviceReference:
    """A member of a group."""

    ref: str = attribute(required=True, doc="what it is to the group, as cdev0")
    name: str | None = text(required=True, missing="missing ccw_device name for '{document}'", doc="name of the device")


@element("capability", tag=frozenset(CCWGroupType), empty="open")
class QethCapability:
    """A network card of three devices."""

    type: CCWGroupType = attribute(required=True, doc="driver of the group")
    card_type: str | None = leaf(doc="kind of card")
    chpid: str | None = leaf(doc="channel path")


@element("capability", tag="ccwgroup", empty="open", since="11.1.0")
class CCWGroupCapability(_State, CCWAddress):
    """Devices that act as one."""

    members: list[CCWDeviceReference] = children("ccw_device", within="members", doc="the devices")
    capabilities: list[QethCapability] = children(
        tag="@type", missing="Missing capability type", invalid="", doc="what they are together"
    )


@element("capability", tag="ap_card", empty="open", since="7.0.0")
class APCardCapability:
    """A crypto card."""

    adapter: int = s390_number("ap-adapter", "0x%02x", "number of the card", AP_ADAPTER)


@element("capability", tag="ap_queue", empty="open", since="7.0.0")
class APQueueCapability:
    """A domain of a crypto card."""

    adapter: int = s390_number("ap-adapter", "0x%02x", "number of the card", AP_ADAPTER)
    domain: int = s390_number("ap-domain", "0x%04x", "number of the domain", AP_DOMAIN)


@element("capability", tag="ap_matrix", empty="open", since="7.0.0")
class APMatrixCapability:
    """The crypto cards and domains that can be given to guests."""

    capabilities: list[MdevTypesCapability] = children(
        tag="@type", missing="Missing capability type", invalid="", doc="what more it is"
    )
