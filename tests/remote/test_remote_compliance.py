"""The compliance suite over the wire: the test driver behind virtcored behaves as it does in the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import virtcore
from suite_target import TestHypervisor
from support import eventually, listens
from virtcore.testing.suite import *  # noqa: F403
from virtcore.testing.suite import Target, pytest


@cache
def served() -> frozenset[str]:
    """What the driver behind the daemon claims."""
    with virtcore.connect("test:///default") as connection:
        return frozenset(TestHypervisor().claims(connection))


class Remote(TestHypervisor):
    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def uri(self) -> str:
        return f"test+unix:///default?socket={self.socket}"

    def claims(self, connection: virtcore.Connection) -> set[str]:
        return super().claims(connection) & served()


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("daemon")
    daemon = subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", root])
    try:
        eventually(lambda: listens(root / "run" / "libvirt-admin-sock"))  # the last one to listen
        yield root / "run" / "libvirt-sock"
    finally:
        daemon.terminate()
        daemon.wait(60)


@pytest.fixture  # type: ignore[no-redef]
def target(socket: Path) -> Target:
    return Remote(socket)
