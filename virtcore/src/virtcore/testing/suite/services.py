"""Networks, host interfaces, secrets and network filters: of the driver itself, or of the services beside it."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import (
    ConnectListAllNetworksFlags,
    ConnectListAllSecretsFlags,
    NetworkEventLifecycleType,
    NetworkMetadataType,
    NetworkUpdateCommand,
    NetworkUpdateFlags,
    NetworkUpdateSection,
    SecretUsageType,
)
from virtcore.operations.events import Event, NetworkLifecycleEvent
from virtcore.testing.suite.target import PREFIX, Target, covers, needs

if TYPE_CHECKING:
    from virtcore.api.sync import Connection

__all__ = ["TestFilters", "TestInterfaces", "TestNetworks", "TestSecrets"]

UUID = "c0ffee00-0000-4000-8000-000000000001"


class TestNetworks:
    """Virtual networks and their ports."""

    @covers("connection_define_network", "connection_list_networks", "connection_lookup_network", "network_xml")
    @needs("network_undefine")
    def test_definitions(self, connection: Connection, target: Target) -> None:
        network = connection.define_network(target.network(f"{PREFIX}-net"))
        flags = ConnectListAllNetworksFlags
        assert connection.lookup_network(name=network.name) == connection.lookup_network(uuid=network.uuid) == network
        assert network in connection.list_networks(flags.INACTIVE | flags.PERSISTENT)
        assert network not in connection.list_networks(flags.ACTIVE)
        text = network.xml()
        assert connection.define_network(text) == network
        assert network.xml() == text
        with pytest.raises(errors.NoNetwork):
            connection.lookup_network(name=f"{PREFIX}-none")
        with pytest.raises(errors.VirtError):
            connection.define_network("<network>")

    @covers(
        "network_create", "network_destroy", "network_undefine", "network_is_active", "network_is_persistent",
        "network_autostart", "network_set_autostart", "network_bridge_name",
    )  # fmt: skip
    @needs("connection_define_network")
    def test_life(self, connection: Connection, target: Target) -> None:
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        connection.on_event(events.put, NetworkLifecycleEvent)
        network = connection.define_network(target.network(f"{PREFIX}-net"))
        assert (network.is_active(), network.is_persistent(), network.autostart()) == (False, True, False)
        network.set_autostart(True)
        assert network.autostart() is True
        network.create()
        assert network.is_active()
        assert network.bridge_name()
        with pytest.raises(errors.OperationInvalid):
            network.create()
        network.destroy()
        network.undefine()
        with pytest.raises(errors.NoNetwork):
            network.xml()
        kinds = NetworkEventLifecycleType
        for expected in (kinds.DEFINED, kinds.STARTED, kinds.STOPPED, kinds.UNDEFINED):
            event = events.get(timeout=target.event_wait)
            assert isinstance(event, NetworkLifecycleEvent)
            assert (event.network, event.type) == (network.ref, expected)

    @covers("connection_create_network")
    @needs("network_destroy", "network_is_persistent", "connection_lookup_network")
    def test_a_transient_network_goes_when_it_stops(self, connection: Connection, target: Target) -> None:
        network = connection.create_network(target.network(f"{PREFIX}-net"))
        assert not network.is_persistent()
        network.destroy()
        with pytest.raises(errors.NoNetwork):
            connection.lookup_network(name=network.name)

    @covers("network_update")
    @needs("connection_define_network", "network_undefine", "network_xml")
    def test_updates_change_what_they_name(self, connection: Connection, target: Target) -> None:
        network = connection.define_network(target.network(f"{PREFIX}-net"))
        text = "<txt name='compliance' value='yes'/>"
        add, remove, section = NetworkUpdateCommand.ADD_LAST, NetworkUpdateCommand.DELETE, NetworkUpdateSection.DNS_TXT
        network.update(add, section, -1, text, NetworkUpdateFlags.CONFIG)
        assert text in network.xml()
        with pytest.raises(errors.OperationInvalid):
            network.update(add, section, -1, text, NetworkUpdateFlags.LIVE)
        network.update(remove, section, -1, text, NetworkUpdateFlags.CONFIG)
        assert text not in network.xml()

    @covers("network_metadata", "network_set_metadata")
    @needs("connection_define_network", "network_undefine")
    def test_metadata(self, connection: Connection, target: Target) -> None:
        network = connection.define_network(target.network(f"{PREFIX}-net"))
        with pytest.raises(errors.NoNetworkMetadata):
            network.metadata(NetworkMetadataType.TITLE)
        network.set_metadata(NetworkMetadataType.TITLE, "of the suite")
        assert network.metadata(NetworkMetadataType.TITLE) == "of the suite"

    @covers(
        "network_create_port", "network_list_ports", "network_lookup_port", "network_port_xml", "network_port_delete"
    )
    @needs("connection_create_network", "network_destroy")
    def test_ports(self, connection: Connection, target: Target) -> None:
        network = connection.create_network(target.network(f"{PREFIX}-net"))
        port = network.create_port(
            f"<networkport><uuid>{UUID}</uuid><owner><name>compliance</name><uuid>{UUID}</uuid></owner>"
            "<mac address='52:54:00:c0:ff:ee'/></networkport>"
        )
        assert network.list_ports() == [port] == [network.lookup_port(UUID)]
        assert "52:54:00:c0:ff:ee" in port.xml()
        port.delete()
        with pytest.raises(errors.NoNetworkPort):
            network.lookup_port(UUID)

    @covers("network_dhcp_leases")
    @needs("connection_create_network", "network_destroy")
    def test_nobody_has_leased_from_a_new_network(self, connection: Connection, target: Target) -> None:
        network = connection.create_network(target.network(f"{PREFIX}-net"))
        assert network.dhcp_leases() == []
        assert network.dhcp_leases("52:54:00:c0:ff:ee") == []

    @covers("network_port_parameters", "network_port_set_parameters")
    @needs("connection_create_network", "network_destroy", "network_create_port", "network_port_delete")
    def test_what_goes_through_a_port(self, connection: Connection, target: Target) -> None:
        from virtcore.operations.parameters import BANDWIDTH

        network = connection.create_network(target.network(f"{PREFIX}-net"))
        port = network.create_port(
            f"<networkport><uuid>{UUID}</uuid><owner><name>compliance</name><uuid>{UUID}</uuid></owner>"
            "<mac address='52:54:00:c0:ff:ee'/></networkport>"
        )
        port.set_parameters(BANDWIDTH.typed({"inbound.average": 1000}))
        assert port.parameters()["inbound.average"] == 1000
        port.delete()


class TestInterfaces:
    """Network interfaces of the host."""

    @covers("connection_list_interfaces", "connection_lookup_interface", "interface_xml", "interface_is_active")
    def test_what_is_there(self, connection: Connection) -> None:
        found = connection.list_interfaces()
        told = 0
        for interface in found:
            try:
                assert connection.lookup_interface(name=interface.name).name == interface.name
                assert f"name='{interface.name}'" in interface.xml()
                assert interface.is_active() in (True, False)
            except errors.NoInterface:
                continue  # a host's come and go
            told += 1
        assert told or not found
        with pytest.raises(errors.NoInterface):
            connection.lookup_interface(name=f"{PREFIX}9")

    @covers(
        "connection_define_interface", "connection_list_interfaces", "connection_lookup_interface", "interface_xml",
        "interface_is_active", "interface_create", "interface_destroy", "interface_undefine",
        "connection_interface_begin", "connection_interface_rollback",
    )  # fmt: skip
    def test_life_within_a_change_that_is_taken_back(self, connection: Connection, target: Target) -> None:
        before = connection.list_interfaces()
        connection.interface_begin()
        try:
            interface = connection.define_interface(target.interface(f"{PREFIX}0"))
            assert connection.lookup_interface(name=interface.name) == interface
            assert f"name='{interface.name}'" in interface.xml()
            assert not interface.is_active()
            interface.create()
            assert interface.is_active()
            interface.destroy()
            interface.undefine()
            with pytest.raises(errors.NoInterface):
                interface.xml()
            connection.define_interface(target.interface(f"{PREFIX}1"))
        finally:
            connection.interface_rollback()
        assert connection.list_interfaces() == before

    @covers("connection_interface_commit")
    @needs("connection_interface_begin")
    def test_a_change_is_kept_once(self, connection: Connection) -> None:
        connection.interface_begin()
        connection.interface_commit()
        with pytest.raises(errors.OperationInvalid):
            connection.interface_commit()


class TestSecrets:
    """Secrets: values come back as they were, and show nowhere."""

    @covers(
        "connection_define_secret", "connection_list_secrets", "connection_lookup_secret", "secret_xml",
        "secret_set_value", "secret_value", "secret_undefine",
    )  # fmt: skip
    def test_life(self, connection: Connection, uri: str) -> None:
        usage = f"<usage type='ceph'><name>{PREFIX}</name></usage>"
        secret = connection.define_secret(f"<secret ephemeral='yes'><uuid>{UUID}</uuid>{usage}</secret>")
        try:
            assert secret in connection.list_secrets(ConnectListAllSecretsFlags.EPHEMERAL)
            assert connection.lookup_secret(usage_type=SecretUsageType.CEPH, usage_id=PREFIX) == secret
            with pytest.raises(errors.NoSecret):
                secret.value()
            secret.set_value(b"\0hunter2\xff")
            assert secret.value() == b"\0hunter2\xff"
            assert "hunter2" not in secret.xml()
            with virtcore.connect(uri, readonly=True) as readonly, pytest.raises(errors.OperationDenied):
                readonly.lookup_secret(uuid=UUID).value()
        finally:
            secret.undefine()
        with pytest.raises(errors.NoSecret):
            connection.lookup_secret(uuid=UUID)


class TestFilters:
    """Network filters and their bindings."""

    @covers(
        "connection_define_nwfilter", "connection_list_nwfilters", "connection_lookup_nwfilter", "nwfilter_xml",
        "nwfilter_undefine", "connection_create_nwfilter_binding", "connection_list_nwfilter_bindings",
        "connection_lookup_nwfilter_binding", "nwfilter_binding_xml", "nwfilter_binding_delete",
    )  # fmt: skip
    def test_life(self, connection: Connection) -> None:
        name = f"{PREFIX}-filter"
        wanted = connection.define_nwfilter(f"<filter name='{name}'><uuid>{UUID}</uuid></filter>")
        try:
            assert wanted in connection.list_nwfilters()
            assert connection.lookup_nwfilter(name=name) == wanted
            assert f"name='{name}'" in wanted.xml()
            # A filter without rules; a port that is not there would use none.
            binding = connection.create_nwfilter_binding(
                f"<filterbinding><owner><name>compliance</name><uuid>{UUID}</uuid></owner><portdev name='lo'/>"
                f"<mac address='52:54:00:c0:ff:ee'/><filterref filter='{name}'/></filterbinding>"
            )
            assert connection.list_nwfilter_bindings() == [binding]
            assert connection.lookup_nwfilter_binding("lo") == binding
            assert f"filter='{name}'" in binding.xml()
            with pytest.raises(errors.OperationInvalid):
                wanted.undefine()
            binding.delete()
            with pytest.raises(errors.NoNWFilterBinding):
                binding.xml()
        finally:
            wanted.undefine()
        with pytest.raises(errors.NoNWFilter):
            wanted.xml()
