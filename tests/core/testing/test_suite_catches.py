"""The compliance suite fails drivers with a fault: one deliberate fault per family, and the suite must find each."""

from __future__ import annotations

import re

import pytest

import suite_target
import virtcore
from faultydrivers import FAULTY, Faulty
from support import ROOT
from virtcore.driver.loader import registered

MODULE = """
from faultydrivers import {name}
from suite_target import TestHypervisor
from virtcore.driver.loader import registered
from virtcore.testing.suite import *

class Suspect(TestHypervisor):
    event_wait = {event_wait}
    persistent = getattr({name}, "persistent", False)

@pytest.fixture
def target():
    with registered("test", {name}):
        yield Suspect()
"""

#: The first fault found in a driver is enough.
CONFTEST = """
import pytest

found = set()

def pytest_runtest_makereport(item, call):
    if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
        found.add(item.path)

def pytest_runtest_setup(item):
    if item.path in found:
        pytest.skip("found already")
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """The faulty drivers that failed, with the class of the suite that failed them: all in one run."""
    import os
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("suspects")
    (folder / "conftest.py").write_text(CONFTEST)
    chosen = []
    for faulty in FAULTY:
        (folder / f"test_{faulty.__name__}.py").write_text(MODULE.format(name=faulty.__name__, event_wait=0.3))
        chosen.append(f"test_{faulty.__name__}.py::{faulty.caught_by}")
    # One without a fault, of a kind that there is no driver for everywhere.
    (folder / "test_Mover.py").write_text(MODULE.format(name="Mover", event_wait=60.0))
    chosen.append("test_Mover.py::TestMigration")
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir=.", "-q", "-rfE", "--tb=no"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *chosen],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return set(re.findall(r"^(?:FAILED|ERROR) test_(\w+)\.py::(\w+)", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("faulty", FAULTY, ids=lambda faulty: faulty.__name__)
def test_the_suite_finds_the_fault(found: set[tuple[str, str]], faulty: type[Faulty]) -> None:
    assert (faulty.__name__, faulty.caught_by) in found


@pytest.mark.parametrize("faulty", FAULTY, ids=lambda faulty: faulty.__name__)
def test_it_has_no_other_fault(faulty: type[Faulty]) -> None:
    """It is the fault that is found, not a driver that does not open."""
    target = suite_target.TestHypervisor()
    with registered("test", faulty), virtcore.connect("test:///default") as connection:
        domain = connection.define_domain(target.domain("compliance"))
        assert domain in connection.list_domains()
        assert len(connection.list_networks()) == len(connection.list_interfaces()) == 1
        assert len(connection.list_storage_pools()) == 1
        assert len(connection.list_node_devices()) == 4
        assert connection.list_secrets() == connection.list_nwfilters() == []


def test_moving_as_it_should_is_found_right(found: set[tuple[str, str]]) -> None:
    assert "Mover" not in {name for name, _ in found}


def test_every_class_of_the_suite_catches_one() -> None:
    from virtcore.testing import suite

    classes = {name for name in suite.__all__ if name.startswith("Test")}
    assert classes == {faulty.caught_by for faulty in FAULTY}
