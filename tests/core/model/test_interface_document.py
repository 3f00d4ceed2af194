"""Configurations of host interfaces: what is kept, what is dropped, and what is refused."""

from __future__ import annotations

import pytest

from virtcore.errors import VirtError
from virtcore.model.interface import format_interface, load_interface

BOND = "<interface type='bond' name='bond0'><bond>{}</bond></interface>"
BRIDGE = "<interface type='bridge' name='br0'><bridge{}>{}</bridge></interface>"
ETHERNET = "<interface type='ethernet' name='eth0'>{}</interface>"


def test_a_bridge_over_a_bond() -> None:
    given = """\
<interface type='bridge' name='br0'>
  <start mode='hotplug'/>
  <protocol family='ipv6'>
    <autoconf/>
    <dhcp peerdns='no'/>
  </protocol>
  <bridge stp='on' delay='0'>
    <interface type='bond' name='bond0'>
      <bond mode='802.3ad'>
        <miimon freq='100' downdelay='5' updelay='7' carrier='netif'/>
        <interface type='ethernet' name='eth0'>
        </interface>
      </bond>
    </interface>
    <interface type='vlan' name='eth1.7'>
      <vlan tag='7'>
        <interface name='eth1'/>
      </vlan>
    </interface>
  </bridge>
</interface>
"""
    assert format_interface(load_interface(given)) == given


def test_only_the_outermost_has_addresses() -> None:
    given = BRIDGE.format(
        "", "<interface type='ethernet' name='eth0'><start mode='?'/><mtu size='9'/><protocol/></interface>"
    )
    bridge = load_interface(given).bridge
    assert bridge is not None
    assert format_interface(load_interface(given)).count("start") == 0


def test_what_counts_for_nothing_is_dropped() -> None:
    given = ETHERNET.format(
        "<mtu size=''/><protocol family='ipv4'><autoconf/><ip prefix='3'/><ip address='a' prefix='0'/></protocol>"
        "<link speed='0' state=''/><bond/>"
    )
    assert format_interface(load_interface(given)) == (
        "<interface type='ethernet' name='eth0'>\n  <protocol family='ipv4'>\n    <ip address='a'/>\n  </protocol>\n"
        "</interface>\n"
    )


def test_links_are_watched_in_one_way() -> None:
    bond = load_interface(BOND.format("<miimon freq='0' downdelay='-1'/><arpmon interval='1' target='a'/>")).bond
    assert bond is not None
    assert bond.arpmon is None
    assert "downdelay" not in format_interface(load_interface(BOND.format("<miimon freq='0' downdelay='-1'/>")))


@pytest.mark.parametrize(
    ("given", "message", "path"),
    [
        (
            "<interface name='a'/>",
            "Missing required attribute 'type' in element 'interface'",
            "/interface/@type",
        ),
        (
            "<interface type='wlan' name='a'/>",
            "Invalid value for attribute 'type' in element 'interface': 'wlan'.",
            "/interface/@type",
        ),
        ("<interface type='ethernet'/>", "interface has no name", "/interface/@name"),
        (ETHERNET.format("<start mode='never'/>"), "unknown interface startmode never", "/interface/start/@mode"),
        (
            ETHERNET.format("<mtu size='100001'/>"),
            "value of the 'size' attribute of 'mtu' element must be at most 100000",
            "/interface/mtu/@size",
        ),
        (ETHERNET.format("<protocol/>"), "protocol misses the family attribute", "/interface/protocol/@family"),
        (
            ETHERNET.format("<protocol family='ipx'/>"),
            "unsupported protocol family 'ipx'",
            "/interface/protocol/@family",
        ),
        (
            ETHERNET.format("<link state='broken'/>"),
            "Invalid value for attribute 'state' in element 'link': 'broken'.",
            "/interface/link/@state",
        ),
        (
            "<interface type='bridge' name='a'/>",
            "bridge interface misses the bridge element",
            "/interface",
        ),
        ("<interface type='bond' name='a'/>", "bond interface misses the bond element", "/interface"),
        ("<interface type='vlan' name='a'/>", "vlan interface misses the vlan element", "/interface"),
        (
            "<interface type='vlan' name='a'><vlan><interface name='b'/></vlan></interface>",
            "vlan interface misses the tag attribute",
            "/interface/vlan/@tag",
        ),
        (
            "<interface type='vlan' name='a'><vlan tag='3'/></interface>",
            "vlan interface misses name attribute",
            "/interface/vlan",
        ),
        (
            BRIDGE.format(" stp='perhaps'", ""),
            "bridge interface stp should be on or off got perhaps",
            "/interface/bridge/@stp",
        ),
        (
            BRIDGE.format("", "<interface type='bridge' name='b'><bridge/></interface>"),
            "interface has unsupported type 'bridge'",
            "/interface/bridge/interface",
        ),
        (
            BOND.format("<interface type='vlan' name='b'/>"),
            "interface has unsupported type 'vlan'",
            "/interface/bond/interface",
        ),
        (
            "<interface type='bond' name='a'><bond mode='any'/></interface>",
            "unknown bonding mode any",
            "/interface/bond/@mode",
        ),
        (
            BOND.format("<miimon/>"),
            "bond interface miimon freq missing or invalid",
            "/interface/bond/miimon/@freq",
        ),
        (
            BOND.format("<miimon freq='1' updelay='x'/>"),
            "bond interface miimon updelay invalid",
            "/interface/bond/miimon/@updelay",
        ),
        (
            BOND.format("<miimon freq='1' carrier='pigeon'/>"),
            "unknown mii bonding carrier pigeon",
            "/interface/bond/miimon/@carrier",
        ),
        (
            BOND.format("<arpmon interval='1'/>"),
            "bond interface arpmon target missing",
            "/interface/bond/arpmon/@target",
        ),
        (
            BOND.format("<arpmon interval='1' target='a' validate='none'/>"),
            "unknown arp bonding validate none",
            "/interface/bond/arpmon/@validate",
        ),
    ],
)
def test_refused(given: str, message: str, path: str) -> None:
    with pytest.raises(VirtError) as caught:
        load_interface(given)
    assert str(caught.value) == f"XML error: {message}"
    assert caught.value.path == path
