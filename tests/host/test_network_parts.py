"""Parts of the host's networks that need no host: admission, leases, ports, guaranteed rates, routes, Open vSwitch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from private_bus import private_bus
from virt_host.links import devices as links
from virt_host.network import lease_helper, resolved, routes
from virt_host.network.admission import admit_network
from virt_host.network.daemons import Dnsmasq
from virt_host.network.dnsmasq import DnsmasqFiles, dnsmasq_files
from virt_host.network.firewalls import NFTablesFirewall, choose_firewall
from virt_host.network.host_network import HostNetwork, format_status, load_status
from virt_host.network.leases import read_leases
from virt_host.network.modes import mode_of
from virt_host.network.ports import allocate, change_bandwidth, claim, merge_virtualports, release
from virt_host.network.settings import load
from virtcore.driver.hooks import hookimpl, manager
from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    InvalidArg,
    OperationInvalid,
    OperationUnsupported,
    SystemError,
    VirtError,
    XMLError,
)
from virtcore.model.network import (
    Bandwidth,
    BandwidthRate,
    Network,
    NetworkPort,
    VirtualPort,
    VirtualPortParameters,
    VirtualPortType,
    load_network,
    load_network_port,
)
from virtcore.runtime.launcher import launcher

UUID = "00000000-0000-4000-8000-000000000001"
BRIDGED = "<forward mode='bridge'/><bridge name='b'/>"
IP = "<ip address='10.0.0.1' prefix='24'>{}</ip>"


def document(content: str):
    return load_network(f"<network><name>n</name>{content}</network>")


def active(content: str) -> HostNetwork:
    network = HostNetwork("n", UUID)
    network.live = document(content)
    return network


def port(more: str = "", number: int = 1) -> NetworkPort:
    uuid = f"00000000-0000-4000-8000-00000000000{number}"
    return load_network_port(
        f"<networkport><uuid>{uuid}</uuid><owner><name>o</name><uuid>{uuid}</uuid></owner>"
        f"<mac address='52:54:00:00:00:0{number}'/>{more}</networkport>"
    )


def plug(network: HostNetwork, wanted: NetworkPort) -> NetworkPort:
    assert network.live is not None
    asyncio.run(allocate(network, wanted, mode_of(network.live)(None, None)))  # type: ignore[arg-type]
    network.ports[wanted.uuid] = wanted
    return wanted


# -- admission


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            f"{BRIDGED}<mac address='52:54:00:00:00:01'/>",
            "Unsupported <mac> element in network n with forw",
        ),
        (f"{BRIDGED}{IP}", "Unsupported <ip> element in network n with forward mode='bridge'"),
        (f"{BRIDGED}<dns><txt name='a' value='b'/></dns>", "Unsupported <dns> element in"),
        (f"{BRIDGED}<domain name='d'/>", "Unsupported <domain> element in"),
        (f"{BRIDGED}<bandwidth><inbound average='1'/></bandwidth>", "Unsupported network-wide <bandwidth> element in"),
        ("<forward mode='hostdev'><interface dev='e'/></forward>", "hostdev network 'n' lists 'e' in the device pool"),
        (
            "<forward mode='vepa'><address type='pci' domain='0' bus='1' slot='2' function='3'/></forward>",
            "network 'n' has forward mode 'vepa' but lists a device by PCI address",
        ),
        (
            "<forward mode='hostdev'><address type='pci' domain='0' bus='1' slot='2' function='3'/></forward>",
            "device '.*/0000:01:02.3' in network 'n' is not an SR-IOV Virtual Function",
        ),
        ("<vlan><tag id='4'/></vlan>", "<vlan> element specified for network n, whose type doesn't support vlan conf"),
        ("<portgroup name='a'/><portgroup name='a'/>", r"multiple <portgroup> elements with the same name \(a\)"),
        (
            "<portgroup name='a' default='yes'/><portgroup name='b' default='yes'/>",
            r"network 'n' has multiple default <portgroup> elements \(a and b\)",
        ),
        (
            f"{BRIDGED}<portgroup name='a'><bandwidth><inbound average='1'/></bandwidth></portgroup>",
            "Unsupported <bandwidth> element in network 'n' in portgroup 'a' with forward mode='bridge'",
        ),
        (
            IP.format("<dhcp><range start='10.0.0.2' end='10.0.0.3'/></dhcp>")
            + "<ip address='10.0.1.1' prefix='24'><dhcp><range start='10.0.1.2' end='10.0.1.3'/></dhcp></ip>",
            "Multiple IPv4 dhcp sections found",
        ),
    ],
)
def test_what_a_way_of_forwarding_has_not_got(content: str, message: str, tmp_path: Path):
    with pytest.raises(VirtError, match=message):
        admit_network(document(content), (), str(tmp_path))


def test_bridges_get_names_and_addresses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(links, "exists", lambda name: name == "virbr1")
    network = document("")
    admit_network(network, {"virbr0"})
    assert network.bridge is not None
    assert network.bridge.name == "virbr2"
    assert network.mac is not None
    assert network.mac.startswith("52:54:00:")
    network = document("<bridge name='my%dbr'/><mac address='02:00:00:00:00:01'/>")
    admit_network(network, {"my0br"})
    assert network.bridge is not None
    assert (network.bridge.name, network.mac) == ("my1br", "02:00:00:00:00:01")
    monkeypatch.setattr(links, "exists", lambda name: True)
    with pytest.raises(InternalError, match="Bridge generation exceeded max id 256"):
        admit_network(document(""), ())
    admit_network(document(f"{BRIDGED}<vlan><tag id='4'/></vlan>"), ())  # since libvirt 11.0


# -- leases


def run_helper(folder: Path, *words: str, **environment: str) -> str:
    """The helper as dnsmasq runs it."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", lease_helper.__file__, str(folder), *words],
        env={"VIR_BRIDGE_NAME": "b", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_leases_are_noted_and_told(tmp_path: Path):
    far = str(1 << 40)
    run_helper(tmp_path, "add", "52:54:00:00:00:01", "10.0.0.7", "seven", DNSMASQ_LEASE_EXPIRES=f"{far} ")
    v6 = {"DNSMASQ_IAID": "17", "DNSMASQ_MAC": "52:54:00:00:00:02", "DNSMASQ_SERVER_DUID": "00:01:05"}
    run_helper(tmp_path, "add", "00:04:09", "fd00::7", DNSMASQ_LEASE_EXPIRES="0", **v6)
    run_helper(tmp_path, "add", "52:54:00:00:00:03", "10.0.0.8", DNSMASQ_LEASE_EXPIRES="7")
    run_helper(tmp_path, "add", "52:54:00:00:00:04", "10.0.0.9", DNSMASQ_LEASE_EXPIRES=far)
    run_helper(tmp_path, "del", "52:54:00:00:00:04", "10.0.0.9")
    run_helper(tmp_path, "tftp", "100", "10.0.0.9", "/file")  # none of ours
    assert json.loads((tmp_path / "b.status").read_text()) == [
        {
            "ip-address": "10.0.0.7",
            "mac-address": "52:54:00:00:00:01",
            "hostname": "seven",
            "expiry-time": int(far),
        },
        {
            "iaid": "17",
            "ip-address": "fd00::7",
            "mac-address": "52:54:00:00:00:02",
            "client-id": "00:04:09",
            "server-duid": "00:01:05",
            "expiry-time": 0,
        },
    ]
    assert run_helper(tmp_path, "init").splitlines() == [
        f"{far} 52:54:00:00:00:01 10.0.0.7 seven *",
        "duid 00:01:05",
        "0 17 fd00::7 * 00:04:09",
    ]
    network = document("<bridge name='b'/>" + IP.format("") + "<ip family='ipv6' address='fd00::1' prefix='64'/>")
    first, second = read_leases(network, tmp_path / "b.status", None)
    assert (first.ip_addr, first.prefix, second.iaid, second.prefix) == ("10.0.0.7", 24, "17", 64)
    assert read_leases(network, tmp_path / "b.status", "52:54:00:00:00:02") == [second]
    assert read_leases(network, tmp_path / "none", None) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "invalid json in file: .*b.status"),
        ("{}", "Malformed lease_entries array"),
        ("[{}]", "found lease without ip-address"),
        ('[{"ip-address": "10.0.0.1"}]', "found lease without mac-address"),
        ('[{"ip-address": "10.0.0.1", "mac-address": "52:54:00:00:00:01"}]', "found lease without expiry-time"),
    ],
)
def test_damaged_files_of_leases(text: str, message: str, tmp_path: Path):
    (tmp_path / "b.status").write_text(text)
    with pytest.raises(InternalError, match=message):
        read_leases(document(""), tmp_path / "b.status", None)
    run_helper(tmp_path, "add", "52:54:00:00:00:01", "10.0.0.7")
    assert len(json.loads((tmp_path / "b.status").read_text())) == 1


# -- ports


def test_a_port_inherits_from_its_group_and_its_network():
    groups = (
        "<portgroup name='a' default='yes' trustGuestRxFilters='yes'><vlan><tag id='7'/></vlan></portgroup>"
        "<portgroup name='b'/>"
    )
    network = active(f"{BRIDGED}<port isolated='yes'/><vlan><tag id='9'/></vlan>{groups}")
    made = plug(network, port())
    assert made.vlan is not None
    assert made.port is not None
    assert ([tag.id for tag in made.vlan.tags], made.trust_guest_rx_filters, made.port.isolated) == ([7], True, True)
    other = plug(network, port("<group>b</group>", 2))
    assert other.vlan is not None
    assert ([tag.id for tag in other.vlan.tags], other.trust_guest_rx_filters) == ([9], None)
    assert network.live is not None
    assert network.live.connections == 2


def test_virtual_ports_are_one_of_three():
    ovs, profile = VirtualPort(type=VirtualPortType.OPENVSWITCH), VirtualPortParameters(profileid="p")
    merged = merge_virtualports(VirtualPort(parameters=profile), None, ovs)
    assert merged == VirtualPort(type=VirtualPortType.OPENVSWITCH, parameters=profile)
    assert merge_virtualports(None, VirtualPort(parameters=profile)) is None
    with pytest.raises(XMLError, match=r"mismatched types \(openvswitch and 802.1Qbh\)"):
        merge_virtualports(ovs, VirtualPort(type=VirtualPortType.QBH))
    with pytest.raises(XMLError, match=r"mismatched profileids \('p' and 'q'\)"):
        merge_virtualports(
            VirtualPort(type=VirtualPortType.OPENVSWITCH, parameters=profile),
            VirtualPort(parameters=VirtualPortParameters(profileid="q")),
        )
    network = active(f"{BRIDGED}<virtualport type='openvswitch'/>")
    made = plug(network, port())
    assert made.virtualport is not None
    assert made.virtualport.parameters is not None
    assert made.virtualport.parameters.interfaceid is not None
    with pytest.raises(ConfigUnsupported, match="<virtualport type='openvswitch'> not supported for network 'n'"):
        plug(active("<bridge name='b'/>"), port("<virtualport type='openvswitch'/>"))


def test_ports_that_are_in_use_are_only_claimed():
    network = active("<forward mode='passthrough'><interface dev='e0'/><interface dev='e1'/></forward>")
    assert network.live is not None
    mode = mode_of(network.live)(None, None)  # type: ignore[arg-type]
    with pytest.raises(InvalidArg, match="Port reclaim requested but plug type is none"):
        claim(network, port(), mode)
    with pytest.raises(InvalidArg, match="Port reclaim not requested but plug type is not none"):
        plug(network, port("<plug type='direct' dev='e0' mode='passthrough'/>"))
    used = port("<plug type='direct' dev='e1' mode='passthrough'/>")
    claim(network, used, mode)
    network.ports[used.uuid] = used
    with pytest.raises(InternalError, match="network 'n' claims dev='e1' is already in use by a different port"):
        claim(network, port("<plug type='direct' dev='e1' mode='passthrough'/>", 2), mode)
    with pytest.raises(InternalError, match="network 'n' doesn't have dev='e9' in use by network port"):
        claim(network, port("<plug type='direct' dev='e9' mode='passthrough'/>", 2), mode)
    again = HostNetwork("n", UUID)
    load_status(again, format_status(network))
    assert again.live is not None
    assert (again.live.connections, again.ports) == (1, network.ports)
    assert again.live.forward == network.live.forward


def test_functions_of_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    device = tmp_path / "net" / "card" / "device"
    device.mkdir(parents=True)
    for number in range(2):
        function = tmp_path / f"0000:05:10.{number}"
        (function / "net" / f"vf{number}").mkdir(parents=True)
        (device / f"virtfn{number}").symlink_to(function)
    (tmp_path / "0000:05:10.1" / "net" / "vf1").rmdir()  # a guest has it
    found = [("0000:05:10.0", "vf0"), ("0000:05:10.1", None)]
    assert links.virtual_functions("card", str(tmp_path / "net")) == found
    assert links.virtual_functions("none", str(tmp_path / "net")) == []
    monkeypatch.setattr(links, "virtual_functions", lambda card: found if card == "card" else [])
    hostdev = active("<forward mode='hostdev' managed='yes'><pf dev='card'/></forward>")
    assert hostdev.live is not None
    mode = mode_of(hostdev.live)(None, None)  # type: ignore[arg-type]
    asyncio.run(mode.start(hostdev))
    first, second = plug(hostdev, port()), plug(hostdev, port(number=2))
    assert [each.plug.address.function for each in (first, second)] == [0, 1]  # type: ignore[union-attr]
    with pytest.raises(InternalError, match="network 'n' requires exclusive access to interfaces, but none"):
        plug(hostdev, port(number=3))
    asyncio.run(release(hostdev, first, mode))
    del hostdev.ports[first.uuid]
    assert plug(hostdev, port(number=3)).plug == first.plug
    direct = active("<forward mode='bridge'><pf dev='card'/></forward>")
    assert direct.live is not None
    asyncio.run(mode_of(direct.live)(None, None).start(direct))  # type: ignore[arg-type]
    assert direct.live.forward is not None
    assert [one.dev for one in direct.live.forward.interfaces] == ["vf0"]
    none = active("<forward mode='vepa'><pf dev='nothing'/></forward>")
    assert none.live is not None
    with pytest.raises(InternalError, match="No usable Vf's present on SRIOV PF nothing"):
        asyncio.run(mode_of(none.live)(None, None).start(none))  # type: ignore[arg-type]


# -- changes of what works


class Recorded:
    """A firewall and a dnsmasq in one: notes what it is told, and starts no network that has a name."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def add(self, network: Network) -> list[list[str]]:
        self.told.append(f"rules for {len(network.ips)}")
        return [["nothing"]]

    async def remove(self, removal: list[list[str]]) -> None:
        self.told.append("no rules")

    def files(self, network: Network) -> DnsmasqFiles:
        return dnsmasq_files(network, "/f")

    async def start(self, network: Network) -> None:
        if network.dns is not None:
            raise InternalError("dnsmasq does not start")
        self.told.append("start")

    async def stop(self, name: str) -> None:
        self.told.append("stop")

    async def refresh(self, network: Network) -> None:
        self.told.append("refresh")


def test_a_change_that_fails_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")

    async def run() -> None:
        network = active(f"<bridge name='b'/>{IP.format('')}")
        network.removal = [["nothing"]]
        parts = Recorded()
        assert network.live is not None
        mode = mode_of(network.live)(parts, parts)  # type: ignore[arg-type]
        more = document(f"<bridge name='b'/>{IP.format('')}<ip address='10.0.1.1' prefix='24'/>")
        await mode.changed(network, more)
        assert parts.told == ["no rules", "rules for 2"]
        parts.told.clear()
        named = document(f"<bridge name='b'/><dns><txt name='a' value='b'/></dns>{IP.format('')}")
        with pytest.raises(InternalError, match="dnsmasq does not start"):
            await mode.changed(network, named)
        assert parts.told == ["stop", "no rules", "rules for 1", "refresh"], (
            "as it was: refreshing starts what has ended"
        )
        assert network.live.dns is None

    asyncio.run(run())


def test_refreshing_fails_as_starting_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    served = document(f"<bridge name='b'/>{IP.format('')}")
    dnsmasq = Dnsmasq(tmp_path / "dnsmasq", tmp_path / "run")
    with subprocess.Popen(["true"]) as process:
        pass  # its number is nobody's any more
    started: list[str] = []

    async def start(network: Network) -> None:
        started.append(network.name)

    monkeypatch.setattr(dnsmasq, "pid", lambda name: process.pid)
    monkeypatch.setattr(dnsmasq, "start", start)
    asyncio.run(dnsmasq.refresh(served))
    assert started == [served.name]
    hosts = Path(dnsmasq.files(served).hosts_path)
    hosts.unlink()
    hosts.mkdir()
    with pytest.raises(SystemError, match=r"cannot write config file '.*': Is a directory"):
        asyncio.run(dnsmasq.refresh(served))


# -- guaranteed rates


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a tc is told that does what it is told."""
    fake = tmp_path / "tc"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n[ ! -e {tmp_path}/refuse ] || [ "$2" = del ]\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "told").touch()
    return tmp_path / "told"


def floor(rate: int) -> str:
    return f"<bandwidth><inbound floor='{rate}'/></bandwidth>"


def test_rates_are_guaranteed(told: Path):
    async def run() -> None:
        network = active("<bridge name='b'/><bandwidth><inbound average='1000' peak='3000'/></bandwidth>")
        assert network.live is not None
        mode = mode_of(network.live)(None, None)  # type: ignore[arg-type]
        first, second = port(floor(500)), port(floor(2000), 2)
        for wanted in (first, second):
            await allocate(network, wanted, mode)
            network.ports[wanted.uuid] = wanted
        assert first.bandwidth is not None
        assert second.bandwidth is not None
        assert (first.bandwidth.class_id, second.bandwidth.class_id) == (3, 4)
        assert "<floor sum='2500'/>" in format_status(network)
        assert "<class_id bitmap='0-4'/>" in format_status(network)
        lines = told.read_text().splitlines()
        assert lines[:4] == [
            "class add dev b parent 1:1 classid 1:3 htb rate 500kbps ceil 3000kbps quantum 42",
            "qdisc add dev b parent 1:3 handle 3: sfq perturb 10",
            (
                "filter add dev b protocol ip prio 2 handle 800::3 u32 match u16 0x0800 0xffff at -2 "
                "match u32 0x00000001 0xffffffff at -12 match u16 0x5254 0xffff at -14 flowid 1:3"
            ),
            "class change dev b classid 1:2 htb rate 2500kbps ceil 3000kbps quantum 213",
        ]
        too_much = "Cannot plug '52:54:00:00:00:03' interface into 'b' because new combined inbound floor=3100 "
        with pytest.raises(OperationInvalid, match=too_much):
            await allocate(network, port(floor(600), 3), mode)
        await change_bandwidth(network, first, Bandwidth(inbound=BandwidthRate(floor=400)))
        assert "class change dev b classid 1:3 htb rate 400kbps" in told.read_text()
        await release(network, second, mode)
        del network.ports[second.uuid]
        assert told.read_text().splitlines()[-4:-1] == [
            "qdisc del dev b handle 4:",
            "filter del dev b prio 2 handle 800::4 u32",
            "class del dev b classid 1:4",
        ]
        (told.parent / "refuse").touch()
        before = format_status(network)
        with pytest.raises(InternalError, match=r"Child process \(tc class add"):
            await allocate(network, port(floor(600), 3), mode)
        assert format_status(network) == before
        launcher().close()

    asyncio.run(run())


def test_where_no_rate_can_be_guaranteed():
    with pytest.raises(OperationUnsupported, match="network 'n' has no inbound QoS set"):
        plug(active("<bridge name='b'/>"), port(floor(500)))
    with pytest.raises(OperationUnsupported, match="'floor' is only supported for interface type 'network'"):
        plug(active(BRIDGED), port(floor(500)))


# -- routes, firewalls, settings


def test_routes_that_the_host_would_lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(routes, "advertised_devices", lambda: ["eth0", "eth1"])
    for name, value in (("all", "1"), ("eth0", "2"), ("eth1", "1")):
        (tmp_path / "ipv6/conf" / name).mkdir(parents=True)
        (tmp_path / "ipv6/conf" / name / "accept_ra").write_text(f"{value}\n")
    with pytest.raises(InternalError, match=r"is likely to cause routes loss. Interfaces to look at: eth1$"):
        routes.enable_forwarding(ipv4=False, ipv6=True, sysctl=tmp_path)
    (tmp_path / "ipv6/conf/eth1/accept_ra").write_text("2\n")
    routes.enable_forwarding(ipv4=False, ipv6=True, sysctl=tmp_path)
    assert (tmp_path / "ipv6/conf/all/forwarding").read_text() == "1\n"


def test_routes_of_the_host(tmp_path: Path):
    table = tmp_path / "route"
    table.write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "nonsense\n"
    )
    with pytest.raises(InternalError, match="Network is already in use by interface eth0"):
        routes.check_collisions(document(IP.format("")), table)
    routes.check_collisions(document("<ip address='10.0.0.1' prefix='16'/>"), table)
    routes.check_collisions(document(IP.format("")), tmp_path / "none")


def test_a_name_of_a_device_is_no_more_than_that():
    network = document(f"<forward dev='e; flush ruleset'/><bridge name='b'/>{IP.format('')}")

    class Recording(NFTablesFirewall):
        async def _batch(self, lines: list[str]) -> str:
            raise AssertionError(lines)

    with pytest.raises(InternalError, match="'e; flush ruleset' is no name of a network device"):
        asyncio.run(Recording().apply(network))


def test_the_administrator_chooses_a_firewall(tmp_path: Path):
    path = tmp_path / "network.conf"
    assert load(path).firewall_backend is None
    path.write_text('firewall_backend = "pf"\n')
    with pytest.raises(ConfigUnsupported, match="firewall_backend: 'pf'"):
        choose_firewall(load(path).firewall_backend)

    class PF(NFTablesFirewall):
        name = "pf"
        programs = ()

    class Plugin:
        @hookimpl
        def virtcore_network_firewall(self, name: str) -> type[object] | None:
            return PF if name == "pf" else None

    plugin = Plugin()
    manager().register(plugin)
    try:
        assert type(choose_firewall("pf")) is PF
    finally:
        manager().unregister(plugin)


def test_who_knows_the_names_of_guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from jeepney import MessageType, message_bus, new_method_return  # type: ignore[import-untyped]
    from jeepney.io.blocking import open_dbus_connection  # type: ignore[import-untyped]

    monkeypatch.setattr(resolved, "index_of", lambda name: 7)
    network = document(f"<domain name='guests' localOnly='yes' register='yes'/>{IP.format('')}")
    assert resolved.wants_registration(network)
    assert not resolved.wants_registration(document(f"<domain name='guests'/>{IP.format('')}"))
    with private_bus(tmp_path) as (address, _):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        with pytest.raises(InternalError, match="failed to register name server: systemd-resolved is not available"):
            resolved.register_domain(network, "b")
        told: list[object] = []
        with contextlib.closing(open_dbus_connection(address)) as served:
            served.send_and_get_reply(message_bus.RequestName("org.freedesktop.resolve1"))

            def serve() -> None:
                while len(told) < 2:
                    message = served.receive()
                    if message.header.message_type is MessageType.method_call:
                        told.append((message.header.fields[3], message.body))
                        served.send(new_method_return(message))

            thread = threading.Thread(target=serve)
            thread.start()
            resolved.register_domain(network, "b")
            thread.join()
        assert told == [
            ("SetLinkDNS", (7, [(2, bytes([10, 0, 0, 1]))])),
            ("SetLinkDomains", (7, [("guests", True)])),
        ]
