"""Programs over the real libvirt library see on virtcored what they see on libvirtd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compat.conftest import uri

SCRIPT = Path(__file__).with_name("binding_session.py")


def test_the_binding_sees_the_same(binding: Any, virtcored: Path, libvirtd: Path) -> None:
    theirs = json.loads(binding(SCRIPT, uri("test+unix:///default", libvirtd)))
    mine = json.loads(binding(SCRIPT, uri("test+unix:///default", virtcored / "run" / "libvirt-sock")))
    assert mine == theirs
