"""What interfaces of domains and virtual networks share; names resolve on first use."""

from __future__ import annotations

from importlib import import_module

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

__all__ = sorted(_PORT)


def __getattr__(name: str) -> object:
    if name not in _PORT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.port"), name)
    globals()[name] = value
    return value
