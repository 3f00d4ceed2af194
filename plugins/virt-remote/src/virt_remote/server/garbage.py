"""Python's collector of garbage beside a loop that is not to stand still."""

from __future__ import annotations

import gc
import sys

__all__ = ["settle"]

#: So many more modules are worth to be set aside at once; any, with what they have made, before all is looked through.
_MANY = 25

_known = 0


def settle() -> None:
    """Set aside what is there: it stays, and need not be looked through again and again. What drivers load later is set
    aside when the collector would first go through it: all at once, where it was kept from working meanwhile."""
    global _known
    _known = len(sys.modules)
    gc.freeze()
    gc.enable()
    if _before not in gc.callbacks:
        gc.callbacks.append(_before)


def _before(phase: str, info: dict[str, int]) -> None:
    global _known
    if phase == "start" and len(sys.modules) >= _known + (1 if info["generation"] == 2 else _MANY):
        _known = len(sys.modules)
        gc.freeze()
