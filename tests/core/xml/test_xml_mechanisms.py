"""Reading and printing, mechanism by mechanism."""

from __future__ import annotations

import importlib
import linecache
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.xml import xml_vocabulary as v
from virtcore.errors import ConfigUnsupported, ErrorCode, VirtError, XMLError
from virtcore.xml import (
    CpuSet,
    Extra,
    Extras,
    Mode,
    attribute,
    child,
    children,
    element,
    format,
    format_part,
    leaf,
    load,
    parse,
    parse_part,
    scaled,
    union,
)
from virtcore.xml.readergen import reader_of


def both(text: str, mode: Mode = Mode.SECURE) -> str:
    return format(parse(text, v.Machine), mode)


def box(text: str) -> v.Box:
    return parse(text, v.Box)


def test_the_whole_vocabulary_comes_back_byte_for_byte() -> None:
    machine = parse(v.FULL, v.Machine)
    assert format(machine, Mode.SECURE) == v.FULL
    assert parse(v.FULL.encode(), v.Machine) == machine


def test_an_empty_element_class_prints_as_it_says() -> None:
    assert format(v.Features()) == "<features>\n</features>\n"
    assert format(v.Box()) == ""
    assert both("<machine type='x'><name>a</name><features/></machine>").count("<features>\n") == 1


def test_values_are_typed() -> None:
    machine = parse(v.FULL, v.Machine)
    assert machine.id == 3
    assert machine.vmport is True
    assert machine.cpus == CpuSet({0, 1, 2, 3, 7})
    assert machine.boxes[0].type is v.BoxType.NET
    assert machine.boxes[1].source == v.FileSource(file="/f", mode=0o600)
    assert machine.size == v.Size(slots=2, value=5120)


def test_absent_stays_none_and_lists_are_fresh() -> None:
    one, two = v.Machine(type="a", name="n"), v.Machine(type="a", name="n")
    assert one == two
    one.boots.append("hd")
    assert two.boots == []
    assert one != two
    assert one.uuid is None
    assert one.hap is False
    read = parse("<machine type='a'><name>n</name></machine>", v.Machine)
    assert read == two


def test_instances_are_unhashable_and_take_keywords_only() -> None:
    with pytest.raises(TypeError):
        hash(v.Host())
    with pytest.raises(TypeError):
        v.Host("h")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="type"):
        v.Machine(name="x")


def test_constructing_and_reading_give_the_same() -> None:
    made = v.Box(type=v.BoxType.BLOCK, source=v.BlockSource(dev="/d"), index=2, readonly=True)
    text = "<box type='block' index='2'>\n  <source dev='/d'/>\n  <readonly/>\n</box>\n"
    assert format(made) == text
    assert box(text) == made


# -- unions


def test_a_union_is_chosen_by_a_sibling_with_default() -> None:
    assert isinstance(box("<box><source file='a'/></box>").source, v.FileSource)
    assert isinstance(box("<box type='net'><source/></box>").source, v.NetSource)


def test_a_set_tag_without_member_is_fine() -> None:
    assert format(v.Box(type=v.BoxType.BLOCK)) == "<box type='block'/>\n"


def test_a_member_that_contradicts_its_tag_is_refused() -> None:
    with pytest.raises(XMLError, match="FileSource contradicts type 'block'"):
        format(v.Box(type=v.BoxType.BLOCK, source=v.FileSource(file="/x")))
    with pytest.raises(XMLError, match="BlockSource contradicts type 'file'"):
        format(v.Box(source=v.BlockSource(dev="/x")))
    with pytest.raises(XMLError, match="contradicts type 'spice'"):
        format(v.Screen(type="spice", body=v.Vnc()))


def test_a_value_of_a_foreign_type_is_refused() -> None:
    wrong = v.Box(source=v.Host())  # type: ignore[arg-type]
    with pytest.raises(XMLError):
        format(wrong)


def test_tags_on_the_member_itself() -> None:
    assert isinstance(box("<box><address type='pci' slot='3'/></box>").address, v.PciAddress)
    usb = box("<box><address type='usb' bus='1'/></box>").address
    assert usb == v.BusAddress(type="usb", bus=1)


def test_composite_tags_with_default() -> None:
    machine = parse("<machine type='x'><name>a</name><card vendor='16'/></machine>", v.Machine)
    assert machine.cards == [v.UsbCard(vendor=16)]
    assert "<card mode='host' type='usb' vendor='0x0010'/>" in format(machine)


def test_unknown_tags() -> None:
    text = "<box><address type='isa' x='1'/></box>"
    kept = box(text)
    assert kept.address is None
    assert '<address type="isa" x="1"/>' in format(kept)
    with pytest.raises(XMLError, match="unknown address type 'isa'") as caught:
        load(text, v.Box)
    assert caught.value.path == "/box/address/@type"
    with pytest.raises(XMLError, match="no address type"):
        load("<box><address slot='1'/></box>", v.Box)


def test_inline_members_share_the_element() -> None:
    text = "<screen type='vnc' port='1' q='2'>\n  <share>no</share>\n  <zlib compression='on'/>\n</screen>\n"
    screen = parse(text, v.Screen)
    assert screen.body == v.Vnc(port=1, share=False)
    assert screen.compression is True
    assert screen.extra == Extras({"q": "2"})
    assert format(screen) == text


def test_members_leave_what_is_not_theirs() -> None:
    screen = parse("<screen type='spice' port='1' tlsPort='2'/>", v.Screen)
    assert screen.body == v.Spice(tls_port=2)
    assert screen.extra == Extras({"port": "1"})


# -- modes


def test_modes_of_printing() -> None:
    machine = parse(v.FULL, v.Machine)
    live, inactive = format(machine), format(machine, Mode.INACTIVE)
    assert " id='3'" in live
    assert " id='3'" not in inactive
    assert "<alias" not in inactive
    for text in (live, inactive):
        assert "geheim" not in text
        assert "pw" not in text


def test_modes_of_reading() -> None:
    text = "<box>\n  <alias name='x'/>\n</box>\n"
    assert load(text, v.Box).alias is None
    assert load(text, v.Box, mode=Mode.LIVE).alias == "x"
    assert box(text).alias == "x"


def test_live_and_inactive_exclude_each_other() -> None:
    assert (Mode.INACTIVE | Mode.LIVE).bits == Mode.INACTIVE
    assert Mode.SECURE.bits == Mode.SECURE | Mode.LIVE


# -- synonyms, printed twice, repetitions


def test_synonyms_are_read_and_not_printed() -> None:
    assert parse("<include filter='x'/>", v.Include) == v.Include(name="x")
    assert parse("<include filter='x' name='y'/>", v.Include) == v.Include(name="y")
    assert format(parse("<include filter='x'/>", v.Include)) == "<include name='x'/>\n"


def test_what_is_printed_for_compatibility_is_not_read() -> None:
    screen = parse("<screen type='x' listen='1.1.1.1'/>", v.Screen)
    assert screen == v.Screen(type="x")


def test_repeated_children() -> None:
    assert parse("<features><colour>red</colour><colour>green</colour></features>", v.Features).colour == "green"
    with pytest.raises(XMLError, match="only one mode is supported"):
        parse("<features><mode>a</mode><mode>b</mode></features>", v.Features)
    twice = box("<box><serial>a</serial><serial>b</serial></box>")
    assert twice.serial == "a"
    assert load("<box><serial>a</serial><serial>b</serial></box>", v.Box) == v.Box(serial="a")


def test_only() -> None:
    assert box("<box type='block' index='4'/>").index == 4
    other = box("<box type='file' index='4'/>")
    assert other.index is None
    assert other.extra == Extras({"index": "4"})
    assert format(v.Box(type=v.BoxType.FILE, index=4)) == "<box type='file'/>\n"


def test_blank_leaves() -> None:
    assert box("<box><serial/></box>").serial is None
    machine = parse("<machine type='x'><name>a</name><title/></machine>", v.Machine)
    assert machine.title == ""
    assert "<title></title>" in format(machine)


def test_omitted_values() -> None:
    assert format(v.Screen(type="vnc", body=v.Vnc(port=-1))) == "<screen type='vnc'/>\n"


def test_flags_come_in_the_order_of_the_enumeration() -> None:
    machine = parse("<machine type='x'><name>a</name><banks><sm3/><sha1/><sm3/></banks></machine>", v.Machine)
    assert machine.banks == [v.Bank.SHA1, v.Bank.SM3]


def test_embedded_groups_are_made_on_demand() -> None:
    assert parse("<card mode='host' type='pci'/>", v.PciCard).boot is None
    card = parse("<card mode='host' type='pci'><tries>1</tries></card>", v.PciCard)
    assert card.boot == v.Boot(tries=1)


def test_recursion() -> None:
    text = "<box type='file'>\n" + "".join(f"{'  ' * n}<backing type='file'>\n" for n in range(1, 60))
    deep = box(text + "</backing>" * 59 + "</box>")
    depth = 0
    while deep.backing is not None:
        deep, depth = deep.backing, depth + 1
    assert depth == 59


def test_whatever_the_order_of_children_the_output_is_in_order() -> None:
    text = "<box><readonly/><serial>s</serial><address slot='1' type='pci'/><source file='x'/></box>"
    assert format(box(text)) == (
        "<box>\n  <source file='x'/>\n  <serial>s</serial>\n  <readonly/>\n"
        "  <address type='pci' slot='0x01'/>\n</box>\n"
    )


# -- unknown content


UNKNOWN = """\
<machine type='kvm' future='1'>
  <before a="1"/>
  <name lang='de'>n</name>
  <switches>
    <hap/>
    <other/>
  </switches>
  <key>k1</key>
  <between>text</between>
  <key>k2</key>
  <devices>
    <box>
      <readonly since='12'/>
      <new xmlns:x="urn:x" x:y="1">
        <deep/>
      </new>
    </box>
  </devices>
  <last/>
</machine>
"""


def test_unknown_content_survives_where_it_stood() -> None:
    assert both(UNKNOWN) == UNKNOWN
    machine = parse(UNKNOWN, v.Machine)
    machine.boxes[0].serial = "added"
    machine.keys.pop()
    text = format(machine)
    assert "<serial>added</serial>" in text
    assert "<between>text</between>" in text
    assert "<new xmlns" in text


def test_load_drops_it() -> None:
    assert format(load(UNKNOWN, v.Machine)) == (
        "<machine type='kvm'>\n  <name>n</name>\n  <switches>\n    <hap/>\n  </switches>\n"
        "  <key>k1</key>\n  <key>k2</key>\n"
        "  <devices>\n    <box>\n      <readonly/>\n    </box>\n  </devices>\n</machine>\n"
    )


def test_load_refuses_it_where_the_element_says_so() -> None:
    text = "<machine type='x'><name>a</name><features><acpl/></features></machine>"
    with pytest.raises(ConfigUnsupported, match="unexpected feature 'acpl'") as caught:
        load(text, v.Machine)
    assert caught.value.nearest == "acpi"
    assert "<acpl/>" in both(text)


def test_extras_made_by_hand_are_checked() -> None:
    made = v.Box(extra=Extras(elements=[Extra("<x><y/></x>")]))
    assert format(made) == "<box>\n  <x>\n    <y/>\n  </x>\n</box>\n"
    with pytest.raises(VirtError):
        format(v.Box(extra=Extras(elements=[Extra("<x>")])))
    with pytest.raises(VirtError):
        format(v.Box(extra=Extras({"x='1' y": "2"})))


def test_comments_are_dropped_outside_verbatim_subtrees() -> None:
    text = "<machine type='x'><!-- a --><name>a<!-- b -->c</name><devices><!-- d --><box/></devices><?pi x?></machine>"
    machine = parse(text, v.Machine)
    assert machine.name == "ac"
    assert machine.extra is None
    assert len(machine.boxes) == 1


# -- verbatim subtrees


def test_verbatim_subtrees_keep_texts_with_line_breaks() -> None:
    inner = '<a:b xmlns:a="urn:a">line 1\n line 2</a:b>'
    text = f"<machine type='x'>\n  <name>n</name>\n  <metadata>\n    {inner}\n  </metadata>\n</machine>\n"
    assert both(text) == text


def test_verbatim_subtrees_do_not_inherit_unused_namespaces() -> None:
    text = "<machine type='x' xmlns:q='urn:q' xmlns:u='urn:u'><name>n</name><metadata><u:x/></metadata></machine>"
    metadata = parse(text, v.Machine).metadata
    assert metadata is not None
    assert "urn:q" not in metadata
    assert 'xmlns:u="urn:u"' in metadata


def test_verbatim_text_set_by_hand_is_checked() -> None:
    machine = v.Machine(type="x", name="n", metadata="<metadata><a><b/></a></metadata>")
    assert "  <metadata>\n    <a>\n      <b/>\n    </a>\n  </metadata>\n" in format(machine)
    for wrong in ("</metadata><evil/>", "<evil/>", "<metadata/><evil/>", ""):
        machine.metadata = wrong
        with pytest.raises(VirtError):
            format(machine)


# -- namespaces


def test_namespaces_of_plugins() -> None:
    text = (
        "<machine type='x' xmlns:any='http://example.org/test'><name>n</name>"
        "<any:commandline><any:arg value='1'/><any:unknown/></any:commandline></machine>"
    )
    machine = parse(text, v.Machine)
    (space,) = machine.spaces
    assert isinstance(space, v.CommandLine)
    assert space.args == [v.Arg(value="1")]
    assert "<machine type='x' xmlns:t='http://example.org/test'>" in format(machine)
    assert "<t:arg value='1'/>" in format(machine)


def test_a_namespace_is_declared_only_where_something_of_it_is_printed() -> None:
    text = "<machine type='x' xmlns:any='http://example.org/test'><name>n</name><any:commandline/></machine>"
    assert format(parse(text, v.Machine)) == "<machine type='x'>\n  <name>n</name>\n</machine>\n"


def test_foreign_namespaces_are_unknown_content() -> None:
    text = "<machine type='x' xmlns:f='urn:f'><name>n</name><f:x/></machine>"
    assert '<f:x xmlns:f="urn:f"/>' in both(text)
    assert "urn:f" not in format(load(text, v.Machine))


# -- hooks, generated code


def test_after_parse() -> None:
    with pytest.raises(XMLError, match="that name is bad") as caught:
        parse("<machine type='x'><name>bad</name></machine>", v.Machine)
    assert caught.value.path == "/machine"


def test_generated_code_shows_in_tracebacks() -> None:
    reader = reader_of(v.Host)
    assert linecache.getline(reader.__code__.co_filename, 1).startswith("def read(")


def test_declaring_imports_nothing_heavy() -> None:
    program = (
        "import sys, virtcore.xml\n"
        "heavy = {'lxml', 'attr', 'attrs', 'asyncio', 'inspect', 'dataclasses'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_errors_of_required_fields() -> None:
    with pytest.raises(XMLError) as caught:
        parse("<machine><name>a</name></machine>", v.Machine)
    assert str(caught.value) == "XML error: Missing required attribute 'type' in element 'machine'"
    with pytest.raises(ConfigUnsupported, match="rule needs action") as other:
        parse("<rule/>", v.Rule)
    assert other.value.code is ErrorCode.CONFIG_UNSUPPORTED


def test_a_class_behind_an_explicit_name_is_looked_at_when_it_comes() -> None:
    @element("outer")
    class Outer:
        inner: Missing | None = child("inner")  # type: ignore[name-defined]  # noqa: F821
        inners: list[Missing] = children("inners")  # type: ignore[name-defined]  # noqa: F821

    assert format(parse("<outer a='1'/>", Outer)) == "<outer a='1'/>\n"
    with pytest.raises(NameError, match="Missing"):
        parse("<outer><inner/></outer>", Outer)


def test_attrs_knows_the_classes() -> None:
    import attrs

    @element("thing")
    class Thing:
        a: str | None = attribute()
        b: list[str] = leaf("b")

    read = parse("<thing a='1'><b>2</b></thing>", Thing)
    assert attrs.has(Thing)
    assert [field.name for field in attrs.fields(Thing)] == ["a", "b", "extra"]
    # Type checkers see dataclass_transform, not attrs.
    evolve: Any = attrs.evolve
    assert vars(evolve(read, a="3")) == {"a": "3", "b": ["2"], "extra": None}
    assert vars(read) == {"a": "1", "b": ["2"]}


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (v.Box(serial=5), "/box/serial"),  # type: ignore[arg-type]
        (v.Box(backing=v.Box(limit="x")), "/box/backing/limit"),  # type: ignore[arg-type]
        (v.Box(type=v.BoxType.NET, source=v.NetSource(hosts=[v.Host(), v.Rule(action="x")])), "/box/source/host[2]"),  # type: ignore[list-item]
        (v.Machine(type="x", name="n", boots="hd", size=v.Size(value="y")), "/machine/size/value"),  # type: ignore[arg-type]
        (v.Machine(type="x", name="n", big="1</big><evil/>"), "/machine/big"),  # type: ignore[arg-type]
        (v.Machine(type="x", name="n", cpus="1' x='"), "/machine/cpus"),  # type: ignore[arg-type]
        (v.Machine(type="x", name="n", vmport="no"), "/machine/switches/vmport/@state"),  # type: ignore[arg-type]
        (v.Box(type="file' x='1"), "/box/@type"),  # type: ignore[arg-type]
        (v.Screen(type="vnc", body=v.Vnc(port="one")), "/screen/@port"),  # type: ignore[arg-type]
    ],
)
def test_values_of_wrong_types_are_named(wrong: object, path: str) -> None:
    with pytest.raises(XMLError) as caught:
        format(wrong)
    assert caught.value.path == path


@element("one", tag="a")
class OneA:
    x: str | None = attribute()


@element("one", tag="b")
class OneB:
    y: str | None = attribute()


@element("late")
class Late:
    one: OneA | OneB | None = union(tag="kind")
    kind: str | None = leaf()


def test_a_tag_may_come_after_its_union() -> None:
    text = "<late>\n  <one y='1'/>\n  <kind>b</kind>\n</late>\n"
    late = parse(text, Late)
    assert late.one == OneB(y="1")
    assert format(late) == text


@element("twofold")
class Twofold:
    kind: str | None = attribute()
    number: int | None = attribute("value", only={"kind": ("n",)})
    word: str | None = attribute("value", only={"kind": ("w",)})
    inner: OneA | None = child("inner", only={"kind": ("n",)})
    other: OneB | None = child("inner", only={"kind": ("w",)})


def test_one_name_for_two_fields_told_apart_by_a_sibling() -> None:
    for text, made in (
        (
            "<twofold kind='n' value='3'>\n  <inner x='1'/>\n</twofold>\n",
            Twofold(kind="n", number=3, inner=OneA(x="1")),
        ),
        (
            "<twofold kind='w' value='3'>\n  <inner y='1'/>\n</twofold>\n",
            Twofold(kind="w", word="3", other=OneB(y="1")),
        ),
        ("<twofold kind='?' value='3'>\n  <inner y=\"1\"/>\n</twofold>\n", None),
    ):
        read = parse(text, Twofold)
        assert made is None or read == made
        assert format(read) == text
    with pytest.raises(XMLError):
        parse("<twofold value='x' kind='n'/>", Twofold)


@element("timed")
class Timed:
    offset: str | None = attribute()
    zone: str | None = attribute(required=True, only={"offset": ("zone",)})
    delta: int | None = attribute()


@element("measured")
class Measured:
    kind: str | None = attribute()
    size: int | None = attribute(codec=scaled("KiB"), only={"kind": ("big",)})


def test_sizes_that_exist_only_sometimes() -> None:
    assert parse("<measured kind='big' size='3' unit='KiB'/>", Measured).size == 3
    assert load("<measured kind='small' size='3' unit='KiB'/>", Measured).size is None


def test_required_means_when_the_field_exists() -> None:
    assert parse("<timed offset='utc'/>", Timed).zone is None
    with pytest.raises(XMLError, match="Missing required attribute 'zone'"):
        parse("<timed offset='zone'/>", Timed)
    with pytest.raises(XMLError) as caught:
        format(Timed(offset="utc", delta="x"))  # type: ignore[arg-type]
    assert caught.value.path == "/timed/@delta"


@element("sized")
class Sized:
    size: int | None = attribute(codec=scaled("KiB"))
    more: int | None = attribute("size", within="more", codec=scaled("MiB"))


def test_sizes_in_attributes() -> None:
    text = "<sized size='4' unit='KiB'>\n  <more size='1' unit='MiB'/>\n</sized>\n"
    assert parse("<sized unit='b' size='4096'><more unit='GB' size='0'/></sized>", Sized) == Sized(size=4, more=0)
    assert format(parse(text, Sized)) == text
    with pytest.raises(VirtError, match="unknown suffix 'x'") as caught:
        parse("<sized size='1' unit='x'/>", Sized)
    assert caught.value.path == "/sized"


def test_unknown_content_is_stable() -> None:
    once = both(
        "<machine type='x' new='a&#10;b'><name>n</name><uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid>"
        "<name>second</name><odd>text\n  <b/>\n  <c><d/></c></odd><x><!-- a\n b --></x></machine>"
    )
    assert "new='a&#10;b'" in once
    assert both(once) == once
    assert parse(once, v.Machine).name == "n"


def test_a_broken_module_behind_a_name_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "xmlbroken"
    package.mkdir()
    (package / "__init__.py").write_text(
        "def __getattr__(name):\n"
        "    if name != 'Part':\n"
        "        raise AttributeError(name)\n"
        "    from xmlbroken import part\n"
        "    return part.Part\n"
    )
    (package / "part.py").write_text("import os\nos.no_such_thing\n")
    (package / "whole.py").write_text(
        "from __future__ import annotations\n"
        "from virtcore.xml import child, element\n"
        "@element('whole')\n"
        "class Whole:\n"
        "    part: Part | None = child('part')\n"
        "    none: Nowhere | None = child('none')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    whole = importlib.import_module("xmlbroken.whole").Whole
    with pytest.raises(AttributeError, match="no_such_thing"):
        parse("<whole><part/></whole>", whole)
    with pytest.raises(NameError, match=r"cannot resolve 'Nowhere \| None'"):
        parse("<whole><none/></whole>", whole)


@element("shelf")
class Shelf:
    rules: list[v.Rule | v.Include] = children()
    cards: list[v.UsbCard | v.PciCard] = children(tag=("@mode", "@type"))
    features: v.Features | None = child()


def test_a_part_alone() -> None:
    assert parse_part("<rule action='x'/>", Shelf) == v.Rule(action="x")
    pci = v.PciCard(boot=v.Boot(tries=1))
    assert parse_part("<card mode='host' type='pci'><tries>1</tries></card>", Shelf) == pci
    assert parse_part("<features><acpi/></features>", Shelf) == v.Features(acpi=True)
    assert format_part(pci, Shelf) == "<card mode='host' type='pci'>\n  <tries>1</tries>\n</card>\n"
    with pytest.raises(TypeError, match="Shelf has no place for Box"):
        format_part(v.Box(), Shelf)
    with pytest.raises(XMLError, match="'rul' is no element of 'shelf'") as caught:
        parse_part("<rul/>", Shelf)
    assert caught.value.nearest == "rule"
    with pytest.raises(XMLError) as other:
        parse_part("<card mode='host' type='usb' vendor='x'/>", Shelf)
    assert other.value.path == "/card/@vendor"


def test_objects_that_contain_themselves_are_refused() -> None:
    looped = v.Box()
    looped.backing = looped
    with pytest.raises(XMLError, match="nested too deeply"):
        format(looped)


def test_first_use_by_many_threads_at_once() -> None:
    @element("knot")
    class Knot:
        name: str | None = attribute()
        count: int | None = attribute()
        words: list[str] = leaf("word")

    text = "<knot name='a' count='1'>\n  <word>x</word>\n</knot>\n"

    def use(n: int) -> bool:
        barrier.wait()
        made = Knot(name="a", count=1, words=["x"]) if n % 2 else parse(text, Knot)
        return format(made) == text and made == parse(text, Knot)

    barrier = threading.Barrier(16)
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(use, range(16)))
