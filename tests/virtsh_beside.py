"""One command line through the real virsh and ours, on libvirt's test driver and ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import eventually, has_clients

__all__ = ["VIRSH", "both", "forgotten", "run"]

VIRSH = shutil.which("virsh")

#: As virsh 9.0 misses the end of a job now and then, a line that it hangs on, or takes so many seconds for, is asked
#: again.
PATIENCE = (2, 2, 2, 4, 4, 8, 8, 16)

#: What is never the same twice: times, and names made of them.
_PASSING = (
    (r"(CPU time: +|time=)[\d.]+", r"\1#"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "#DATE#"),
    (r"(<creationTime>|(?:snapshot|checkpoint) )\d{10}", r"\1#TIME#"),
)


def forgotten(uri: str) -> None:
    """Wait until a daemon's test driver has forgotten what a client did."""
    _, daemon, path = uri.partition("?socket=")
    if daemon:
        eventually(lambda: not has_clients(Path(path)))


def run(program: list[str], line: str, uri: str = "test:///default", patience: float = 120) -> tuple[str, int]:
    """What a program prints for a line, and its exit status."""
    ran = subprocess.run(
        [*program, "-c", uri, line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"LANG": "C", "PATH": "/usr/bin:/bin", "HOME": "/dev/null"},
        text=True,
        check=False,
        timeout=patience,
    )
    output = ran.stdout
    for pattern, replacement in _PASSING:
        output = re.sub(pattern, replacement, output)
    return output, ran.returncode


def both(line: str, uri: str = "test:///default") -> tuple[tuple[str, int], tuple[str, int]]:
    """What virsh and virtsh print for a line."""
    assert VIRSH is not None
    for patience in PATIENCE:
        forgotten(uri)
        try:
            theirs = run([VIRSH], line, uri, patience)
        except subprocess.TimeoutExpired:
            continue
        forgotten(uri)
        return theirs, run([sys.executable, "-m", "virt_shell"], line, uri)
    pytest.skip("virsh waits for ever: version 9.0 may miss the end of a job that is over at once")
