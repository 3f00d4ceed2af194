"""Enumerations and flags of libvirt's public API: domain."""

from __future__ import annotations

from virtcore._quick_enum import LateIntEnum as IntEnum, LateIntFlag as IntFlag, late


class DomainState(IntEnum):
    """``virDomainState``."""

    NOSTATE = 0
    RUNNING = 1
    BLOCKED = 2
    PAUSED = 3
    SHUTDOWN = 4
    SHUTOFF = 5
    CRASHED = 6
    PMSUSPENDED = 7


class DomainNostateReason(IntEnum):
    """``virDomainNostateReason``."""

    UNKNOWN = 0


class DomainRunningReason(IntEnum):
    """``virDomainRunningReason``."""

    UNKNOWN = 0
    BOOTED = 1
    MIGRATED = 2
    RESTORED = 3
    FROM_SNAPSHOT = 4
    UNPAUSED = 5
    MIGRATION_CANCELED = 6
    SAVE_CANCELED = 7
    WAKEUP = 8
    CRASHED = 9
    POSTCOPY = 10
    POSTCOPY_FAILED = 11


class DomainPausedReason(IntEnum):
    """``virDomainPausedReason``."""

    UNKNOWN = 0
    USER = 1
    MIGRATION = 2
    SAVE = 3
    DUMP = 4
    IOERROR = 5
    WATCHDOG = 6
    FROM_SNAPSHOT = 7
    SHUTTING_DOWN = 8
    SNAPSHOT = 9
    CRASHED = 10
    STARTING_UP = 11
    POSTCOPY = 12
    POSTCOPY_FAILED = 13
    API_ERROR = 14


class DomainShutdownReason(IntEnum):
    """``virDomainShutdownReason``."""

    UNKNOWN = 0
    USER = 1


class DomainShutoffReason(IntEnum):
    """``virDomainShutoffReason``."""

    UNKNOWN = 0
    SHUTDOWN = 1
    DESTROYED = 2
    CRASHED = 3
    MIGRATED = 4
    SAVED = 5
    FAILED = 6
    FROM_SNAPSHOT = 7
    DAEMON = 8


class DomainCrashedReason(IntEnum):
    """``virDomainCrashedReason``."""

    UNKNOWN = 0
    PANICKED = 1


class DomainPMSuspendedReason(IntEnum):
    """``virDomainPMSuspendedReason``."""

    UNKNOWN = 0


class DomainPMSuspendedDiskReason(IntEnum):
    """``virDomainPMSuspendedDiskReason``."""

    UNKNOWN = 0


class DomainControlState(IntEnum):
    """``virDomainControlState``."""

    OK = 0
    JOB = 1
    OCCUPIED = 2
    ERROR = 3


class DomainControlErrorReason(IntEnum):
    """``virDomainControlErrorReason``."""

    NONE = 0
    UNKNOWN = 1
    MONITOR = 2
    INTERNAL = 3


class DomainModificationImpact(IntFlag):
    """``virDomainModificationImpact``."""

    CURRENT = 0
    LIVE = 1
    CONFIG = 2


class DomainCreateFlags(IntFlag):
    """``virDomainCreateFlags``."""

    NONE = 0
    START_PAUSED = 1
    START_AUTODESTROY = 2
    START_BYPASS_CACHE = 4
    START_FORCE_BOOT = 8
    START_VALIDATE = 16
    START_RESET_NVRAM = 32


class ConnectGetDomainCapabilitiesFlags(IntFlag):
    """``virConnectGetDomainCapabilitiesFlags``."""

    DISABLE_DEPRECATED_FEATURES = 1


class DomainShutdownFlags(IntFlag):
    """``virDomainShutdownFlagValues``."""

    DEFAULT = 0
    ACPI_POWER_BTN = 1
    GUEST_AGENT = 2
    INITCTL = 4
    SIGNAL = 8
    PARAVIRT = 16


class DomainRebootFlags(IntFlag):
    """``virDomainRebootFlagValues``."""

    DEFAULT = 0
    ACPI_POWER_BTN = 1
    GUEST_AGENT = 2
    INITCTL = 4
    SIGNAL = 8
    PARAVIRT = 16


class DomainDestroyFlags(IntFlag):
    """``virDomainDestroyFlagsValues``."""

    DEFAULT = 0
    GRACEFUL = 1
    REMOVE_LOGS = 2


class DomainSaveRestoreFlags(IntFlag):
    """``virDomainSaveRestoreFlags``."""

    BYPASS_CACHE = 1
    RUNNING = 2
    PAUSED = 4
    RESET_NVRAM = 8


class DomainNumatuneMemMode(IntEnum):
    """``virDomainNumatuneMemMode``."""

    STRICT = 0
    PREFERRED = 1
    INTERLEAVE = 2
    RESTRICTIVE = 3


class DomainGetHostnameFlags(IntFlag):
    """``virDomainGetHostnameFlags``."""

    LEASE = 1
    AGENT = 2


class DomainMetadataType(IntEnum):
    """``virDomainMetadataType``."""

    DESCRIPTION = 0
    TITLE = 1
    ELEMENT = 2


class DomainXMLFlags(IntFlag):
    """``virDomainXMLFlags``."""

    SECURE = 1
    INACTIVE = 2
    UPDATE_CPU = 4
    MIGRATABLE = 8


class DomainSaveImageXMLFlags(IntFlag):
    """``virDomainSaveImageXMLFlags``."""

    SECURE = 1


class DomainDefineFlags(IntFlag):
    """``virDomainDefineFlags``."""

    VALIDATE = 1


class DomainUndefineFlags(IntFlag):
    """``virDomainUndefineFlagsValues``."""

    MANAGED_SAVE = 1
    SNAPSHOTS_METADATA = 2
    NVRAM = 4
    KEEP_NVRAM = 8
    CHECKPOINTS_METADATA = 16
    TPM = 32
    KEEP_TPM = 64


class ConnectListAllDomainsFlags(IntFlag):
    """``virConnectListAllDomainsFlags``."""

    ACTIVE = 1
    INACTIVE = 2
    PERSISTENT = 4
    TRANSIENT = 8
    RUNNING = 16
    PAUSED = 32
    SHUTOFF = 64
    OTHER = 128
    MANAGEDSAVE = 256
    NO_MANAGEDSAVE = 512
    AUTOSTART = 1024
    NO_AUTOSTART = 2048
    HAS_SNAPSHOT = 4096
    NO_SNAPSHOT = 8192
    HAS_CHECKPOINT = 16384
    NO_CHECKPOINT = 32768


class VcpuState(IntEnum):
    """``virVcpuState``."""

    OFFLINE = 0
    RUNNING = 1
    BLOCKED = 2


class VcpuHostCpuState(IntEnum):
    """``virVcpuHostCpuState``."""

    OFFLINE = -1
    UNAVAILABLE = -2


class DomainVcpuFlags(IntFlag):
    """``virDomainVcpuFlags``."""

    CURRENT = 0
    LIVE = 1
    CONFIG = 2
    MAXIMUM = 4
    GUEST = 8
    HOTPLUGGABLE = 16


class DomainDeviceModifyFlags(IntFlag):
    """``virDomainDeviceModifyFlags``."""

    CURRENT = 0
    LIVE = 1
    CONFIG = 2
    FORCE = 4


class DomainDiskErrorCode(IntEnum):
    """``virDomainDiskErrorCode``."""

    NONE = 0
    UNSPEC = 1
    NO_SPACE = 2


class DomainConsoleFlags(IntFlag):
    """``virDomainConsoleFlags``."""

    FORCE = 1
    SAFE = 2


class DomainChannelFlags(IntFlag):
    """``virDomainChannelFlags``."""

    FORCE = 1


class DomainSetTimeFlags(IntFlag):
    """``virDomainSetTimeFlags``."""

    SYNC = 1


class SchedParameterType(IntEnum):
    """``virSchedParameterType``."""

    INT = 1
    UINT = 2
    LLONG = 3
    ULLONG = 4
    DOUBLE = 5
    BOOLEAN = 6


class BlkioParameterType(IntEnum):
    """``virBlkioParameterType``."""

    INT = 1
    UINT = 2
    LLONG = 3
    ULLONG = 4
    DOUBLE = 5
    BOOLEAN = 6


class DomainInterfaceAddressesSource(IntEnum):
    """``virDomainInterfaceAddressesSource``."""

    LEASE = 0
    AGENT = 1
    ARP = 2


class DomainSetUserPasswordFlags(IntFlag):
    """``virDomainSetUserPasswordFlags``."""

    ENCRYPTED = 1


class DomainBackupBeginFlags(IntFlag):
    """``virDomainBackupBeginFlags``."""

    REUSE_EXTERNAL = 1


class DomainAuthorizedSSHKeysSetFlags(IntFlag):
    """``virDomainAuthorizedSSHKeysSetFlags``."""

    APPEND = 1
    REMOVE = 2


class DomainMessageType(IntFlag):
    """``virDomainMessageType``."""

    DEPRECATION = 1
    TAINTING = 2
    IOERRORS = 4


class DomainFDAssociateFlags(IntFlag):
    """``virDomainFDAssociateFlags``."""

    RESTORE = 1
    WRITABLE = 2


late(globals())
