"""What help says of commands and options in one line is what the real virsh says."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache

import pytest

from virt_shell.command import Command, all_commands, find_command

VIRSH = shutil.which("virsh")
pytestmark = pytest.mark.skipif(VIRSH is None, reason="virsh is not installed (Debian: libvirt-clients)")

#: What 11.3 says otherwise, by what 9.0 says.
CHANGED = {
    "Define a device by an xml file on a node": "Define or modify a device by an xml file on a node",
    "NUMA mode, one of strict, preferred and interleave ": (
        "NUMA mode, one of strict, preferred, interleave and restrictive "
    ),
}


@cache
def their_help() -> dict[str, tuple[str, dict[str, str]]]:
    """Of every command of the real virsh: its line, and the lines of its options."""
    assert VIRSH is not None
    listed = re.findall(r"(?m)^    ([a-z][a-z0-9-]+) ", _virsh("help"))
    pages = _virsh("; ".join(f"help {name}" for name in listed))
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for page in pages.split("  NAME\n")[1:]:
        head = re.match(r"    (\S+) - (.*)\n", page)
        assert head is not None
        options = page.partition("  OPTIONS\n")[2]
        lines = re.findall(r"(?m)^    \[?--([a-zA-Z0-9-]+)\]?(?: <(?:string|number)>(?:\.\.\.)?)? +(\S.*)$", options)
        found[head[1]] = (head[2], dict(lines))
    return found


def _virsh(line: str) -> str:
    assert VIRSH is not None
    return subprocess.run(
        [VIRSH, "-c", "test:///default", line],
        capture_output=True,
        text=True,
        check=True,
        env={"LANG": "C", "PATH": "/usr/bin:/bin", "HOME": "/dev/null"},
    ).stdout


def both() -> list[str]:
    return [] if VIRSH is None else [known.name for known in all_commands() if known.name in their_help()]


def _ours(name: str) -> Command:
    found = find_command(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", both())
def test_lines_of_help_are_virshs(name: str) -> None:
    theirs, options = their_help()[name]
    ours = _ours(name)
    assert ours.help == CHANGED.get(theirs, theirs)
    described = {option.name: option.help.partition("\n")[0] for option in ours.options if option.type != "alias"}
    assert {option: described[option] for option in options if option in described} == {
        option: CHANGED.get(text, text) for option, text in options.items() if option in described
    }


def test_help_was_understood() -> None:
    described = sum(len(options) for _, options in their_help().values())
    assert len(their_help()) > 250
    assert described > 1000
