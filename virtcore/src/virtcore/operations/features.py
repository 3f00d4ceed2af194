"""What a driver can beside its operations, as peers ask for it."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["DriverFeature"]


class DriverFeature(IntEnum):
    """``virDrvFeature``: those that depend on the driver."""

    #: Peer-to-peer migration: the source's host calls the destination's.
    MIGRATION_P2P = 4
    #: Migration without anybody at the destination.
    MIGRATION_DIRECT = 5
    #: Migration in five phases.
    MIGRATION_V3 = 6
    #: The source refuses changes of a guest between the phases of its migration.
    MIGRATE_CHANGE_PROTECTION = 7
    #: Migration of guests that do not run.
    MIGRATION_OFFLINE = 12
    #: Migration with typed parameters.
    MIGRATION_PARAMS = 13
