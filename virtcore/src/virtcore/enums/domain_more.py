"""Enumerations and flags of libvirt's public API: domain more."""

from __future__ import annotations

from virtcore._quick_enum import LateIntEnum as IntEnum, LateIntFlag as IntFlag, late


class DomainBlockedReason(IntEnum):
    """``virDomainBlockedReason``."""

    UNKNOWN = 0


class DomainMemoryStatTags(IntEnum):
    """``virDomainMemoryStatTags``."""

    SWAP_IN = 0
    SWAP_OUT = 1
    MAJOR_FAULT = 2
    MINOR_FAULT = 3
    UNUSED = 4
    AVAILABLE = 5
    ACTUAL_BALLOON = 6
    RSS = 7
    USABLE = 8
    LAST_UPDATE = 9
    DISK_CACHES = 10
    HUGETLB_PGALLOC = 11
    HUGETLB_PGFAIL = 12
    NR = 13


class DomainCoreDumpFlags(IntFlag):
    """``virDomainCoreDumpFlags``."""

    CRASH = 1
    LIVE = 2
    BYPASS_CACHE = 4
    RESET = 8
    MEMORY_ONLY = 16


class DomainCoreDumpFormat(IntEnum):
    """``virDomainCoreDumpFormat``."""

    RAW = 0
    KDUMP_ZLIB = 1
    KDUMP_LZO = 2
    KDUMP_SNAPPY = 3
    WIN_DMP = 4


class DomainMigrateFlags(IntFlag):
    """``virDomainMigrateFlags``."""

    LIVE = 1
    PEER2PEER = 2
    TUNNELLED = 4
    PERSIST_DEST = 8
    UNDEFINE_SOURCE = 16
    PAUSED = 32
    NON_SHARED_DISK = 64
    NON_SHARED_INC = 128
    CHANGE_PROTECTION = 256
    UNSAFE = 512
    OFFLINE = 1024
    COMPRESSED = 2048
    ABORT_ON_ERROR = 4096
    AUTO_CONVERGE = 8192
    RDMA_PIN_ALL = 16384
    POSTCOPY = 32768
    TLS = 65536
    PARALLEL = 131072
    NON_SHARED_SYNCHRONOUS_WRITES = 262144
    POSTCOPY_RESUME = 524288
    ZEROCOPY = 1048576


class DomainMigrateMaxSpeedFlags(IntFlag):
    """``virDomainMigrateMaxSpeedFlags``."""

    POSTCOPY = 1


class DomainMemoryModFlags(IntFlag):
    """``virDomainMemoryModFlags``."""

    CURRENT = 0
    LIVE = 1
    CONFIG = 2
    MAXIMUM = 4


class DomainBlockResizeFlags(IntFlag):
    """``virDomainBlockResizeFlags``."""

    BYTES = 1
    CAPACITY = 2


class DomainMemoryFlags(IntFlag):
    """``virDomainMemoryFlags``."""

    VIRTUAL = 1
    PHYSICAL = 2


class DomainStatsTypes(IntFlag):
    """``virDomainStatsTypes``."""

    STATE = 1
    CPU_TOTAL = 2
    BALLOON = 4
    VCPU = 8
    INTERFACE = 16
    BLOCK = 32
    PERF = 64
    IOTHREAD = 128
    MEMORY = 256
    DIRTYRATE = 512
    VM = 1024


class ConnectGetAllDomainStatsFlags(IntFlag):
    """``virConnectGetAllDomainStatsFlags``."""

    ACTIVE = 1
    INACTIVE = 2
    PERSISTENT = 4
    TRANSIENT = 8
    RUNNING = 16
    PAUSED = 32
    SHUTOFF = 64
    OTHER = 128
    NOWAIT = 536870912
    BACKING = 1073741824
    ENFORCE_STATS = 2147483648


class DomainBlockJobType(IntEnum):
    """``virDomainBlockJobType``."""

    UNKNOWN = 0
    PULL = 1
    COPY = 2
    COMMIT = 3
    ACTIVE_COMMIT = 4
    BACKUP = 5


class DomainBlockJobAbortFlags(IntFlag):
    """``virDomainBlockJobAbortFlags``."""

    ASYNC = 1
    PIVOT = 2


class DomainBlockJobInfoFlags(IntFlag):
    """``virDomainBlockJobInfoFlags``."""

    BANDWIDTH_BYTES = 1


class DomainBlockJobSetSpeedFlags(IntFlag):
    """``virDomainBlockJobSetSpeedFlags``."""

    SPEED_BANDWIDTH_BYTES = 1


class DomainBlockPullFlags(IntFlag):
    """``virDomainBlockPullFlags``."""

    BANDWIDTH_BYTES = 64


class DomainBlockRebaseFlags(IntFlag):
    """``virDomainBlockRebaseFlags``."""

    SHALLOW = 1
    REUSE_EXT = 2
    COPY_RAW = 4
    COPY = 8
    RELATIVE = 16
    COPY_DEV = 32
    BANDWIDTH_BYTES = 64


class DomainBlockCopyFlags(IntFlag):
    """``virDomainBlockCopyFlags``."""

    SHALLOW = 1
    REUSE_EXT = 2
    TRANSIENT_JOB = 4
    SYNCHRONOUS_WRITES = 8


class DomainBlockCommitFlags(IntFlag):
    """``virDomainBlockCommitFlags``."""

    SHALLOW = 1
    DELETE = 2
    ACTIVE = 4
    RELATIVE = 8
    BANDWIDTH_BYTES = 16


class KeycodeSet(IntEnum):
    """``virKeycodeSet``."""

    LINUX = 0
    XT = 1
    ATSET1 = 2
    ATSET2 = 3
    ATSET3 = 4
    OSX = 5
    XT_KBD = 6
    USB = 7
    WIN32 = 8
    QNUM = 9


class DomainProcessSignal(IntEnum):
    """``virDomainProcessSignal``."""

    NOP = 0
    HUP = 1
    INT = 2
    QUIT = 3
    ILL = 4
    TRAP = 5
    ABRT = 6
    BUS = 7
    FPE = 8
    KILL = 9
    USR1 = 10
    SEGV = 11
    USR2 = 12
    PIPE = 13
    ALRM = 14
    TERM = 15
    STKFLT = 16
    CHLD = 17
    CONT = 18
    STOP = 19
    TSTP = 20
    TTIN = 21
    TTOU = 22
    URG = 23
    XCPU = 24
    XFSZ = 25
    VTALRM = 26
    PROF = 27
    WINCH = 28
    POLL = 29
    PWR = 30
    SYS = 31
    RT0 = 32
    RT1 = 33
    RT2 = 34
    RT3 = 35
    RT4 = 36
    RT5 = 37
    RT6 = 38
    RT7 = 39
    RT8 = 40
    RT9 = 41
    RT10 = 42
    RT11 = 43
    RT12 = 44
    RT13 = 45
    RT14 = 46
    RT15 = 47
    RT16 = 48
    RT17 = 49
    RT18 = 50
    RT19 = 51
    RT20 = 52
    RT21 = 53
    RT22 = 54
    RT23 = 55
    RT24 = 56
    RT25 = 57
    RT26 = 58
    RT27 = 59
    RT28 = 60
    RT29 = 61
    RT30 = 62
    RT31 = 63
    RT32 = 64


class DomainMemoryFailureRecipientType(IntEnum):
    """``virDomainMemoryFailureRecipientType``."""

    HYPERVISOR = 0
    GUEST = 1


class DomainMemoryFailureActionType(IntEnum):
    """``virDomainMemoryFailureActionType``."""

    IGNORE = 0
    INJECT = 1
    FATAL = 2
    RESET = 3


class DomainMemoryFailureFlags(IntFlag):
    """``virDomainMemoryFailureFlags``."""

    ACTION_REQUIRED = 1
    RECURSIVE = 2


class DomainJobType(IntEnum):
    """``virDomainJobType``."""

    NONE = 0
    BOUNDED = 1
    UNBOUNDED = 2
    COMPLETED = 3
    FAILED = 4
    CANCELLED = 5


class DomainGetJobStatsFlags(IntFlag):
    """``virDomainGetJobStatsFlags``."""

    COMPLETED = 1
    KEEP_COMPLETED = 2


class DomainAbortJobFlags(IntFlag):
    """``virDomainAbortJobFlagsValues``."""

    POSTCOPY = 1


class DomainJobOperation(IntEnum):
    """``virDomainJobOperation``."""

    UNKNOWN = 0
    START = 1
    SAVE = 2
    RESTORE = 3
    MIGRATION_IN = 4
    MIGRATION_OUT = 5
    SNAPSHOT = 6
    SNAPSHOT_REVERT = 7
    DUMP = 8
    BACKUP = 9
    SNAPSHOT_DELETE = 10


class DomainOpenGraphicsFlags(IntFlag):
    """``virDomainOpenGraphicsFlags``."""

    SKIPAUTH = 1


class MemoryParameterType(IntEnum):
    """``virMemoryParameterType``."""

    INT = 1
    UINT = 2
    LLONG = 3
    ULLONG = 4
    DOUBLE = 5
    BOOLEAN = 6


class DomainLifecycle(IntEnum):
    """``virDomainLifecycle``."""

    POWEROFF = 0
    REBOOT = 1
    CRASH = 2


class DomainLifecycleAction(IntEnum):
    """``virDomainLifecycleAction``."""

    DESTROY = 0
    RESTART = 1
    RESTART_RENAME = 2
    PRESERVE = 3
    COREDUMP_DESTROY = 4
    COREDUMP_RESTART = 5


class DomainGuestInfoTypes(IntFlag):
    """``virDomainGuestInfoTypes``."""

    USERS = 1
    OS = 2
    TIMEZONE = 4
    HOSTNAME = 8
    FILESYSTEM = 16
    DISKS = 32
    INTERFACES = 64
    LOAD = 128


class DomainAgentResponseTimeoutValues(IntEnum):
    """``virDomainAgentResponseTimeoutValues``."""

    BLOCK = -2
    DEFAULT = -1
    NOWAIT = 0


class DomainDirtyRateStatus(IntEnum):
    """``virDomainDirtyRateStatus``."""

    UNSTARTED = 0
    MEASURING = 1
    MEASURED = 2


class DomainDirtyRateCalcFlags(IntFlag):
    """``virDomainDirtyRateCalcFlags``."""

    PAGE_SAMPLING = 0
    DIRTY_BITMAP = 1
    DIRTY_RING = 2


class DomainGraphicsReloadType(IntEnum):
    """``virDomainGraphicsReloadType``."""

    ANY = 0
    VNC = 1


late(globals())
