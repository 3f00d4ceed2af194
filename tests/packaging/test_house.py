"""The rules of the house that no other tool checks."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from support import ROOT

SOURCES = sorted(
    path for pattern in ("virtcore", "plugins/*", "examples/*") for path in ROOT.glob(f"{pattern}/src/**/*.py")
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))
ENGINE_LIMIT = 900
"""Lines that a module may have."""


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_module_holds_more_than_one_idea() -> None:
    long = {str(path.relative_to(ROOT)): lines(path) for path in SOURCES if lines(path) > ENGINE_LIMIT}
    assert not long


def test_test_modules_have_unique_names_and_no_packages() -> None:
    names = Counter(path.name for path in TESTS if path.name != "conftest.py")
    assert [name for name, times in names.items() if times > 1] == []
    assert "__init__.py" not in names


@pytest.mark.parametrize("mark", ["TODO", "FIXME", "XXX"])
def test_nothing_is_left_for_later(mark: str) -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in (*SOURCES, *TESTS)
        if path != Path(__file__) and re.search(rf"#.*\b{mark}\b", path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_every_distribution_has_the_same_licence() -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    copies = [path for pattern in ("virtcore", "plugins/*", "examples/*") for path in ROOT.glob(f"{pattern}/LICENSE")]
    assert len(copies) == 15
    assert all(path.read_bytes() == licence for path in copies)
