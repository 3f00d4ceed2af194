"""What virtcore asks of every driver's networks and filters, asked of this host's, in a network of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from namespaces import NetworkBox, network_box
from virtcore.testing.suite import Target, TestFilters, TestNetworks, connection, says_what_it_tests, uri

__all__ = ["TestFilters", "TestNetworks", "connection", "says_what_it_tests", "target", "uri"]


@pytest.fixture(scope="module")
def box() -> Iterator[NetworkBox]:
    with network_box() as made:
        yield made


class HostNetworks(Target):
    def __init__(self, box: NetworkBox) -> None:
        self._box = box

    def uri(self) -> str:
        return self._box.uri


@pytest.fixture
def target(box: NetworkBox) -> Target:
    return HostNetworks(box)
