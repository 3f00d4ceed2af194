"""Guests in networks of the host: a daemon, its networks and its guests in a network of their own."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import guest_image
import pytest

import virtcore
from namespaces import NetworkBox, network_box
from support import eventually
from virtcore.enums import DomainCreateFlags, DomainInterfaceAddressesSource, DomainState
from virtcore.errors import NoNetwork, OperationInvalid

PAUSED = DomainCreateFlags.START_PAUSED
MAC = "52:54:00:0a:0b:0c"


@pytest.fixture(scope="module")
def box(kernel: Path) -> Iterator[NetworkBox]:
    with network_box() as made:
        yield made


@pytest.fixture
def connection(box: NetworkBox) -> Iterator[virtcore.Connection]:
    with virtcore.connect(box.uri) as opened:
        yield opened
    with virtcore.connect(box.uri) as again:
        for domain in again.list_domains():
            domain.destroy()
        for network in again.list_networks():
            if network.is_active():
                network.destroy()


def network(connection: virtcore.Connection, number: int, more: str = "") -> virtcore.Network:
    return connection.create_network(f"<network><name>n{number}</name><bridge name='vcn{number}'/>{more}</network>")


def interface(name: str, mac: str = MAC, more: str = "") -> str:
    return (
        f"<interface type='network'><mac address='{mac}'/><source network='{name}'/>{more}<model type='virtio'/>"
        "</interface>"
    )


def interfaces(domain: virtcore.Domain) -> str:
    return domain.xml().partition("<interface")[2].rpartition("</interface>")[0]


def shown(domain: virtcore.Domain) -> str:
    """The interface of a running guest, without what differs each time."""
    return re.sub("portid='[^']*'", "portid='P'", interfaces(domain))


def target(domain: virtcore.Domain) -> str:
    return re.findall("<target dev='(vnet.*?)'", domain.xml())[0]


def master(box: NetworkBox, name: str) -> str:
    """The bridge that a device of the box is in."""
    found = re.search(r" master (\S+)", box.run("ip", "link", "show", name))
    return found[1] if found else ""


def test_what_a_guest_gets_of_its_network(box: NetworkBox, connection: virtcore.Connection):
    isolating = network(connection, 1, "<port isolated='yes'/>")
    domain = connection.create_domain(guest_image.idle_xml("one", interface("n1")), PAUSED)
    assert "<source network='n1' portid='P' bridge='vcn1'/>\n      <port isolated='yes'/>" in shown(domain)
    assert master(box, target(domain)) == "vcn1"
    assert "isolated on" in box.run("bridge", "-d", "link", "show", "dev", target(domain))
    assert "<network connections='1'>" in isolating.xml()
    [port] = isolating.list_ports()
    assert f"<name>one</name>\n    <uuid>{domain.uuid}</uuid>" in port.xml()
    [status] = (box.root / "system" / "run" / "qemu" / "status").glob("*.xml")
    kept = re.sub(r"\n\s*", "", status.read_text())
    assert "<actual type='network'><source bridge='vcn1'/><port isolated='yes'/></actual>" in kept
    assert f"<source network='n1' portid='{port.uuid}'/>" in kept
    with pytest.raises(OperationInvalid):
        connection.define_network(isolating.xml()).create()
    domain.destroy()
    assert isolating.list_ports() == []
    isolating.destroy()
    with pytest.raises(OperationInvalid, match="network 'n1' is not active"):
        connection.create_domain(guest_image.idle_xml("one", interface("n1")), PAUSED)
    isolating.undefine()
    with pytest.raises(NoNetwork, match="no network with matching name 'n1'"):
        connection.create_domain(guest_image.idle_xml("one", interface("n1")), PAUSED)


def test_bridges_and_devices_of_the_host(box: NetworkBox, connection: virtcore.Connection):
    box.run("ip", "link", "add", "hostbr", "type", "bridge")
    box.run("ip", "link", "add", "card0", "type", "veth", "peer", "name", "card1")
    connection.create_network("<network><name>host</name><forward mode='bridge'/><bridge name='hostbr'/></network>")
    connection.create_network("<network><name>cards</name><forward dev='card0' mode='private'/></network>")
    bridged = connection.create_domain(guest_image.idle_xml("bridged", interface("host")), PAUSED)
    assert shown(bridged).startswith(" type='bridge'>")
    assert "<source network='host' portid='P' bridge='hostbr'/>" in shown(bridged)
    direct = connection.create_domain(guest_image.idle_xml("direct", interface("cards")), PAUSED)
    assert shown(direct).startswith(" type='direct'>")
    assert "<source network='cards' portid='P' dev='card0' mode='private'/>" in shown(direct)
    assert "<interface dev='card0' connections='1'/>" in connection.lookup_network(name="cards").xml()
    direct.destroy()
    assert "connections" not in connection.lookup_network(name="cards").xml()


def test_interfaces_come_go_and_move(box: NetworkBox, connection: virtcore.Connection):
    first, second = network(connection, 1), network(connection, 2)
    domain = connection.create_domain(guest_image.idle_xml("one", interface("n1")), PAUSED)
    name = target(domain)
    domain.update_device(interface("n2"))
    assert master(box, name) == "vcn2"
    assert "<source network='n2' portid='P' bridge='vcn2'/>" in shown(domain)
    assert ([len(each.list_ports()) for each in (first, second)]) == [0, 1]
    with pytest.raises(NoNetwork):
        domain.update_device(interface("n3"))
    assert master(box, name) == "vcn2"
    assert ([len(each.list_ports()) for each in (first, second)]) == [0, 1]
    domain.update_device(interface("n2", more="<link state='down'/>"))
    assert "<link state='down'/>" in shown(domain)
    assert len(second.list_ports()) == 1
    domain.attach_device(interface("n1", mac="52:54:00:0a:0b:0d"))
    assert len(first.list_ports()) == 1


def test_guests_and_networks_go_on_without_their_daemon(box: NetworkBox, connection: virtcore.Connection):
    network(connection, 1)
    domain = connection.create_domain(guest_image.idle_xml("one", interface("n1")), PAUSED)
    name, before = target(domain), interfaces(domain)
    connection.close()
    box.end(signal.SIGKILL)
    box.start()
    with virtcore.connect(box.uri) as again:
        domain = again.lookup_domain(name="one")
        assert interfaces(domain) == before
        found = again.lookup_network(name="n1")
        assert f"portid='{found.list_ports()[0].uuid}'" in before
        again.define_network(found.xml())
        found.destroy()
        assert master(box, name) == ""
        found.create()
        assert found.list_ports() == []
    box.end(signal.SIGKILL)
    box.start()
    with virtcore.connect(box.uri) as again:
        eventually(lambda: master(box, name) == "vcn1")
        found = again.lookup_network(name="n1")
        eventually(lambda: len(found.list_ports()) == 1)
        again.lookup_domain(name="one").destroy()
        assert found.list_ports() == []
        found.undefine()


def test_a_guest_that_was_saved_is_in_its_network_again(box: NetworkBox, connection: virtcore.Connection):
    found = network(connection, 1)
    domain = connection.create_domain(guest_image.idle_xml("one", interface("n1")), PAUSED)
    image = str(box.root / "saved")
    domain.save(image)
    assert found.list_ports() == []
    assert "<source network='n1'/>" in connection.save_image_xml(image)
    connection.restore(image)
    assert len(found.list_ports()) == 1
    assert master(box, target(connection.lookup_domain(name="one"))) == "vcn1"


def test_a_guest_asks_for_its_address(box: NetworkBox, connection: virtcore.Connection, kernel: Path):
    initrd = box.root / "initrd"
    script = (
        "/bin/busybox ip link set eth0 up; "
        "/bin/busybox udhcpc -i eth0 -t 30 -T 1 -n -q -f -x hostname:vcguest -s /bin/true"
    )
    guest_image.write_initramfs(initrd, kernel, ["virtio_pci", "virtio_net"], script=script)
    served = network(
        connection,
        5,
        "<forward mode='route'/><ip address='10.98.5.1' prefix='24'><dhcp>"
        "<range start='10.98.5.2' end='10.98.5.9'/></dhcp></ip>",
    )
    domain = connection.create_domain(guest_image.guest_xml("asking", kernel, initrd, devices=interface("n5")))
    source = DomainInterfaceAddressesSource.LEASE
    eventually(lambda: domain.interface_addresses(source))
    [found] = domain.interface_addresses(source)
    [lease] = served.dhcp_leases(MAC)
    assert (found.name, found.hwaddr, [one.addr for one in found.addrs]) == (target(domain), MAC, [lease.ip_addr])
    assert lease.hostname == "vcguest"
    assert domain.state().state == DomainState.RUNNING


_MIGRATION = """
import re, sys
import virtcore
from virtcore.enums import DomainMigrateFlags
here, there = (virtcore.connect(f"qemu:///embed?root={root}") for root in sys.argv[2:])
networks = [
    connection.create_network(f"<network><name>n</name><bridge name='{name}'/></network>")
    for connection, name in ((here, "vchere"), (there, "vcthere"))
]
def shown(domain):
    return [len(one.list_ports()) for one in networks], re.findall("bridge='(.*?)'", domain.xml())
domain = here.create_domain(sys.argv[1])
print(*shown(domain))
domain = domain.migrate(there, flags=DomainMigrateFlags.LIVE)
print(*shown(domain))
domain.destroy()
for one in networks:
    one.destroy()
"""


def test_a_guest_that_moves_is_in_the_network_of_its_new_host(box: NetworkBox):
    roots = [box.root / name for name in ("here", "there")]
    for root in roots:
        root.mkdir()
    xml = guest_image.idle_xml("moving", interface("n"))
    told = box.run(sys.executable, "-c", _MIGRATION, xml, *map(str, roots)).splitlines()
    assert told == ["[1, 0] ['vchere']", "[0, 1] ['vcthere']"]
