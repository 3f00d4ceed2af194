"""A process that defines and undefines is killed at random points: nothing acknowledged is lost or half there."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from virtcore.driver.toolkit import DefinitionStore, DiskWorker, Marks

WRITER = Path(__file__).with_name("crashing_writer.py")


def _writer_module() -> object:
    spec = importlib.util.spec_from_file_location("crashing_writer", WRITER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


writer = _writer_module()


def kill_at_random(folder: Path, seed: int) -> str:
    """What it said until it was killed."""
    with subprocess.Popen(
        [sys.executable, str(WRITER), str(folder), str(seed)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.Random(seed).uniform(0, 0.06))
        process.kill()
        return process.stdout.read()


def check(folder: Path, said: str, before: dict[str, int], marked: set[str]) -> tuple[dict[str, int], set[str]]:
    """Compare what is found with what was said; return the definitions and marks for the next round."""
    possible: dict[str, set[int | None]] = {key: {version} for key, version in before.items()}
    marks_now: dict[str, set[bool]] = {key: {True} for key in marked}
    for line in said.splitlines():
        step, action, key, number = line.split()
        version = int(number)
        if action in ("define", "undefine"):
            outcome = version if action == "define" else None
            if step == "begin":
                possible.setdefault(key, {None}).add(outcome)
            else:
                possible[key] = {outcome}
        elif step == "begin":
            marks_now.setdefault(key, {False}).add(action == "mark")
        else:
            marks_now[key] = {action == "mark"}

    async def look() -> tuple[dict[str, int], set[str]]:
        worker = DiskWorker("disk")
        store = DefinitionStore(folder / "definitions", worker, writer.describe)  # type: ignore[attr-defined]
        found = {}
        for entry in await store.open():
            version = entry.facts["version"]
            assert isinstance(version, int)
            assert store.read(entry.uuid) == writer.body(entry.uuid, version), "a definition is half there"  # type: ignore[attr-defined]
            found[entry.uuid] = version
        marks = await Marks(folder / "autostart", worker).open(set(possible) | set(marks_now))
        await worker.close()
        return found, marks

    found, marks = asyncio.run(look())
    for key, versions in possible.items():
        assert found.get(key) in versions, f"{key}: {found.get(key)} is none of {versions}"
    assert set(found) <= set(possible)
    for key, states in marks_now.items():
        assert (key in marks) in states
    assert not [path.name for path in (folder / "definitions").iterdir() if path.name.endswith(".tmp")]
    return found, marks


def rounds(folder: Path, seeds: range) -> None:
    before: dict[str, int] = {}
    marked: set[str] = set()
    for seed in seeds:
        before, marked = check(folder, kill_at_random(folder, seed), before, marked)


def test_a_sample_of_kills(tmp_path: Path) -> None:
    rounds(tmp_path, range(15))


@pytest.mark.deep
@pytest.mark.timeout(600)
def test_hundreds_of_kills(tmp_path: Path) -> None:
    rounds(tmp_path, range(1000, 1400))
