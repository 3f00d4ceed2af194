"""Sizes as libvirt prints them."""

from __future__ import annotations

__all__ = ["unit_of"]


def unit_of(size: int) -> tuple[int, str]:
    """The largest unit that divides a size: how many bytes it is, and its name."""
    scale = 1
    for name in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if not size or size % (scale << 10):
            return scale, name
        scale <<= 10
    return scale, "EiB"
