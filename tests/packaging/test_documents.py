"""The documents name what exists: every distribution, scheme and session."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from support import ROOT
from virt_shell.command import Option, all_commands
from virtcore._schemes import DISTRIBUTIONS
from virtcore.driver.hooks import Specifications
from virtcore.operations.declare import all_operations
from virtcore.operations.families import FAMILIES


def test_readme_lists_every_distribution_with_its_schemes() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|([^|]*)\|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = {name: set(re.findall(r"`([a-z]+)`", schemes)) for name, schemes in rows}
    folders = {
        path.parent.name
        for pattern in ("virtcore", "plugins/*", "examples/*")
        for path in ROOT.glob(f"{pattern}/pyproject.toml")
    }
    assert set(listed) == folders
    for name in folders - {"virt-example"}:
        assert listed[name] == {scheme for scheme, owner in DISTRIBUTIONS.items() if owner == name}, name


def test_contributing_lists_every_session() -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(item) == "nox.session" for item in node.decorator_list)
    }
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert sessions == set(re.findall(r"^\| `\./dev (\w+)", text, re.MULTILINE))


def test_every_page_of_the_documentation_is_in_the_tree() -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    tree = re.search(r"```\{toctree\}.*?```", (ROOT / "docs" / "index.md").read_text(encoding="utf-8"), re.DOTALL)
    assert tree is not None
    assert pages <= set(tree[0].split())


def examples() -> list[tuple[str, str]]:
    found = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        found += [(f"{path.stem}-{number}", block) for number, block in enumerate(blocks, 1)]
    return found


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in examples()])
def test_the_examples_of_the_documentation_run(code: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_operation_hook_and_command_is_documented() -> None:
    bare = [name for name, record in all_operations().items() if not record.function.__doc__]
    bare += [name for name, hook in vars(Specifications).items() if name.startswith("virtcore_") and not hook.__doc__]
    bare += [known.name for known in all_commands() if not known.help]
    bare += [
        f"{known.name} --{option.name}" for known in all_commands() for option in known.options if undescribed(option)
    ]
    assert not bare


def undescribed(option: Option) -> bool:
    return not option.help and option.type != "alias"


def test_every_object_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert {family.face for family in FAMILIES.values()} <= set(re.findall(r"autoclass:: virtcore\.(\w+)", text))


def test_every_environment_variable_that_is_read_is_documented() -> None:
    read: set[str] = set()
    for pattern in ("virtcore", "plugins/*"):
        for path in ROOT.glob(f"{pattern}/src/**/*.py"):
            text = path.read_text(encoding="utf-8")
            read |= set(re.findall(r"\b(?:environ(?:\.get\(|\[)|getenv\(|_xdg\()\"(\w+)\"", text))
    documented = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")))
    assert read - {"PATH", "HOME"} <= documented


def test_every_setting_of_the_daemon_is_documented() -> None:
    from virt_remote.server.settings import Settings, example, rows

    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, default, meaning in rows():
        assert f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |" in text
    assert Settings.parse(example(), "example") == Settings(), "it says everything and changes nothing"


def test_every_benchmark_is_listed() -> None:
    benchmarks = {path.stem.removeprefix("bench_") for path in (ROOT / "bench").glob("bench_*.py")}
    text = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    assert benchmarks <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
