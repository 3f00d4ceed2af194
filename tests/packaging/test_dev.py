"""``dev`` says what is missing before it starts anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import ROOT


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "dev", tmp_path))


def fake_python(folder: Path, *, recent: bool) -> Path:
    """Write an interpreter that is old, or recent but without the modules that Debian splits off."""
    path = folder / "python"
    answer = 0 if recent else 1
    path.write_text(f'#!/bin/sh\ncase "$*" in *version_info*) exit {answer} ;; *) exit 1 ;; esac\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def call(dev: Path, python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": str(python)}
    return subprocess.run([dev, *arguments], env=environment, capture_output=True, text=True, check=False, cwd="/")


def test_an_old_python_is_refused(dev: Path, tmp_path: Path) -> None:
    done = call(dev, fake_python(tmp_path, recent=False), "test")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (tmp_path / ".dev").exists()


def test_a_python_without_venv_names_the_package(dev: Path, tmp_path: Path) -> None:
    done = call(dev, fake_python(tmp_path, recent=True), "test")
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr
    assert not (tmp_path / ".dev").exists()


@pytest.mark.parametrize("script", ["dev", ".ci/run"])
def test_shellcheck_has_nothing_to_say(script: str) -> None:
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([program, ROOT / script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
