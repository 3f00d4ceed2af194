"""What libvirt's test driver has for storage and devices, ours has; and what its drivers of a Linux host have."""

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


@pytest.mark.parametrize(
    ("driver", "table"),
    [
        ("test", "virStorageDriver"),
        ("test", "virNodeDeviceDriver"),
        ("storage", "virStorageDriver"),
        ("node_device", "virNodeDeviceDriver"),
    ],
)
def test_every_function_of_libvirts_drivers_is_there(shared: Path, driver: str, table: str) -> None:
    with virtcore.connect("test:///default") as connection:
        assert unclaimed(shared, driver, table, connection) == []


def test_the_list_would_show_what_is_missing(shared: Path) -> None:
    with virtcore.connect("test:///default") as connection:
        assert "domainMigratePerform3Params" in unclaimed(shared, "qemu", "virHypervisorDriver", connection)


@pytest.mark.parametrize(
    "event", [StoragePoolLifecycleEvent, StoragePoolRefreshEvent, NodeDeviceLifecycleEvent, NodeDeviceUpdateEvent]
)
def test_events_may_be_subscribed_to(event: type) -> None:
    with virtcore.connect("test:///default") as connection:
        connection.on_event(lambda _: None, event).cancel()
