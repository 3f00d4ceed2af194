"""virsh's command lines: words, quotes, comments, options."""

from __future__ import annotations

import pytest

from virt_shell.command import CommandError
from virt_shell.parser import parse_arguments, parse_line, parse_partial


def words(line: str) -> list[list[str]]:
    return [args.words("string") for args in parse_line(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("echo a b", [["a", "b"]]),
        ("echo 'a  b' \"c 'd'\"", [["a  b", "c 'd'"]]),
        ("echo a\\ b; echo c\n echo d", [["a b"], ["c"], ["d"]]),
        ("echo a # rest; of line\necho b", [["a"], ["b"]]),
        ("echo a\\#b '#c'", [["a#b", "#c"]]),
        ("echo a \\\n b", [["a", "b"]]),
        ("echo ''", [[""]]),
        ("echo -- --shell", [["--shell"]]),
        (";;", []),
        ("", []),
    ],
)
def test_words_of_a_line(line: str, expected: list[list[str]]) -> None:
    assert words(line) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("frobnicate", "unknown command: 'frobnicate'"),
        ("domstate", "command 'domstate' requires <domain> option"),
        ("domstate a b", "unexpected data 'b'"),
        ("domstate --nope a", "command 'domstate' doesn't support option --nope"),
        ("domstate a --domain b", "option --domain already seen"),
        ("domstate a --reason=yes", "invalid '=' after option --reason"),
        ("domstate --domain", "expected syntax: --domain <string>"),
        ("event --timeout", "expected syntax: --timeout <number>"),
        ('echo "a', 'missing "'),
        ("echo a\\", "dangling \\"),
    ],
)
def test_refusals_are_virshs(line: str, message: str) -> None:
    with pytest.raises(CommandError) as refused:
        parse_line(line)
    assert str(refused.value) == message


def test_options_by_name_by_equals_and_by_position_agree() -> None:
    for line in ("reboot g --mode acpi", "reboot --mode=acpi --domain g", "reboot g acpi"):
        (args,) = parse_line(line)
        assert (args.get("domain"), args.get("mode")) == ("g", "acpi")


def test_an_alias_stands_for_its_option() -> None:
    (args,) = parse_line("echo --str hello")
    assert args.words("string") == ["hello"]


def test_help_as_an_option_shows_the_commands_help() -> None:
    (args,) = parse_line("start --help")
    assert (args.command.name, args.get("command")) == ("help", "start")


def test_words_of_the_calling_shell_are_taken_as_they_are() -> None:
    (args,) = parse_arguments(["echo", "a;b", "#c", "'"])
    assert args.words("string") == ["a;b", "#c", "'"]


def test_an_empty_value_is_refused_where_it_means_nothing() -> None:
    (args,) = parse_line("domstate ''")
    with pytest.raises(CommandError, match="Failed to get option 'domain': Option argument is empty"):
        args.get("domain")


@pytest.mark.parametrize(
    ("text", "good"), [("5", True), ("+5", True), ("5x", False), ("", False), ("99999999999", False)]
)
def test_numbers(text: str, good: bool) -> None:
    (args,) = parse_line(f"event --all --timeout '{text}'")
    if good:
        assert args.timeout() == 5
    else:
        with pytest.raises(CommandError, match="malformed or out of range"):
            args.timeout()


def test_an_unfinished_line_is_read_as_far_as_it_goes() -> None:
    assert parse_partial("domst") is None
    args = parse_partial("domstate --reason 'fo")
    assert args is not None
    assert args.last is not None
    assert (args.last[0].name, args.last[1]) == ("domain", "fo")
