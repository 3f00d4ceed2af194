"""What virtcore asks of every driver, asked of this one with real QEMUs."""

from __future__ import annotations

from pathlib import Path

import guest_image

from virtcore.testing.suite import *  # noqa: F403
from virtcore.testing.suite import Target, pytest


class Qemu(Target):
    def __init__(self, root: Path) -> None:
        self.root = root

    def uri(self) -> str:
        return f"qemu:///embed?root={self.root}"

    def domain(self, name: str, uuid: str | None = None) -> str:
        identity = f"<uuid>{uuid}</uuid>" if uuid else ""
        return (
            f"<domain type='qemu'><name>{name}</name>{identity}<memory unit='MiB'>32</memory>"
            "<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features></domain>"
        )


@pytest.fixture  # type: ignore[no-redef]
def target(root: Path) -> Target:
    reason = guest_image.missing()
    if reason is not None:
        pytest.skip(reason)
    return Qemu(root)
