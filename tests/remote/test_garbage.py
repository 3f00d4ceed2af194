"""What drivers load is set aside before the collector would go through it while clients wait."""

from __future__ import annotations

import gc
import subprocess
import sys

_SCRIPT = """
import gc, sys, types
from virt_remote.server.garbage import settle
settle()
settle()
assert len(gc.callbacks) == 1
before = gc.get_freeze_count()
gc.collect()
assert gc.get_freeze_count() == before, "nothing was loaded"
for number in range(30):
    sys.modules[f"loaded{number}"] = types.ModuleType(f"loaded{number}")
gc.collect()
assert gc.get_freeze_count() > before, "what was loaded is set aside"
before = gc.get_freeze_count()
kept = [[] for _ in range(1000)]
gc.collect()
assert gc.get_freeze_count() == before, "what comes later can be garbage"
loop = []
loop.append(loop)
del loop
assert gc.collect() >= 1
"""


def test_modules_are_set_aside_and_nothing_else() -> None:
    assert gc.isenabled()
    subprocess.run([sys.executable, "-c", _SCRIPT], check=True, timeout=60)
