"""The commands, modules by help group; :func:`load` declares them all.

After adding, renaming or removing one, ``./dev gen`` writes the index (``virt_shell._index``) anew.
"""

from __future__ import annotations

__all__ = ["load"]


def load() -> None:
    """Import every module of commands."""
    import pkgutil
    from importlib import import_module

    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
