"""The program ``virtsh``: its own options, then one command line or a prompt."""

from __future__ import annotations

import sys

from virtcore._typing import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from virt_shell.shell import Shell

__all__ = ["main"]

#: libvirt's version whose behaviour this shell has.
VERSION = "11.3.0"

#: long name, short name, whether it takes an argument ("optional": only as --name=value)
_OPTIONS: tuple[tuple[str, str, str], ...] = (
    ("connect", "c", "required"),
    ("debug", "d", "required"),
    ("escape", "e", "required"),
    ("help", "h", "none"),
    ("keepalive-interval", "k", "required"),
    ("keepalive-count", "K", "required"),
    ("log", "l", "required"),
    ("quiet", "q", "none"),
    ("readonly", "r", "none"),
    ("timing", "t", "none"),
    ("version", "v", "optional"),
)


class _Usage(Exception):
    """The program's own options are wrong."""


def _split(words: Sequence[str]) -> tuple[list[tuple[str, str, str | None]], list[str]]:
    """(name as written, short name, value) of each option, and the words behind them. No reordering."""
    found: list[tuple[str, str, str | None]] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            matching = [option for option in _OPTIONS if option[0] == name] or [
                option for option in _OPTIONS if option[0].startswith(name)
            ]
            if len(matching) != 1 or (equals and matching[0][2] == "none"):
                raise _Usage(f"unsupported option '{word}'. See --help.")
            long, short, argument = matching[0]
            if argument == "required" and not equals:
                if not rest:
                    raise _Usage(f"option '-{short}'/'--{long}' requires an argument")
                value = rest.pop(0)
            found.append((f"--{long}", short, value if equals or argument == "required" else None))
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter == "V":
                found.append(("-V", "V", None))
                continue
            known = next((option for option in _OPTIONS if option[1] == letter), None)
            if known is None:
                raise _Usage(f"unsupported option '-{letter}'. See --help.")
            text: str | None = None
            if known[2] == "required":
                if letters:
                    text, letters = letters, ""
                elif rest:
                    text = rest.pop(0)
                else:
                    raise _Usage(f"option '-{letter}'/'--{known[0]}' requires an argument")
            found.append((f"-{letter}", letter, text))
    return found, rest


def _number(text: str, wrong: str) -> int:
    try:
        return int(text, 10)
    except ValueError:
        raise _Usage(wrong) from None


def _apply(shell: Shell, written: str, short: str, value: str | None) -> int | None:
    """Act on one option; an exit status ends the program."""
    text = value or ""
    if short == "c":
        shell.uri = text
    elif short == "d":
        level = _number(text, f"option {written} takes a numeric argument")
        if 0 <= level <= 4:
            shell.debug = level
        else:
            shell.error(f"ignoring debug level {level} out of range [0-4]")
    elif short == "e":
        control = len(text) == 2 and text[0] == "^" and (text[1].isalpha() or text[1] in "@[\\]^_")
        if not control and not (len(text) == 1 and text != "^"):
            raise _Usage(f"Invalid string '{text}' for escape sequence")
        shell.escape = text
    elif short == "h":
        shell.out(usage())
        return 0
    elif short in ("k", "K"):
        number = _number(text, f"Invalid value for option {written}")
        if number < 0:
            raise _Usage(f"option {written} requires a positive integer argument")
        if short == "k":
            shell.keepalive_interval = number
        else:
            shell.keepalive_count = number
    elif short == "l":
        try:
            shell.log_to(text)
        except OSError as problem:
            raise _Usage(f"failed to open the log file '{text}': {problem.strerror}") from None
    elif short == "q":
        shell.quiet = True
    elif short == "t":
        shell.timing = True
    elif short == "r":
        shell.readonly = True
    elif short == "v" and value != "long":
        shell.out(VERSION + "\n")
        return 0
    else:
        from virt_shell.about import long_version

        shell.out(long_version(VERSION))
        return 0
    return None


def usage() -> str:
    """The text of ``--help``."""
    from virt_shell.command import GROUPS, listed_commands

    name = sys.argv[0].rpartition("/")[2] or "virtsh"
    lines = [
        "",
        f"{name} [options]... [<command_string>]",
        f"{name} [options]... <command> [args...]",
        "",
        "  options:",
        "    -c | --connect=URI      hypervisor connection URI",
        "    -d | --debug=NUM        debug level [0-4]",
        "    -e | --escape <char>    set escape sequence for console",
        "    -h | --help             this help",
        "    -k | --keepalive-interval=NUM",
        "                            keepalive interval in seconds, 0 for disable",
        "    -K | --keepalive-count=NUM",
        "                            number of possible missed keepalive messages",
        "    -l | --log=FILE         output logging to file",
        "    -q | --quiet            quiet mode",
        "    -r | --readonly         connect readonly",
        "    -t | --timing           print timing information",
        "    -v                      short version",
        "    -V                      long version",
        "         --version[=TYPE]   version, TYPE is short or long (default short)",
        "  commands (non interactive mode):",
        "",
    ]
    for group in GROUPS:
        lines.append(f" {group.title} (help keyword '{group.keyword}')")
        lines += [f"    {known.name:<30} {known.help}" for known in listed_commands(group.keyword)]
        lines.append("")
    lines += [
        "",
        "  (specify help <group> for details about the commands in the group)",
        "",
        "  (specify help <command> for details about the command)",
        "",
        "",
    ]
    return "\n".join(lines)


def _prepare_output() -> None:
    """What came in as bytes of whatever encoding goes out as the same bytes; what is closed takes anything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115  # as long as the process
        elif hasattr(stream, "reconfigure"):  # not where a program has put something of its own there
            stream.reconfigure(errors="surrogateescape")


def main(argv: Sequence[str] | None = None) -> int:
    """Run virtsh; returns the exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words and words[0] in ("-v", "--version", "--version=short"):
        print(VERSION)  # without loading anything
        return 0
    if argv is not None:
        return _main(words)
    import gc

    gc.set_threshold(50_000)  # what one command loads stays: nothing to be looked through again and again
    status = _main(words)
    if "virtcore.runtime.loop" not in sys.modules:  # at its end the core loop has something to do
        import os

        # Nothing is left but memory, which the system takes back as a whole.
        try:
            sys.stdout.flush()
        except OSError:
            status = status or 1
        os._exit(status)
    return status


def _main(words: list[str]) -> int:
    from virt_shell.shell import Shell

    _prepare_output()
    shell = Shell()
    try:
        options, words = _split(words)
        for written, short, value in options:
            status = _apply(shell, written, short, value)
            if status is not None:
                return status
        return _run(shell, words)
    except _Usage as wrong:
        shell.error(str(wrong))
        return 1
    except OSError as problem:
        import os

        # Our output cannot be written (a full disk), or whoever read it is gone: nothing more to say there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(problem, BrokenPipeError):
            where = f"{problem.filename}: " if problem.filename else ""
            shell.error(f"{where}{problem.strerror}")
        return 1
    finally:
        shell.close()


def _run(shell: Shell, words: list[str]) -> int:
    from virt_shell.command import CommandError
    from virt_shell.parser import parse_arguments, parse_line

    try:
        commands = parse_line(words[0]) if len(words) == 1 else parse_arguments(words)
    except CommandError as wrong:
        shell.error(str(wrong))
        return 1
    if shell.uri is not None:
        # A connection that was named must succeed; the default one is opened when a command needs it.
        if not shell.connect(None):
            return 1
    else:
        import os

        shell.uri = os.environ.get("VIRSH_DEFAULT_CONNECT_URI")
    if words:
        done = shell.run(commands)
    else:
        from virt_shell.interactive import prompt_loop

        done = prompt_loop(shell)
    sys.stdout.flush()
    return 0 if done else 1
