"""Random changes of pools and volumes have on virtcored's test driver the outcome they have on libvirtd's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compat.conftest import uri

SCRIPT = Path(__file__).with_name("storage_session.py")


def test_random_changes_come_out_the_same(binding: Any, virtcored: Path, libvirtd: Path) -> None:
    theirs = json.loads(binding(SCRIPT, uri("test+unix:///default", libvirtd)))
    mine = json.loads(binding(SCRIPT, uri("test+unix:///default", virtcored / "run" / "libvirt-sock")))
    for seed, (expected, found) in enumerate(zip(theirs, mine, strict=True)):
        for number, (theirs_step, mine_step) in enumerate(zip(expected, found, strict=True)):
            assert mine_step == theirs_step, f"seed {seed}, step {number}"
    assert sum(len(steps) for steps in mine) > 600
