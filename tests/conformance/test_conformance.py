"""The glue to the conformance corpus: adapters can be imported, minima name suites. ``./dev conformance`` scores."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def adapters() -> ModuleType:
    spec = importlib.util.spec_from_file_location("conformance_adapters", HERE / "adapters.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def minima() -> dict[str, float]:
    rows = (line.split("#")[0].split() for line in (HERE / "minimum.txt").read_text(encoding="utf-8").splitlines())
    return {row[0]: float(row[1]) for row in rows if row}


def test_every_adapter_can_be_imported(adapters: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(HERE)])
    for suite, adapter in adapters.ADAPTERS.items():
        module, _, function = adapter.__name__.partition(".")
        assert callable(getattr(importlib.import_module(module), function)), suite


def test_every_minimum_has_an_adapter(adapters: ModuleType) -> None:
    assert set(minima()) <= set(adapters.ADAPTERS)
    assert all(0 <= percent <= 100 for percent in minima().values())


def test_adapters_and_corpus_name_the_same_suites(adapters: ModuleType, shared: Path) -> None:
    suites = {path.parent.name for path in shared.glob("conformance/suites/*/cases.jsonl")}
    assert set(adapters.ADAPTERS) <= suites
