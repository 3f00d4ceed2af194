"""Named tuples of our own are what :class:`typing.NamedTuple` makes, without its cost."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from typing import Generic, TypeVar

import pytest

from virtcore._tuples import NamedTuple

T = TypeVar("T")


class Point(NamedTuple):
    """A point."""

    x: int
    #: How high.
    y: int | None = 3

    @property
    def sum(self) -> int:
        return self.x + (self.y or 0)


class Many(NamedTuple):
    a: int
    b: int
    c: int
    d: int
    e: int
    f: int
    g: int
    h: int
    i: int
    j: int
    k: int
    m: int
    n: int
    o: int


class Labelled(NamedTuple, Generic[T]):
    value: T
    label: str = ""


def test_one_is_a_named_tuple() -> None:
    one = Point(1)
    assert tuple(one) == (1, 3)
    assert one.sum == 4
    assert one._replace(y=None) == Point(1, None)
    assert repr(one) == "Point(x=1, y=3)"
    assert Point.__doc__ == "A point."
    assert Point._fields == ("x", "y")
    assert Point.__annotations__ == {"x": "int", "y": "int | None"}
    assert pickle.loads(pickle.dumps(one)) == one
    assert not hasattr(one, "__dict__")
    match one:
        case Point(x=found):
            assert found == 1
        case _:
            raise AssertionError


def test_its_constructor_is_as_if_it_had_been_written() -> None:
    assert str(inspect.signature(Point)) == "(x, y=3)"
    assert Point(y=1, x=2) == (2, 1)
    with pytest.raises(TypeError, match=r"Point.__new__\(\) missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes from 2 to 3 positional arguments but 4 were given"):
        Point(1, 2, 3)  # type: ignore[call-arg]
    assert Point._make([1, 2])._asdict() == {"x": 1, "y": 2}
    with pytest.raises(TypeError, match="Expected 2 arguments, got 1"):
        Point._make([1])
    with pytest.raises(ValueError, match="Got unexpected field names"):
        Point(1)._replace(z=1)  # type: ignore[call-arg]


def test_one_may_have_more_fields_than_most() -> None:
    many = Many(*range(14))
    assert many.o == 13
    assert repr(many).endswith("n=12, o=13)")
    assert many._replace(a=5)[0] == 5


def test_one_may_be_generic() -> None:
    one = Labelled[int](5)
    assert tuple(one) == (5, "")
    assert Labelled._fields == ("value", "label")
    assert not hasattr(one, "__dict__")


def test_no_annotation_is_compiled_for_a_call_to_a_daemon() -> None:
    program = (
        "import typing\n"
        "def refuse(self, text, *rest, **named):\n"
        "    raise AssertionError(text)\n"
        "typing.ForwardRef.__init__ = refuse\n"
        "import virtcore.api.connecting, virtcore.runtime.blocking, virtcore.operations.wire.mapping as mapping\n"
        "for name in ('connection_list_domains', 'connection_domain_stats', 'domain_state'):\n"
        "    mapping.client_operation(name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
