"""Programs over the real libvirt library see on virtcored what they see on libvirtd."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compat.conftest import uri

SCRIPT = Path(__file__).with_name("binding_session.py")


def test_the_binding_sees_the_same(binding: Any, virtcored: Path, libvirtd: Path) -> None:
    theirs = json.loads(binding(SCRIPT, uri("test+unix:///default", libvirtd)))
    mine = json.loads(binding(SCRIPT, uri("test+unix:///default", virtcored / "run" / "libvirt-sock")))
    assert mine == theirs


#: Errors that are about what only one of the two drivers has, or that 11.3 words otherwise.
DIFFERENT = {
    "test": ("secretLookup", "secretDefine", "nwfilterLookup", "domain.reset", "domain.setMemoryFlags"),
    "qemu": (),
}


@pytest.mark.parametrize("driver", ["test"])
def test_errors_come_from_where_libvirts_come_from(
    binding: Callable[..., str], virtcored: Path, libvirtd: Path, driver: str
) -> None:
    """Number, part of the library, level, message, its parts: all of them."""
    script = Path(__file__).with_name("errors_session.py")
    path = {"test": "/default", "qemu": "/system"}[driver]
    theirs, ours = (
        json.loads(binding(script, driver, uri(f"{driver}+unix://{path}", socket)))
        for socket in (libvirtd, virtcored / "run" / "libvirt-sock")
    )
    for name, told in theirs.items():
        if not name.startswith(DIFFERENT[driver]):
            for one in (told, ours[name]):  # by the binding itself, too, which is of 9.0
                one[4] = one[4] and one[4].replace("%s", "%1$s")
            assert ours[name] == told, name
    number, part = ours["nwfilterLookupByName ('nope',)"][:2]
    assert (number, part) == (62, 33), "in another part of the library the number would be taken for another error"
