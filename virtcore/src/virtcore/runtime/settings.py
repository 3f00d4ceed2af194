"""Settings that are declared as a dataclass and stand in a file of libvirt's format (:mod:`virtcore.runtime.conf`).

A field's metadata have what it means (``doc``). What a value must be and what errors say of another is the reader's
own: libvirt's programs differ in it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from virtcore.errors import SystemError

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import DataclassInstance

__all__ = ["example", "read_text", "rows"]


def read_text(path: Path, *, required: bool = False) -> str | None:
    """The text of a file; None without one.

    :param required: the file must be there.
    :raises SystemError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        if not required and isinstance(error, FileNotFoundError | NotADirectoryError):
            return None
        raise SystemError(f"Failed to open file '{path}': {error.strerror}") from None


def rows(settings: type[DataclassInstance]) -> list[tuple[str, str, str]]:
    """Name, default and documentation of every setting, as the documentation has them."""
    found = []
    for one in dataclasses.fields(settings):
        default = one.default_factory() if callable(one.default_factory) else one.default
        found.append((one.name, _shown(default), one.metadata["doc"]))
    return found


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "[ {} ]".format(", ".join(f'"{one}"' for one in value)) if value else "[ ]"
    return str(int(value)) if isinstance(value, int) else f'"{value}"'


def example(settings: type[DataclassInstance], title: str) -> str:
    """A file that changes nothing and says everything.

    :param title: its name and whose settings it has.
    """
    lines = [f"# {title}. Every setting is there, with its default.", ""]
    for name, default, doc in rows(settings):
        lines += [f"# {doc[0].upper()}{doc[1:]}.", f"#{name} = {default}", ""]
    return "\n".join(lines)
