"""Results of operations on a domain."""

from __future__ import annotations

from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING, Generic, Sequence, TypeVar
from virtcore.types import CpuMap, DomainRef, TypedParameters

if TYPE_CHECKING:
    from virtcore.enums.domain import DomainDiskErrorCode, DomainState, VcpuState
    from virtcore.enums.network import IPAddrType

__all__ = [
    "ControlInfo",
    "DiskError",
    "DomainIPAddress",
    "DomainInfo",
    "DomainInterface",
    "DomainStats",
    "RecentStats",
    "FSInfo",
    "GuestTime",
    "IOThreadInfo",
    "InterfaceStats",
    "SchedulerType",
    "Screenshot",
    "SecurityLabel",
    "StateInfo",
    "VcpuInfo",
]

#: What carries bytes: a driver's stream, or one that a user holds.
S = TypeVar("S")


class StateInfo(NamedTuple):
    """State of a domain and the reason for it (``virDomainGetState``).

    ``reason`` has the value of a member of the enumeration that belongs to the state: ``DomainRunningReason(reason)``.
    It is an ``int``, since a newer hypervisor or daemon may have reasons that virtcore does not know.
    """

    state: DomainState
    reason: int


class DomainInfo(NamedTuple):
    """``virDomainInfo``: memory in KiB, CPU time in ns."""

    state: DomainState
    max_memory: int
    memory: int
    vcpus: int
    cpu_time: int


class ControlInfo(NamedTuple):
    """State of the control channel to the hypervisor (``virDomainControlInfo``); ``state_time`` in ms."""

    state: int
    details: int
    state_time: int


class SecurityLabel(NamedTuple):
    """Label of a running guest (``virSecurityLabel``)."""

    label: str
    enforcing: bool


class DomainStats(NamedTuple):
    """One domain's row of bulk statistics (``virDomainStatsRecord``)."""

    domain: DomainRef
    params: TypedParameters


class RecentStats(NamedTuple):
    """One domain's statistics and how old they are, in seconds."""

    domain: DomainRef
    params: TypedParameters
    age: float


class VcpuInfo(NamedTuple):
    """A virtual CPU (``virVcpuInfo``): time in ns, the host CPU it is on (negative: a ``VcpuHostCpuState``), the host
    CPUs it may be on."""

    number: int
    state: VcpuState
    cpu_time: int
    cpu: int
    cpumap: CpuMap


class IOThreadInfo(NamedTuple):
    """An I/O thread and the host CPUs it may be on (``virDomainIOThreadInfo``)."""

    iothread_id: int
    cpumap: CpuMap


class SchedulerType(NamedTuple):
    """Name of a domain's scheduler, and how many parameters it has (``virDomainGetSchedulerType``)."""

    type: str
    nparams: int


class InterfaceStats(NamedTuple):
    """Traffic of a network interface, as the guest sees it (``virDomainInterfaceStatsStruct``): bytes, packets; -1
    where a counter is not known."""

    rx_bytes: int
    rx_packets: int
    rx_errs: int
    rx_drop: int
    tx_bytes: int
    tx_packets: int
    tx_errs: int
    tx_drop: int


class DiskError(NamedTuple):
    """A disk, by its target, with the error that stopped its I/O (``virDomainDiskError``)."""

    disk: str
    error: DomainDiskErrorCode


class DomainIPAddress(NamedTuple):
    """An address of a guest's interface (``virDomainIPAddress``)."""

    type: IPAddrType
    addr: str
    prefix: int


class DomainInterface(NamedTuple):
    """A guest's network interface (``virDomainInterface``)."""

    name: str
    hwaddr: str | None
    addrs: Sequence[DomainIPAddress]


class FSInfo(NamedTuple):
    """A file system mounted in a guest (``virDomainFSInfo``); ``dev_aliases`` are targets of the disks it is on."""

    mountpoint: str
    name: str
    fstype: str
    dev_aliases: Sequence[str]


class GuestTime(NamedTuple):
    """A guest's clock, since the epoch in UTC (``virDomainGetTime``)."""

    seconds: int
    nseconds: int


class Screenshot(NamedTuple, Generic[S]):
    """A picture of a guest's screen (``virDomainScreenshot``): its MIME type, and its bytes."""

    mime: str | None
    stream: S
