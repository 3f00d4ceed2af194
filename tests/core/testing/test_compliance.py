"""The compliance suite on the driver that is at hand everywhere; the example runs it among its own tests."""

from __future__ import annotations

import pytest

from virtcore.testing.compliance import DriverCompliance


def document(name: str, uuid: str | None = None) -> str:
    identity = f"<uuid>{uuid}</uuid>" if uuid else ""
    return (
        f"<domain type='test'><name>{name}</name>{identity}<memory unit='MiB'>16</memory>"
        "<os><type>hvm</type></os></domain>"
    )


class TestTheTestDriver(DriverCompliance):
    @pytest.fixture
    def uri(self) -> str:
        return "test:///default"

    def document(self, name: str, uuid: str | None = None) -> str:
        return document(name, uuid)
