"""Instances made at random survive format -> parse -> format, for every class and mechanism of the vocabulary."""

from __future__ import annotations

import string
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from core.xml import xml_vocabulary as v
from virtcore.xml import CpuSet, Mode, diff, format, load, parse
from virtcore.xml.declare import declaration
from virtcore.xml.plan import Slot, plan_of

TEXT = st.text(alphabet=string.ascii_letters + string.digits + " <>&'\"äß€/._-", min_size=1, max_size=12)
BY_KEY: dict[str, st.SearchStrategy[Any]] = {
    "uuid": st.uuids().map(str),
    "mac": st.binary(min_size=6, max_size=6).map(lambda data: data.hex(":")),
    "cpus": st.frozensets(st.integers(0, 300), min_size=1).map(CpuSet),
    "metadata": st.just("<metadata>\n  <x/>\n</metadata>"),
    "order": st.integers(1, 99),
    "port": st.integers(1, 65535),
    "big": st.integers(0, (1 << 64) - 1),
}


def value_of(slot: Slot, depth: int) -> st.SearchStrategy[Any]:
    if slot.kind in ("child", "children", "union") and not slot.field.inline and not slot.tags:
        one: st.SearchStrategy[Any] = st.one_of([instance(cls, depth - 1) for cls in slot.types])
    elif slot.kind in ("child", "children", "union"):
        one = st.nothing()
    elif slot.kind == "namespaces":
        one = st.builds(
            v.CommandLine, args=st.lists(st.builds(v.Arg, value=TEXT), min_size=1, max_size=2), note=st.none() | TEXT
        )
    elif slot.enum is not None:
        one = st.sampled_from([m for m in slot.enum if m not in slot.field.excluded])
    elif slot.key in BY_KEY and not (slot.key == "port" and slot.codec is not None and not slot.codec.safe):
        one = BY_KEY[slot.key]
    elif slot.kind == "flag" or (slot.codec is not None and slot.codec.words):
        one = st.booleans()
    elif slot.codec is not None and slot.codec.safe:
        one = st.integers(0, 255)
    else:
        one = TEXT
    if slot.kind == "namespaces":
        return st.lists(one, max_size=1)
    if slot.kind == "flags":
        assert slot.enum is not None
        order = list(slot.enum)
        return st.lists(one, unique=True).map(lambda values: sorted(values, key=order.index))
    return st.lists(one, max_size=2) if slot.many else one


def instance(cls: type, depth: int) -> st.SearchStrategy[Any]:
    @st.composite
    def build(draw: st.DrawFn) -> Any:
        holders: dict[int, dict[str, Any]] = {0: {}}
        plan = plan_of(cls)
        slots = list(plan.slots())
        for slot in slots:
            field = slot.field
            if slot.kind == "printed" or slot.tags:
                continue
            nested = slot.kind in ("child", "children")
            if nested and depth <= 0:
                continue
            if field.required or draw(st.booleans()):
                holders.setdefault(id(slot.group) if slot.group else 0, {})[slot.key] = draw(value_of(slot, depth))
        own = holders[0]
        for group in plan.groups:
            if id(group) in holders and any(v is not None for v in holders[id(group)].values()):
                own[group.key] = group.cls(**holders[id(group)])
        # What depends on siblings comes when they are known.
        for slot in slots:
            if slot.kind == "union" and (depth > 0 or slot.field.inline) and draw(st.booleans()):
                members = [c for c in slot.types if slot.tags[0].startswith("@") or serves(c, own, slot)]
                if members:
                    own[slot.key] = tagged(draw(instance(draw(st.sampled_from(members)), depth - 1)), draw)
            elif slot.kind == "children" and slot.tags and depth > 0:
                own[slot.key] = draw(st.lists(st.one_of([instance(c, depth - 1) for c in slot.types]), max_size=2))
            for key, allowed in (slot.field.only or {}).items():
                if own.get(key) not in set(allowed):
                    own.pop(slot.key, None)
        return cls(**own)

    return build()


def tagged(made: Any, draw: st.DrawFn) -> Any:
    """A member that serves several tags has the tag as a field."""
    if isinstance(made, v.BusAddress):
        made.type = draw(st.sampled_from(["usb", "ccid"]))
    return made


def serves(cls: type, own: dict[str, Any], slot: Slot) -> bool:
    value = own.get(slot.tags[0])
    value = slot.field.default if value is None else value
    return (value.value if isinstance(value, Enum) else value) in declaration(cls).tags


def settled(made: Any) -> Any:
    """What a document can hold: empty elements that are not printed are gone."""
    return parse(format(made, Mode.SECURE), type(made))


@pytest.mark.parametrize("cls", [v.Machine, v.Box, v.Screen, v.PciCard, v.Features], ids=lambda cls: cls.__qualname__)
def test_format_parse_format(cls: type) -> None:
    @settings(max_examples=60)
    @given(instance(cls, 3))
    def check(made: Any) -> None:
        text = format(made, Mode.SECURE)
        if not text:
            return
        again: Any = parse(text, cls)
        assert format(again, Mode.SECURE) == text
        assert again == settled(again)
        assert diff(again, settled(again)) == []
        assert repr(again)
        # Nothing that we print is unknown to ourselves: dropping unknown content changes nothing.
        assert format(load(text, cls, mode=Mode.LIVE), Mode.SECURE) == text

    check()
