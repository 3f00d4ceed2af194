"""The compliance suite on the driver that is at hand everywhere; the example runs it among its own tests."""

from __future__ import annotations

from virtcore.testing.suite import *  # noqa: F403
from virtcore.testing.suite import Target, pytest


class TestHypervisor(Target):
    __test__ = False  # no test case, whatever its name
    persistent = False

    def uri(self) -> str:
        return "test:///default"

    def domain(self, name: str, uuid: str | None = None) -> str:
        identity = f"<uuid>{uuid}</uuid>" if uuid else ""
        return (
            f"<domain type='test'><name>{name}</name>{identity}<memory unit='MiB'>16</memory>"
            "<os><type>hvm</type></os></domain>"
        )

    def domain_with_disk(self, name: str) -> str:
        disk = "<devices><disk type='file'><source file='/image'/><target dev='vda'/></disk></devices>"
        return self.domain(name).replace("</domain>", f"{disk}</domain>")


@pytest.fixture  # type: ignore[no-redef]
def target() -> Target:
    return TestHypervisor()
