"""Enumerations and flags of libvirt's public API: checkpoint."""

from __future__ import annotations

from virtcore._quick_enum import LateIntFlag as IntFlag, late


class DomainCheckpointCreateFlags(IntFlag):
    """``virDomainCheckpointCreateFlags``."""

    REDEFINE = 1
    QUIESCE = 2
    REDEFINE_VALIDATE = 4


class DomainCheckpointXMLFlags(IntFlag):
    """``virDomainCheckpointXMLFlags``."""

    SECURE = 1
    NO_DOMAIN = 2
    SIZE = 4


class DomainCheckpointListFlags(IntFlag):
    """``virDomainCheckpointListFlags``."""

    ROOTS = 1
    DESCENDANTS = 1
    TOPOLOGICAL = 2
    LEAVES = 4
    NO_LEAVES = 8


class DomainCheckpointDeleteFlags(IntFlag):
    """``virDomainCheckpointDeleteFlags``."""

    CHILDREN = 1
    METADATA_ONLY = 2
    CHILDREN_ONLY = 4


late(globals())
