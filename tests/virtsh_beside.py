"""One command line through the real virsh and ours, on libvirt's test driver and ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

__all__ = ["VIRSH", "both", "run"]

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


def run(program: list[str], line: str, uri: str = "test:///default", patience: float = 90) -> tuple[str, int]:
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
        try:
            theirs = run([VIRSH], line, uri, patience)
        except subprocess.TimeoutExpired:
            continue
        return theirs, run([sys.executable, "-m", "virt_shell"], line, uri)
    pytest.skip("virsh waits for ever: version 9.0 may miss the end of a job that is over at once")
