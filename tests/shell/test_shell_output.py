"""Tables, escapes and the program's own options."""

from __future__ import annotations

import subprocess
import sys

import pytest

from virt_shell.table import Table
from virt_shell.text import escape_shell, escape_xml, event_detail, split_list, state_name, state_reason


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "virt_shell", *words], capture_output=True, text=True, check=False)


def test_a_table_is_as_wide_as_its_cells() -> None:
    table = Table("Id", "Name", "State")
    table.add("1", "test", "running")
    assert table.render() == " Id   Name   State\n----------------------\n 1    test   running\n"
    assert table.render(header=False) == " 1   test   running\n"


def test_an_empty_table_still_has_its_header() -> None:
    assert Table("Id", "Name", "State").render() == " Id   Name   State\n--------------------\n"


def test_unprintable_and_wide_characters_keep_the_columns() -> None:
    table = Table("A", "B")
    table.add("a\tb", "x")
    table.add("日本", "y")
    assert table.render() == " A        B\n-------------\n a\\x09b   x\n 日本     y\n"


@pytest.mark.parametrize(("text", "quoted"), [("", "''"), ("a", "a"), ("a b", "'a b'"), ("it's", "'it'\\''s'")])
def test_shell_escape(text: str, quoted: str) -> None:
    assert escape_shell(text) == quoted


def test_xml_escape_drops_control_characters() -> None:
    assert escape_xml("<a b='\x01'>&\"") == "&lt;a b=&apos;&apos;&gt;&amp;&quot;"


def test_a_doubled_comma_is_a_comma() -> None:
    assert split_list("a,,b,c") == ["a,b", "c"]


def test_names_of_states_and_events() -> None:
    assert (state_name(1), state_reason(1, 1), state_name(99), state_reason(1, 99)) == (
        "running",
        "booted",
        "no state",
        "unknown",
    )
    assert (event_detail(5, 1), event_detail(5, 99)) == ("Destroyed", "unknown")


def test_version_needs_no_connection() -> None:
    ran = run("--version")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("11.3.0\n", "", 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-x",), "error: unsupported option '-x'. See --help.\n"),
        (("--nope",), "error: unsupported option '--nope'. See --help.\n"),
        (("-c",), "error: option '-c'/'--connect' requires an argument\n"),
        (("-d", "x"), "error: option -d takes a numeric argument\n"),
        (("-e", "ab"), "error: Invalid string 'ab' for escape sequence\n"),
        (("-k", "-1"), "error: option -k requires a positive integer argument\n"),
        (("frobnicate",), "error: unknown command: 'frobnicate'\n"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], message: str) -> None:
    ran = run(*words)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", message, 1)


def test_help_lists_every_command_once() -> None:
    ran = run("--help")
    assert ran.returncode == 0
    listed = [line.split()[0] for line in ran.stdout.splitlines() if line.startswith("    ") and line[4].islower()]
    assert listed == list(dict.fromkeys(listed))
    assert {"list", "start", "console", "help"} <= set(listed)
    assert "complete" not in listed


def test_output_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "virt_shell", "-c", "test:///default", "list"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")


def test_bytes_of_another_encoding_pass_through() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "virt_shell", "-c", "test:///default"],
        input=b"b\xffx\n",
        capture_output=True,
        check=False,
    )
    assert b"error: unknown command: 'b\xffx'" in done.stderr


@pytest.mark.parametrize(
    ("option", "errors"),
    [
        (("-k", "0"), []),
        (
            ("-k", "5"),
            [
                "error: Cannot setup keepalive on connection as requested, disconnecting",
                "error: failed to connect to the hypervisor",
                "error: this function is not supported by the connection driver: virConnectSetKeepAlive",
            ],
        ),
        (("-K", "x"), ["error: Invalid value for option -K"]),
        (("-K", "-1"), ["error: option -K requires a positive integer argument"]),
    ],
)
def test_keepalive_as_asked_for_or_no_connection(option: tuple[str, str], errors: list[str]) -> None:
    done = run(*option, "-c", "test:///default", "uri")
    assert done.stderr.splitlines() == errors
    assert (done.returncode == 0) == (errors == [])
