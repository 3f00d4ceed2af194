"""What interfaces of domains and virtual networks share; names resolve on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.network.port import (
        VLAN as VLAN,
        Bandwidth as Bandwidth,
        BandwidthRate as BandwidthRate,
        IPAddress as IPAddress,
        MACTableManager as MACTableManager,
        NativeVLANMode as NativeVLANMode,
        PortOptions as PortOptions,
        Route as Route,
        VirtualPort as VirtualPort,
        VirtualPortParameters as VirtualPortParameters,
        VirtualPortType as VirtualPortType,
        VLANTag as VLANTag,
    )

_PORT = (
    "Bandwidth",
    "BandwidthRate",
    "IPAddress",
    "MACTableManager",
    "NativeVLANMode",
    "PortOptions",
    "Route",
    "VLAN",
    "VLANTag",
    "VirtualPort",
    "VirtualPortParameters",
    "VirtualPortType",
)

__all__ = [
    "Bandwidth",
    "BandwidthRate",
    "IPAddress",
    "MACTableManager",
    "NativeVLANMode",
    "PortOptions",
    "Route",
    "VLAN",
    "VLANTag",
    "VirtualPort",
    "VirtualPortParameters",
    "VirtualPortType",
]


def __getattr__(name: str) -> object:
    if name not in _PORT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.port"), name)
    globals()[name] = value
    return value
