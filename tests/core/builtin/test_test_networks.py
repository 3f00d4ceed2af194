"""Networks of test:///default: what they are, what is refused, what is told."""

from __future__ import annotations

import queue

import pytest

import virtcore
from virtcore.enums import (
    ConnectListAllNetworksFlags as ListFlags,
    NetworkEventLifecycleType as Kind,
    NetworkMetadataType,
    NetworkUpdateCommand as Command,
    NetworkUpdateFlags as Impact,
    NetworkUpdateSection as Section,
)
from virtcore.errors import (
    InternalError,
    InvalidArg,
    NoNetwork,
    NoNetworkMetadata,
    NoNetworkPort,
    OperationDenied,
    OperationInvalid,
    VirtError,
)
from virtcore.operations.events import NetworkLifecycleEvent

UUID = "11111111-2222-4333-8444-555555555555"
SMALL = f"<network><name>small</name><uuid>{UUID}</uuid><bridge name='br7'/></network>"
PORT = (
    f"<networkport><uuid>{UUID}</uuid><owner><name>guest</name><uuid>{UUID}</uuid></owner>"
    "<mac address='52:54:00:00:00:01'/></networkport>"
)


@pytest.fixture
def connection():
    with virtcore.connect("test:///default") as connection:
        yield connection


def test_the_default_network(connection):
    [network] = connection.list_networks()
    assert (network.name, network.uuid) == ("default", "dd8fe884-6c02-601e-7551-cca97df1c5df")
    assert network.is_active()
    assert network.is_persistent()
    assert not network.autostart()
    assert network.bridge_name() == "virbr0"
    assert "<forward mode='nat'/>" in network.xml()
    assert connection.lookup_network(uuid=network.uuid.upper().replace("-", "")) == network


def test_life(connection):
    events: queue.SimpleQueue[NetworkLifecycleEvent] = queue.SimpleQueue()
    connection.on_event(events.put, NetworkLifecycleEvent)
    network = connection.define_network(SMALL)
    assert connection.list_networks(ListFlags.INACTIVE) == [network]
    network.create()
    with pytest.raises(OperationInvalid, match="Network 'small' is already running"):
        network.create()
    with pytest.raises(OperationInvalid, match="Network 'small' is still running"):
        network.undefine()
    network.set_autostart(True)
    assert connection.list_networks(ListFlags.AUTOSTART | ListFlags.ACTIVE) == [network]
    network.destroy()
    network.undefine()
    with pytest.raises(NoNetwork, match="no network with matching name 'small'"):
        network.xml()
    seen = [events.get(timeout=60) for _ in range(4)]
    assert [(event.network.name, event.type) for event in seen] == [
        ("small", kind) for kind in (Kind.DEFINED, Kind.STARTED, Kind.STOPPED, Kind.UNDEFINED)
    ]


def test_a_transient_network_goes_when_it_stops(connection):
    network = connection.create_network(SMALL)
    assert not network.is_persistent()
    with pytest.raises(OperationInvalid, match="network is already active as 'small'"):
        connection.create_network(SMALL)
    network.destroy()
    with pytest.raises(NoNetwork):
        connection.lookup_network(name="small")


def test_updates_reach_what_they_are_meant_for(connection):
    network = connection.lookup_network(name="default")
    host = "<host mac='52:54:00:00:00:02' ip='192.168.122.9'/>"
    network.update(Command.ADD_LAST, Section.IP_DHCP_HOST, -1, host)
    assert "52:54:00:00:00:02" in network.xml()
    with pytest.raises(OperationInvalid, match="there is an existing dhcp host entry"):
        network.update(Command.ADD_LAST, Section.IP_DHCP_HOST, -1, host, Impact.LIVE)
    with pytest.raises(VirtError, match="unsupported flags"):
        network.update(Command.ADD_LAST, Section.IP_DHCP_HOST, -1, host, 8)
    before = network.xml()
    with pytest.raises(VirtError):
        network.update(Command.ADD_LAST, Section.IP_DHCP_HOST, -1, "<host", Impact.LIVE | Impact.CONFIG)
    assert network.xml() == before


def test_metadata(connection):
    network = connection.define_network(SMALL)
    with pytest.raises(NoNetworkMetadata):
        network.metadata(NetworkMetadataType.TITLE)
    network.set_metadata(NetworkMetadataType.TITLE, "a title")
    network.set_metadata(NetworkMetadataType.ELEMENT, "<app kind='x'/>", "app", "http://example.org/app")
    assert network.metadata(NetworkMetadataType.TITLE) == "a title"
    assert network.metadata(NetworkMetadataType.ELEMENT, "http://example.org/app") == '<app kind="x"/>'
    assert '<app:app xmlns:app="http://example.org/app" kind="x"/>' in network.xml()
    network.set_metadata(NetworkMetadataType.ELEMENT, None, None, "http://example.org/app")
    assert "app" not in network.xml()


def test_ports(connection):
    network = connection.define_network(SMALL)
    with pytest.raises(OperationInvalid, match="network 'small' is not active"):
        network.create_port(PORT)
    network.create()
    port = network.create_port(PORT)
    assert network.list_ports() == [port]
    assert network.lookup_port(UUID) == port
    assert "<mac address='52:54:00:00:00:01'/>" in port.xml()
    port.delete()
    with pytest.raises(NoNetworkPort):
        port.xml()
    assert network.list_ports() == []


def test_refusals(connection):
    with pytest.raises(InvalidArg):
        connection.lookup_network()
    with pytest.raises(VirtError, match="unsupported flags \\(0x100\\) in function testConnectListAllNetworks"):
        connection.list_networks(0x100)
    forward = "<forward mode='hostdev'><pf dev='eth0'/></forward>"
    bare = connection.define_network(f"<network><name>bare</name><uuid>{UUID}</uuid>{forward}</network>")
    with pytest.raises(InternalError, match="network 'bare' does not have a bridge name"):
        bare.bridge_name()
    with virtcore.connect("test:///default", readonly=True) as readonly:
        network = readonly.lookup_network(name="default")
        with pytest.raises(OperationDenied, match="read only access prevents virNetworkDestroy"):
            network.destroy()
        assert network.is_active()


def test_a_described_host_has_its_networks(tmp_path):
    path = tmp_path / "host.xml"
    path.write_text(f"<node>{SMALL}</node>")
    with virtcore.connect(f"test://{path}") as connection:
        [network] = connection.list_networks()
        assert (network.name, network.is_active()) == ("small", True)
