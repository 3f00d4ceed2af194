"""Numbers by libvirt's rules, sizes, identifiers, CPU sets."""

from __future__ import annotations

import pytest

from virtcore.errors import InvalidArg, OverflowDetected, XMLError
from virtcore.xml import (
    HEX,
    INT,
    LONG,
    MAC,
    OCTAL,
    ON_OFF,
    UINT,
    UINT_ANY,
    ULONG,
    UUID,
    Codec,
    CpuSet,
    number,
    pretty_size,
    scaled,
)
from virtcore.xml.scalars import Size, Unreadable


@pytest.mark.parametrize(
    ("codec", "text", "value"),
    [
        (UINT, "0", 0),
        (UINT, "007", 7),
        (UINT, " +42", 42),
        (UINT, "4294967295", 4294967295),
        (INT, "-2147483648", -2147483648),
        (ULONG, "18446744073709551615", 18446744073709551615),
        (LONG, "\n-9223372036854775808", -9223372036854775808),
        (UINT_ANY, "0x1F", 31),
        (UINT_ANY, "010", 8),
        (UINT_ANY, "10", 10),
        (HEX("0x%04x"), "0xaB", 171),
        (HEX("0x%x", base=16), "ff", 255),
        (HEX("0x%x", base=16), "0xff", 255),
        (OCTAL(), "0755", 493),
        (number(32, wraps=True), "-1", 4294967295),
    ],
)
def test_numbers_that_are_read(codec: Codec[int], text: str, value: int) -> None:
    assert codec.read(text) == value


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        (UINT, ""),
        (UINT, " "),
        (UINT, "-0"),
        (UINT, "-1"),
        (UINT, "1 "),
        (UINT, "1_0"),
        (UINT, "١"),
        (UINT, "0x10"),
        (UINT, "4294967296"),
        (UINT, "9" * 5000),
        (UINT, "1e3"),
        (INT, "2147483648"),
        (INT, "--1"),
        (ULONG, "18446744073709551616"),
        (LONG, "9223372036854775808"),
        (UINT_ANY, "0x"),
        (UINT_ANY, "08"),
        (HEX(), "0xg"),
        (number(32, wraps=True), "-4294967296"),
    ],
)
def test_numbers_that_are_refused(codec: Codec[int], text: str) -> None:
    with pytest.raises(Unreadable):
        codec.read(text)


def test_numbers_are_printed_in_their_form() -> None:
    assert UINT.write(7) == "7"
    assert HEX("0x%04x").write(31) == "0x001f"
    assert OCTAL("%04o").write(0o600) == "0600"


def test_words() -> None:
    assert ON_OFF.read("on") is True
    assert ON_OFF.write(False) == "off"
    with pytest.raises(KeyError):
        ON_OFF.read("On")


def size(codec: Codec[int]) -> Size:
    assert isinstance(codec, Size)
    return codec


@pytest.mark.parametrize(
    ("codec", "text", "unit", "value"),
    [
        (scaled("KiB"), "4", None, 4),
        (scaled("KiB"), "4", "", 4),
        (scaled("KiB"), "1025", "b", 2),
        (scaled("KiB"), "1", "MB", 977),
        (scaled("KiB"), "1", "g", 1048576),
        (scaled("KiB"), "1", "GiB", 1048576),
        (scaled("MiB", default="B"), "1048577", None, 2),
        (pretty_size("MiB"), "1", None, 1048576),
        (scaled("B"), "3", "bytes", 3),
    ],
)
def test_sizes_are_read(codec: Codec[int], text: str, unit: str | None, value: int) -> None:
    assert size(codec).read_size(text, unit, ".") == value


def test_sizes_are_printed() -> None:
    assert size(scaled("KiB")).split(5) == ("5", "KiB")
    assert size(scaled("B", printed="bytes")).split(5) == ("5", "bytes")
    for value, printed in (
        (0, ("0", "B")),
        (1023, ("1023", "B")),
        (1024, ("1", "KiB")),
        (3 << 30, ("3", "GiB")),
        (1 << 60, ("1024", "PiB")),
    ):
        assert size(pretty_size()).split(value) == printed


def test_sizes_that_are_refused() -> None:
    codec = size(scaled("KiB", xpath="./memory[1]"))
    with pytest.raises(XMLError, match=r"Invalid value 'x' for element or attribute './memory\[1\]'"):
        codec.read_size("x", None, ".")
    with pytest.raises(InvalidArg, match="unknown suffix 'KiBB'"):
        codec.read_size("1", "KiBB", ".")
    with pytest.raises(OverflowDetected, match="value too large: 99999999999EiB"):
        codec.read_size("99999999999", "EiB", ".")


def test_identifiers() -> None:
    plain = "c7a5fdbd-cdaf-9455-926a-d65c16db1809"
    assert UUID.read(plain.upper()) == plain
    assert UUID.read(f" {plain.replace('-', '')}\n") == plain
    assert UUID.read("c7a5fdbd cdaf-9455-926ad65c16db1809") == plain
    for wrong in ("", plain[:-1], plain + "0", "g" * 32):
        with pytest.raises(Unreadable):
            UUID.read(wrong)
    assert MAC.read("52:54:0:A:b:c") == "52:54:00:0a:0b:0c"
    for wrong in ("", "52:54:00:0a:0b", "52:54:00:0a:0b:0c:0d", "52-54-00-0a-0b-0c", "52:54:00:0a:0b:100"):
        with pytest.raises(Unreadable):
            MAC.read(wrong)


def test_cpu_sets() -> None:
    assert str(CpuSet.parse(" 0-3,^2, 7 - 9 ,5")) == "0-1,3,5,7-9"
    assert CpuSet.parse("1").max == 1
    assert CpuSet().max == -1
    assert str(CpuSet()) == ""
    assert repr(CpuSet({1, 2})) == "CpuSet('1-2')"
    for wrong in ("", "a", "3-1", "1,,2", "^1-2", "-1", "1,", "16384", "0-99999999999"):
        with pytest.raises(Unreadable):
            CpuSet.parse(wrong)
