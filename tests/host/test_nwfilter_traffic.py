"""Network filters on real taps: ``nwfilter_box.py``, in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_TOOLS = ("unshare", "ip", "ebtables", "iptables", "ip6tables", "ebtables-restore", "iptables-restore")
_BOX = Path(__file__).with_name("nwfilter_box.py")


def test_in_a_box() -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in _TOOLS if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    if not Path("/dev/net/tun").exists():
        pytest.skip("there is no /dev/net/tun")
    command = ["unshare", "--net", "--mount", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(_BOX)]
    run = subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
