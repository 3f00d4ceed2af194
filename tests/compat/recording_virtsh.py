"""virtsh, which writes down which operations it called: ``recording_virtsh.py FILE ARGUMENT ...``."""

from __future__ import annotations

import sys
from typing import Any

from virt_shell.main import main
from virtcore.runtime import blocking, session


def record(cls: type, called: set[str]) -> None:
    """Have a class of connections tell the operations that are called through it."""
    original = cls.call_here  # type: ignore[attr-defined]

    def call_here(self: Any, name: str, *rest: Any, **named: Any) -> Any:
        called.add(name)
        return original(self, name, *rest, **named)

    cls.call_here = call_here  # type: ignore[attr-defined]


if __name__ == "__main__":
    operations: set[str] = set()
    for module in (blocking, session):
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == module.__name__ and hasattr(cls, "call_here"):
                record(cls, operations)
    try:
        status = main(sys.argv[2:])
    finally:
        with open(sys.argv[1], "a") as told:
            told.write("".join(f"{name}\n" for name in sorted(operations)))
    sys.exit(status)
