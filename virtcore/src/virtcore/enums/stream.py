"""Enumerations and flags of libvirt's public API: stream."""

from __future__ import annotations

from virtcore._quick_enum import LateIntFlag as IntFlag, late


class StreamFlags(IntFlag):
    """``virStreamFlags``."""

    NONBLOCK = 1


class StreamRecvFlags(IntFlag):
    """``virStreamRecvFlagsValues``."""

    STOP_AT_HOLE = 1


class StreamEventType(IntFlag):
    """``virStreamEventType``."""

    READABLE = 1
    WRITABLE = 2
    ERROR = 4
    HANGUP = 8


late(globals())
