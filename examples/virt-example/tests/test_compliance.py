"""What virtcore asks of every driver: ``pytest tests``."""

from __future__ import annotations

from pathlib import Path

from virtcore.testing.suite import *  # noqa: F403
from virtcore.testing.suite import Target, pytest


class Example(Target):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def uri(self) -> str:
        return f"example:///embed?root={self.folder}"

    def domain(self, name: str, uuid: str | None = None) -> str:
        identity = f"<uuid>{uuid}</uuid>" if uuid else ""
        return (
            f"<domain type='test'><name>{name}</name>{identity}<memory unit='MiB'>16</memory>"
            "<os><type>hvm</type></os></domain>"
        )


@pytest.fixture  # type: ignore[no-redef]
def target(tmp_path: Path) -> Target:
    return Example(tmp_path)
