"""The rules that a filter is in the kernel, put there by libvirtd and by virtcored: the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compat.conftest import private_libvirtd, uri
from namespaces import NetworkBox, network_box

#: Packets and frames of many kinds, with lists and what they are not.
_MANY = """<filter name='many'>
  <filterref filter='clean-traffic'/>
  <rule action='accept' direction='out'><tcp dstipaddr='$A' dstportstart='$B[@1]'/></rule>
  <rule action='drop' direction='inout'><icmpv6 type='135'/></rule>
  <rule action='accept' direction='in'><udp state='NEW,ESTABLISHED' dscp='10' comment="it's &quot;quoted&quot;"/></rule>
  <rule action='reject' direction='inout'><all connlimit-above='5'/></rule>
  <rule action='accept' direction='out'><stp type='0x12' root-cost='1' root-cost-hi='9'/></rule>
  <rule action='continue' direction='inout'><vlan vlanid='0x12'/></rule>
  <rule action='return' direction='inout'><ip match='no' srcipaddr='10.0.0.0' srcipmask='8' dscp='3'/></rule>
  <rule action='return' direction='inout'><ipv6 srcipaddr='fe80::1' protocol='icmpv6' type='1' typeend='3'/></rule>
  <rule action='return' direction='inout'><tcp-ipv6 srcipaddr='fe80::1' srcipmask='64' dstportstart='1'/></rule>
  <rule action='return' direction='inout'><sctp srcipfrom='1.1.1.1' srcipto='1.1.1.9'/></rule>
  <rule action='accept' direction='in'><tcp flags='SYN,ACK/SYN' option='4'/></rule>
</filter>"""
_VALUES = {
    "IP": ("10.0.0.1", "10.0.0.2"), "IPV6": ("fe80::1",), "GATEWAY_MAC": ("52:54:00:00:00:09",),
    "A": ("1.1.1.1", "2.2.2.2"), "B": ("1", "2"),
}  # fmt: skip
_SHIPPED = Path("/usr/share/libvirt/nwfilter")
_USUAL = ("many", "clean-traffic")
_OTHERS = sorted({path.stem for path in _SHIPPED.glob("*.xml")} - set(_USUAL))


@pytest.fixture(scope="module")
def box() -> Iterator[tuple[NetworkBox, list[str]]]:
    """A box with both daemons and a tap; and their connections."""
    if not _SHIPPED.is_dir():
        pytest.skip("libvirtd is not installed (Debian: libvirt-daemon-system)")
    with network_box() as made, private_libvirtd(made.root / "libvirtd", inside=made.inside()) as socket:
        made.run("ip", "tuntap", "add", "v0", "mode", "tap")
        theirs = uri("qemu+unix:///system", socket)
        (made.root / "many.xml").write_text(_MANY)
        for where in (theirs, made.uri):
            made.run("virsh", "-c", where, "nwfilter-define", str(made.root / "many.xml"))
        yield made, [theirs, made.uri]


@pytest.mark.parametrize("name", [*_USUAL, *(pytest.param(name, marks=pytest.mark.deep) for name in _OTHERS)])
def test_the_rules_are_the_same(box: tuple[NetworkBox, list[str]], name: str) -> None:
    inside, daemons = box
    server = "fe80::9" if "v6" in name else "10.0.0.254"
    values = "".join(
        f"<parameter name='{key}' value='{value}'/>"
        for key, all in {**_VALUES, "DHCPSERVER": (server,)}.items()
        for value in all
    )
    file = inside.root / "binding.xml"
    file.write_text(
        "<filterbinding><owner><name>g</name><uuid>11111111-1111-4111-8111-111111111111</uuid></owner>"
        f"<portdev name='v0'/><mac address='52:54:00:00:00:01'/><filterref filter='{name}'>{values}</filterref>"
        "</filterbinding>"
    )
    found = []
    for where in daemons:
        virsh = ("virsh", "-q", "-c", where)
        inside.run(*virsh, "nwfilter-binding-create", str(file))
        with_it = rules(inside) + inside.run(*virsh, "nwfilter-binding-dumpxml", "v0")
        inside.run(*virsh, "nwfilter-binding-delete", "v0")
        found.append((with_it, rules(inside)))
    assert "v0" in found[0][0]
    assert found[0] == found[1]


def rules(inside: NetworkBox) -> str:
    """What the kernel has, without counters; chains of all interfaces that are left over are looked at where used."""
    text = "".join(inside.run(program) for program in ("ebtables-save", "iptables-save", "ip6tables-save"))
    return "\n".join(line.split(" [")[0] for line in text.splitlines() if line.startswith((":", "-")) and "v0" in line)
