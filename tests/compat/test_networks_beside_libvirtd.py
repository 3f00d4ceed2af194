"""Networks of the host and guests in them, beside libvirtd's: each daemon in a network of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from compat.conftest import Virsh, private_libvirtd, uri
from namespaces import NetworkBox, network_box

NETWORKS = {
    "nat": "<forward mode='nat'/>{bridge}{ip}",
    "open": "<forward mode='open'/>{bridge}<mtu size='1400'/><ip family='ipv6' address='fd00:9::1' prefix='64'/>",
    "apart": "{bridge}<port isolated='yes'/>",
    "host": "<forward mode='bridge'/><bridge name='vchost'/>",
    "cards": "<forward mode='private'><interface dev='vccard0'/><interface dev='vccard1'/></forward>",
}
IP = "<ip address='10.97.1.1' prefix='24'><dhcp><range start='10.97.1.2' end='10.97.1.9'/></dhcp></ip>"


class Side(NamedTuple):
    """A daemon in its network."""

    uri: str
    box: NetworkBox


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    with network_box() as ours:
        other = ours.neighbour()
        with private_libvirtd(ours.root / "theirs", inside=other.inside()) as theirs:
            found = Side(uri("qemu+unix:///system", theirs), other), Side(ours.uri, ours)
            for side in found:
                side.box.run("ip", "link", "add", "vchost", "type", "bridge")
                for card in ("vccard0", "vccard1"):
                    side.box.run("ip", "link", "add", card, "type", "veth", "peer", "name", f"{card}p")
            yield found


def write(folder: Path, number: int, name: str) -> Path:
    path = folder / f"{name}.xml"
    bridge = f"<bridge name='vcb{number}'/><mac address='52:54:00:97:00:0{number}'/>"
    path.write_text(
        f"<network><name>{name}</name><uuid>00000000-0000-4000-8000-00000000000{number}</uuid>"
        f"{NETWORKS[name].format(bridge=bridge, ip=IP)}</network>"
    )
    return path


def guest(folder: Path, network: str) -> Path:
    path = folder / f"in-{network}.xml"
    path.write_text(
        f"<domain type='qemu'><name>in-{network}</name><memory unit='MiB'>32</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><controller type='usb' model='none'/>"
        f"<interface type='network'><mac address='52:54:00:97:01:01'/><source network='{network}'/>"
        "<model type='virtio'/></interface></devices></domain>"
    )
    return path


def said(virsh: Virsh, side: Side, *words: str) -> str:
    """What a daemon makes of a command, less what differs each time."""
    done = virsh(side.uri, *words, check=False)
    text = f"{done.stdout}{done.stderr}{done.returncode}"
    text = re.sub("portid='[^']*'|<uuid>[^<]*</uuid>", "", text)
    return re.sub("(vnet|macvtap)[0-9]+", r"\1N", text)


def device(side: Side, name: str) -> str:
    """What a device of the host is like."""
    shown = side.box.run("ip", "-d", "addr", "show", name)
    kept = re.findall(
        r"mtu \d+|link/ether \S+|inet6? \S+ (?:brd \S+ )?scope global|forward_delay \d+|stp_state \d|vlan_filtering \d",
        shown,
    )
    settings = f"/proc/sys/net/ipv6/conf/{name}"
    values = [side.box.run("cat", f"{settings}/{one}").strip() for one in ("disable_ipv6", "accept_ra", "autoconf")]
    return str([kept, values])


def test_what_networks_are_and_give_guests(virsh: Virsh, sides: tuple[Side, Side], tmp_path: Path):
    def same(*words: str) -> str:
        theirs, ours = (said(virsh, side, *words) for side in sides)
        assert ours == theirs, words
        return ours

    for number, name in enumerate(NETWORKS, 1):
        assert same("net-define", str(write(tmp_path, number, name))).endswith("0"), name
        same("net-start", name)
        same("net-dumpxml", name)
        same("net-dumpxml", name, "--inactive")
        if "{bridge}" in NETWORKS[name]:
            theirs, ours = (device(side, f"vcb{number}") for side in sides)
            assert ours == theirs
    theirs, ours = (side.box.run("iptables-save") + side.box.run("ip6tables-save") for side in sides)
    assert rules_of(ours) == rules_of(theirs)
    assert "MASQUERADE" in str(rules_of(ours))
    for name in NETWORKS:
        assert same("create", str(guest(tmp_path, name)), "--paused").endswith("0"), name
        connected = [interfaces(said(virsh, side, "dumpxml", f"in-{name}")) for side in sides]
        assert connected[0] == connected[1]
        same("net-dumpxml", name)
        same("domiflist", f"in-{name}")
    same("net-destroy", "apart")
    for name in NETWORKS:
        same("destroy", f"in-{name}")
        same("net-dumpxml", name)
        same("net-destroy", name)
        same("create", str(guest(tmp_path, name)), "--paused")
        same("net-undefine", name)
    theirs, ours = (side.box.run("iptables-save") + side.box.run("ip6tables-save") for side in sides)
    assert rules_of(ours) == rules_of(theirs)
    assert sides[0].box.links() == sides[1].box.links()


def rules_of(saved: str) -> list[str]:
    """Rules and chains, without counters and comments."""
    return [re.sub(r" ?\[\d+:\d+\]", "", line) for line in saved.splitlines() if not line.startswith("#")]


def interfaces(text: str) -> list[str]:
    return re.findall("(?s)<interface.*?</interface>", text)


def test_virt_install_uses_the_default_network(virsh: Virsh, sides: tuple[Side, Side], tmp_path: Path):
    program = shutil.which("virt-install")
    if program is None:
        pytest.skip("virt-install is not installed (Debian: virtinst)")
    where = sides[1].uri
    path = write(tmp_path, 6, "nat")
    path.write_text(path.read_text().replace("<name>nat</name>", "<name>default</name>"))
    virsh(where, "net-define", str(path))
    virsh(where, "net-start", "default")
    done = subprocess.run(
        [
            *(program, "--connect", where, "--name", "installed", "--network", "network=default", "--memory", "64"),
            *("--import", "--disk", "none", "--osinfo", "detect=off,require=off", "--noautoconsole"),
            *("--virt-type", "qemu"),
        ],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"vnet\d+ +network +default", virsh(where, "domiflist", "installed").stdout)
    assert len(virsh(where, "net-port-list", "default").stdout.split("\n")) > 1
    virsh(where, "destroy", "installed")
    virsh(where, "undefine", "installed")
    virsh(where, "net-destroy", "default")
    virsh(where, "net-undefine", "default")
