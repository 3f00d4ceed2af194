"""Enumerations and flags of libvirt's public API: host."""

from __future__ import annotations

from virtcore._quick_enum import LateIntEnum as IntEnum, LateIntFlag as IntFlag, late


class NodeSuspendTarget(IntEnum):
    """``virNodeSuspendTarget``."""

    MEM = 0
    DISK = 1
    HYBRID = 2


class NodeGetCPUStatsAllCPUs(IntEnum):
    """``virNodeGetCPUStatsAllCPUs``."""

    ALL_CPUS = -1


class NodeGetMemoryStatsAllCells(IntEnum):
    """``virNodeGetMemoryStatsAllCells``."""

    ALL_CELLS = -1


class ConnectFlags(IntFlag):
    """``virConnectFlags``."""

    RO = 1
    NO_ALIASES = 2


class ConnectCredentialType(IntEnum):
    """``virConnectCredentialType``."""

    USERNAME = 1
    AUTHNAME = 2
    LANGUAGE = 3
    CNONCE = 4
    PASSPHRASE = 5
    ECHOPROMPT = 6
    NOECHOPROMPT = 7
    REALM = 8
    EXTERNAL = 9


class CPUCompareResult(IntEnum):
    """``virCPUCompareResult``."""

    ERROR = -1
    INCOMPATIBLE = 0
    IDENTICAL = 1
    SUPERSET = 2


class ConnectCompareCPUFlags(IntFlag):
    """``virConnectCompareCPUFlags``."""

    FAIL_INCOMPATIBLE = 1
    VALIDATE_XML = 2


class ConnectBaselineCPUFlags(IntFlag):
    """``virConnectBaselineCPUFlags``."""

    EXPAND_FEATURES = 1
    MIGRATABLE = 2


class NodeAllocPagesFlags(IntFlag):
    """``virNodeAllocPagesFlags``."""

    ADD = 0
    SET = 1


late(globals())
