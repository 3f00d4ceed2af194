"""Devices of the host."""

from __future__ import annotations

import queue
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from virtcore import errors
from virtcore.enums import ConnectListAllNodeDeviceFlags as ListFlags, NodeDeviceEventLifecycleType as Kind
from virtcore.operations.events import Event, NodeDeviceLifecycleEvent
from virtcore.testing.suite.target import Target, asks, covers, needs

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, NodeDevice

__all__ = ["TestNodeDevices"]


class TestNodeDevices:
    """What there is, and what can be made."""

    @covers(
        "connection_list_node_devices", "connection_lookup_node_device", "node_device_xml", "node_device_parent",
        "node_device_capabilities",
    )  # fmt: skip
    def test_devices_form_a_tree(self, connection: Connection) -> None:
        found = {device.name: device for device in connection.list_node_devices()}
        assert found
        for device in found.values():
            try:
                self._is_one_of_many(connection, device)
            except (AssertionError, errors.NoNodeDevice):
                if device in connection.list_node_devices():
                    raise  # it is still there
        with pytest.raises(errors.NoNodeDevice):
            connection.lookup_node_device(name="compliance-none")
        assert connection.list_node_devices("unheard-of") == []

    def _is_one_of_many(self, connection: Connection, device: NodeDevice) -> None:
        assert connection.lookup_node_device(name=device.name) == device
        assert f"<name>{device.name}</name>" in device.xml()
        assert device.capabilities()
        assert device.parent() in (None, *(other.name for other in connection.list_node_devices()))
        for capability in device.capabilities():
            assert device in connection.list_node_devices(capability)

    @covers("node_device_is_active", "node_device_is_persistent", "node_device_autostart")
    @needs("connection_list_node_devices")
    def test_what_there_is_is_active(self, connection: Connection) -> None:
        for flag, active in ((ListFlags.ACTIVE, True), (ListFlags.INACTIVE, False)):
            for device in connection.list_node_devices(flags=flag):
                with suppress(errors.NoNodeDevice):  # it may have gone meanwhile
                    assert device.is_active() is active
        for flag, persistent in ((ListFlags.PERSISTENT, True), (ListFlags.TRANSIENT, False)):
            for device in connection.list_node_devices(flags=flag):
                with suppress(errors.NoNodeDevice):
                    assert device.is_persistent() is persistent
                    assert not device.autostart() or persistent

    @covers("connection_create_node_device", "node_device_destroy")
    @needs("connection_list_node_devices", "connection_lookup_node_device")
    @asks("node_device")
    def test_life(self, connection: Connection, target: Target) -> None:
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        connection.on_event(events.put, NodeDeviceLifecycleEvent)
        before = connection.list_node_devices()
        with pytest.raises(errors.VirtError):
            connection.create_node_device("<device")
        device = connection.create_node_device(target.node_device())
        try:
            assert device in connection.list_node_devices()
        finally:
            device.destroy()
        assert connection.list_node_devices() == before
        with pytest.raises(errors.NoNodeDevice):
            connection.lookup_node_device(name=device.name)
        for expected in (Kind.CREATED, Kind.DELETED):
            event = events.get(timeout=target.event_wait)
            assert isinstance(event, NodeDeviceLifecycleEvent)
            assert (event.device.name, event.type) == (device.name, expected)

    @covers(
        "connection_define_node_device", "node_device_create", "node_device_undefine", "node_device_set_autostart",
        "node_device_autostart", "node_device_is_active", "node_device_is_persistent", "node_device_update",
    )  # fmt: skip
    @needs("node_device_destroy", "connection_list_node_devices", "connection_lookup_node_device")
    @asks("mediated_device")
    def test_definitions(self, connection: Connection, target: Target) -> None:
        device = connection.define_node_device(target.mediated_device())
        try:
            assert (device.is_active(), device.is_persistent(), device.autostart()) == (False, True, False)
            device.set_autostart(True)
            assert device.autostart() is True
            with pytest.raises(errors.VirtError):
                device.update("<device")
            device.update(device.xml())
            device.create()
            assert device.is_active()
            device.destroy()
        finally:
            device.undefine()
        with pytest.raises(errors.NoNodeDevice):
            connection.lookup_node_device(name=device.name)

    @needs("connection_list_node_devices", "node_device_detach")
    def test_only_devices_that_can_be_given_away_are(self, connection: Connection) -> None:
        for device in connection.list_node_devices("system"):
            with pytest.raises(errors.VirtError):
                device.detach()
