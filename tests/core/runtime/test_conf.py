"""libvirt's configuration format."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from virtcore.errors import ConfSyntax, InternalError, VirtError
from virtcore.runtime.conf import ConfDialect, ConfFile

TEXT = """
# a comment
uri_default = "qemu:///system" # here
n=-3;m = +4
list = [ "a", 'b', [ 1, 2, ],
  3 ]
long = \"\"\"two "quoted"
lines\"\"\"
"""


def test_every_form() -> None:
    conf = ConfFile.parse(TEXT)
    assert conf.string("uri_default") == "qemu:///system"
    assert (conf.get("n"), conf.get("m")) == (-3, 4)
    assert conf.get("list") == ["a", "b", [1, 2], 3]
    assert conf.get("long") == 'two "quoted"\nlines'
    assert conf.get("missing") is None
    assert ConfFile.parse("a = 1\na = 2").get("a") == 1
    assert conf.strings("missing") == []
    assert conf.format() == (
        '# a comment\nuri_default = "qemu:///system" # here\nn = -3\nm = 4\nlist = [ "a", "b", [ 1, 2 ], 3 ]\n'
        'long = """two "quoted"\nlines"""\n'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "f:1: expecting an assignment"),
        ("\n1=2", "f:2: expecting a name"),
        ("a=", "f:1: expecting a value"),
        ("a='x", "f:1: unterminated string"),
        ('a="x\n"', "f:1: unterminated string"),
        ("a=-", "f:1: unterminated number"),
        ("a=[1 2]", "f:1: expecting a separator in list"),
        ("a=[1,", "f:1: list is not closed with ]"),
        ("a=1 b=2", "f:1: expecting a separator"),
        ("a=99999999999999999999999", "f:1: numeric overflow in conf value"),
        ("a=" + "[" * 1000, "f:1: lists are nested too deeply"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ConfSyntax) as caught:
        ConfFile.parse(text, "f")
    assert str(caught.value) == f"configuration file syntax error: {message}"


def test_dialects() -> None:
    vmx = ConfFile.parse(
        '.encoding = "UTF-8"\nSCSI0:0.x = "1" # c\nscsi0:0.X = "2"\na-b* = ""', dialect=ConfDialect.VMX
    )
    assert vmx.settings() == {".encoding": "UTF-8", "scsi0:0.x": "1", "a-b*": ""}
    lxc = ConfFile.parse('lxc.a = 1 # no comment\nlxc.b =\nlxc.a = "2"\n#c', dialect=ConfDialect.LXC)
    assert [entry[:2] for entry in lxc.entries] == [
        ("lxc.a", "1 # no comment"),
        ("lxc.b", ""),
        ("lxc.a", "2"),
        (None, None),
    ]
    assert lxc.settings() == {"lxc.a": "1 # no comment", "lxc.b": ""}


@pytest.mark.parametrize(
    ("text", "dialect", "message"),
    [
        ("a = 1", ConfDialect.VMX, "1: numbers not allowed in VMX format"),
        ("\na = [ ]", ConfDialect.VMX, "2: lists not allowed in VMX format"),
        ("a = b", ConfDialect.VMX, "1: expecting a value"),
        ("a = ", ConfDialect.VMX, "1: expecting a value"),
        ("a =", ConfDialect.LXC, "1: expecting a value"),
        ("a = 'b", ConfDialect.LXC, "1: unterminated string"),
        ("a:b = 'b", ConfDialect.LXC, "1: expecting an assignment"),
    ],
)
def test_refused_in_dialects(text: str, dialect: ConfDialect, message: str) -> None:
    with pytest.raises(ConfSyntax) as caught:
        ConfFile.parse(text, dialect=dialect)
    assert str(caught.value) == f"configuration file syntax error: memory conf:{message}"


def test_types_are_checked() -> None:
    conf = ConfFile.parse("a = 1\nb = [ 1 ]", "f")
    with pytest.raises(InternalError, match="f: expected a string for 'a' parameter"):
        conf.string("a")
    for name in ("a", "b"):
        with pytest.raises(InternalError, match="expected a string list"):
            conf.strings(name)


@given(st.text(alphabet="ab=[]\"',#; \n123"))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        conf = ConfFile.parse(text)
    except VirtError:
        return
    assert [entry[:2] for entry in ConfFile.parse(conf.format()).entries] == [entry[:2] for entry in conf.entries]
