"""VMX, the configuration files of VMware's machines, to and from domains. No hypervisor is needed for either."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virt_esx.vmx.context import (
        DESKTOP_HARDWARE_VERSION as DESKTOP_HARDWARE_VERSION,
        DatastoreFiles as DatastoreFiles,
        FileNames as FileNames,
        VMXContext as VMXContext,
    )
    from virt_esx.vmx.read import read_vmx as read_vmx
    from virt_esx.vmx.write import write_vmx as write_vmx

_HOMES = {
    "DESKTOP_HARDWARE_VERSION": "context",
    "DatastoreFiles": "context",
    "FileNames": "context",
    "VMXContext": "context",
    "read_vmx": "read",
    "write_vmx": "write",
}

__all__ = ["DESKTOP_HARDWARE_VERSION", "DatastoreFiles", "FileNames", "VMXContext", "read_vmx", "write_vmx"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
