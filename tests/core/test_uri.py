"""Connection URIs, by libvirt's rules."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from virtcore.errors import InternalError, InvalidArg, NoConnect, VirtError
from virtcore.uri import URI, ConnectionURI, percent_decode, percent_encode


def test_every_part() -> None:
    uri = ConnectionURI.parse("qemu+SSH://me@example.com:2222/system?keyfile=%2Fk&no_tty=1#x")
    assert tuple(uri)[:6] == ("qemu", "ssh", "me", "example.com", 2222, "/system")
    assert uri.query == (("keyfile", "/k"), ("no_tty", "1"))
    assert uri.fragment == "x"
    assert str(uri) == "qemu+ssh://me@example.com:2222/system?keyfile=%2Fk&no_tty=1#x"
    assert uri.get("KEYFILE") == "/k"
    assert uri.without(frozenset(["keyfile"])).query == (("no_tty", "1"),)
    assert str(uri.without(frozenset(["keyfile"]))) == "qemu+ssh://me@example.com:2222/system?no_tty=1#x"


def test_a_query_is_written_as_it_was_read() -> None:
    uri = ConnectionURI.parse("test+unix:///default?socket=/tmp/x&&b")
    assert str(uri) == "test+unix:///default?socket=/tmp/x&&b"
    assert str(uri._replace(query=(("socket", "/tmp/x"),))) == "test+unix:///default?socket=%2Ftmp%2Fx"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("qemu:///system", ("qemu", None, None, None, None, "/system", (), None)),
        ("xen", ("xen", None, None, None, None, "/system", (), None)),
        ("XEN", ("xen", None, None, None, None, "/system", (), None)),
        ("xen://", ("xen", None, None, None, None, "/system", (), None)),
        ("esx://[2001:db8::1]:443/", ("esx", None, None, "2001:db8::1", 443, "/", (), None)),
        ("test:/default", ("test", None, None, None, None, "/default", (), None)),
        ("vpx://a%5cb@h/dc", ("vpx", None, "a\\b", "h", None, "/dc", (), None)),
    ],
)
def test_forms(text: str, expected: tuple[object, ...]) -> None:
    assert tuple(ConnectionURI.parse(text))[:8] == expected


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("a=1&b=2", [("a", "1"), ("b", "2")]),
        ("a=1;b=2", [("a", "1"), ("b", "2")]),
        ("a=1;b=2&c=3", [("a", "1;b=2"), ("c", "3")]),
        ("a", [("a", "")]),
        ("=x&&;a=b=c", [("a", "b=c")]),
        ("a=%26%3D", [("a", "&=")]),
    ],
)
def test_query(query: str, pairs: list[tuple[str, str]]) -> None:
    assert list(ConnectionURI.parse(f"test:///default?{query}").query) == pairs


@pytest.mark.parametrize(
    "text",
    [
        "test://h:x/",
        "test://h:/",
        "test://h:99999999999/",
        "test://[::1/",
        "test://[::1]x/",
        "test:///a b",
        "test:///a%2",
        "test:///a%00b",
        "test:///ä",
        "te st:///x",
        ":///x",
        "test:///x?a=[",
        "test://a@b@c/",
        "test:///x\n",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InternalError, match="internal error: Unable to parse URI"):
        ConnectionURI.parse(text)


def test_missing_slash() -> None:
    with pytest.raises(InternalError) as caught:
        ConnectionURI.parse("qemu://system/")
    assert str(caught.value) == "internal error: invalid URI qemu://system/ (maybe you want qemu:///system)"


def test_no_scheme() -> None:
    with pytest.raises(NoConnect) as caught:
        ConnectionURI.parse("nonsense")
    assert str(caught.value) == "no connection driver available for URI 'nonsense' does not include a driver name"


def test_required_parameter() -> None:
    with pytest.raises(InvalidArg, match="Missing URI parameter 'root'"):
        ConnectionURI.parse("qemu:///embed").require("root")


def test_repr_hides_a_password() -> None:
    uri = ConnectionURI.parse("esx://root:hunter2@h/")
    assert repr(uri) == "ConnectionURI('esx://root@h/')"
    assert uri.redacted == "esx://root@h/"


def test_written_again() -> None:
    for text in ("gluster+rdma://example.com:1234/gv0/vol.img", "test://example.com", "test:///a%3Ab", "//h/p", "a/b"):
        assert URI.parse(text).format() == text


@given(st.text())
def test_percent_coding_loses_nothing(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert percent_decode(percent_encode(text)) == text


@given(st.text(alphabet="abq+:/?#[]@&;=%2 0é\n"))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        uri = URI.parse(text)
    except VirtError:
        return
    if uri.server is None and (uri.path or "/").startswith("/"):
        assert URI.parse(uri.format()) == uri._replace(user=None)
