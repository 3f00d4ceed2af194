"""Results of operations on a host."""

from __future__ import annotations

from virtcore._tuples import NamedTuple
from virtcore.types import CpuMap

__all__ = ["NodeCpuMap", "NodeInfo", "SecurityModel"]


class NodeInfo(NamedTuple):
    """The host (``virNodeInfo``): memory in KiB, CPU frequency in MHz."""

    model: str
    memory: int
    cpus: int
    mhz: int
    nodes: int
    sockets: int
    cores: int
    threads: int


class NodeCpuMap(NamedTuple):
    """The host's CPUs (``virNodeGetCPUMap``): which are online, how many that are, how many are present."""

    cpumap: CpuMap
    online: int
    present: int


class SecurityModel(NamedTuple):
    """The host's security driver (``virSecurityModel``); empty strings where there is none."""

    model: str
    doi: str
