"""Every program has a manual page: installed with its distribution, complete, and without faults."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support import ROOT
from virt_shell.command import all_commands

PAGES = sorted((ROOT / "plugins").glob("*/man/*"))


def facts(plugin: Path) -> dict:
    return tomllib.loads((plugin / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_program_has_one_that_is_installed() -> None:
    for plugin in sorted((ROOT / "plugins").iterdir()):
        told = facts(plugin) if (plugin / "pyproject.toml").is_file() else {}
        programs = set(told.get("project", {}).get("scripts", ()))
        pages = {path.name for path in (plugin / "man").glob("*")}
        assert programs <= {name.rpartition(".")[0] for name in pages}, plugin.name
        build = told.get("tool", {}).get("hatch", {}).get("build", {}).get("targets", {})
        installed = build.get("wheel", {}).get("shared-data", {})
        assert installed == {f"man/{name}": f"share/man/man{name[-1]}/{name}" for name in pages}, plugin.name
        assert not pages or "man" in build["sdist"]["include"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_it_has_no_faults(path: Path) -> None:
    ran = False
    if shutil.which("mandoc"):
        ran = True
        done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(path)], capture_output=True, text=True, check=False)
        assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
    if shutil.which("man") and shutil.which("groff"):
        ran = True
        done = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(path)],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
        )
        assert done.stderr == ""
    if not ran:
        pytest.skip("neither mandoc nor man is installed (Debian: mandoc, man-db)")


def words(path: Path) -> str:
    """The page's words, as they are read."""
    text = re.sub(r"\\f[BIR]|\\&", "", path.read_text(encoding="utf-8"))
    for escaped, plain in (("\\-", "-"), ("\\(aq", "'"), ("\\(ha", "^"), ("\\(ti", "~"), ("\\e", "\\")):
        text = text.replace(escaped, plain)
    return text


def test_virtsh_has_every_command_and_option() -> None:
    text = words(ROOT / "plugins" / "virt-shell" / "man" / "virtsh.1")
    for command in all_commands():
        if command.hidden:
            continue
        found = re.search(rf"(?ms)^\.TP\n{re.escape(command.name)}(?: .*?)?\n(.*?)(?=^\.TP\n\S*[a-z-]+ ?|\Z)", text)
        assert found is not None, command.name
        for option in command.options:
            assert option.type == "alias" or f"--{option.name}" in text, (command.name, option.name)


@pytest.mark.parametrize(
    ("module", "page"),
    [
        ("virt_remote", "virt-remote/man/virtcored.8"),
        ("virt_remote.server.users", "virt-remote/man/virtcored-passwd.8"),
    ],
)
def test_options_that_help_tells_are_there(module: str, page: str) -> None:
    told = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True).stdout
    text = words(ROOT / "plugins" / page)
    for option in set(re.findall(r"--[a-z-]+", told)) - {"--help"}:
        assert option in text, option
