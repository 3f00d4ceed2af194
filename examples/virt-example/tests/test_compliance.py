"""What virtcore asks of every driver: ``pytest examples/virt-example/tests``."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtcore.testing.compliance import DriverCompliance


class TestExampleDriver(DriverCompliance):
    @pytest.fixture
    def uri(self, tmp_path: Path) -> str:
        return f"example:///embed?root={tmp_path}"

    def document(self, name: str, uuid: str | None = None) -> str:
        identity = f"<uuid>{uuid}</uuid>" if uuid else ""
        return (
            f"<domain type='test'><name>{name}</name>{identity}<memory unit='MiB'>16</memory>"
            "<os><type>hvm</type></os></domain>"
        )
