"""The tutorials run as they stand: every block of Python and of the console, in order, what is printed compared.

A block with a caption is a file. A ``text`` block is what the block of Python before it prints; in a console block,
lines after ``$`` are commands (``>`` goes on with one), the others what they print; ``...`` stands for anything.
``% needs: NAME`` before a block says that it needs something of the host.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support import ROOT

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))

#: What blocks may need -> what is missing on this host, if anything.
NEEDS: dict[str, Callable[[], str | None]] = {
    "qemu": lambda: (
        None
        if shutil.which("qemu-system-x86_64") and shutil.which("qemu-img")
        else "no real guests: apt-get install qemu-system-x86 qemu-utils"
    ),
}

_BLOCK = re.compile(
    r"(?:^% needs: (?P<needs>\w+)\n\n)?"
    r"^```(?P<kind>python|console|text|\{code-block\} python)\n(?::caption: (?P<caption>\S+)\n\n)?(?P<body>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)

#: Runs blocks in one name space; says what each prints.
_PYTHON = """
import contextlib, io, json, sys, traceback
space = {"__name__": "__main__"}
for line in sys.stdin:
    printed, failed = io.StringIO(), ""
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(json.loads(line), "<tutorial>", "exec"), space)
        except BaseException:
            failed = traceback.format_exc()
    print(json.dumps([printed.getvalue(), failed]), flush=True)
"""


class Block(NamedTuple):
    kind: str
    caption: str | None
    needs: str | None
    body: str


def blocks(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    found = [Block(one["kind"], one["caption"], one["needs"], one["body"]) for one in _BLOCK.finditer(text)]
    assert len(found) == len(re.findall(r"^```.", text, re.MULTILINE)), "a block of a kind that nobody runs"
    return found


def same(wanted: str, got: str) -> bool:
    def tidy(text: str) -> str:
        return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"

    wanted, got = tidy(wanted), tidy(got)
    if wanted.strip().startswith("...") and not wanted.startswith("...\n"):  # anything, then this on a line
        return doctest.OutputChecker().check_output("..." + wanted[3:], got, doctest.ELLIPSIS)
    return doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS)


class Runner:
    """One tutorial's folder, its Python and its shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        packages = folder / "packages"
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(folder),
            "PYTHONPATH": str(packages),
            # What the reader installs goes into a folder of its own here, and nothing is fetched.
            "PIP_TARGET": str(packages),
            "PIP_UPGRADE": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        for name in ("CONFIG", "DATA", "STATE", "CACHE"):
            environment[f"XDG_{name}_HOME"] = str(folder / name.lower())
        environment["XDG_RUNTIME_DIR"] = str(folder / "runtime")
        (folder / "runtime").mkdir(mode=0o700)
        self.work = folder / "work"
        self.work.mkdir()
        self.python = self._start(environment, sys.executable, "-c", _PYTHON)
        self.shell = self._start(environment, "bash", "--norc")
        self.printed: str | None = None

    def _start(self, environment: dict[str, str], *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.work,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def close(self) -> None:
        for process in (self.python, self.shell):
            assert process.stdin is not None
            process.stdin.close()
            os.killpg(process.pid, signal.SIGTERM)  # with what it began
            process.wait(60)
            assert process.stdout is not None
            process.stdout.close()

    def run(self, block: Block) -> None:
        if block.caption is not None:
            path = self.work / block.caption
            path.write_text(block.body, encoding="utf-8")
        elif block.kind == "python":
            self._run_python(block.body)
        elif block.kind == "text":
            assert self.printed is not None
            assert same(block.body, self.printed), f"printed:\n{self.printed}\nand not:\n{block.body}"
        else:
            for command, wanted in commands(block.body):
                self._run_command(command, wanted)

    def _run_python(self, code: str) -> None:
        assert self.python.stdin is not None
        assert self.python.stdout is not None
        self.python.stdin.write(json.dumps(code) + "\n")
        self.python.stdin.flush()
        self.printed, failed = json.loads(self.python.stdout.readline())
        assert not failed, f"{code}\n{failed}"

    def _run_command(self, command: str, wanted: str) -> None:
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(f'{command}\necho "<<done $?>>"\n')
        self.shell.stdin.flush()
        printed = ""
        while not (done := re.search(r"<<done (\d+)>>\n$", printed)):
            line = self.shell.stdout.readline()
            assert line, f"{command}\n{printed}"
            printed += line
        printed = printed[: done.start()]
        assert done[1] == "0", f"{command}\n{printed}"
        if wanted.strip():
            assert same(wanted, printed), f"{command}\nprinted:\n{printed}\nand not:\n{wanted}"


def commands(body: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block with what they print."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        command = [lines.pop(0)]
        while lines and lines[0].startswith(">"):
            command.append(lines.pop(0)[2:])
        yield "\n".join(command), "\n".join(lines)


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_it_runs_as_it_stands(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing: set[str] = set()
    runner = Runner(tmp_path)
    try:
        for block in blocks(path):
            reason = NEEDS[block.needs]() if block.needs else None
            if reason is None:
                runner.run(block)
            else:
                missing.add(reason)
    finally:
        runner.close()
    with capsys.disabled():
        for reason in sorted(missing):
            print(f"\n{path.stem}: parts left out, {reason}")


def test_every_tutorial_is_in_the_tree() -> None:
    tree = re.search(r"```\{toctree\}.*?```", (ROOT / "docs" / "index.md").read_text(encoding="utf-8"), re.DOTALL)
    assert tree is not None
    assert {f"tutorials/{path.stem}" for path in TUTORIALS} <= set(tree[0].split())
