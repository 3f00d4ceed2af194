"""Named tuples that are made without compiling anything.

:class:`typing.NamedTuple` compiles the annotation of every field and a constructor for every class. A command that
makes one call to a daemon needs fifty of them, for which that takes as long as everything else. These leave annotations
as the text they are, and take a constructor that is compiled already and give its arguments other names. To type
checkers this one is :class:`typing.NamedTuple`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    from _collections import _tuplegetter
    from types import FunctionType

    _new = tuple.__new__

    #: By the number of fields.
    _CONSTRUCTORS = (
        lambda cls: _new(cls, ()),
        lambda cls, a: _new(cls, (a,)),
        lambda cls, a, b: _new(cls, (a, b)),
        lambda cls, a, b, c: _new(cls, (a, b, c)),
        lambda cls, a, b, c, d: _new(cls, (a, b, c, d)),
        lambda cls, a, b, c, d, e: _new(cls, (a, b, c, d, e)),
        lambda cls, a, b, c, d, e, f: _new(cls, (a, b, c, d, e, f)),
        lambda cls, a, b, c, d, e, f, g: _new(cls, (a, b, c, d, e, f, g)),
        lambda cls, a, b, c, d, e, f, g, h: _new(cls, (a, b, c, d, e, f, g, h)),
        lambda cls, a, b, c, d, e, f, g, h, i: _new(cls, (a, b, c, d, e, f, g, h, i)),
        lambda cls, a, b, c, d, e, f, g, h, i, j: _new(cls, (a, b, c, d, e, f, g, h, i, j)),
        lambda cls, a, b, c, d, e, f, g, h, i, j, k: _new(cls, (a, b, c, d, e, f, g, h, i, j, k)),
        lambda cls, a, b, c, d, e, f, g, h, i, j, k, m: _new(cls, (a, b, c, d, e, f, g, h, i, j, k, m)),
        lambda cls, a, b, c, d, e, f, g, h, i, j, k, m, n: _new(cls, (a, b, c, d, e, f, g, h, i, j, k, m, n)),
        lambda cls, a, b, c, d, e, f, g, h, i, j, k, m, n, o: _new(cls, (a, b, c, d, e, f, g, h, i, j, k, m, n, o)),
    )

    class _Named(tuple):
        """What all of them have, as those of the standard library have it."""

        __slots__ = ()

        @classmethod
        def _make(cls, iterable):
            made = _new(cls, iterable)
            if len(made) != len(cls._fields):
                raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
            return made

        def _replace(self, /, **changes):
            made = self._make(map(changes.pop, self._fields, self))
            if changes:
                raise ValueError(f"Got unexpected field names: {list(changes)!r}")
            return made

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            fields = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({fields})"

        def __getnewargs__(self):
            return tuple(self)

    def _make(name, fields, defaults, body):
        if len(fields) >= len(_CONSTRUCTORS):
            from collections import namedtuple

            made = namedtuple(name, fields, defaults=defaults.values(), module=body["__module__"])
            for key, value in body.items():
                setattr(made, key, value)
            return made
        code = _CONSTRUCTORS[len(fields)].__code__
        code = code.replace(co_name="__new__", co_qualname=f"{name}.__new__", co_varnames=("_cls", *fields))
        getters = {field: _tuplegetter(at, f"Alias for field number {at}") for at, field in enumerate(fields)}
        return type(
            name,
            (_Named,),
            {
                "__doc__": f"{name}({', '.join(fields)})",
                "__slots__": (),
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": defaults,
                "__new__": FunctionType(code, globals(), "__new__", tuple(defaults.values())),
                **getters,
                **body,
            },
        )

    class _Maker(type):
        def __new__(cls, name, bases, body):
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body.pop(field) for field in fields if field in body}
            if len(bases) > 1:  # a generic one
                made = _make(name, fields, defaults, {"__module__": body["__module__"]})
                return type(name, (made, *bases[1:]), {"__slots__": (), **body})
            return _make(name, fields, defaults, body)

    class _Root:
        def __mro_entries__(self, bases):
            return (_Made,)

    _Made = type.__new__(_Maker, "NamedTuple", (), {})
    NamedTuple = _Root()

__all__ = ["NamedTuple"]
