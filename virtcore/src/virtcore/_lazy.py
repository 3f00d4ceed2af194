"""Packages whose public names are imported when they are first used (PEP 562)."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    Table = Mapping[str, tuple[str, ...]]

__all__ = ["imported", "lazy"]


def imported(name: str) -> ModuleType:
    """A module, loaded now; as :func:`importlib.import_module`, whose package need not be loaded for that."""
    __import__(name)
    return sys.modules[name]


def lazy(package: str, *tables: Table | Callable[[], Table]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package.

    :param package: its ``__name__``.
    :param tables: module -> the names it has; a module with a dot is named in full, the others are in the package.
        One that is itself worth loading late is a function that returns it.
    """
    known: dict[str, str] | None = None

    def homes() -> dict[str, str]:
        nonlocal known
        if known is None:
            known = {
                name: module if "." in module else f"{package}.{module}"
                for table in tables
                for module, names in (table() if callable(table) else table).items()
                for name in names
            }
        return known

    def load(name: str) -> object:
        home = None if name.startswith("__") else homes().get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(imported(home), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes()})

    return load, names
