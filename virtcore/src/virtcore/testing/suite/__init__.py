"""The driver compliance suite: what every driver must do alike.

A driver's author writes one test module::

    from virtcore.testing.suite import *

    class Toy(Target):
        def __init__(self, folder):
            self.folder = folder

        def uri(self):
            return f"toy:///embed?root={self.folder}"

        def domain(self, name, uuid=None):
            return f"<domain type='toy'><name>{name}</name>...</domain>"

    @pytest.fixture
    def target(tmp_path):
        return Toy(tmp_path)

The suite asks the driver which operations it claims (``connection.supports``), tests those, skips the others with their
names, and fails where something is claimed that neither it nor ``Target.tested_elsewhere`` tests. A test is replaced by
subclassing its class under the same name.
"""

# ruff: noqa: E402  # assertions are to be rewritten before the modules are imported

from __future__ import annotations

import pkgutil

import pytest as pytest

# Before they are imported: what is compared is told where a test fails.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))

from virtcore.testing.suite.behaviour import TestConcurrency, TestDeadlines, TestEvents, TestPersistence, TestReadOnly
from virtcore.testing.suite.claims import TestClaims
from virtcore.testing.suite.devices import TestDevices, TestDisks, TestNetworkDevices, with_disk
from virtcore.testing.suite.domains import TestDomainDefinitions, TestDomainLife, defined
from virtcore.testing.suite.guests import TestAgent, TestReach, TestStatistics, responsive, running
from virtcore.testing.suite.hosts import TestConnection
from virtcore.testing.suite.migration import TestMigration, peer
from virtcore.testing.suite.moments import TestCheckpoints, TestSnapshots
from virtcore.testing.suite.nodedevs import TestNodeDevices
from virtcore.testing.suite.refusals import TestBadInput
from virtcore.testing.suite.saving import TestBlockJobs, TestJobs, TestManagedSave, TestSaving
from virtcore.testing.suite.services import TestFilters, TestInterfaces, TestNetworks, TestSecrets
from virtcore.testing.suite.settings import TestIOThreads, TestLimits, TestMemory, TestProcessors, TestSettings
from virtcore.testing.suite.storage import TestPools, TestVolumes, pool
from virtcore.testing.suite.target import Target, asks, connection, covers, needs, says_what_it_tests, target, uri

__all__ = [
    "Target",
    "TestAgent",
    "TestBadInput",
    "TestBlockJobs",
    "TestCheckpoints",
    "TestClaims",
    "TestConcurrency",
    "TestConnection",
    "TestDeadlines",
    "TestDevices",
    "TestDisks",
    "TestDomainDefinitions",
    "TestDomainLife",
    "TestEvents",
    "TestFilters",
    "TestIOThreads",
    "TestInterfaces",
    "TestJobs",
    "TestLimits",
    "TestManagedSave",
    "TestMemory",
    "TestMigration",
    "TestNetworkDevices",
    "TestNetworks",
    "TestNodeDevices",
    "TestPersistence",
    "TestPools",
    "TestProcessors",
    "TestReach",
    "TestReadOnly",
    "TestSaving",
    "TestSecrets",
    "TestSettings",
    "TestSnapshots",
    "TestStatistics",
    "TestVolumes",
    "asks",
    "connection",
    "covers",
    "defined",
    "needs",
    "peer",
    "pool",
    "pytest",
    "responsive",
    "running",
    "says_what_it_tests",
    "target",
    "uri",
    "with_disk",
]
