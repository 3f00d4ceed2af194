"""Enumerations and flags of libvirt's public API: qemu."""

from __future__ import annotations

from virtcore._quick_enum import LateIntEnum as IntEnum, LateIntFlag as IntFlag, late


class DomainQemuMonitorCommandFlags(IntFlag):
    """``virDomainQemuMonitorCommandFlags``."""

    DEFAULT = 0
    HMP = 1


class DomainQemuAgentCommandTimeoutValues(IntEnum):
    """``virDomainQemuAgentCommandTimeoutValues``."""

    MIN = -2
    BLOCK = -2
    DEFAULT = -1
    NOWAIT = 0
    SHUTDOWN = 60


class ConnectDomainQemuMonitorEventRegisterFlags(IntFlag):
    """``virConnectDomainQemuMonitorEventRegisterFlags``."""

    REGEX = 1
    NOCASE = 2


late(globals())
