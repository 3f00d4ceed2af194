"""The template of a driver's distribution: made with one command, installed beside virtcore, its tests pass."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from virtcore.testing.new_driver import write


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def install(root: Path, site: Path) -> None:
    """What an editable installation leaves in a folder for packages, without an index."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points))


def test_a_new_distribution_passes_its_tests(tmp_path: Path) -> None:
    made = run("-m", "virtcore.testing.new_driver", "marble", "--directory", tmp_path, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    root = tmp_path / "virt-marble"
    assert f"cd {root}" in made.stdout
    install(root, tmp_path / "site")
    path = os.pathsep.join([str(tmp_path / "site"), str(root / "src"), os.environ.get("PYTHONPATH", "")])
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir=.")
    done = run("-m", "pytest", *options, "tests", cwd=root, PYTHONPATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MARBLE: 34 operations claimed, 34 tested by the suite, 0 elsewhere; tests: " in done.stdout


def test_nothing_of_the_template_is_left(tmp_path: Path) -> None:
    root = write("marble", tmp_path)
    for path in root.rglob("*"):
        assert "example" not in path.name.lower()
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "example" not in text.lower(), path
            assert not {"@name@", "@NAME@", "@Class@", "@package@", "@distribution@"} & set(text.split()), path
            if path.suffix == ".py":
                compile(text, path, "exec")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("qemu", "scheme qemu is virt-qemu's"),
        ("../outside", "cannot be a URI scheme"),
        ("Marble", "cannot be a URI scheme"),
        ("", "cannot be a URI scheme"),
        ("there", "File exists"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "virt-there").mkdir()
    done = run("-m", "virtcore.testing.new_driver", name, "--directory", tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["virt-there"]
