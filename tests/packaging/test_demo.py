"""``./dev demo`` does the main job also where no real guest can run."""

from __future__ import annotations

import os
import subprocess
import sys

from support import ROOT


def test_without_qemu_the_demo_runs_on_the_test_hypervisor() -> None:
    environment = {**os.environ, "PATH": "/nonexistent"}
    program = ROOT / "tools" / "demo.py"
    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "test:///default" in done.stdout
    assert "apt-get install" in done.stdout
    assert "qemu-system-x86" in done.stdout
