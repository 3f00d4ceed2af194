"""What stands in for :mod:`functools` does what that does."""

from __future__ import annotations

import subprocess
import sys

from virtcore._functions import cache, cached_property, itemgetter, lru_cache, partial


def test_a_remembered_function_is_called_once_for_the_same_arguments() -> None:
    asked: list[int] = []

    @cache
    def square(number: int) -> int:
        """Squares."""
        asked.append(number)
        return number * number

    assert [square(2), square(3), square(2)] == [4, 9, 4]
    assert asked == [2, 3]
    assert (square.__name__, square.__doc__) == ("square", "Squares.")
    assert square.__wrapped__(4) == 16
    square.cache_clear()
    square(2)
    assert asked == [2, 3, 4, 2]
    assert square.cache_info().misses == 1


def test_no_more_is_remembered_than_said() -> None:
    asked: list[int] = []

    @lru_cache(maxsize=1)
    def same(number: int) -> int:
        asked.append(number)
        return number

    for number in (1, 1, 2, 1):
        same(number)
    assert asked == [1, 2, 1]


class Box:
    """Something with an attribute that is worked out."""

    made = 0

    @cached_property
    def content(self) -> int:
        """What is in it."""
        self.made += 1
        return self.made


def test_an_attribute_is_worked_out_once_and_can_be_forgotten() -> None:
    box = Box()
    assert (box.content, box.content, Box().content) == (1, 1, 1)
    del box.content
    assert box.content == 2
    assert Box.content.__doc__ == "What is in it."


def test_parts_written_in_c() -> None:
    assert partial(int, base=2)("101") == 5
    assert itemgetter(1)("abc") == "b"


def test_a_python_without_them_takes_those_of_the_standard_library() -> None:
    program = (
        "import functools, sys\n"
        "sys.modules['_functools'] = None\n"
        "from virtcore import _functions\n"
        "assert _functions.cache is functools.cache and _functions.cached_property is functools.cached_property\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
