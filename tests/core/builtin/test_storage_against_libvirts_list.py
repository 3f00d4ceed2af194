"""What libvirt's test driver has for storage and devices, ours has."""

from __future__ import annotations

from pathlib import Path

import pytest

import virtcore
from libvirt_tables import unclaimed
from virtcore.operations.events import (
    NodeDeviceLifecycleEvent,
    NodeDeviceUpdateEvent,
    StoragePoolLifecycleEvent,
    StoragePoolRefreshEvent,
)


@pytest.mark.parametrize("table", ["virStorageDriver", "virNodeDeviceDriver"])
def test_every_function_of_libvirts_test_driver_is_there(shared: Path, table: str) -> None:
    with virtcore.connect("test:///default") as connection:
        assert unclaimed(shared, "test", table, connection) == []


def test_the_list_would_show_what_is_missing(shared: Path) -> None:
    with virtcore.connect("test:///default") as connection:
        assert "nodeDeviceUndefine" in unclaimed(shared, "node_device", "virNodeDeviceDriver", connection)


@pytest.mark.parametrize(
    "event", [StoragePoolLifecycleEvent, StoragePoolRefreshEvent, NodeDeviceLifecycleEvent, NodeDeviceUpdateEvent]
)
def test_events_may_be_subscribed_to(event: type) -> None:
    with virtcore.connect("test:///default") as connection:
        connection.on_event(lambda _: None, event).cancel()
