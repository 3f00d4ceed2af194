"""Enumerations of numbers that are made in a third of the time, as the standard library makes its own.

libvirt's have some thousand members. A module with many classes, of which most programs need few, takes the late ones
for its bases and ends with ``late(globals())``: each class is made when it is first asked for (PEP 562). To type
checkers, and where Python has no such quick way, these bases are those of :mod:`enum`; what comes of them is the same
in any case.
"""

from __future__ import annotations

import enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enum import IntEnum as IntEnum, IntEnum as LateIntEnum, IntFlag as IntFlag, IntFlag as LateIntFlag

    def late(namespace: dict[str, object]) -> None:
        """Have the classes of a module, the caller's, made later."""

else:
    from _thread import RLock
    from types import new_class

    def _base(metaclass):
        class Base:
            def __mro_entries__(self, bases):
                return (made,)

        made = type.__new__(metaclass, "Base", (), {})
        return Base()

    def _quick(kind):
        class Maker(type):
            def __new__(cls, name, bases, body):
                made = enum._simple_enum(kind)(type(name, (), body))
                for member in made.__members__.items():
                    if not hasattr(kind, member[0]):  # no property of Python's, which takes three times as long
                        type.__setattr__(made, *member)
                return made

        return _base(Maker)

    if hasattr(enum, "_simple_enum"):
        IntEnum, IntFlag = _quick(enum.IntEnum), _quick(enum.IntFlag)
    else:
        IntEnum, IntFlag = enum.IntEnum, enum.IntFlag

    class _Pending:
        """A class to be made."""

        __slots__ = ("base", "body", "name")

        def __init__(self, base, name, body):
            self.base, self.name, self.body = base, name, body

        def make(self):
            def fill(namespace):
                for key, value in self.body.items():
                    namespace[key] = value

            return new_class(self.name, (self.base,), exec_body=fill)

    def _late(base):
        class Maker(type):
            def __new__(cls, name, bases, body):
                return _Pending(base, name, body)

        return _base(Maker)

    LateIntEnum, LateIntFlag = _late(IntEnum), _late(IntFlag)

    _lock = RLock()  # there is one class of a name

    def late(namespace):
        waiting = {name: value for name, value in namespace.items() if type(value) is _Pending}
        for name in waiting:
            del namespace[name]

        def load(name):
            with _lock:
                if name in waiting:
                    namespace[name] = waiting.pop(name).make()
            try:
                return namespace[name]
            except KeyError:
                raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}") from None

        namespace["__getattr__"] = load
        namespace["__dir__"] = lambda: sorted({*namespace, *waiting})


__all__ = ["IntEnum", "IntFlag", "LateIntEnum", "LateIntFlag", "late"]
