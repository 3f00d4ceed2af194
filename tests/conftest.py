"""What every test may rely on: the shared corpus, one hypothesis profile, the deep marker, no processes left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support import COMPLAINTS, ROOT as ROOT, SHARED

settings.register_profile(
    "virtcore",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("deep", settings.get_profile("virtcore"), derandomize=False, max_examples=5000)

LEFT_OVER_GRACE = 60.0
"""Seconds that processes started by tests have to end after the last test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deep", action="store_true", help="also run the long tests")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if COMPLAINTS and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for complaint in COMPLAINTS:
        terminalreporter.write_line(f"FAILED when all tests were over: {complaint}", red=True)


def _interrupt(number: int, frame: object) -> None:
    """Let a run that is told to end, as by CI's limit of time, end what its tests have begun."""
    signal.signal(number, lambda *_: None)  # timeout(1) sends it twice
    raise KeyboardInterrupt


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("deep" if config.getoption("--deep") else "virtcore")
    signal.signal(signal.SIGTERM, _interrupt)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--deep"):
        return
    skip = pytest.mark.skip(reason="a long test: run it with ./dev deep")
    for item in items:
        if item.get_closest_marker("deep") is not None:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts, corpus and measuring kit; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared material at {SHARED} (set VIRTCORE_SHARED)")
    return SHARED


def _processes_of(token: str, folder: Path) -> dict[int, str]:
    """Return living processes that carry the token in their environment or name the folder in their command line."""
    found = {}
    marker = f"VIRTCORE_TEST_SESSION={token}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        try:
            command = (entry / "cmdline").read_bytes()
            if pid == os.getpid() or not command:  # a zombie has none
                continue
            if os.fsencode(folder) in command or marker in (entry / "environ").read_bytes().split(b"\0"):
                found[pid] = command.replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # ended meanwhile, or another user's
            continue
    return found


@pytest.fixture(scope="session", autouse=True)
def no_process_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail, and end it, when a process started by a test outlives the session: tests must end guests and daemons.

    Processes are known by a variable that they inherit or, where they start with a cleaned environment as guests do,
    by the session's temporary folder in their command line; so processes of others on the machine never count.
    """
    token = f"{os.getpid()}-{time.time_ns()}"
    folder = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIRTCORE_TEST_SESSION", token)
        yield
    end = time.monotonic() + LEFT_OVER_GRACE
    while (left := _processes_of(token, folder)) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if left:
        listing = "; ".join(f"{pid}: {command}" for pid, command in left.items())
        COMPLAINTS.append(f"processes left behind by tests: {listing}")
