"""Every distribution builds (wheel and sdist), carries its licence and types, and installs alone with pip."""

from __future__ import annotations

import ast
import email
import itertools
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from support import ROOT

FOLDERS = {
    tomllib.loads(path.read_text(encoding="utf-8"))["project"]["name"]: path.parent
    for pattern in ("virtcore", "plugins/*", "examples/*")
    for path in sorted(ROOT.glob(f"{pattern}/pyproject.toml"))
}
OF_THE_PLAN = {
    "virtcore",
    *(f"virt-{name}" for name in ("qemu", "xen", "lxc", "bhyve", "esx", "hyperv", "vbox", "phyp", "vz")),
    "virt-ch",
    *("virt-host", "virt-remote", "virt-shell", "virt-libvirt", "virt-example"),
}

everyone = pytest.mark.parametrize("name", sorted(FOLDERS))


def declared(name: str) -> dict[str, Any]:
    """Return the ``project`` table of a distribution."""
    table: dict[str, Any] = tomllib.loads((FOLDERS[name] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def module(name: str) -> str:
    """Return the import name of a distribution: the one package below its src."""
    (package,) = (path.parent.name for path in FOLDERS[name].glob("src/*/__init__.py"))
    return package


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of every distribution."""
    target = tmp_path_factory.mktemp("dist")
    for folder in FOLDERS.values():
        done = run(sys.executable, "-m", "hatchling", "build", "-d", target, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture(scope="session")
def index(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all distributions and what they depend on, fetched once; without a package index the tests that
    need dependencies are skipped."""
    target = tmp_path_factory.mktemp("index")
    pip = (sys.executable, "-m", "pip", "download", "-q", "-d", target)
    done = run(*pip, "--no-deps", "--retries=1", "pluggy")
    if done.returncode:
        pytest.skip(f"pip reaches no package index: {done.stderr.strip().splitlines()[-1]}")
    # By address, so that no project of the same name on an index is ever taken for ours.
    done = run(*pip, *(wheel_of(built, name) for name in FOLDERS))
    assert done.returncode == 0, done.stderr
    return target


def wheel_of(built: Path, name: str) -> Path:
    (path,) = built.glob(f"{name.replace('-', '_')}-*.whl")
    return path


def sdist_of(built: Path, name: str) -> Path:
    (path,) = built.glob(f"{name.replace('-', '_')}-*.tar.gz")
    return path


def test_the_workspace_has_every_distribution_of_the_plan() -> None:
    assert set(FOLDERS) == OF_THE_PLAN


@everyone
def test_wheel(built: Path, name: str) -> None:
    path = wheel_of(built, name)
    assert path.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (info,) = {entry.split("/")[0] for entry in names if ".dist-info/" in entry}
        metadata = email.message_from_bytes(wheel.read(f"{info}/METADATA"))
    package = module(name)
    assert {f"{package}/__init__.py", f"{package}/py.typed", f"{info}/licenses/LICENSE"} <= names
    manuals = f"{info.removesuffix('.dist-info')}.data/data/share/man/man"
    assert {entry.split("/")[0] for entry in names if not entry.startswith(manuals)} == {package, info}
    assert metadata["License-Expression"] == "LGPL-2.1-or-later"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Version"] == declared(name)["version"]
    assert metadata.get_payload(), "the README is the long description"


@everyone
def test_sdist_gives_the_same_wheel(built: Path, name: str, tmp_path: Path) -> None:
    with tarfile.open(sdist_of(built, name)) as sdist:
        (top,) = {member.name.split("/")[0] for member in sdist.getmembers()}
        assert f"{top}/LICENSE" in sdist.getnames()
        sdist.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian's 3.11.2 has none
        sdist.extractall(tmp_path)
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", cwd=tmp_path / top)
    assert done.returncode == 0, done.stdout + done.stderr
    (again,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(wheel_of(built, name)) as other:
        assert {entry.filename: entry.CRC for entry in one.infolist()} == {
            entry.filename: entry.CRC for entry in other.infolist()
        }


def install(index: Path, name: str, folder: Path) -> Path:
    """Install a distribution's wheel, with what it depends on, into a new environment; return its interpreter."""
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    done = run(*pip, "install", "-q", "--no-compile", "--no-index", "--find-links", index, name)
    assert done.returncode == 0, done.stderr
    done = run(*pip, "check")
    assert done.returncode == 0, done.stdout
    return python


@everyone
def test_installs_alone(index: Path, name: str, tmp_path: Path) -> None:
    python = install(index, name, tmp_path)
    done = run(python, "-W", "error", "-c", f"import {module(name)}")
    if name == "virt-libvirt":
        assert "does not implement it yet" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
    for script in declared(name).get("scripts", {}):
        done = run(python.with_name(script), "--help")
        assert done.returncode == 0, done.stderr


def test_a_scheme_that_is_not_installed_names_its_distribution(index: Path, tmp_path: Path) -> None:
    code = """
from virtcore._schemes import DISTRIBUTIONS
from virtcore.driver.loader import driver_for
from virtcore.errors import NoConnect
from virtcore.uri import ConnectionURI

for scheme, distribution in DISTRIBUTIONS.items():
    if distribution == "virtcore":
        continue
    try:
        driver_for(ConnectionURI.parse(f"{scheme}://host.example/system"))
    except NoConnect as error:
        assert f"needs distribution {distribution}" in str(error), error
        assert f"pip install {distribution}" in error.__notes__, error.__notes__
    else:
        raise AssertionError(scheme)
"""
    done = run(install(index, "virtcore", tmp_path), "-c", code)
    assert done.returncode == 0, done.stderr


@everyone
def test_dependencies_are_what_is_imported(name: str) -> None:
    """Neither more nor less; an extra names what only some users need. Plugins without a driver need core alone."""
    project = declared(name)
    requirements = [*project["dependencies"], *itertools.chain(*project.get("optional-dependencies", {}).values())]
    wanted = {re.split(r"[<>=!~\[ ]", requirement)[0].lower() for requirement in requirements}
    imported: set[str] = set()
    for path in FOLDERS[name].glob("src/**/*.py"):
        # The launcher's helper is run as a program: what is beside it is found by its bare name.
        beside = {"launcher_confine"} if path.stem == "launcher_helper" else set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names} - beside
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_module":
                imported |= {str(part.value).split(".")[0] for part in node.args[:1] if isinstance(part, ast.Constant)}
    ours = {module(other): [other] for other in FOLDERS}  # editable installs list no packages
    owners = {**packages_distributions(), **ours}
    # `_typeshed` is known to type checkers alone.
    foreign = imported - sys.stdlib_module_names - {module(name), "_typeshed"}
    used = {owner.lower() for part in foreign for owner in owners.get(part, [part])}
    assert wanted - {"virtcore"} == used - {"virtcore"}
    assert name == "virtcore" or "virtcore" in wanted


def test_a_scheme_belongs_to_a_driver_or_waits_for_one_not_both() -> None:
    for name in FOLDERS:
        groups = declared(name).get("entry-points", {})
        assert not set(groups.get("virtcore.drivers", {})) & set(groups.get("virtcore.schemes", {})), name
        assert set(groups.get("virtcore.schemes", {}).values()) <= {module(name)}
