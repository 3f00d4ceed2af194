"""Enumerations of numbers that are made in a third of the time, as the standard library makes its own.

libvirt's have some thousand members. To type checkers, and where Python has no such way, these bases are those of
:mod:`enum`; what comes of them is the same in any case.
"""

from __future__ import annotations

import enum

TYPE_CHECKING = False
if TYPE_CHECKING or not hasattr(enum, "_simple_enum"):
    from enum import IntEnum as IntEnum, IntFlag as IntFlag
else:

    def _base(kind):
        class Maker(type):
            def __new__(cls, name, bases, body):
                return enum._simple_enum(kind)(type(name, (), body))

        class Base:
            def __mro_entries__(self, bases):
                return (made,)

        made = type.__new__(Maker, kind.__name__, (), {})
        return Base()

    IntEnum, IntFlag = _base(enum.IntEnum), _base(enum.IntFlag)

__all__ = ["IntEnum", "IntFlag"]
