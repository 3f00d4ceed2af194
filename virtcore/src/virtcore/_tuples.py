"""Named tuples that leave their annotations as the text they are.

:class:`typing.NamedTuple` compiles the annotation of every field, and for the first of them Python makes the classes of
its syntax trees: that takes longer than many calls to a daemon, and a command that makes one needs none of it. To type
checkers this one is :class:`typing.NamedTuple`.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:

    class _Maker(type):
        def __new__(cls, name, bases, body):
            fields = body.get("__annotations__", {})
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            if len(bases) > 1:  # a generic one
                return type(name, (made, *bases[1:]), {"__slots__": (), **body})
            for key, value in body.items():
                setattr(made, key, value)
            return made

    class _Root:
        def __mro_entries__(self, bases):
            return (_Made,)

    _Made = type.__new__(_Maker, "NamedTuple", (), {})
    NamedTuple = _Root()

__all__ = ["NamedTuple"]
