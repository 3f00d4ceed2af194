"""Network interfaces of guests: taps, bridges, macvtaps, virtual networks, passt."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from guest_image import guest_xml

import virtcore
from support import eventually
from virt_host.links import devices as links, taps
from virtcore.driver import loader
from virtcore.driver.service import ServiceDriver
from virtcore.enums import DomainCreateFlags
from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    NoConnect,
    NoNetwork,
    OperationInvalid,
    SystemError,
    VirtError,
)
from virtcore.operations.declare import inline
from virtcore.operations.network import NetworkService
from virtcore.types import NetworkPortRef, NetworkRef

PAUSED = DomainCreateFlags.START_PAUSED
MAC = "52:54:00:12:34:56"
OWN = f"own{os.getpid()}"[:15]
"""A name for a device that nobody else on this machine has."""

administrator = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="needs root and /dev/net/tun"
)


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def bridge() -> Iterator[str]:
    """A bridge of our own."""
    name = f"vc{os.getpid()}"[:12]
    run("ip", "link", "add", name, "type", "bridge")
    run("ip", "link", "set", name, "mtu", "1400", "up")
    yield name
    run("ip", "link", "del", name)


@pytest.fixture
def lower() -> Iterator[str]:
    """A network card of our own: one end of a pair."""
    name = f"ve{os.getpid()}"[:12]
    run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    yield name
    run("ip", "link", "del", name)


def interface(kind: str, rest: str = "") -> str:
    return f"<interface type='{kind}'><mac address='{MAC}'/>{rest}<model type='virtio'/></interface>"


def start(connection: virtcore.Connection, boot: tuple[Path, Path], device: str) -> virtcore.Domain:
    return connection.create_domain(guest_xml("net", *boot, devices=device), PAUSED)


def target(domain: virtcore.Domain) -> str:
    return domain.xml().partition("<target dev='")[2].partition("'")[0]


@administrator
def test_a_port_of_a_bridge(connection, boot, bridge):
    domain = start(connection, boot, interface("bridge", f"<source bridge='{bridge}'/><port isolated='yes'/>"))
    name = target(domain)
    assert name.startswith("vnet")
    assert links.bridge_of(name) == bridge
    assert links.mtu_of(name) == 1400, "as the bridge's"
    assert Path(f"/sys/class/net/{name}/address").read_text().strip() == "fe:54:00:12:34:56"
    assert Path(f"/sys/class/net/{name}/brport/isolated").read_text().strip() == "1"
    assert int(Path(f"/sys/class/net/{name}/flags").read_text(), 16) & 1, "it is up"
    domain.destroy()
    eventually(lambda: not links.exists(name))


@administrator
def test_queues_and_a_name_of_ones_own(connection, boot, root):
    device = interface("ethernet", f"<target dev='{OWN}'/><mtu size='1300'/>").replace(
        "<model type='virtio'/>", "<model type='virtio'/><driver queues='2'/>"
    )
    domain = start(connection, boot, device)
    assert target(domain) == OWN
    assert links.mtu_of(OWN) == 1300
    assert re.search(r'"type":"tap","fds":"\d+:\d+"', (root / "log" / "qemu" / "net.log").read_text())
    with pytest.raises(OperationInvalid, match=f"The {OWN} interface already exists"):
        connection.create_domain(guest_xml("other", *boot, devices=device), PAUSED)
    domain.destroy()


@administrator
def test_taps_that_somebody_else_keeps(connection, boot):
    device = interface("ethernet", "<target dev='tapkept' managed='no'/>")
    with pytest.raises(ConfigUnsupported, match="target managed='no' but specified dev doesn't exist"):
        start(connection, boot, device)
    run("ip", "tuntap", "add", "tapkept", "mode", "tap", "vnet_hdr")
    try:
        domain = start(connection, boot, device)
        domain.destroy()
        assert links.exists("tapkept"), "it is not ours to remove"
    finally:
        run("ip", "link", "del", "tapkept")


@administrator
def test_scripts(connection, boot, tmp_path):
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/told\n")
    script.chmod(0o755)
    domain = start(connection, boot, interface("ethernet", f"<script path='{script}'/><downscript path='{script}'/>"))
    name = target(domain)
    domain.destroy()
    assert (tmp_path / "told").read_text().split() == [name, name]
    script.write_text("#!/bin/sh\necho no >&2; exit 3\n")
    with pytest.raises(InternalError, match=r"unexpected exit status 3: no"):
        start(connection, boot, interface("ethernet", f"<script path='{script}'/>"))


@administrator
@pytest.mark.parametrize("mode", ["bridge", "private", "passthrough"])
def test_macvtap(connection, boot, lower, mode):
    domain = start(connection, boot, interface("direct", f"<source dev='{lower}' mode='{mode}'/>"))
    name = target(domain)
    assert name.startswith("macvtap")
    assert links.is_macvtap(name)
    assert Path(f"/sys/class/net/{name}/address").read_text().strip() == MAC
    domain.destroy()
    assert not links.exists(name)


@administrator
def test_a_macvtap_of_somebody_else_stays(connection, boot, lower):
    run("ip", "link", "add", "link", lower, "name", OWN, "type", "macvtap", "mode", "bridge")
    device = interface("direct", f"<source dev='{lower}' mode='bridge'/><target dev='{OWN}'/>")
    with pytest.raises(SystemError, match="File exists"):
        start(connection, boot, device)
    assert links.is_macvtap(OWN)
    run("ip", "link", "del", OWN)
    domain = start(connection, boot, device)
    assert target(domain) == OWN
    domain.destroy()
    assert not links.exists(OWN)


def made_of(lower: str, bridge: str) -> set[str]:
    """Interfaces that hang on these two, and taps that this process holds; the machine may have others'."""
    net = Path("/sys/class/net")
    index = (net / lower / "ifindex").read_text()
    above = {path.parent.name for path in net.glob("*/iflink") if path.parent.name != lower and read(path) == index}
    held = (re.search(r"(?m)^iff:\s*(\S+)", read(info)) for info in Path("/proc/self/fdinfo").iterdir())
    return above | set(os.listdir(net / bridge / "brif")) | {match[1] for match in held if match}


def read(path: Path) -> str:
    """What a file says; nothing when it has gone meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""


@administrator
def test_what_a_failed_start_made_is_gone(connection, boot, lower, bridge):
    before = made_of(lower, bridge)
    two = interface("direct", f"<source dev='{lower}' mode='bridge'/>") + interface(
        "bridge", "<source bridge='none0'/>"
    )
    with pytest.raises(SystemError, match="Cannot get interface MTU on 'none0': No such device"):
        start(connection, boot, two)
    assert made_of(lower, bridge) == before
    with pytest.raises(InternalError, match="reserved value 0xFE"):
        start(connection, boot, interface("bridge", f"<source bridge='{bridge}'/>").replace(MAC, "fe:54:00:12:34:56"))
    asked = interface("bridge", f"<source bridge='{bridge}'/><backend vhost='/dev/none'/><driver name='vhost'/>")
    with pytest.raises(ConfigUnsupported, match="vhost-net was requested"):
        start(connection, boot, asked)
    assert made_of(lower, bridge) == before


@administrator
def test_throughput_is_limited(connection, boot, bridge, tmp_path, monkeypatch):
    fake = tmp_path / "tc"  # the kernel here may not have what limits
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n[ "$4 $5" != "add badnet" ]\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    limits = "<bandwidth><inbound average='200'/><outbound average='100' burst='64'/></bandwidth>"
    domain = start(connection, boot, interface("bridge", f"<source bridge='{bridge}'/>{limits}"))
    told = (tmp_path / "told").read_text()
    assert f"class add dev {target(domain)} parent 1: classid 1:1 htb rate 200kbps" in told, "what it receives"
    assert "police rate 100kbps burst 64kb" in told
    domain.destroy()
    fake.write_text("#!/bin/sh\necho no such luck >&2\n[ $2 != add ]\n")
    with pytest.raises(InternalError, match="unexpected exit status 1: no such luck"):
        start(connection, boot, interface("bridge", f"<source bridge='{bridge}'/>{limits}"))


@administrator
def test_a_running_guest_changes_its_bridge(connection, boot, bridge):
    other = f"{bridge}b"[:15]
    run("ip", "link", "add", other, "type", "bridge")
    try:
        domain = start(connection, boot, interface("bridge", f"<source bridge='{bridge}'/>"))
        name = target(domain)
        domain.update_device(interface("bridge", f"<source bridge='{other}'/><port isolated='yes'/>"))
        assert links.bridge_of(name) == other
        assert Path(f"/sys/class/net/{name}/brport/isolated").read_text().strip() == "1"
        assert f"<source bridge='{other}'/>" in domain.xml()
        with pytest.raises(VirtError, match="bridge none2 doesn't exist"):
            domain.update_device(interface("bridge", "<source bridge='none2'/>"))
        assert links.bridge_of(name) == other, "it stays where it was"
        assert f"<source bridge='{other}'/>" in domain.xml()
        domain.destroy()
    finally:
        run("ip", "link", "del", other)


@administrator
def test_frames_that_wait_for_one_interrupt(connection, boot, bridge):
    rest = f"<source bridge='{bridge}'/><coalesce><rx><frames max='7'/></rx></coalesce>"
    domain = start(connection, boot, interface("bridge", rest))
    shown = coalesced(target(domain))
    assert shown == 7
    domain.destroy()


@administrator
def test_kinds_of_ports_that_no_bridge_has(connection, boot, bridge):
    port = "<virtualport type='802.1Qbh'><parameters profileid='p'/></virtualport>"
    with pytest.raises(ConfigUnsupported, match=r"a virtual port of type '802\.1Qbh'"):
        start(connection, boot, interface("bridge", f"<source bridge='{bridge}'/>{port}"))


@administrator
def test_a_port_of_open_vswitch(connection, boot, bridge, tmp_path, monkeypatch):
    fake = tmp_path / "ovs-vsctl"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    rest = (
        f"<source bridge='{bridge}'/><virtualport type='openvswitch'><parameters profileid='gold'/></virtualport>"
        "<vlan trunk='yes'><tag id='42' nativeMode='untagged'/><tag id='47'/></vlan>"
    )
    domain = start(connection, boot, interface("bridge", rest))
    name = target(domain)
    [identifier] = re.findall("interfaceid='(.*?)'", domain.xml())
    told = (tmp_path / "told").read_text().splitlines()
    assert told[0].split(" -- ") == [
        "--timeout=5",
        f"--if-exists del-port {name}",
        f"add-port {bridge} {name} vlan_mode=native-untagged tag=42 trunk=42,47",
        f'set Interface {name} external-ids:attached-mac="{MAC}"',
        f'set Interface {name} external-ids:iface-id="{identifier}"',
        f'set Interface {name} external-ids:vm-id="{domain.uuid}"',
        f'set Interface {name} external-ids:port-profile="gold"',
        f"set Interface {name} external-ids:iface-status=active",
    ]
    other = rest.replace("<tag id='47'/>", "<tag id='48'/>")
    domain.update_device(interface("bridge", other.replace("'gold'", f"'gold' interfaceid='{identifier}'")))
    assert (
        (tmp_path / "told")
        .read_text()
        .splitlines()[-1]
        .endswith(f"set Port {name} vlan_mode=native-untagged tag=42 trunk=42,48")
    )
    assert "<tag id='48'/>" in domain.xml()
    domain.destroy()
    assert (tmp_path / "told").read_text().splitlines()[-1] == f"--timeout=5 -- --if-exists del-port {name}"
    fake.write_text("#!/bin/sh\necho no such bridge >&2; exit 1\n")
    with pytest.raises(InternalError, match=rf"Unable to add port \S+ to OVS bridge {bridge}: no such bridge"):
        start(connection, boot, interface("bridge", rest))


def coalesced(name: str) -> int:
    """How many received frames of a device wait for one interrupt, asked as ethtool asks."""
    buffer = ctypes.create_string_buffer(struct.pack("=23I", 0x0E, *([0] * 22)))
    request = struct.pack("=16sQ", name.encode(), ctypes.addressof(buffer)).ljust(40, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, 0x8946, request)
    return struct.unpack("=23I", buffer.raw[:92])[2]


def test_the_host_needs_a_service_of_networks(connection, boot):
    with pytest.raises((NoConnect, NoNetwork)):
        start(connection, boot, interface("network", "<source network='default'/>"))


class FakeNetworks(ServiceDriver, NetworkService):
    """One network on a bridge."""

    name = "network"
    bridge = "none"
    ports: dict[str, str]

    async def open(self) -> None:
        type(self).ports = self.ports = {}

    @inline
    def connection_lookup_network(self, name: str | None = None, uuid: str | None = None) -> NetworkRef:
        if name != "default":
            raise NoNetwork(f"no network with matching name '{name}'")
        return NetworkRef("default", "11111111-1111-1111-1111-111111111111")

    def network_create_port(self, network: NetworkRef, xml: str, flags: int = 0) -> NetworkPortRef:
        plug = f"<plug type='network' bridge='{self.bridge}'/>"
        uuid = xml.partition("<uuid>")[2].partition("<")[0]
        self.ports[uuid] = xml.replace("</networkport>", f"{plug}</networkport>")
        return NetworkPortRef(network, uuid)

    async def network_lookup_port(self, network: NetworkRef, uuid: str) -> NetworkPortRef:
        return NetworkPortRef(network, uuid)

    async def network_port_xml(self, port: NetworkPortRef, flags: int = 0) -> str:
        return self.ports[port.uuid]

    async def network_port_delete(self, port: NetworkPortRef, flags: int = 0) -> None:
        del self.ports[port.uuid]


@administrator
def test_a_virtual_network_gives_a_port(connection, boot, bridge, monkeypatch):
    monkeypatch.setitem(loader._registered_services, "network", FakeNetworks)
    monkeypatch.setattr(FakeNetworks, "bridge", bridge)
    domain = start(connection, boot, interface("network", "<source network='default'/>"))
    [uuid] = FakeNetworks.ports
    assert "<owner>" in FakeNetworks.ports[uuid]
    assert f"<source network='default' portid='{uuid}' bridge='{bridge}'/>" in domain.xml()
    assert links.bridge_of(target(domain)) == bridge
    domain.destroy()
    assert FakeNetworks.ports == {}
    monkeypatch.setattr(FakeNetworks, "bridge", "none1")
    with pytest.raises(VirtError, match="none1"):
        start(connection, boot, interface("network", "<source network='default'/>"))
    assert FakeNetworks.ports == {}, "a failed start gives it back"


@administrator
def test_names_are_not_used_again_at_once():
    first, fds = taps.open_tap(None)
    os.close(fds[0])
    second, fds = taps.open_tap(None)
    os.close(fds[0])
    assert first != second


def test_passt(connection, boot, root):
    from shutil import which

    if which("passt") is None:
        pytest.skip("passt is not installed")
    device = interface(
        "user", "<backend type='passt'/><portForward proto='tcp'><range start='22' to='2222'/></portForward>"
    )
    domain = start(connection, boot, device.replace("start='22' to='2222'", "start='42022' to='22'"))
    sockets = list((root / "run" / "qemu" / "passt").glob("*.socket"))
    assert len(sockets) == 1
    [pid_file] = (root / "run" / "qemu").glob("domain-*/net0-passt.pid")
    pid = int(pid_file.read_text().split()[0])
    assert b"--one-off" in Path(f"/proc/{pid}/cmdline").read_bytes()
    domain.destroy()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert not sockets[0].exists()


_SLIRP = """#!/bin/sh
if [ "$1" = --print-capabilities ]; then
    echo '{"type": "slirp-helper", "features": ["ipv4", "exit-with-parent"]}'
    exit
fi
echo "$@"
exec sleep 1000 <&3
"""


def test_a_network_in_a_process_of_its_own(root, boot, tmp_path):
    """A program that says what slirp-helper does."""
    program = tmp_path / "slirp"
    program.write_text(_SLIRP)
    program.chmod(0o755)
    (root / "etc").mkdir()
    (root / "etc" / "qemu.conf").write_text(f'slirp_helper = "{program}"\n')
    four, six = (f"<ip address='{address}' family='{family}'/>" for address, family in
                 (("10.2.3.0", "ipv4"), ("fec0::", "ipv6")))  # fmt: skip
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = start(connection, boot, interface("user", four))
        told = root / "log" / "qemu" / "net-net0-slirp.log"
        eventually(lambda: told.read_text() == "--fd=3 --net=10.2.3.0/24\n")
        [log] = (root / "log" / "qemu").glob("net.log")
        assert re.search(r'-netdev \'{"type":"socket","fd":"\d+","id":"hostnet0"}\'', log.read_text())
        [status] = (root / "run" / "qemu" / "status").glob("*.xml")
        assert "<slirp pid=" in status.read_text()
        with pytest.raises(OperationInvalid, match="a slirp-helper cannot be migrated"):
            domain.save(str(tmp_path / "saved"))
        [pid_file] = (root / "run" / "qemu").glob("domain-*/net0-slirp.pid")
        pid = int(pid_file.read_text().split()[0])
        domain.destroy()
        eventually(lambda: not os.path.exists(f"/proc/{pid}"))
        # What it cannot do QEMU does itself.
        domain = start(connection, boot, interface("user", six))
        assert '"type":"user","ipv6-prefix":"fec0::"' in log.read_text()
        domain.destroy()
