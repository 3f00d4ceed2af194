"""``import virtcore`` loads nothing heavy: the budget of 5 ms, counted in modules instead of time."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    "argparse",
    "asyncio",
    "attr",
    "attrs",
    "concurrent.futures",
    "email",
    "importlib.metadata",
    "inspect",
    "logging",
    "lxml",
    "pluggy",
    "socket",
    "ssl",
    "stevedore",
    "subprocess",
    "typing_extensions",
    "xml",
}


def test_import_virtcore_loads_nothing_heavy() -> None:
    # What the interpreter and the hooks of the editable install load by themselves is subtracted; json comes after.
    code = """
import sys
before = set(sys.modules)
import virtcore
loaded = set(sys.modules) - before
import json
print(json.dumps(sorted(loaded)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "virtcore" in loaded
    assert not loaded & HEAVY
