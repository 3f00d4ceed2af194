"""What virtcore asks of every driver, asked of this one with real QEMUs."""

from __future__ import annotations

from pathlib import Path

import guest_image
import pytest

from virtcore.testing.compliance import DriverCompliance


class TestQemuDriver(DriverCompliance):
    @pytest.fixture
    def uri(self, root: Path) -> str:
        reason = guest_image.missing()
        if reason is not None:
            pytest.skip(reason)
        return f"qemu:///embed?root={root}"

    def document(self, name: str, uuid: str | None = None) -> str:
        identity = f"<uuid>{uuid}</uuid>" if uuid else ""
        return (
            f"<domain type='qemu'><name>{name}</name>{identity}<memory unit='MiB'>32</memory>"
            "<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features></domain>"
        )
