"""Networks of this host for real: bridges, dnsmasq, firewalls, leases, in a network of their own."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import virtcore
from namespaces import NetworkBox, network_box
from support import eventually
from virtcore.enums import NetworkUpdateCommand, NetworkUpdateFlags, NetworkUpdateSection
from virtcore.errors import HookScriptFailed, InternalError, NetworkPortExist, NoNetwork, OperationInvalid

MAC = "52:54:00:00:00:07"
SERVED = """
<network><name>served</name>{more}<bridge name='vcbr{number}' delay='0' stp='off'/>
<ip address='10.99.{number}.1' netmask='255.255.255.0'>
<dhcp><range start='10.99.{number}.100' end='10.99.{number}.200'/></dhcp></ip></network>
"""
LIVE = NetworkUpdateFlags.LIVE


@pytest.fixture(scope="module")
def box() -> Iterator[NetworkBox]:
    with network_box() as made:
        yield made


@pytest.fixture
def connection(box: NetworkBox) -> Iterator[virtcore.Connection]:
    with virtcore.connect(box.uri) as opened:
        yield opened
    clear(box)


def clear(box: NetworkBox) -> None:
    """Remove the networks that a test has left."""
    with virtcore.connect(box.uri) as connection:
        for network in connection.list_networks():
            persistent = network.is_persistent()
            if network.is_active():
                network.destroy()
            if persistent:
                network.undefine()


def rules(box: NetworkBox) -> str:
    return box.run("iptables-save") + box.run("nft", "list", "ruleset")


def processes(box: NetworkBox) -> set[str]:
    """The dnsmasqs of the box."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(f"--conf-file={box.root}".encode()) for word in words):
            found.add(path.parent.name)
    return found


def files(box: NetworkBox) -> set[str]:
    """What there is of single networks, beside locks."""
    system = box.root / "system"
    folders = (system / "lib" / "dnsmasq", system / "run" / "network", system / "etc" / "network")
    return {
        str(path.relative_to(system))
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("lock", "autostarted", "lease-helper", ".lease-helper.lock")
    }


def test_a_network_goes_on_without_its_daemon(box: NetworkBox, connection: virtcore.Connection):
    before = box.links(), files(box)
    network = connection.define_network(SERVED.format(number=1, more=""))
    text = network.xml()
    assert re.search(r"<mac address='52:54:00:[0-9a-f:]{8}'/>", text), "one is chosen"
    network.set_autostart(True)
    network.create()
    live = network.xml()
    assert live == text
    assert "vcbr1" in box.links()
    assert "inet 10.99.1.1/24 brd 10.99.1.255 scope global vcbr1" in box.run("ip", "addr", "show", "vcbr1")
    running = processes(box)
    assert running
    connection.close()
    box.end(signal.SIGKILL)
    box.start()
    with virtcore.connect(box.uri) as again:
        network = again.lookup_network(name="served")
        assert network.is_active()
        assert network.autostart()
        assert network.xml() == live
        assert processes(box) == running
        network.update(
            NetworkUpdateCommand.ADD_LAST, NetworkUpdateSection.IP_DHCP_HOST, -1, f"<host mac='{MAC}' ip='10.99.1.7'/>"
        )
        hosts = box.root / "system" / "lib" / "dnsmasq" / "served.hostsfile"
        assert hosts.read_text() == f"{MAC},10.99.1.7\n"
        assert processes(box) == running, "it reads them again"
        assert "10.99.1.7" not in network.xml(virtcore.enums.NetworkXMLFlags.INACTIVE)
        network.update(
            NetworkUpdateCommand.ADD_LAST, NetworkUpdateSection.DNS_TXT, -1, "<txt name='a' value='b'/>", LIVE
        )
        assert processes(box).isdisjoint(running), "its configuration it reads once"
        network.destroy()
        assert not processes(box)
        network.undefine()
    assert (box.links(), files(box)) == before


def test_what_starts_with_the_host(box: NetworkBox, connection: virtcore.Connection):
    connection.define_network(SERVED.format(number=1, more="")).set_autostart(True)
    connection.close()
    box.end()
    (box.root / "system" / "run" / "network" / "autostarted").unlink()  # the host was down
    box.start()
    eventually(lambda: "vcbr1" in box.links())
    with virtcore.connect(box.uri) as again:
        eventually(lambda: again.lookup_network(name="served").is_active())


@pytest.fixture
def busybox() -> str:
    path = shutil.which("busybox")
    if (
        path is None
        or "udhcpc" not in subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout
    ):
        pytest.skip("no busybox with udhcpc is installed")
    return path


@pytest.mark.parametrize("firewall", ["iptables", "nftables"])
def test_a_guest_gets_an_address(firewall: str, busybox: str):
    with network_box(firewall) as box, virtcore.connect(box.uri) as connection:
        host = f"<host mac='{MAC}' name='seven' ip='10.99.2.7'/></dhcp>"
        network = connection.create_network(SERVED.format(number=2, more="<forward/>").replace("</dhcp>", host))
        assert "<port start='1024' end='65535'/>" in network.xml(), "it tells on which ports guests appear"
        assert ("10.99.2.0/24" in box.run("iptables-save")) == (firewall == "iptables")
        assert ("10.99.2.0/24" in box.run("nft", "list", "table", "ip", "libvirt_network", check=False)) == (
            firewall == "nftables"
        )
        box.run("ip", "link", "add", "guest0", "address", MAC, "type", "veth", "peer", "name", "port0")
        box.run("ip", "link", "set", "port0", "master", "vcbr2", "up")
        box.run("ip", "link", "set", "guest0", "up")
        box.run(busybox, "udhcpc", "-i", "guest0", "-n", "-q", "-f", "-t", "20", "-T", "1", "-s", "/bin/true")
        eventually(lambda: network.dhcp_leases())
        [lease] = network.dhcp_leases()
        assert (lease.iface, lease.mac, lease.ip_addr, lease.prefix) == ("vcbr2", MAC, "10.99.2.7", 24)
        assert lease.hostname == "seven"
        assert lease.expiry_time > time.time()
        assert network.dhcp_leases(MAC.upper()) == [lease]
        assert network.dhcp_leases("52:54:00:00:00:08") == []
        [entry] = json.loads((box.root / "system" / "lib" / "dnsmasq" / "vcbr2.status").read_text())
        assert list(entry) == ["ip-address", "mac-address", "hostname", "client-id", "expiry-time"]
        # What the firewall has lost comes back with a daemon that starts.
        box.run("iptables", "-t", "nat", "-F")
        box.run("nft", "flush", "ruleset")
        box.end(signal.SIGKILL)
        box.start()
        with virtcore.connect(box.uri) as again:
            network = again.lookup_network(name="served")
            assert network.dhcp_leases() == [lease]
            assert "10.99.2.0/24" in rules(box)
            network.destroy()
            assert "10.99.2.0/24" not in rules(box)


def test_a_start_that_fails_half_way_leaves_nothing(box: NetworkBox, connection: virtcore.Connection):
    connection.create_network(SERVED.format(number=3, more="<forward mode='route'/>")).destroy()  # there are our chains
    before = box.links(), rules(box).replace("\n", " ").split("*"), processes(box), files(box)
    refused = SERVED.format(number=3, more="<forward/>").replace(
        "<network>", "<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>"
    )
    options = "<dnsmasq:options><dnsmasq:option value='no-such-thing=1'/></dnsmasq:options></network>"
    with pytest.raises(InternalError, match=r"Child process \(VIR_BRIDGE_NAME=vcbr3 .*dnsmasq.* exit status 1: \ndnsm"):
        connection.create_network(refused.replace("</network>", options))
    assert connection.list_networks() == []
    assert (box.links(), processes(box)) == (before[0], before[2])
    assert "vcbr3" not in rules(box)
    box.run("ip", "link", "add", "vcbr3", "type", "bridge")
    with pytest.raises(virtcore.errors.SystemError, match="error creating bridge interface vcbr3: File exists"):
        connection.create_network(SERVED.format(number=3, more=""))
    box.run("ip", "link", "del", "vcbr3")


def test_what_the_host_has_already(box: NetworkBox, connection: virtcore.Connection):
    box.run("ip", "link", "add", "taken0", "type", "veth", "peer", "name", "taken1")
    box.run("ip", "addr", "add", "10.99.4.9/24", "dev", "taken0")
    box.run("ip", "link", "set", "taken0", "up")
    with pytest.raises(InternalError, match="Network is already in use by interface taken0"):
        connection.create_network(SERVED.format(number=4, more=""))
    route = "<route address='10.99.4.0' prefix='24' gateway='10.99.5.2'/></network>"
    with pytest.raises(InternalError, match=r"Route address '10\.99\.4\.0' conflicts with IP address for 'taken0'"):
        connection.create_network(SERVED.format(number=5, more="").replace("</network>", route))
    box.run("ip", "link", "del", "taken0")
    first = connection.define_network("<network><name>first</name></network>")
    second = connection.define_network("<network><name>second</name></network>")
    assert (first.bridge_name(), second.bridge_name()) == ("virbr0", "virbr1")
    with pytest.raises(InternalError, match="bridge name 'virbr0' already in use"):
        connection.define_network("<network><name>third</name><bridge name='virbr0'/></network>")


def test_scripts_are_told_and_may_refuse(box: NetworkBox, connection: virtcore.Connection, tmp_path: Path):
    hooks = box.root / "system" / "etc" / "hooks"
    hooks.mkdir(exist_ok=True)
    told = box.root / "told"
    script = hooks / "network"
    script.write_text(f'#!/bin/sh\necho "$@" >> {told}\ncat > {told}.$2\n[ "$2" != "$(cat {told}.refuse)" ]\n')
    script.chmod(0o755)
    (box.root / "told.refuse").write_text("")
    try:
        network = connection.create_network(SERVED.format(number=6, more=""))
        port = network.create_port(port_xml("00000000-0000-4000-8000-000000000001"))
        port.delete()
        network.update(
            NetworkUpdateCommand.ADD_LAST, NetworkUpdateSection.DNS_HOST, -1, "<host ip='10.99.6.8'><hostname>x"
            "</hostname></host>"
        )  # fmt: skip
        network.destroy()
        steps = ["start begin", "started begin", "port-created begin", "port-deleted begin", "updated begin"]
        assert told.read_text().splitlines() == [f"served {step} -" for step in [*steps, "stopped end"]]
        document = Path(f"{told}.port-created").read_text()
        assert document.startswith("<hookData>\n  <network connections='1'>\n    <name>served</name>\n")
        assert document.endswith("  </networkport>\n</hookData>")
        for step in ("start", "started"):
            (box.root / "told.refuse").write_text(step)
            with pytest.raises(HookScriptFailed):
                connection.create_network(SERVED.format(number=6, more=""))
            assert "vcbr6" not in box.links()
    finally:
        script.unlink()


def port_xml(uuid: str, more: str = "") -> str:
    return (
        f"<networkport><uuid>{uuid}</uuid><owner><name>o</name><uuid>{uuid}</uuid></owner>"
        f"<mac address='{MAC}'/>{more}</networkport>"
    )


def test_devices_are_shared_or_not(box: NetworkBox, connection: virtcore.Connection):
    pool = "<forward mode='{}'><interface dev='pool0'/><interface dev='pool1'/></forward>"
    uuids = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(4)]
    shared = connection.create_network(f"<network><name>shared</name>{pool.format('vepa')}</network>")
    for uuid, device in zip(uuids, ("pool0", "pool1", "pool0", "pool1"), strict=True):
        assert f"<plug type='direct' dev='{device}' mode='vepa'/>" in shared.create_port(port_xml(uuid)).xml()
    assert "<interface dev='pool1' connections='2'/>" in shared.xml()
    with pytest.raises(NetworkPortExist):
        shared.create_port(port_xml(uuids[0]))
    alone = connection.create_network(f"<network><name>alone</name>{pool.format('passthrough')}</network>")
    for uuid in uuids[:2]:
        alone.create_port(port_xml(uuid))
    with pytest.raises(InternalError, match="network 'alone' requires exclusive access to interfaces, but none are av"):
        alone.create_port(port_xml(uuids[2]))
    connection.close()
    box.end(signal.SIGKILL)
    box.start()
    with virtcore.connect(box.uri) as again:
        alone = again.lookup_network(name="alone")
        assert len(alone.list_ports()) == 2
        alone.lookup_port(uuids[0]).delete()
        assert "<plug type='direct' dev='pool0' mode='passthrough'/>" in alone.create_port(port_xml(uuids[3])).xml()


def test_transient_networks(box: NetworkBox, connection: virtcore.Connection):
    network = connection.create_network(SERVED.format(number=8, more=""))
    with pytest.raises(OperationInvalid, match="can't undefine transient network"):
        network.undefine()
    with pytest.raises(OperationInvalid, match="cannot set autostart for transient network"):
        network.set_autostart(True)
    persistent = connection.define_network(network.xml())
    persistent.destroy()
    with pytest.raises(OperationInvalid, match="network 'served' is not active"):
        persistent.list_ports()
    persistent.undefine()
    with pytest.raises(NoNetwork):
        persistent.xml()
    assert not [name for name in files(box) if "served" in name]
