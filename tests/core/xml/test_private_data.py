"""Private data of a driver, and elements that are not printed in some modes."""

from __future__ import annotations

import pytest

from virtcore.errors import XMLError
from virtcore.xml import (
    Mode,
    attribute,
    child,
    children,
    declaration,
    element,
    format,
    load,
    parse,
    private,
    register_private,
)
from virtcore.xml.namespace import private_class
from virtcore.xml.relaxng import schema


@element("privateData")
class Known:
    """What some driver knows."""

    number: str | None = attribute("n", within="number")


def _is_old(note: Note, mode: int) -> bool:
    return bool(mode & Mode.INACTIVE) and note.old == "yes"


@element("note", skipped=_is_old)
class Note:
    """Something said."""

    old: str | None = attribute()


@element("thing", root=True)
class Thing:
    """Has private data."""

    private_data: object | None = private(point="test-thing")
    other: Note | None = child("other")
    notes: list[Note] = children("note", within="notes")


TEXT = """<thing>
  <privateData>
    <number n='1'/>
  </privateData>
</thing>
"""


def test_private_data_belongs_to_whoever_registered_it() -> None:
    assert private_class("test-thing") is None
    assert load(TEXT, Thing, mode=Mode.STATUS).private_data is None
    assert "<number n=" in format(parse(TEXT, Thing)), "kept like all that is not known"
    register_private("test-thing", Known)
    register_private("test-thing", Known)
    with pytest.raises(ValueError, match="private data of test-thing is already registered for Known"):
        register_private("test-thing", Note)
    found = load(TEXT, Thing, mode=Mode.STATUS)
    assert found.private_data == Known(number="1")
    assert format(found, Mode.STATUS) == TEXT
    assert format(found) == ""
    assert load(TEXT, Thing, mode=Mode.LIVE).private_data is None
    assert "privateData" not in schema(Thing)
    with pytest.raises(XMLError, match="a value of type Note where Known is expected"):
        format(Thing(private_data=Note(old="x")), Mode.STATUS)


def test_skipped_elements_leave_nothing_behind() -> None:
    thing = Thing(other=Note(old="yes"), notes=[Note(old="yes")])
    assert format(thing, Mode.INACTIVE) == ""
    thing.notes.append(Note(old="no"))
    assert format(thing, Mode.INACTIVE) == "<thing>\n  <notes>\n    <note old='no'/>\n  </notes>\n</thing>\n"
    assert format(thing).count("old='yes'") == 2


@element("other", tag=frozenset({"c", "a", "b"}))
class Several:
    """Serves for several tags."""


def test_tags_have_an_order_that_does_not_depend_on_the_run() -> None:
    assert declaration(Several).tags == ("a", "b", "c")
