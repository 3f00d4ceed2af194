"""Enumerations and flags of libvirt's public API: secret."""

from __future__ import annotations

from virtcore._quick_enum import LateIntEnum as IntEnum, LateIntFlag as IntFlag, late


class SecretUsageType(IntEnum):
    """``virSecretUsageType``."""

    NONE = 0
    VOLUME = 1
    CEPH = 2
    ISCSI = 3
    TLS = 4
    VTPM = 5


class ConnectListAllSecretsFlags(IntFlag):
    """``virConnectListAllSecretsFlags``."""

    EPHEMERAL = 1
    NO_EPHEMERAL = 2
    PRIVATE = 4
    NO_PRIVATE = 8


class SecretDefineFlags(IntFlag):
    """``virSecretDefineFlags``."""

    VALIDATE = 1


class SecretEventID(IntEnum):
    """``virSecretEventID``."""

    LIFECYCLE = 0
    VALUE_CHANGED = 1


class SecretEventLifecycleType(IntEnum):
    """``virSecretEventLifecycleType``."""

    DEFINED = 0
    UNDEFINED = 1


late(globals())
