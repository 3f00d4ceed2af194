"""Enumerations and flags of libvirt's public API: interface."""

from __future__ import annotations

from virtcore._quick_enum import LateIntFlag as IntFlag, late


class ConnectListAllInterfacesFlags(IntFlag):
    """``virConnectListAllInterfacesFlags``."""

    INACTIVE = 1
    ACTIVE = 2


class InterfaceXMLFlags(IntFlag):
    """``virInterfaceXMLFlags``."""

    INACTIVE = 1


class InterfaceDefineFlags(IntFlag):
    """``virInterfaceDefineFlags``."""

    VALIDATE = 1


late(globals())
