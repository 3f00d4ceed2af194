"""The example as a stranger meets it: installed beside a built virtcore wheel in a clean environment, and driven."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from support import ROOT

EXAMPLE = ROOT / "examples" / "virt-example"

DRIVE = """\
import importlib.metadata, queue, subprocess, sys
import virtcore
from virtcore.operations.events import DomainLifecycleEvent

assert "site-packages" in virtcore.__file__, virtcore.__file__
assert {name for name in ("virtcore", "virt-example") if importlib.metadata.version(name)}
uri, xml = sys.argv[1:]
with virtcore.connect(uri) as connection:
    assert connection.type() == "EXAMPLE"
    assert connection.supports("domain_suspend") and not connection.supports("domain_reboot")
    events = queue.Queue()
    connection.on_event(events.put, DomainLifecycleEvent)
    domain = connection.define_domain(xml)
    domain.create()
    assert domain.state().state.name == "RUNNING"
# The connection has closed; the guest has not.
again = "import sys, virtcore; print([d.state().state.name for d in virtcore.connect(sys.argv[1]).list_domains()])"
found = subprocess.run([sys.executable, "-c", again, uri], capture_output=True, text=True)
assert found.stdout == "['RUNNING']\\n", found
with virtcore.connect(uri) as connection:
    domain = connection.lookup_domain(name="sleeper")
    domain.destroy()
    domain.undefine()
    assert connection.list_domains() == []
print("driven")
"""

XML = "<domain type='test'><name>sleeper</name><memory unit='MiB'>16</memory><os><type>hvm</type></os></domain>"


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def clean_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that has the two wheels and what they depend on, nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    for source in (ROOT / "virtcore", EXAMPLE):
        done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source)
        assert done.returncode == 0, done.stdout + done.stderr
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    done = run(*pip, "install", "-q", "--no-compile", "--retries=1", *folder.glob("*.whl"))
    if "No matching distribution" in done.stderr or "Connection" in done.stderr:
        pytest.skip(f"pip reaches no package index: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    done = run(*pip, "check")
    assert done.returncode == 0, done.stdout
    return python


def test_it_is_driven_where_only_wheels_are(clean_python: Path, tmp_path: Path) -> None:
    done = run(clean_python, "-W", "error", "-c", DRIVE, f"example:///embed?root={tmp_path}", XML)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "driven\n"


def test_its_own_tests_pass() -> None:
    done = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "tests", cwd=EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_of_its_readme_works(clean_python: Path, tmp_path: Path) -> None:
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    command = text.partition('python -c "\n')[2].partition('\n    "')[0]
    code = "\n".join(line.removeprefix("    ") for line in command.splitlines())
    assert "example:///session" in code
    code = code.replace("example:///session", f"example:///embed?root={tmp_path}")
    done = run(clean_python, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "DomainState.RUNNING" in done.stdout
