"""The object model of libvirt's XML: one package per kind of document.

Nothing is imported before a name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.arch import Arch, host_arch

__all__ = ["Arch", "host_arch"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module("virtcore.model.arch"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
