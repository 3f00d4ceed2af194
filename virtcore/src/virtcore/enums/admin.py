"""Enumerations and flags of libvirt's public API: admin."""

from __future__ import annotations

from virtcore._quick_enum import LateIntEnum as IntEnum, LateIntFlag as IntFlag, late


class ClientTransport(IntEnum):
    """``virClientTransport``."""

    UNIX = 0
    TCP = 1
    TLS = 2


class AdmConnectDaemonShutdownFlags(IntFlag):
    """``virAdmConnectDaemonShutdownFlags``."""

    PRESERVE = 1


late(globals())
