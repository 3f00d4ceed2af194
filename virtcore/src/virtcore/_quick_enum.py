"""Enumerations of numbers that are made in a third of the time, as the standard library makes its own.

libvirt's have some thousand members. A module with many classes, of which most programs need few, takes the late ones
for its bases and ends with ``late(globals())``: each class is made when it is first asked for (PEP 562), and with the
first of them :mod:`enum` is loaded. What comes of these bases is the same as of those of :mod:`enum`, which they are to
type checkers; only :class:`Enum` has no more than names and values, for a few words of our own that every program has.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enum import (
        Enum as Enum,
        IntEnum as IntEnum,
        IntEnum as LateIntEnum,
        IntFlag as IntFlag,
        IntFlag as LateIntFlag,
    )

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

    def _filled(name, base, body):
        """A class with what another way of making classes has read of its body."""

        def fill(namespace):
            for key, value in body.items():
                namespace[key] = value

        return new_class(name, (base,), exec_body=fill)

    def _quick(base):
        class Maker(type):
            def __new__(cls, name, bases, body):
                import enum

                kind = getattr(enum, base)
                if not hasattr(enum, "_simple_enum"):  # a Python without that way
                    return _filled(name, kind, body)
                made = enum._simple_enum(kind)(type(name, (), body))
                for member in made.__members__.items():
                    if not hasattr(kind, member[0]):  # no property of Python's, which takes three times as long
                        type.__setattr__(made, *member)
                return made

        return _base(Maker)

    IntEnum, IntFlag = _quick("IntEnum"), _quick("IntFlag")

    class _Pending:
        """A class to be made."""

        __slots__ = ("base", "body", "name")

        def __init__(self, base, name, body):
            self.base, self.name, self.body = base, name, body

        def make(self):
            return _filled(self.name, self.base, self.body)

    def _late(base):
        class Maker(type):
            def __new__(cls, name, bases, body):
                return _Pending(base, name, body)

        return _base(Maker)

    LateIntEnum, LateIntFlag = _late(IntEnum), _late(IntFlag)

    class _Words(type):
        def __init__(cls, name, bases, body):
            cls.__members__ = {key: cls._make(key, value) for key, value in body.items() if not key.startswith("_")}
            for key, member in cls.__members__.items():
                setattr(cls, key, member)

        def _make(cls, name, value):
            made = cls()
            made.name, made.value = name, value
            return made

        def __iter__(cls):
            return iter(cls.__members__.values())

    class Enum(metaclass=_Words):
        __slots__ = ("name", "value")

        def __repr__(self):
            return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

        def __reduce__(self):
            return getattr, (type(self), self.name)

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


__all__ = ["Enum", "IntEnum", "IntFlag", "LateIntEnum", "LateIntFlag", "late"]
