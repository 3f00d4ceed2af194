"""Nodes of graphics cards (direct rendering manager)."""

from __future__ import annotations

from virt_host.nodedev.kernel_device import KernelDevice, digits
from virt_host.nodedev.kinds import Described, Host, NotShown, name_of
from virtcore.model.nodedev import DRMCapability, DRMType

__all__ = ["node"]

_PER_KIND = 64
"""Minor numbers of each kind of nodes, which follow each other."""


def node(device: KernelDevice, host: Host) -> Described:
    minor = device.property("MINOR")
    kinds = list(DRMType)
    number = None if minor is None else digits(minor) // _PER_KIND
    if number is None or number >= len(kinds):
        raise NotShown
    return Described(name_of(device), DRMCapability(type=kinds[number]))
