"""Malformed and hostile input: clear errors, nothing expanded, nothing fetched, no memory eaten."""

from __future__ import annotations

import resource

import pytest

from core.xml import xml_vocabulary as v
from support import costs_less_than
from virtcore.errors import ErrorCode, VirtError, XMLDetail, XMLError
from virtcore.xml import load, parse
from virtcore.xml.document import MAX_DOCUMENT, document

GOOD = "<machine type='x'><name>n</name></machine>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo", "at line 1: Start tag expected, '<' not found\nfoo\n^"),
        (
            "<machine>\n  <name>x</nam>\n</machine>",
            "at line 2: Opening and ending tag mismatch: name line 2 and nam\n  <name>x</nam>\n---------------^",
        ),
        ("<machine>\n\t<a b=c/></machine>", "at line 2: AttValue: \" or ' expected\n\t<a b=c/></machine>\n\t-----^"),
        ("\n<machine>\n\n", "at line 4: Premature end of data in tag machine line 2\n<machine>\n---------^"),
        ("", "at line 1: Document is empty\n(null)\n^"),
    ],
)
def test_malformed_documents_have_libvirts_message(text: str, message: str) -> None:
    with pytest.raises(XMLDetail) as caught:
        parse(text, v.Machine)
    assert str(caught.value) == message
    assert caught.value.code is ErrorCode.XML_DETAIL


def test_messages_of_different_documents_do_not_mix() -> None:
    for text, said in (
        ("<a", "Couldn't find end of Start Tag a"),
        ("foo", "Start tag expected"),
        ("<a></b>", "mismatch"),
    ):
        with pytest.raises(XMLDetail, match=said):
            parse(text, v.Machine)


def test_another_root() -> None:
    with pytest.raises(XMLError) as caught:
        parse("<network/>", v.Machine)
    assert str(caught.value) == "XML error: expecting root element of 'machine', not 'network'"


def test_a_plain_doctype_passes() -> None:
    assert parse(f"<!DOCTYPE machine>{GOOD}", v.Machine).name == "n"


BOMB = (
    "<!DOCTYPE machine [<!ENTITY a 'aaaaaaaaaaaaaaaaaaaa'>"
    + "".join(f"<!ENTITY a{n} '{f'&a{n - 1 if n else str()};' * 10}'>" for n in range(20))
    + "]><machine type='x'><name>&a19;</name></machine>"
)


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE machine [<!ENTITY a 'b'>]><machine type='x'><name>&a;</name></machine>",
        "<!DOCTYPE machine [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><machine type='x'><name>&a;</name></machine>",
        "<!DOCTYPE machine [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/x'> %p;]>" + GOOD,
        BOMB,
        BOMB.replace("<name>&a19;</name>", "<name>n</name>").replace("type='x'", "type='&a19;'"),
    ],
)
def test_entities_are_refused_unexpanded(text: str) -> None:
    with costs_less_than(2):
        for data in (text, text.encode("utf-16")):
            with pytest.raises(VirtError) as caught:
                parse(data, v.Machine)
            assert "root:" not in str(caught.value)


def test_an_external_subset_is_not_fetched() -> None:
    text = f"<!DOCTYPE machine SYSTEM 'file:///etc/passwd'>{GOOD}"
    assert parse(text, v.Machine).name == "n"


def test_deep_nesting() -> None:
    for depth in (300, 100_000):
        with pytest.raises(XMLDetail, match="Excessive depth"):
            parse("<box>" + "<backing>" * depth, v.Box)
    deepest = 255
    assert parse("<box>" + "<backing>" * (deepest - 1) + "</backing>" * (deepest - 1) + "</box>", v.Box) is not None


def test_absurd_sizes() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    huge = "<machine type='" + "x" * (100 << 20) + "'/>"
    with pytest.raises(XMLError, match="larger than"):
        parse(huge, v.Machine)
    middle = "<machine type='" + "x" * (MAX_DOCUMENT - 100) + "'/>"
    with pytest.raises(VirtError):
        parse(middle, v.Machine)
    del huge, middle
    # KiB; the test's own texts take 100 and 16 MiB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10


@pytest.mark.parametrize(
    "data",
    [
        b"<machine type='\xff\xfe'/>",
        b"\xff\xfe<\0m\0",
        b"<machine type='\0'/>",
        b"<machine type='&#0;'/>",
        "<machine type='\x01'/>",
        "<machine type='\ud800'/>",
        b"\x00" * 100,
        b"<?xml version='1.0' encoding='no-such'?><machine type='x'><name>n</name></machine>",
        "<machine type='x' type='y'/>",
        "<x:machine type='x'/>",
        "<machine type='x'><![CDATA[",
        "<machine type='x'><!-- ",
    ],
)
def test_what_is_no_text(data: str | bytes) -> None:
    with pytest.raises(VirtError):
        parse(data, v.Machine)


def test_encodings() -> None:
    umlaut = "<machine type='x'><name>ü</name></machine>"
    assert parse(umlaut, v.Machine).name == "ü"
    assert parse(umlaut.encode(), v.Machine).name == "ü"
    assert parse(umlaut.encode("utf-16"), v.Machine).name == "ü"
    latin = ("<?xml version='1.0' encoding='ISO-8859-1'?>" + umlaut).encode("latin-1")
    assert parse(latin, v.Machine).name == "ü"
    assert parse("<?xml version='1.0' encoding='UTF-8'?>" + umlaut, v.Machine).name == "ü"


def test_strings_that_only_look_dangerous() -> None:
    text = "<machine type='x'><name>n</name><metadata><a><![CDATA[<!ENTITY a 'b'>]]></a></metadata></machine>"
    machine = parse(text, v.Machine)
    assert machine.metadata is not None
    assert "&lt;!ENTITY" in machine.metadata


@pytest.mark.parametrize(
    ("text", "message", "path"),
    [
        ("<box type='disc'/>", "Invalid value for attribute 'type' in element 'box': 'disc'.", "/box/@type"),
        (
            "<box colour='default'/>",
            "Invalid value for attribute 'colour' in element 'box': 'default'.",
            "/box/@colour",
        ),
        (
            "<box type='net'><source><host port='x'/></source></box>",
            "Invalid value for attribute 'port' in element 'host': 'x'. Expected non-negative integer value",
            "/box/source/host/@port",
        ),
        (
            "<box type='net'><source><host/><host port='65536'/></source></box>",
            "Invalid value for attribute 'port' in element 'host': '65536'. Expected a value up to 65535",
            "/box/source/host[2]/@port",
        ),
        (
            "<box><backing type='block' index=' 4 '/></box>",
            "Invalid value for attribute 'index' in element 'backing': ' 4 '. Expected non-negative integer value",
            "/box/backing/@index",
        ),
    ],
)
def test_bad_values_say_where(text: str, message: str, path: str) -> None:
    with pytest.raises(XMLError) as caught:
        load(text, v.Box)
    assert str(caught.value) == f"XML error: {message}"
    assert caught.value.path == path
    assert any(path in note for note in caught.value.__notes__)


def test_the_nearest_value_is_named() -> None:
    with pytest.raises(XMLError) as caught:
        load("<box type='blok'/>", v.Box)
    assert caught.value.nearest == "block"
    assert caught.value.value == "blok"


def test_secrets_do_not_reach_errors_and_reprs() -> None:
    made = v.Box(secret="geheim")
    assert "geheim" not in repr(made)
    assert "***" in repr(made)


def test_zero_where_it_is_not_permitted() -> None:
    with pytest.raises(XMLError) as caught:
        parse("<card mode='host' type='pci'><boot order='0'/></card>", v.PciCard)
    assert (
        str(caught.value) == "XML error: Invalid value for attribute 'order' in element 'boot': Zero is not permitted"
    )


def test_a_bad_cpu_set() -> None:
    with pytest.raises(VirtError, match="Failed to parse bitmap '3-1'") as caught:
        parse("<machine type='x'><name>n</name><cpus>3-1</cpus></machine>", v.Machine)
    assert caught.value.code is ErrorCode.INVALID_ARG


def test_values_that_cannot_be_printed_are_refused() -> None:
    machine = v.Machine(type="x", name="a\x01b\x7f<&>'\"")
    from virtcore.xml import format

    assert "<name>ab\x7f&lt;&amp;&gt;&apos;&quot;</name>" in format(machine)


def test_processing_is_without_a_tree_of_the_caller() -> None:
    root = document(GOOD)
    assert root.tag == "machine"


def test_line_breaks_in_attributes_come_back() -> None:
    from virtcore.xml import format

    made = v.Box(source=v.FileSource(file="/img/a\n\tb\r.img"), serial="1\n2\r3")
    text = format(made)
    assert "file='/img/a&#10;&#9;b&#13;.img'" in text
    assert "<serial>1\n2&#13;3</serial>" in text
    assert parse(text, v.Box) == made


@pytest.mark.parametrize(
    "line",
    [
        "<screen type='vnc' passwd='s3cr3t'/><</x>",
        '<screen type="vnc" PASSWORD = "s3cr3t',
        "<secret>s3cr3t</secre>",
        "<secret>s3cr3t",
        """<screen passwd='a"s3cr3t'/><</x>""",
    ],
)
def test_passwords_are_not_quoted_in_errors(line: str) -> None:
    with pytest.raises(XMLDetail) as caught:
        parse(f"<machine>\n{line}\n</machine>", v.Machine)
    assert "s3cr3t" not in str(caught.value)


def test_long_lines_are_cut() -> None:
    with pytest.raises(XMLDetail) as caught:
        parse("<machine>" + "<a b='c'/>" * 5000 + "<x", v.Machine)
    assert len(str(caught.value)) < 1200


def test_a_root_in_a_namespace() -> None:
    with pytest.raises(XMLError, match="root element 'machine' is in namespace 'http://foo'"):
        parse("<machine xmlns='http://foo'/>", v.Machine)


@pytest.mark.parametrize("wrong", [None, 5, ["<machine/>"]])
def test_what_is_no_document(wrong: object) -> None:
    with pytest.raises(TypeError, match="XML is to be str or bytes"):
        parse(wrong, v.Machine)  # type: ignore[arg-type]


def test_sizes_name_their_place_as_libvirt_does() -> None:
    with pytest.raises(XMLError, match=r"Invalid value '-1' for element or attribute './limit\[1\]'"):
        parse("<box><limit>-1</limit></box>", v.Box)
