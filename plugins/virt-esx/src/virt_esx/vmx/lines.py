"""The lines of a VMX file that is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["VMXLines", "write_uuid"]

# What would end a value, or the line.
_UNWRITABLE = frozenset('"\r\n\0')


class VMXLines:
    """Settings in the order in which they are written."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, value: str | int | bool) -> None:
        """Write a setting.

        :raises ConfigUnsupported: the value would not be read back as one.
        """
        written = str(value).lower() if isinstance(value, bool) else str(value)
        if not _UNWRITABLE.isdisjoint(written):
            raise ConfigUnsupported(
                f"VMX entry '{name}' cannot hold quotes, line breaks or NUL characters", value=written
            )
        self._lines.append(f'{name} = "{written}"\n')

    def text(self) -> str:
        """The file."""
        return "".join(self._lines)


def write_uuid(uuid: UUID) -> str:
    """A UUID as VMware writes it."""
    digits = uuid.bytes
    return f"{digits[:8].hex(' ')}-{digits[8:].hex(' ')}"
