"""The compliance suite on the driver that is at hand everywhere; the example runs it among its own tests."""

from __future__ import annotations

from suite_target import TestHypervisor
from virtcore.testing.suite import *  # noqa: F403
from virtcore.testing.suite import Target, pytest


@pytest.fixture  # type: ignore[no-redef]
def target() -> Target:
    return TestHypervisor()
