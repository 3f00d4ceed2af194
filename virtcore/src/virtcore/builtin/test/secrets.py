"""Secrets and network filters of the test driver, which libvirt's has not got: in memory, and without any traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.driver.service import DriverService
from virtcore.driver.toolkit.nwfilters import Filters, StatefulFilters
from virtcore.driver.toolkit.secrets import Secrets, StatefulSecrets

if TYPE_CHECKING:
    from virtcore.builtin.test.driver import TestDriver

__all__ = ["TestFilters", "TestSecrets"]


class TestSecrets(StatefulSecrets, DriverService):
    """Secrets of the test driver."""

    __test__ = False  # no test case, whatever its name

    secret_prefix = "test"
    driver: TestDriver

    @property
    def secrets(self) -> Secrets:  # type: ignore[override]  # shared by the connections of a state
        """The secrets."""
        return self.driver.state.secrets


class TestFilters(StatefulFilters, DriverService):
    """Network filters of the test driver."""

    __test__ = False  # no test case, whatever its name

    nwfilter_prefix = "test"
    driver: TestDriver

    @property
    def filters(self) -> Filters:  # type: ignore[override]  # shared by the connections of a state
        """The filters."""
        return self.driver.state.filters
