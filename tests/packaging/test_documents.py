"""The documents name what exists: every distribution, scheme and session."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from support import ROOT
from virt_shell.command import Option, all_commands
from virtcore._schemes import DISTRIBUTIONS
from virtcore.driver import toolkit
from virtcore.driver.hooks import Specifications
from virtcore.operations import events, parameters, values
from virtcore.operations.declare import all_operations
from virtcore.operations.families import FAMILIES
from virtcore.operations.parameters import ParameterGroup
from virtcore.operations.spellings import spellings_of

sys.path.append(str(ROOT / "docs" / "_ext"))

import generated_reference  # the documentation's own


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
    pages |= {f"generated/{name}" for name in generated_reference.PAGES}
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


@pytest.mark.parametrize("page", generated_reference.PAGES)
def test_the_reference_has_everything(page: str) -> None:
    """Whatever is declared has its place on its page."""
    text = generated_reference.PAGES[page]()
    missing = [name for name in DECLARED.get(page, list)() if name not in text]
    assert not missing


#: Page of the reference -> what must be on it.
DECLARED: dict[str, Callable[[], Iterable[str]]] = {
    "operations": lambda: [f"{record.family}.{record.face_name}(" for record in all_operations().values()],
    "parameters": lambda: [
        f"``{one.name}``" for group in vars(parameters).values() if isinstance(group, ParameterGroup) for one in group
    ],
    "events": lambda: [f"{cls.__name__}(" for cls in event_classes()],
    "support": lambda: [f"``{name}``" for name in all_operations()],
    "schemes": lambda: [f"``{scheme}``" for scheme in DISTRIBUTIONS],
    "hooks": lambda: [name for name in vars(Specifications) if name.startswith("virtcore_")],
    "virtsh": lambda: [known.name for known in all_commands() if not known.hidden],
}


def event_classes() -> list[type]:
    found = [getattr(events, name) for name in events.__all__]
    return [cls for cls in found if isinstance(cls, type) and issubclass(cls, tuple)]


def own_doc(cls: type) -> bool:
    """Whether a named tuple says more than its fields."""
    return bool(cls.__doc__) and not str(cls.__doc__).startswith(f"{cls.__name__}(")


def test_every_event_and_value_is_documented() -> None:
    found = [getattr(values, name) for name in values.__all__]
    assert not [cls for cls in (*event_classes(), *found) if not own_doc(cls)]


def test_every_operation_names_its_function_of_libvirt() -> None:
    """Or says that libvirt has none; phases of migration have a function together."""
    bare = []
    for name, record in all_operations().items():
        functions = {f"``{spelling.function}``" for spelling in spellings_of(name)}
        if functions and not record.internal and not any(text in str(record.function.__doc__) for text in functions):
            bare.append(name)
    assert not bare


def test_what_a_driver_must_override_is_a_documented_hook() -> None:
    """A method of the toolkit that nobody can call before it is overridden says so: its text begins with "Hook"."""
    known = {(cls, name) for cls, found in generated_reference.toolkit_hooks().items() for name in found}
    assert known
    bare = []
    for module in generated_reference.modules(toolkit):
        for cls in vars(module).values():
            if not inspect.isclass(cls) or cls.__module__ != module.__name__ or cls.__name__.startswith("_"):
                continue
            for name, member in vars(cls).items():
                function = getattr(member, "fget", None) or getattr(member, "__func__", member)
                if (
                    inspect.isfunction(function)
                    and function.__module__ == module.__name__
                    and function.__code__.co_filename == module.__file__
                    and "raise NotImplementedError" in inspect.getsource(function)
                    and (cls, name) not in known
                ):
                    bare.append(f"{cls.__module__}.{cls.__qualname__}.{name}")
    assert not bare


def test_the_pages_on_drivers_name_hooks_that_exist() -> None:
    known = {name for found in generated_reference.toolkit_hooks().values() for name in found}
    text = (ROOT / "docs" / "driver.md").read_text(encoding="utf-8")
    named = re.findall(r"hooks?:? ((?:`\w+`(?:, | and )?)+)", text)
    assert named
    assert not {name for group in named for name in re.findall(r"`(\w+)`", group)} - known


@pytest.mark.parametrize("program", ["virtcored", "virtcored-passwd", "virtsh"])
def test_every_option_of_a_program_is_documented(program: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name(program), "--help"], capture_output=True, text=True, check=True
    )
    options = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", done.stdout)) - {"--help"}
    assert options
    documents = " ".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    assert not {option for option in options if f"`{option}" not in documents}


def test_what_tests_are_given_is_documented() -> None:
    """Fixtures, faults, what the suite asks a target for, and what its classes test."""
    from virtcore.testing import faults, fixtures, states, suite

    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    for module in (fixtures, faults, states):
        assert f"automodule:: {module.__name__}" in text
        assert not [name for name in module.__all__ if not inspect.getdoc(getattr(module, name))]
    source = inspect.getsource(suite.Target)
    asked = [line for line in source.splitlines() if re.match(r"    \w+: ClassVar", line)]
    assert asked
    assert not [line for line in asked if not re.search(rf"#: .*\n(?:    #: .*\n)*{re.escape(line)}", source)]
    bare = [name for name, member in vars(suite.Target).items() if inspect.isfunction(member) and not member.__doc__]
    assert not bare
    classes = dict(re.findall(r"^\| `(Test\w+)` \| (.+) \|$", text, re.MULTILINE))
    tested = {name: inspect.getdoc(getattr(suite, name)) for name in suite.__all__ if name.startswith("Test")}
    assert classes == {name: str(doc).splitlines()[0] for name, doc in tested.items()}


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
    from virt_remote.server.settings import Settings, example
    from virtcore.runtime.settings import rows

    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, default, meaning in rows(Settings):
        assert f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |" in text
    assert vars(Settings.parse(example(), "example")) == vars(Settings()), "it says everything and changes nothing"


def test_every_setting_of_qemu_is_documented() -> None:
    from virt_qemu.settings import QemuSettings, example, parse
    from virtcore.runtime.settings import rows

    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, default, meaning in rows(QemuSettings):
        assert f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |" in text
    assert parse(example(), "example", privileged=True) == QemuSettings(), "it says everything and changes nothing"


def test_every_setting_of_networks_is_documented() -> None:
    from virt_host.network.settings import NetworkSettings
    from virtcore.runtime.settings import rows

    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, default, meaning in rows(NetworkSettings):
        assert f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |" in text


def test_every_benchmark_is_listed() -> None:
    benchmarks = {path.stem.removeprefix("bench_") for path in (ROOT / "bench").glob("bench_*.py")}
    text = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    assert benchmarks <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
