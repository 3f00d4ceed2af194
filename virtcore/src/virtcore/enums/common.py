"""Enumerations and flags of libvirt's public API: common."""

from __future__ import annotations

from virtcore._quick_enum import LateIntEnum as IntEnum, LateIntFlag as IntFlag, late


class ConnectCloseReason(IntEnum):
    """``virConnectCloseReason``."""

    ERROR = 0
    EOF = 1
    KEEPALIVE = 2
    CLIENT = 3


class TypedParameterType(IntEnum):
    """``virTypedParameterType``."""

    INT = 1
    UINT = 2
    LLONG = 3
    ULLONG = 4
    DOUBLE = 5
    BOOLEAN = 6
    STRING = 7


class TypedParameterFlags(IntFlag):
    """``virTypedParameterFlags``."""

    STRING_OKAY = 4


class EventHandleType(IntFlag):
    """``virEventHandleType``."""

    READABLE = 1
    WRITABLE = 2
    ERROR = 4
    HANGUP = 8


late(globals())
