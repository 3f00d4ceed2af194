"""Changes of a firewall in one go, from what its programs save."""

from __future__ import annotations

from support import costs_less_than
from virt_host.nwfilter import firewall
from virt_host.nwfilter.rulesets import basic_rules, new_rules, remove_rules
from virt_host.nwfilter.saved import Saved, batch, can_be_batched
from virt_host.nwfilter.steps import Layer, Step
from virt_host.nwfilter.tree import placed_rules
from virtcore.model.nwfilter import load_nwfilter

FRAMES = """# Generated
*filter
:libvirt-I-v0 ACCEPT
*nat
:PREROUTING ACCEPT
:libvirt-I-v0 ACCEPT
:I-v0-arp ACCEPT
:libvirt-I-v0-arp ACCEPT
:I-v0-arp-ipv4 ACCEPT
-A PREROUTING -i v0 -j libvirt-I-v0
-A PREROUTING -i v0-arp -j libvirt-I-v0-arp
-A libvirt-I-v0 -p ARP -j I-v0-arp
-A libvirt-I-v0-arp -p IPv4 -j I-v0-arp-ipv4
-A I-v0-arp -j DROP
"""


def test_an_interface_has_its_own_chains_only() -> None:
    steps = list(basic_rules("v0", "52:54:00:00:00:01", temporary=False))
    assert batch(Layer.FRAMES, Saved.parse(Layer.FRAMES, FRAMES), "v0", steps).splitlines() == [
        "*nat",
        "-D PREROUTING -i v0 -j libvirt-I-v0",
        "-F libvirt-I-v0",
        "-F I-v0-arp",
        "-X I-v0-arp",
        "-A libvirt-I-v0 -s ! 52:54:00:00:00:01 -j DROP",
        "-A libvirt-I-v0 -p IPv4 -j ACCEPT",
        "-A libvirt-I-v0 -p ARP -j ACCEPT",
        "-A libvirt-I-v0 -j DROP",
        "-A PREROUTING -i v0 -j libvirt-I-v0",
        "COMMIT",
    ]


PACKETS = """*filter
:FORWARD ACCEPT [0:0]
:libvirt-in - [0:0]
:libvirt-in-post - [0:0]
:FI-v0 - [0:0]
-A FORWARD -j libvirt-in
-A libvirt-in -m physdev --physdev-in v0 -g FI-v0
-A libvirt-in -m comment --comment "not -g FI-v0"
-A libvirt-in-post -m physdev --physdev-in v0 -j ACCEPT
COMMIT
"""


def test_what_is_there_is_not_made_again() -> None:
    subject = load_nwfilter(
        "<filter name='f'><rule action='drop' direction='out'><tcp comment='say &quot;no&quot; \\'/></rule></filter>"
    )
    steps = list(new_rules("v0", list(placed_rules(subject, {}, lambda name: subject)), temporary=False))
    own = [step for step in steps if step.layer is Layer.IPV4]
    lines = batch(Layer.IPV4, Saved.parse(Layer.IPV4, PACKETS), "v0", own).splitlines()
    assert lines[1:12] == [
        "-D libvirt-in -m physdev --physdev-in v0 -g FI-v0",
        "-F FI-v0",
        "-N libvirt-out",
        "-N libvirt-host-in",
        "-D FORWARD -j libvirt-in",
        "-I FORWARD 1 -j libvirt-in",
        "-I FORWARD 2 -j libvirt-out",
        "-I FORWARD 3 -j libvirt-in-post",
        "-I INPUT 1 -j libvirt-host-in",
        "-N FO-v0",
        "-N HI-v0",
    ]
    assert "-D libvirt-in-post -m physdev --physdev-in v0 -j ACCEPT" in lines
    assert '-A FI-v0 -p tcp -m comment --comment "say \\"no\\" \\\\" -j DROP' in lines


def test_nothing_to_do() -> None:
    saved = Saved.parse(Layer.FRAMES, FRAMES)
    frames = [step for step in remove_rules("v9") if step.layer is Layer.FRAMES]
    assert batch(Layer.FRAMES, saved, "v9", frames) == ""
    assert not can_be_batched([Step(Layer.IPV4, ("-A", "x", "--comment", "two\nlines"))])


def test_many_other_guests_cost_little() -> None:
    text = "*nat\n:PREROUTING ACCEPT\n"
    for number in range(2000):
        text += f":libvirt-I-vnet{number} ACCEPT\n:I-vnet{number}-arp ACCEPT\n"
    for number in range(2000):
        text += f"-A PREROUTING -i vnet{number} -j libvirt-I-vnet{number}\n"
        text += f"-A libvirt-I-vnet{number} -p ARP -j I-vnet{number}-arp\n" + f"-A I-vnet{number}-arp -j DROP\n" * 5
    steps = list(basic_rules("vnet7", "52:54:00:00:00:01", temporary=False))
    with costs_less_than(2.0):
        assert batch(Layer.FRAMES, Saved.parse(Layer.FRAMES, text), "vnet7", steps).count("\n") == 11


def test_packets_that_do_not_come_to_their_rules(tmp_path, monkeypatch, caplog) -> None:
    setting = tmp_path / "call"
    monkeypatch.setitem(firewall._CROSSING, Layer.IPV4, str(setting))
    made = firewall.Firewall()
    made._warn(Layer.IPV4)
    setting.write_text("1")
    made._warn(Layer.IPV4)
    assert not caplog.records
    setting.write_text("0")
    made._warn(Layer.IPV4)
    made._warn(Layer.IPV4)
    (record,) = caplog.records
    assert record.getMessage() == f"To enable iptables filtering for the VM do 'echo 1 > {setting}'"
