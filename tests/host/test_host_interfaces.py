"""The host's interfaces: from a tree that has every kind, and from the kernel in a namespace of its own."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import virtcore
from virt_host.interface.service import HostInterfaces
from virt_host.interface.tree import NetworkDevice, NetworkTree
from virtcore.driver.base import Place
from virtcore.driver.loader import registered_service
from virtcore.enums import ConnectListAllInterfacesFlags as ListFlags
from virtcore.errors import (
    InternalError,
    InvalidArg,
    MultipleInterfaces,
    NoInterface,
    NoSupport,
    SystemError,
    VirtError,
)

BOND = {
    "bonding/downdelay": "200",
    "bonding/updelay": "0",
    "bonding/miimon": "100",
    "bonding/arp_interval": "0",
    "bonding/mode": "active-backup 1",
    "bonding/arp_validate": "none 0",
    "bonding/use_carrier": "1",
    "bonding/arp_ip_target": "",
}


class Tree:
    """Files like the kernel's; devices are where they are in a host, and linked from where they are looked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = NetworkTree(folder / "class", folder / "vlan")
        self.tree.devices.mkdir()
        self.tree.vlans.mkdir()
        (self.tree.devices / "bonding_masters").write_text("bond0\n")

    def add(self, name: str, *, at: str = "virtual", state: str = "up", kind: str = "", **files: str) -> None:
        device = self.folder / "devices" / at / "net" / name
        device.mkdir(parents=True)
        (self.tree.devices / name).symlink_to(device)
        uevent = f"DEVTYPE={kind}\n" if kind else ""
        self.change(
            name,
            address=f"52:54:00:00:00:{len(os.listdir(self.tree.devices)):02x}",
            mtu="1500",
            operstate=state,
            speed="1000",
            uevent=f"{uevent}INTERFACE={name}",
            **files,
        )

    def change(self, name: str, **files: str) -> None:
        for path, text in files.items():
            file = self.tree.devices / name / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"{text}\n")

    def xml(self, name: str) -> str:
        from virtcore.model.interface.document import format_interface

        return format_interface(self.tree.interface(name))


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.fixture
def connection(tree):
    class Faked(HostInterfaces):
        def __init__(self, place: Place) -> None:
            super().__init__(place)
            self.tree = tree.tree

    with registered_service("interface", Faked), virtcore.connect("interface:///embed?root=/nowhere") as opened:
        yield opened


def test_lists_have_the_hosts_own(tree, connection):
    tree.add("vnet0", **{"brport/state": "3"})
    tree.add("tap0", tun_flags="0x1002")
    tree.add("lo", state="unknown")
    tree.add("eth1", at="pci2", state="down")
    tree.add("eth0", at="pci1")
    flags = ListFlags
    assert [one.name for one in connection.list_interfaces()] == ["eth0", "eth1", "lo"]
    assert [one.name for one in connection.list_interfaces(flags.ACTIVE)] == ["eth0"]
    assert [one.name for one in connection.list_interfaces(flags.INACTIVE)] == ["eth1", "lo"]
    assert [one.is_active() for one in connection.list_interfaces()] == [True, False, False]
    assert connection.lookup_interface(name="tap0").name == "tap0", "what is not listed is found by its name"
    eth0 = connection.lookup_interface(name="eth0")
    assert connection.lookup_interface(mac=eth0.mac) == eth0


def test_what_is_not_there_is_said_as_libvirt_does(tree, connection):
    tree.add("eth0")
    tree.add("eth1")
    tree.change("eth1", address=connection.lookup_interface(name="eth0").mac)
    for name in ("nosuch", "", "..", "../class/eth0", "bonding_masters"):
        with pytest.raises(NoInterface, match=f"couldn't find interface named '{name}'$"):
            connection.lookup_interface(name=name)
    mac = connection.lookup_interface(name="eth0").mac
    with pytest.raises(NoInterface, match=f"couldn't find interface with MAC address 'X{mac}'"):
        connection.lookup_interface(mac=f"X{mac}")
    with pytest.raises(MultipleInterfaces, match=f"the MAC address '{mac}' matches multiple interfaces"):
        connection.lookup_interface(mac=mac)
    with pytest.raises(InvalidArg, match="in function udevConnectListAllInterfaces"):
        connection.list_interfaces(4)
    with pytest.raises(InvalidArg, match="in function udevInterfaceGetXMLDesc"):
        connection.lookup_interface(name="eth0").xml(2)


def test_nothing_is_changed(tree, connection):
    tree.add("eth0")
    eth0 = connection.lookup_interface(name="eth0")
    for function, call in (
        ("virInterfaceDefineXML", lambda: connection.define_interface(eth0.xml())),
        ("virInterfaceChangeBegin", connection.interface_begin),
        ("virInterfaceChangeCommit", connection.interface_commit),
        ("virInterfaceChangeRollback", connection.interface_rollback),
        ("virInterfaceCreate", eth0.create),
        ("virInterfaceDestroy", eth0.destroy),
        ("virInterfaceUndefine", eth0.undefine),
    ):
        with pytest.raises(NoSupport, match=f"{function}$"):
            call()


def test_a_device(tree):
    tree.add("eth0")
    assert tree.xml("eth0") == dedent("""\
        <interface type='ethernet' name='eth0'>
          <mtu size='1500'/>
          <link speed='1000' state='up'/>
          <mac address='52:54:00:00:00:02'/>
        </interface>
        """)
    tree.change("eth0", operstate="down", mtu="9000")
    assert "<mtu size='9000'/>\n  <link state='down'/>" in tree.xml("eth0")
    tree.change("eth0", operstate="up", speed="-1")
    assert "<link speed='4294967295' state='up'/>" in tree.xml("eth0")


def test_devices_that_do_not_know_their_speed(tree, monkeypatch):
    tree.add("wlan0")
    ask = NetworkDevice._told

    def told(device, path):
        if path != "speed":
            return ask(device, path)
        raise SystemError("unable to read") from OSError(error, os.strerror(error))

    monkeypatch.setattr(NetworkDevice, "_told", told)
    error = errno.EINVAL
    assert "<link state='up'/>" in tree.xml("wlan0")
    error = errno.EIO
    with pytest.raises(SystemError, match="unable to read"):
        tree.xml("wlan0")


def test_a_bridge_has_ports_but_those_of_guests(tree):
    tree.add("br0", kind="bridge", **{"bridge/forward_delay": "1500", "bridge/stp_state": "1"})
    for name in ("vnet3", "vnetlike", "eth0"):
        tree.add(name, state="down", **{"brport/state": "0"})
        tree.change("br0", **{f"brif/{name}": ""})
    assert tree.xml("br0") == dedent("""\
        <interface type='bridge' name='br0'>
          <mtu size='1500'/>
          <bridge stp='on' delay='1500'>
            <interface type='ethernet' name='eth0'>
              <link state='down'/>
              <mac address='52:54:00:00:00:05'/>
            </interface>
            <interface type='ethernet' name='vnetlike'>
              <link state='down'/>
              <mac address='52:54:00:00:00:04'/>
            </interface>
          </bridge>
        </interface>
        """)


@pytest.mark.parametrize("kind", ["bond", ""])
def test_a_bond_watches_its_links(tree, kind):
    tree.add("bond0", kind=kind, **BOND)
    for name in ("eth1", "eth0"):
        tree.add(name)
        (tree.tree.devices / "bond0" / f"slave_{name}").symlink_to(tree.tree.devices / name)
    assert tree.xml("bond0") == dedent("""\
        <interface type='bond' name='bond0'>
          <mtu size='1500'/>
          <link speed='1000' state='up'/>
          <bond mode='active-backup'>
            <miimon freq='100' downdelay='200' carrier='netif'/>
            <interface type='ethernet' name='eth0'>
              <link speed='1000' state='up'/>
              <mac address='52:54:00:00:00:04'/>
            </interface>
            <interface type='ethernet' name='eth1'>
              <link speed='1000' state='up'/>
              <mac address='52:54:00:00:00:03'/>
            </interface>
          </bond>
        </interface>
        """)
    tree.change(
        "bond0",
        **{
            "bonding/arp_interval": "300",
            "bonding/arp_ip_target": "10.0.0.1",
            "bonding/arp_validate": "backup 2",
            "bonding/mode": "802.3ad 4",
        },
    )
    text = tree.xml("bond0")
    assert "<bond mode='802.3ad'>\n    <arpmon interval='300' target='10.0.0.1' validate='backup'/>" in text
    assert "miimon" not in text
    tree.change("bond0", **{"bonding/arp_interval": "0", "bonding/miimon": "0"})
    assert "mon " not in tree.xml("bond0")


def test_a_vlan_names_its_device(tree):
    tree.add("eth0.5", kind="vlan")
    tree.add("named", kind="vlan")
    tree.add("old.7")
    for name, tag in (("eth0.5", 5), ("named", 42), ("old.7", 7)):
        (tree.tree.vlans / name).write_text(
            f"{name}  VID: {tag}\t REORDER_HDR: 1  dev->priv_flags: 1021\nDevice: eth0\nINGRESS ...\n"
        )
        assert tree.xml(name) == dedent(f"""\
            <interface type='vlan' name='{name}'>
              <mtu size='1500'/>
              <link speed='1000' state='up'/>
              <vlan tag='{tag}'>
                <interface name='eth0'/>
              </vlan>
            </interface>
            """)


BROKEN = [
    ({"mtu": "many"}, "Could not parse MTU value 'many'"),
    ({"operstate": "sideways"}, "Unable to parse: sideways"),
    ({"speed": "fast"}, "Unable to parse: fast"),
    ({"kind": "bridge"}, "Could not retrieve 'bridge/forward_delay' for 'x0'"),
    ({"kind": "bridge", "bridge/forward_delay": "1"}, "Could not retrieve 'bridge/stp_state' for 'x0'"),
    (
        {"kind": "bridge", "bridge/forward_delay": "1", "bridge/stp_state": "on"},
        "Could not parse 'bridge/stp_state' 'on' for 'x0'",
    ),
    (
        {"kind": "bridge", "bridge/forward_delay": "1", "bridge/stp_state": "2"},
        "Invalid STP state value 2 received for 'x0'. Must be -1, 0, or 1.",
    ),
    (
        {"kind": "bridge", "bridge/forward_delay": "1", "bridge/stp_state": "0", "brif/gone": ""},
        "Could not get interface information for 'gone', which is a member of bridge 'x0'",
    ),
    ({**BOND, "bonding/miimon": "x"}, "Could not parse 'bonding/miimon' 'x' for 'x0'"),
    ({**BOND, "bonding/mode": "active"}, "Invalid format for 'bonding/mode' for 'x0'"),
    ({**BOND, "bonding/mode": "active "}, "Unable to find correct value in 'bonding/mode' for 'x0'"),
    ({**BOND, "bonding/mode": "active x"}, "Could not parse 'bonding/mode' 'x' for 'x0'"),
    ({**BOND, "slave_": ""}, "Invalid enslaved interface name 'slave_' seen for bond 'x0'"),
    (
        {**BOND, "slave_gone": ""},
        "Could not get interface information for 'slave_gone', which is a enslaved in bond 'x0'",
    ),
]


@pytest.mark.parametrize(("files", "message"), BROKEN, ids=lambda value: value if isinstance(value, str) else "")
def test_what_makes_no_sense(tree, files, message):
    tree.add("x0", kind=files.get("kind", ""))
    tree.change("x0", **{path: text for path, text in files.items() if path != "kind"})
    with pytest.raises(InternalError) as caught:
        tree.tree.interface("x0")
    assert str(caught.value) == f"internal error: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "failed to find the VID for the VLAN device 'x0'"),
        ("VID: 7x\nDevice: eth0", "failed to find the VID for the VLAN device 'x0'"),
        ("VID: 7 \nDevice: \n", "failed to find the real device for the VLAN device 'x0'"),
        (None, "Failed to open file"),
    ],
)
def test_vlans_that_make_no_sense(tree, text, message):
    tree.add("x0", kind="vlan")
    if text is not None:
        (tree.tree.vlans / "x0").write_text(text)
    with pytest.raises(VirtError, match=message):
        tree.tree.interface("x0")


#: In a namespace of its own: what the kernel has made, told.
PROGRAM = """
import subprocess, time
from virt_host.interface.tree import NetworkTree
from virtcore.model.interface.document import format_interface
for line in '''link add br7 type bridge
link add v0 type veth peer name v1
link set v0 master br7
link set br7 up
link set v0 up
link set v1 up'''.splitlines():
    subprocess.run(['ip', *line.split()], check=True)
tree = NetworkTree()
end = time.monotonic() + 120  # the kernel takes its time to say that a link is up
while not all(tree.device(name).up for name in ('br7', 'v0', 'v1')) and time.monotonic() < end:
    time.sleep(0.02)
print(*(device.name for device in tree))
print(format_interface(tree.interface('br7')))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="making a network namespace needs root")
@pytest.mark.skipif(shutil.which("ip") is None, reason="ip is not installed (Debian: iproute2)")
def test_the_kernels_own():
    script = f'mount -t sysfs sys /sys && exec {sys.executable} -c "$0"'
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script, PROGRAM], capture_output=True, text=True, check=False
    )
    if any(reason in done.stderr for reason in ("unshare failed", "Unknown device type", "denied", "Operation not")):
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    names, _, text = done.stdout.partition("\n")
    assert {"br7", "lo", "v1"} <= set(names.split())
    assert "v0" not in names.split()
    assert text.startswith(
        "<interface type='bridge' name='br7'>\n  <mtu size='1500'/>\n  <bridge stp='off' delay='1500'>\n"
    )
    assert "<interface type='ethernet' name='v0'>\n      <link speed='10000' state='up'/>" in text
