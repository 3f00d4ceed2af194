"""Registrations of plugins' XML namespaces that wait until somebody reads or writes a document with a place for them.

They load element classes, which a connection that only lists its domains has no use for. The hooks, which know the
plugins, put them here; the XML engine, which may not know the hooks, takes them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["defer", "settle"]

_waiting: list[Callable[[], object]] = []
_settled = False


def defer(register: Callable[[], object]) -> None:
    """Have a registration done before the first such document; at once when there was one."""
    if _settled:
        register()
    else:
        _waiting.append(register)


def settle() -> None:
    """Do what waits."""
    global _settled
    _settled = True
    while _waiting:
        _waiting.pop(0)()
