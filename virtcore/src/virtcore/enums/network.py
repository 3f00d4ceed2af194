"""Enumerations and flags of libvirt's public API: network."""

from __future__ import annotations

from virtcore._quick_enum import LateIntEnum as IntEnum, LateIntFlag as IntFlag, late


class NetworkXMLFlags(IntFlag):
    """``virNetworkXMLFlags``."""

    INACTIVE = 1


class ConnectListAllNetworksFlags(IntFlag):
    """``virConnectListAllNetworksFlags``."""

    INACTIVE = 1
    ACTIVE = 2
    PERSISTENT = 4
    TRANSIENT = 8
    AUTOSTART = 16
    NO_AUTOSTART = 32


class NetworkCreateFlags(IntFlag):
    """``virNetworkCreateFlags``."""

    VALIDATE = 1


class NetworkDefineFlags(IntFlag):
    """``virNetworkDefineFlags``."""

    VALIDATE = 1


class NetworkUpdateCommand(IntEnum):
    """``virNetworkUpdateCommand``."""

    NONE = 0
    MODIFY = 1
    DELETE = 2
    ADD_LAST = 3
    ADD_FIRST = 4


class NetworkUpdateSection(IntEnum):
    """``virNetworkUpdateSection``."""

    NONE = 0
    BRIDGE = 1
    DOMAIN = 2
    IP = 3
    IP_DHCP_HOST = 4
    IP_DHCP_RANGE = 5
    FORWARD = 6
    FORWARD_INTERFACE = 7
    FORWARD_PF = 8
    PORTGROUP = 9
    DNS_HOST = 10
    DNS_TXT = 11
    DNS_SRV = 12


class NetworkUpdateFlags(IntFlag):
    """``virNetworkUpdateFlags``."""

    CURRENT = 0
    LIVE = 1
    CONFIG = 2


class NetworkEventLifecycleType(IntEnum):
    """``virNetworkEventLifecycleType``."""

    DEFINED = 0
    UNDEFINED = 1
    STARTED = 2
    STOPPED = 3


class NetworkEventID(IntEnum):
    """``virNetworkEventID``."""

    LIFECYCLE = 0
    METADATA_CHANGE = 1


class IPAddrType(IntEnum):
    """``virIPAddrType``."""

    IPV4 = 0
    IPV6 = 1


class NetworkPortCreateFlags(IntFlag):
    """``virNetworkPortCreateFlags``."""

    RECLAIM = 1
    VALIDATE = 2


class NetworkMetadataType(IntEnum):
    """``virNetworkMetadataType``."""

    DESCRIPTION = 0
    TITLE = 1
    ELEMENT = 2


late(globals())
