"""What a driver, or the daemon before it, can beside its operations, as peers ask for it."""

from __future__ import annotations

from virtcore._quick_enum import LateIntEnum as IntEnum, late

__all__ = ["DriverFeature"]


class DriverFeature(IntEnum):
    """``virDrvFeature``."""

    #: A peer that speaks the protocol.
    REMOTE = 2
    #: Peer-to-peer migration: the source's host calls the destination's.
    MIGRATION_P2P = 4
    #: Migration without anybody at the destination.
    MIGRATION_DIRECT = 5
    #: Migration in five phases.
    MIGRATION_V3 = 6
    #: The source refuses changes of a guest between the phases of its migration.
    MIGRATE_CHANGE_PROTECTION = 7
    #: Descriptors beside messages.
    FD_PASSING = 8
    #: Typed parameters of type string.
    TYPED_PARAM_STRING = 9
    #: Questions whether the other end lives are answered.
    PROGRAM_KEEPALIVE = 10
    #: Domain XML for older peers.
    XML_MIGRATABLE = 11
    #: Migration of guests that do not run.
    MIGRATION_OFFLINE = 12
    #: Migration with typed parameters.
    MIGRATION_PARAMS = 13
    #: Events with callback ids.
    REMOTE_EVENT_CALLBACK = 14
    #: Being told that the daemon lost its hypervisor.
    REMOTE_CLOSE_CALLBACK = 15
    #: ``virNetworkUpdate`` has command and section in the order of its arguments.
    NETWORK_UPDATE_HAS_CORRECT_ORDER = 16


late(globals())
