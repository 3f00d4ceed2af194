"""The compliance suite fails drivers with a fault: one deliberate fault per family, and the suite must find each."""

from __future__ import annotations

from pathlib import Path

import pytest

import faultydrivers
from faultydrivers import FAULTY, Faulty

pytest_plugins = ["pytester"]

MODULE = """
from faultydrivers import {name}
from virtcore.driver.loader import registered
from virtcore.testing.suite import *

class Suspect(Target):
    event_wait = 0.3
    def uri(self):
        return "test:///default"

    def domain(self, name, uuid=None):
        identity = f"<uuid>{{uuid}}</uuid>" if uuid else ""
        rest = "<memory>16384</memory><os><type>hvm</type></os></domain>"
        return f"<domain type='test'><name>{{name}}</name>{{identity}}{{rest}}"

    def domain_with_disk(self, name):
        disk = "<devices><disk type='file'><source file='/image'/><target dev='vda'/></disk></devices>"
        return self.domain(name).replace("</domain>", disk + "</domain>")

@pytest.fixture
def target():
    with registered("test", {name}):
        yield Suspect()
"""


@pytest.mark.parametrize("faulty", FAULTY, ids=lambda faulty: faulty.__name__)
def test_the_suite_finds_the_fault(pytester: pytest.Pytester, faulty: type[Faulty]) -> None:
    pytester.makepyfile(faultydrivers=Path(faultydrivers.__file__).read_text())
    pytester.makepyfile(MODULE.format(name=faulty.__name__))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-k", faulty.caught_by)
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) >= 1, outcomes


def test_every_class_of_the_suite_catches_one() -> None:
    from virtcore.testing import suite

    classes = {name for name in suite.__all__ if name.startswith("Test")}
    assert classes <= {faulty.caught_by for faulty in FAULTY}
