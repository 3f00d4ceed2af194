"""XDR codecs: values that travel, and bytes that must not."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st

from virtcore.enums.common import TypedParameterType as Type
from virtcore.operations.procedures import PROGRAMS, program
from virtcore.operations.wire.codec import EncodingError, WireError, codec
from virtcore.types import DomainRef, DomainSnapshotRef, Kept, TypedParameters, TypedValue

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
DOMAIN = DomainRef("test", UUID, 1)
DOMAIN_BYTES = b"\0\0\0\4test" + bytes.fromhex(UUID.replace("-", "")) + b"\0\0\0\1"


def test_a_domain_on_the_wire() -> None:
    arguments = codec("remote", "remote_domain_get_state_args")
    assert arguments.encode((DOMAIN, 5)) == DOMAIN_BYTES + b"\0\0\0\5"
    assert arguments.decode(b"head" + DOMAIN_BYTES + b"\0\0\0\5", 4) == ((DOMAIN, 5), 4 + len(DOMAIN_BYTES) + 4)


def test_small_integers_take_four_bytes() -> None:
    assert len(codec("remote", "remote_domain_get_info_ret").encode((1, 2, 3, 4, 5))) == 4 + 8 + 8 + 4 + 8


def test_characters_take_four_bytes_each() -> None:
    info = codec("remote", "remote_node_get_info_ret")
    raw = info.encode(("x86_64", 1, 2, 3, 4, 5, 6, 7))
    assert len(raw) == 128 + 8 + 6 * 4
    assert raw[:8] == b"\0\0\0x\0\0\0008"
    assert info.decode(raw, 0)[0] == ("x86_64", 1, 2, 3, 4, 5, 6, 7)
    label = codec("remote", "remote_domain_get_security_label_ret")
    assert label.encode(("ab", True)) == b"\0\0\0\3" + b"\0\0\0a\0\0\0b\0\0\0\0" + b"\0\0\0\1"
    assert label.decode(label.encode(("\xff", 0)), 0)[0] == (b"\xc3\xbf\0", 0)


def test_wire_order_and_class_order_may_differ() -> None:
    raw = codec("remote", "remote_nonnull_domain_snapshot").encode(DomainSnapshotRef(DOMAIN, "before"))
    assert raw.startswith(b"\0\0\0\6before")
    assert codec("remote", "remote_nonnull_domain_snapshot").decode(raw, 0)[0] == DomainSnapshotRef(DOMAIN, "before")


def test_typed_parameters() -> None:
    values = TypedParameters(
        [
            ("i", Type.INT, -1),
            ("ui", Type.UINT, 1),
            ("l", Type.LLONG, -(2**63)),
            ("ul", Type.ULLONG, 2**64 - 1),
            ("d", Type.DOUBLE, 0.5),
            ("b", Type.BOOLEAN, True),
            ("s", Type.STRING, "\xe9"),
        ]
    )
    stats = codec("remote", "remote_connect_get_all_domain_stats_ret")
    (records,), _ = stats.decode(stats.encode(([(DOMAIN, values)],)), 0)
    assert records == [(DOMAIN, values)]
    assert records[0][1]["b"] is True


def test_text_that_is_no_unicode_survives() -> None:
    text = codec("remote", "remote_connect_get_hostname_ret")
    raw = b"\0\0\0\2\xff\xfe\0\0"
    assert text.encode(text.decode(raw, 0)[0]) == raw


def test_anything_but_zero_says_that_something_is_there() -> None:
    name = b"\0\0\0\1a\0\0\0" + bytes(4)
    for flag in (b"\0\0\0\1", b"\1\0\0\0", b"\xff\xff\xff\xff"):
        assert codec("remote", "remote_connect_open_args").decode(flag + name, 0)[0] == ("a", 0)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        pytest.param("remote_connect_get_hostname_ret", b"\xff\xff\xff\xff", id="string longer than allowed"),
        pytest.param("remote_connect_get_hostname_ret", b"\0\0\0\x09host", id="string beyond the end"),
        pytest.param("remote_connect_get_hostname_ret", b"\0\0\0\1a", id="padding missing"),
        pytest.param("remote_connect_get_hostname_ret", b"\0\0\0\2a\0\0\0", id="NUL inside"),
        pytest.param("remote_connect_list_domains_ret", b"\0\0\x40\x01" + bytes(8), id="array longer than allowed"),
        pytest.param("remote_connect_list_all_domains_ret", b"\0\0\x3f\xff" + bytes(64), id="array beyond the end"),
        pytest.param("remote_connect_open_args", b"\0\0\0", id="less than says whether something is there"),
        pytest.param("remote_domain_get_state_args", DOMAIN_BYTES[:-3], id="cut short"),
        pytest.param("remote_domain_get_state_args", b"", id="nothing"),
        pytest.param(
            "remote_node_get_memory_parameters_ret",
            b"\0\0\0\1\0\0\0\1x\0\0\0" + b"\0\0\0\x63" + bytes(12),
            id="unknown type of parameter",
        ),
    ],
)
def test_bytes_that_are_refused(name: str, raw: bytes) -> None:
    with pytest.raises(WireError):
        codec("remote", name).decode(raw, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("remote_domain_get_state_args", (DomainRef("a\0b", UUID, 1), 0)),
        ("remote_domain_get_state_args", (DomainRef("a", "no uuid", 1), 0)),
        ("remote_domain_get_state_args", (DOMAIN, -1)),
        ("remote_domain_get_state_args", (DOMAIN, 2**32)),
        ("remote_domain_get_state_args", (DOMAIN,)),
        ("remote_domain_get_state_args", (None, 0)),
        ("remote_node_get_info_ret", ("m" * 32, 1, 2, 3, 4, 5, 6, 7)),
        ("remote_domain_define_xml_args", ("x" * 4194305,)),
    ],
)
def test_values_that_do_not_fit(name: str, value: object) -> None:
    with pytest.raises(EncodingError):
        codec("remote", name).encode(value)


def test_what_is_shared_is_encoded_once() -> None:
    lists = codec("remote", "remote_connect_list_all_domains_ret")
    shared = Kept([DOMAIN, DOMAIN])
    plain = lists.encode(([DOMAIN, DOMAIN], 2))
    assert lists.encode((shared, 2)) == plain
    [kept] = shared.wire.values()
    shared.wire[next(iter(shared.wire))] = kept[::-1]
    assert lists.encode((shared, 2)) == kept[::-1] + plain[len(kept) :], "the bytes that stayed with it"
    names = codec("remote", "remote_connect_list_networks_ret")
    with pytest.raises(EncodingError):
        names.encode((shared,))  # of another type they are others
    texts = Kept(["a", "b"])
    assert names.encode((texts,)) == names.encode((["a", "b"],))


def test_sealed_parameters_are_encoded_once_and_do_not_change() -> None:
    rows: list[tuple[str, Type, TypedValue]] = [
        ("state.state", Type.INT, 5),
        ("block.0.path", Type.STRING, "/a"),
        ("up", Type.BOOLEAN, True),
    ]
    plain, sealed = TypedParameters(rows), TypedParameters(rows).seal()
    few, many = (
        codec("remote", "remote_domain_get_memory_parameters_ret"),
        codec("remote", "remote_domain_stats_record"),
    )
    expected = few.encode((plain, 0))
    assert few.encode((sealed, 0)) == expected
    assert sealed.wire is not None
    assert many.encode((DOMAIN, sealed)) == many.encode((DOMAIN, plain)) == DOMAIN_BYTES + expected[:-4]
    with pytest.raises(TypeError, match="shared"):
        sealed.add("more", Type.INT, 1)
    with pytest.raises(TypeError, match="shared"):
        sealed.extend(plain)
    copy = TypedParameters(sealed.rows())
    copy.add("more", Type.INT, 1)
    assert few.encode((copy, 0)) != expected
    long = TypedParameters([("name", Type.INT, 1)] * 17).seal()
    many.encode((DOMAIN, long))
    with pytest.raises(EncodingError, match="16 allowed"):
        few.encode((long, 0))


def test_a_huge_count_allocates_nothing() -> None:
    # 2^20 elements are allowed by the type, but the message has no bytes for them.
    raw = struct.pack(">I", 262144)
    with pytest.raises(WireError, match="array of 262144"):
        codec("remote", "remote_connect_get_all_domain_stats_ret").decode(raw, 0)


ALL_TYPES = sorted(
    {
        (name, type_name)
        for name in PROGRAMS
        for row in program(name).procedures()
        for type_name in (row.args, row.ret)
        if type_name is not None
    }
)


@given(st.sampled_from(ALL_TYPES), st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused(which: tuple[str, str], raw: bytes) -> None:
    found = codec(*which)
    try:
        value, end = found.decode(raw, 0)
    except WireError:
        return
    assert end <= len(raw)
    again = found.encode(value)
    assert found.decode(again, 0) == (value, len(again)) or "nan" in repr(value)


@given(st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8")), st.integers(-(2**31), 2**31 - 1))
def test_domains_survive(name: str, number: int) -> None:
    found = codec("remote", "remote_nonnull_domain")
    value = DomainRef(name, UUID, number)
    assert found.decode(found.encode(value), 0)[0] == value
