"""Sessions of the workspace; ``./dev SESSION`` runs them without anything installed.

All sessions share the workspace's environment (``.venv``), which uv makes from the root ``pyproject.toml``: every
distribution in editable form, plus the tools. Arguments after the session's name go to the tool behind it:
``./dev tests tests/core -k uri``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("VIRTCORE_SHARED") or ROOT.parent / "shared").resolve()
CONFORMANCE = SHARED / "conformance" / "run.py"
MINIMUM = ROOT / "tests" / "conformance" / "minimum.txt"
BIN = ROOT / ".venv" / "bin"
#: A failed test gets a second chance; the summary names it ("RERUN"). One that needed it is a mistake to be looked for,
#: but it must not hide what the rest of a run says.
SECOND_CHANCE = ("--reruns=1", "--reruns-delay=3")
#: Folders of tests that wait much of their time.
WAITING = ("tests/compat", "tests/host", "tests/qemu")
#: The extensions of the documentation are checked against Sphinx.
TYPES = ("--group", "docs")

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["test"]


def workspace(session: nox.Session, *options: str) -> None:
    """Bring ``.venv`` up to date; ``--inexact`` leaves what another session has added."""
    python = () if (BIN / "python").exists() else ("--python", sys.executable)
    session.run(
        *("uv", "sync", "--all-packages", "--inexact", "--quiet", *python, *options),
        external=True,
        env={"UV_PROJECT_ENVIRONMENT": str(BIN.parent), "UV_PYTHON_DOWNLOADS": "never"},
    )


def run(
    session: nox.Session, program: str, *arguments: str, into: IO[str] | None = None, env: dict[str, str] | None = None
) -> None:
    """Run a program of ``.venv``.

    :param into: gets what it prints.
    """
    session.run(str(BIN / program), *arguments, external=True, stdout=into, env=env)


def check_lint(session: nox.Session) -> None:
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    run(session, "lint-imports")


def check_types(session: nox.Session, into: IO[str] | None = None) -> None:
    run(session, "mypy", into=into)
    # What is not shipped need not be typed throughout. Module names are relative to these folders, as in pytest's runs;
    # the *_session and *_walk programs run with the system's own libvirt module.
    path = {"MYPYPATH": "tests:tests/qemu:tests/conformance:docs/_ext:bench"}
    relaxed = ("--config-file=", "--explicit-package-bases", "--exclude", r"conftest\.py$|_session\.py$|binding_walk")
    run(session, "mypy", *relaxed, "tests", "docs", "bench", into=into, env=path)


def check_tests(session: nox.Session, *arguments: str, into: IO[str] | None = None) -> None:
    run(session, "pytest", *arguments, into=into)


def complete_suites() -> list[str]:
    """Return the suites whose agreed minimum is 100 %: these are also scored with perturbed input."""
    rows = (line.split("#")[0].split() for line in MINIMUM.read_text(encoding="utf-8").splitlines())
    return [row[0] for row in rows if len(row) == 2 and float(row[1]) == 100]


def check_conformance(session: nox.Session, *arguments: str, into: IO[str] | None = None) -> None:
    if not CONFORMANCE.exists():
        session.log(f"conformance skipped: there is no corpus at {CONFORMANCE} (set VIRTCORE_SHARED)")
        return
    if arguments:
        run(session, "python", str(CONFORMANCE), *arguments)
        return
    run(session, "python", str(CONFORMANCE), "--min", str(MINIMUM), into=into)
    if complete := complete_suites():
        session.log("the same result is wanted for input that is written differently")
        run(session, "python", str(CONFORMANCE), "--min", str(MINIMUM), "--perturb", "--suite", *complete, into=into)


@nox.session
def test(session: nox.Session) -> None:
    """Everything a change must pass: lint, types, tests, conformance; all of them run, whichever fails.

    Some tests wait much of their time, for guests and daemons: types, conformance and all other tests are looked at
    meanwhile.
    """
    workspace(session, *TYPES)
    failed: list[str] = []

    def attempt(name: str, check: Callable[[], None]) -> None:
        try:
            check()
        except CommandFailed:
            failed.append(name)

    def others(into: IO[str]) -> None:
        attempt("types", lambda: check_types(session, into))
        attempt("conformance", lambda: check_conformance(session, into=into))
        rest = [f"--ignore={folder}" for folder in WAITING]
        attempt("tests beside", lambda: check_tests(session, *SECOND_CHANCE, *rest, into=into))

    attempt("lint", lambda: check_lint(session))
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed, ThreadPoolExecutor(1) as meanwhile:
        checked = meanwhile.submit(others, printed)
        try:
            attempt("tests", lambda: check_tests(session, *SECOND_CHANCE, *WAITING))
            checked.result()
        finally:  # also what there is when it is cut off
            printed.seek(0)
            session.log("types, conformance and the other tests:\n%s", printed.read())
    if failed:
        session.error(f"failed: {', '.join(failed)}")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests (arguments go to pytest)."""
    workspace(session)
    check_tests(session, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff's checks and format, and the import contracts."""
    workspace(session)
    check_lint(session)


@nox.session
def types(session: nox.Session) -> None:
    """mypy: strict for what is shipped, relaxed for tests, documentation and benchmarks."""
    workspace(session, *TYPES)
    check_types(session)


@nox.session
def conformance(session: nox.Session) -> None:
    """Score the corpus in ../shared/conformance (arguments go to its runner instead of the minimum)."""
    workspace(session)
    check_conformance(session, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks: ``./dev bench`` runs all, ``./dev bench NAME [ARGUMENTS]`` runs bench/bench_NAME.py."""
    workspace(session)
    if session.posargs:
        name, *arguments = session.posargs
        run(session, "python", str(ROOT / "bench" / f"bench_{name}.py"), *arguments)
        return
    for path in sorted((ROOT / "bench").glob("bench_*.py")):
        run(session, "python", str(path))


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation to docs/_build/html; warnings are errors."""
    workspace(session, "--group", "docs")
    target = ROOT / "docs" / "_build" / "html"
    run(
        session,
        "sphinx-build",
        "--fail-on-warning",
        "--keep-going",
        "-b",
        "html",
        "docs",
        str(target),
        *session.posargs,
    )
    session.log(f"read it at {target / 'index.html'}")


@nox.session
def demo(session: nox.Session) -> None:
    """Boot a real guest where QEMU and a kernel are, else use test:///default."""
    workspace(session, "--no-dev")
    run(session, "python", "tools/demo.py", *session.posargs)


@nox.session
def deep(session: nox.Session) -> None:
    """The long tests: hundreds of kills, millions of mutations."""
    workspace(session)
    check_tests(session, "--deep", "-m", "deep", "--timeout=3600", *session.posargs)


@nox.session
def gen(session: nox.Session) -> None:
    """Write the generated modules anew from the repository's own declarations."""
    workspace(session)
    for path in sorted((ROOT / "tools").glob("generate_*.py")):
        run(session, "python", str(path), *session.posargs)
