"""``<permissions>`` and ``<timestamps>`` of pools' targets and of volumes."""

from __future__ import annotations

from virtcore.xml import OCTAL, Codec, element, leaf
from virtcore.xml.scalars import Unreadable, strtol

__all__ = ["Permissions", "Timestamps"]

_UNSIGNED = 1 << 32


def _read_id(text: str) -> int:
    value = strtol(text, 10)[1]
    if value == _UNSIGNED - 1:
        return -1
    if not -1 <= value < _UNSIGNED:
        raise Unreadable(text)
    return value


def _write_id(value: int) -> str:
    # As libvirt prints them: signed.
    return str(value - _UNSIGNED if value >= _UNSIGNED // 2 else value)


#: Number of a user or group; -1 is nobody in particular.
_ID: Codec[int] = Codec(
    _read_id, _write_id, datatype='<choice><data type="unsignedInt"/><value>-1</value></choice>', safe=True
)


@element("permissions")
class Permissions:
    """Owner, mode and label of a file or folder. What is absent is left to the system."""

    mode: int | None = leaf(
        codec=OCTAL("0%o"), maximum=0o777, invalid="malformed octal mode", doc="mode, in octal digits"
    )
    owner: int | None = leaf(
        codec=_ID, blank=True, omit=-1, invalid="malformed owner element", doc="number of the user"
    )
    group: int | None = leaf(
        codec=_ID, blank=True, omit=-1, invalid="malformed group element", doc="number of the group"
    )
    label: str | None = leaf(doc="security label")


_NANO = 10**9


def _read_time(text: str) -> int:
    seconds, dot, fraction = text.partition(".")
    if not (seconds.isdigit() and text.isascii() and len(text) < 40):
        raise Unreadable(text)
    if dot and not (fraction.isdigit() and len(fraction) <= 9):
        raise Unreadable(text)
    return int(seconds) * _NANO + int(fraction.ljust(9, "0") if fraction else 0)


def _write_time(value: int) -> str:
    seconds, nanoseconds = divmod(value, _NANO)
    return f"{seconds}.{nanoseconds:09d}" if nanoseconds else f"{seconds}"


#: A point in time, in nanoseconds since 1970.
_TIME: Codec[int] = Codec(_read_time, _write_time, datatype="pattern:[0-9]{1,10}(\\.[0-9]{1,9})?", safe=True)


@element("timestamps", empty="open", since="0.10.0")
class Timestamps:
    """When a volume was used and changed; in nanoseconds since 1970."""

    atime: int | None = leaf(codec=_TIME, doc="last read")
    mtime: int | None = leaf(codec=_TIME, doc="last written")
    ctime: int | None = leaf(codec=_TIME, doc="last change of its properties")
    btime: int | None = leaf(codec=_TIME, doc="made")
