"""What virtcore asks of every driver's pools and volumes, asked of this host's."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtcore.testing.suite import Target, TestPools, TestVolumes, connection, says_what_it_tests, uri
from virtcore.testing.suite.storage import pool

__all__ = ["TestPools", "TestVolumes", "connection", "pool", "says_what_it_tests", "target", "uri"]


class HostStorage(Target):
    def __init__(self, root: Path) -> None:
        self._root = root

    def uri(self) -> str:
        return f"storage:///embed?root={self._root}"


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return HostStorage(tmp_path / "root")
