"""The names of :mod:`functools` and :mod:`operator` that a command needs before it has done anything.

The former loads :mod:`collections` for the sake of one named tuple, which takes longer than a call to a daemon. What
does the work is written in C beside them. To type checkers, and where Python has no such parts, these names are those
of the standard library.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import (
        cache as cache,
        cached_property as cached_property,
        lru_cache as lru_cache,
        partial as partial,
    )
    from operator import itemgetter as itemgetter
else:
    try:
        from _functools import _lru_cache_wrapper, partial
        from _operator import itemgetter
    except ImportError:
        from functools import cache, cached_property, lru_cache, partial
        from operator import itemgetter
    else:

        def _counts(*counts):
            from functools import _CacheInfo

            return _CacheInfo(*counts)

        def lru_cache(maxsize=128):
            def remember(function):
                made = _lru_cache_wrapper(function, maxsize, False, _counts)
                for name in ("__module__", "__name__", "__qualname__", "__doc__"):
                    setattr(made, name, getattr(function, name))
                made.__wrapped__ = function
                return made

            return remember

        cache = lru_cache(None)

        class cached_property:  # its name in the standard library
            """An attribute that is worked out when it is first asked for."""

            def __init__(self, function):
                self._function = function
                self.__doc__ = function.__doc__

            def __set_name__(self, _, name):
                self._name = name

            def __get__(self, instance, _=None):
                if instance is None:
                    return self
                value = instance.__dict__[self._name] = self._function(instance)
                return value


__all__ = ["cache", "cached_property", "itemgetter", "lru_cache", "partial"]
