"""The commands, a module per help group; :func:`load` declares them all."""

from __future__ import annotations

from importlib import import_module

__all__ = ["load"]

_MODULES = ("domain", "domain_change", "events", "host", "itself", "monitor")
_loaded = False


def load() -> None:
    """Import every module of commands, once."""
    global _loaded
    if not _loaded:
        _loaded = True
        for name in _MODULES:
            import_module(f"virt_shell.commands.{name}")
