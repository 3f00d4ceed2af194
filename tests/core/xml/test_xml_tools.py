"""Comparison, reference rows, schema, rules."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from core.xml import xml_vocabulary as v
from virtcore.errors import XMLError, XMLInvalidSchema
from virtcore.xml import Change, Rules, Stage, describe, diff, format, load, parse, schema
from virtcore.xml.reference import walk

# -- diff


def full() -> v.Machine:
    return parse(v.FULL, v.Machine)


def test_equal_objects_do_not_differ() -> None:
    assert diff(full(), full()) == []


def test_differences_have_paths() -> None:
    old, new = full(), full()
    new.title = "t"
    new.mac = "52:54:00:00:00:01"
    new.vmport = None
    new.boots.append("cdrom")
    new.vendor = "W"
    new.boxes[0].colour = v.Colour.GREEN
    new.boxes[0].secret = "x"
    assert isinstance(new.boxes[1].source, v.FileSource)
    new.boxes[1].source.file = "/g"
    assert isinstance(new.screens[0].body, v.Vnc)
    new.screens[0].body.port = 1
    assert isinstance(new.cards[1], v.PciCard)
    assert new.cards[1].boot is not None
    new.cards[1].boot.order = 5
    assert [tuple(change) for change in diff(old, new)] == [
        ("/machine/title", "", "t"),
        ("/machine/mac/@address", "52:54:00:0a:0b:0c", "52:54:00:00:00:01"),
        ("/machine/switches/vmport/@state", True, None),
        ("/machine/os/boot/@dev", ["hd", "network"], ["hd", "network", "cdrom"]),
        ("/machine/entry[@name='vendor']", "V", "W"),
        ("/machine/devices/box[1]/@colour", "red", "green"),
        ("/machine/devices/box[1]/secret", "***", "***"),
        ("/machine/devices/box[2]/source/@file", "/f", "/g"),
        ("/machine/devices/screen[1]/@port", 5900, 1),
        ("/machine/card[2]/boot/@order", 1, 5),
    ]


def test_elements_that_come_go_and_change_their_kind() -> None:
    old, new = full(), full()
    gone = new.screens.pop()
    new.size = None
    new.boxes[1].source = v.NetSource()
    changes = diff(old, new)
    assert changes == [
        Change("/machine/size", old.size, None),
        Change("/machine/devices/box[2]/source", old.boxes[1].source, v.NetSource()),
        Change("/machine/devices/screen[3]", gone, None),
    ]
    assert str(changes[0]).startswith("/machine/size: Size(")


def test_different_classes_are_not_compared() -> None:
    with pytest.raises(TypeError):
        diff(v.Host(), v.Box())


# -- describe


def test_rows() -> None:
    rows = {row.key: row for row in describe(v.Box)}
    assert rows["type"].path == "@type"
    assert rows["type"].values == ("file", "block", "net")
    assert rows["colour"].values == ("red", "green")
    assert rows["source"].classes == (v.FileSource, v.BlockSource, v.NetSource)
    assert rows["alias"].path == "alias/@name"
    assert rows["secret"].secret
    machine = {row.key: row for row in describe(v.Machine)}
    assert machine["vmport"].path == "switches/vmport/@state"
    assert machine["boots"].path == "os/boot/@dev"
    assert machine["boots"].many
    assert [row.key for row in describe(v.PciCard)] == ["boot.order", "boot.tries"]


def test_walking_finds_every_class() -> None:
    names = {cls.__qualname__ for cls in walk(v.Machine)}
    assert {"Machine", "Box", "FileSource", "PciAddress", "Vnc", "Host", "Rule", "Include"} <= names


# -- schema


@pytest.fixture(scope="module")
def validator() -> etree.RelaxNG:
    return etree.RelaxNG(etree.fromstring(schema(v.Machine)))


def fits(validator: etree.RelaxNG, inner: str) -> bool:
    return bool(validator.validate(etree.fromstring(f"<machine type='x'><name>n</name>{inner}</machine>")))


def test_the_schema_accepts_the_vocabulary(validator: etree.RelaxNG) -> None:
    assert validator.validate(etree.fromstring(v.FULL)), validator.error_log


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<devices><box><address slot='0x1' type='pci'/><serial>x</serial><source file='x'/></box></devices>",
        "<include name='a'/><features/><rule action='x'/>",
        "<size unit='MiB'>3</size>",
        "<cpus>1-2,^3</cpus>",
        "<devices><screen type='vnc'><zlib/><share>no</share></screen><screen type='any'/></devices>",
        "<metadata><x xmlns='urn:x' a='b'>t<y/></x></metadata>",
    ],
)
def test_the_schema_accepts(validator: etree.RelaxNG, inner: str) -> None:
    assert fits(validator, inner), validator.error_log


@pytest.mark.parametrize(
    "inner",
    [
        "<unknown/>",
        "<name>again</name>",
        "<big>-1</big>",
        "<devices><box type='disc'/></devices>",
        "<devices><box type='file'><source dev='x'/></box></devices>",
        "<devices><box type='file' index='1'/></devices>",
        "<devices><box><readonly/><shareable/></box></devices>",
        "<devices><box type='net'><source><host port='0'/></source></box></devices>",
        "<devices><box><address type='isa'/></box></devices>",
        "<devices><screen type='spice' port='1'/></devices>",
        "<card mode='host' type='pci' vendor='0x1'/>",
        "<rule/>",
        "<uuid>x</uuid>",
        "<devices x='1'/>",
        "<switches><hap>1</hap></switches>",
    ],
)
def test_the_schema_refuses(validator: etree.RelaxNG, inner: str) -> None:
    assert not fits(validator, inner)


def test_load_validates_when_asked() -> None:
    text = "<machine type='x'><name>n</name><unknown/></machine>"
    assert load(text, v.Machine).name == "n"
    with pytest.raises(XMLInvalidSchema, match="unknown"):
        load(text, v.Machine, validate=True)
    assert load(v.FULL, v.Machine, validate=True).name == "a&b"


# -- rules


class BoxRules(Rules[v.Box, list[str]]):
    """Rules as an object family writes them."""

    def driver_defaults(self, box: v.Box, context: list[str]) -> None:
        """A hook."""

    def driver_check(self, box: v.Box, context: list[str]) -> None:
        """A hook."""

    @staticmethod
    def default_type(rules: Any, box: v.Box, context: list[str]) -> None:
        context.append("type")
        if box.type is None:
            box.type = v.BoxType.FILE

    @staticmethod
    def need_source(rules: Any, box: v.Box, context: list[str]) -> None:
        context.append("source")
        if box.source is None:
            raise XMLError("missing source")

    completion = (
        Stage("type", default_type),
        Stage("driver", lambda rules, box, context: rules.driver_defaults(box, context), driver=True),
    )
    validation = (
        Stage("source", need_source),
        Stage("driver", lambda rules, box, context: rules.driver_check(box, context), driver=True),
    )


class DriverRules(BoxRules):
    def driver_defaults(self, box: v.Box, context: list[str]) -> None:
        context.append("driver")
        box.serial = box.serial or "auto"


def test_stages_run_in_their_order() -> None:
    context: list[str] = []
    rules = DriverRules(checks=[lambda box, context: context.append("check")])
    box = load("<box><source file='x'/></box>", v.Box, rules, context)
    assert context == ["type", "driver", "source", "check"]
    assert format(box) == "<box type='file'>\n  <source file='x'/>\n  <serial>auto</serial>\n</box>\n"


def test_refusals_name_their_stage() -> None:
    with pytest.raises(XMLError, match="missing source") as caught:
        load("<box/>", v.Box, DriverRules(), [])
    assert "in stage source" in caught.value.__notes__
    assert load("<box/>", v.Box, DriverRules(), [], check=False).serial == "auto"


def test_drivers_cannot_change_stages() -> None:
    with pytest.raises(TypeError, match="not the stages"):

        class Other(BoxRules):
            validation = ()  # type: ignore[assignment]

    with pytest.raises(TypeError, match="same name"):

        class Twice(Rules[v.Box, None]):
            completion = (Stage("a", lambda *_: None), Stage("a", lambda *_: None))


def test_failures_can_be_tolerated() -> None:
    class Lenient(DriverRules):
        def tolerates(self, stage: Stage, obj: v.Box, context: list[str], error: Exception) -> bool:
            return stage.name == "source"

    assert load("<box/>", v.Box, Lenient(), []).type is v.BoxType.FILE
