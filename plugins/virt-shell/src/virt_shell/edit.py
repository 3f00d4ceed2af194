"""The user's editor: changing a text in it, and defining an object of the document that was saved."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from virt_shell.command import CommandError
from virtcore._typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from virt_shell.shell import Shell
    from virtcore.errors import VirtError

__all__ = ["edit_definition", "edited"]

T = TypeVar("T")


@contextmanager
def _file(text: str) -> Iterator[Path]:
    """A file of the text, only for the user, and only for as long as the block."""
    with tempfile.NamedTemporaryFile("w", prefix="virsh", suffix=".xml", encoding="utf-8", delete=False) as file:
        file.write(text)
    path = Path(file.name)
    try:
        yield path
    finally:
        path.unlink()


def _run_editor(path: Path) -> str:
    """The text as the user leaves it."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    # The user's own setting may carry arguments; it is split here, never handed to a shell.
    status = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
    if status:
        raise CommandError(f"{editor}: the editor ended with status {status}; nothing was changed")
    return path.read_text(encoding="utf-8")


def edited(before: str) -> str | None:
    """A text as the user leaves it in the editor; None when nothing was changed.

    :raises CommandError: the editor fails.
    """
    with _file(before) as path:
        after = _run_editor(path)
    return None if after == before else after


def edit_definition(
    shell: Shell, read: Callable[[], str], define: Callable[[str], T], relaxed: Callable[[str], T] | None = None
) -> T | None:
    """What is defined of a document that the user changed; None when nothing was changed.

    A document that is refused, or that somebody else changed meanwhile, goes back to the editor if the user wants.

    :param relaxed: defines without asking a schema, where the user may choose to.
    :raises CommandError: it could not be defined and the user has given up, or there is nobody to ask.
    """
    from virtcore.errors import VirtError

    before = read()
    with _file(before) as path:
        while True:
            after = _run_editor(path)
            if after == before:
                return None
            answer = "f"
            while answer != "y":
                problem: VirtError | None = None
                now = read()
                if now == before:
                    try:
                        return define(after)
                    except VirtError as refusal:
                        message, problem = "Failed.", refusal
                else:
                    message, before = "The XML configuration was changed by another user.", now
                if not sys.stdin.isatty():
                    raise CommandError(message) from problem
                answer = _ask(shell, message, problem, "ynif" if relaxed is not None else "ynf")
                if answer == "n":
                    raise CommandError
                if answer == "i" and relaxed is not None:
                    define = relaxed


_HELP = {
    "y": "y - yes, start editor again",
    "n": "n - no, throw away my changes",
    "i": "i - turn off validation and try to redefine again",
    "f": "f - force, try to redefine again",
    "?": "? - print this help",
}


def _ask(shell: Shell, message: str, problem: VirtError | None, choices: str) -> str:
    """The key that the user answers with."""
    import termios
    import tty

    if problem is not None:
        shell.report(problem)
    terminal = sys.stdin.fileno()
    earlier = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        while True:
            shell.out(f"\r{message} Try again? [{','.join(choices)},?]: ")
            sys.stdout.flush()
            key = os.read(terminal, 1).decode(errors="replace").lower() or "n"  # nobody is there any more
            shell.out("\n")
            if key in choices:
                return key
            if key == "?":
                shell.out("".join(f"{_HELP[choice]}\n" for choice in [*choices, "?"]))
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, earlier)
