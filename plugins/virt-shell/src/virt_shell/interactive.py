"""The prompt: history and completion through readline where the terminal has it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from virt_shell.command import CommandError
from virt_shell.completion import complete_line
from virt_shell.parser import parse_line
from virt_shell.shell import Shell

__all__ = ["prompt_loop"]


def _history_path() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "virtcore" / "virtsh" / "history"


def _set_up_readline(shell: Shell) -> Path | None:
    """Completion and history; None where there is no terminal or no readline."""
    if not sys.stdin.isatty():
        return None
    try:
        import readline
    except ImportError:
        return None
    path = _history_path()
    if path.exists():
        readline.read_history_file(path)
    try:
        readline.set_history_length(int(os.environ.get("VIRSH_HISTSIZE", "500")))
    except ValueError:
        shell.error("Bad $VIRSH_HISTSIZE value.")

    def complete(text: str, state: int) -> str | None:
        line = readline.get_line_buffer()[: readline.get_endidx()]
        found = complete_line(shell, line, text) if shell.ensure_connected() else []
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    return path


def prompt_loop(shell: Shell) -> bool:
    """Read and run lines until ``quit`` or the end of input."""
    shell.interactive = True
    shell.extra("Welcome to virtsh, the virtualization interactive terminal.\n\n")
    shell.extra("Type:  'help' for help with commands\n       'quit' to quit\n\n")
    history = _set_up_readline(shell)
    done = True
    while shell.interactive:
        sys.stdout.flush()
        try:
            line = input("virtsh > " if shell.readonly else "virtsh # ")
        except EOFError:
            shell.out("\n")
            break
        except KeyboardInterrupt:
            shell.out("\n")
            continue
        if not sys.stdin.isatty():
            shell.out(line + "\n")  # as a terminal would have shown it
        if not line:
            continue
        try:
            done = shell.run(parse_line(line))
        except CommandError as wrong:
            shell.error(str(wrong))
        except KeyboardInterrupt:
            shell.error("interrupted: what was begun goes on; see 'domjobinfo' and 'list'")
    if history is not None:
        import readline

        history.parent.mkdir(parents=True, exist_ok=True)
        readline.write_history_file(history)
    return done
