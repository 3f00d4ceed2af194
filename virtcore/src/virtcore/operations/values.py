"""Results of operations that are more than one value."""

from __future__ import annotations

from typing import NamedTuple

from virtcore.enums.domain import DomainState
from virtcore.types import DomainRef, TypedParameters

__all__ = [
    "ControlInfo",
    "DomainInfo",
    "DomainStats",
    "NodeInfo",
    "SecurityLabel",
    "SecurityModel",
    "StateInfo",
]


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


class SecurityModel(NamedTuple):
    """The host's security driver (``virSecurityModel``); empty strings where there is none."""

    model: str
    doi: str


class SecurityLabel(NamedTuple):
    """Label of a running guest (``virSecurityLabel``)."""

    label: str
    enforcing: bool


class DomainStats(NamedTuple):
    """One domain's row of bulk statistics (``virDomainStatsRecord``)."""

    domain: DomainRef
    params: TypedParameters
