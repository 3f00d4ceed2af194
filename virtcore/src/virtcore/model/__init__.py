"""The object model of libvirt's XML: one package per kind of document.

Nothing is imported before a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

if TYPE_CHECKING:
    from virtcore.model.arch import Arch, host_arch

__all__ = ["Arch", "host_arch"]


__getattr__, __dir__ = lazy(__name__, {"arch": ("Arch", "host_arch")})
