"""Rules of network filters become commands of ebtables and iptables."""

from __future__ import annotations

import shlex

import pytest

from virt_host.nwfilter.rulesets import new_rules
from virt_host.nwfilter.tree import missing_variables, placed_rules
from virt_host.nwfilter.variables import Access, combinations
from virtcore.errors import InternalError
from virtcore.model.nwfilter import Filter, load_nwfilter

_FILTERS = {
    "inner": "<filter name='inner' chain='arp-mine'><rule action='drop' direction='out'><arp arpsrcipaddr='$A' "
    "arpsrcipmask='24' arpdstipaddr='10.0.0.1'/></rule></filter>",
}


def _lookup(name: str) -> Filter:
    return load_nwfilter(_FILTERS[name])


def _made(entries: str, chain: str = "root", **variables: list[str]) -> list[str]:
    subject = load_nwfilter(f"<filter name='f' chain='{chain}'>{entries}</filter>")
    steps = new_rules("v0", list(placed_rules(subject, variables, _lookup)))
    return [shlex.join(step.words) for step in steps if not step.may_fail]


def test_spanning_tree() -> None:
    rule = (
        "<rule action='reject' direction='{}'><stp srcmacaddr='1:2:3:4:5:6' type='0x12' root-priority='1' "
        "root-priority-hi='0x10' root-address='2:0:0:0:0:0' root-address-mask='ff:0:0:0:0:0'/></rule>"
    )
    assert _made(rule.format("out"))[1:-1] == [
        (
            "-t nat -A libvirt-J-v0 -s 01:02:03:04:05:06 -d 01:80:c2:00:00:00 --stp-type 18 --stp-root-pri 1:16 "
            "--stp-root-addr 02:00:00:00:00:00/ff:00:00:00:00:00 -j DROP"
        )
    ]
    with pytest.raises(InternalError, match="STP filtering in inout direction with source MAC address set"):
        _made(rule.format("inout"))


def test_both_directions_exchange_the_addresses_of_what_is_sent() -> None:
    match = "<ip match='no' srcipaddr='10.0.0.1' dstportstart='80' protocol='6'/>"
    assert _made(f"<rule action='return' direction='inout'>{match}</rule>")[2:-2] == [
        f"-t nat -A {chain} -p ipv4 --ip-{mine} '!' 10.0.0.1 --ip-protocol '!' 6 --ip-{other}-port '!' 80 -j RETURN"
        for chain, mine, other in (("libvirt-J-v0", "destination", "source"), ("libvirt-P-v0", "source", "destination"))
    ]


def test_a_chain_is_made_before_the_first_rule_behind_it() -> None:
    rules = (
        "<filterref filter='inner'><parameter name='A' value='1.1.1.1'/></filterref>"
        "<rule action='accept' direction='out' priority='-600'><mac/></rule>"
        "<rule action='drop' direction='out' priority='-400'/>"
    )
    assert _made(rules)[:-1] == [
        "-t nat -N libvirt-J-v0",
        "-t nat -A libvirt-J-v0 -j ACCEPT",
        "-t nat -N J-v0-arp-mine",
        "-t nat -A libvirt-J-v0 -p 0x0806 -j J-v0-arp-mine",
        "-t nat -A libvirt-J-v0 -j DROP",
        "-t nat -A J-v0-arp-mine -p 0x806 --arp-ip-src 1.1.1.1/24 --arp-ip-dst 10.0.0.1/24 -j DROP",
    ]


def test_what_is_said_at_the_top_counts_more_than_what_a_reference_says() -> None:
    rules = "<filterref filter='inner'><parameter name='A' value='1.1.1.1'/></filterref>"
    assert any("--arp-ip-src 2.2.2.2/24" in line for line in _made(rules, A=["2.2.2.2"]))


def test_a_rule_of_connections_with_states_of_its_own() -> None:
    rule = "<rule action='accept' direction='{}'><tcp state='NEW,RELATED' dstportstart='22'/></rule>"
    sent = "-p tcp --dport 22 -m conntrack --ctstate NEW,RELATED -j"
    assert _made(rule.format("out"))[-2:] == [f"-A FJ-v0 {sent} RETURN", f"-A HJ-v0 {sent} RETURN"]
    assert _made(rule.format("in"))[-1:] == [f"-A FP-v0 {sent} ACCEPT"]


def test_a_message_of_icmp_is_let_through_one_way() -> None:
    rule = "<rule action='accept' direction='in'><icmp type='8' code='0'/></rule>"
    assert _made(rule)[-1:] == [
        "-A FP-v0 -p icmp --icmp-type 8/0 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT"
    ]  # fmt: skip


def test_combinations() -> None:
    variables = {"A": ["1", "2", "1"], "B": ["x", "y", "x"], "C": ["p", "q"]}
    a, b, c, one = (Access.parse(text) for text in ("$A", "$B[@0]", "$C[@1]", "$A[1]"))
    found = [tuple(values[each] for each in (a, b, c, one)) for values in combinations([c, a, b, one], variables)]
    assert found == [("1", "x", "p", "2"), ("2", "y", "p", "2"), ("1", "x", "q", "2"), ("2", "y", "q", "2")]
    with pytest.raises(InternalError, match="Cardinality of list items must be the same"):
        list(combinations([a, Access("C", None)], variables))


def test_what_is_missing() -> None:
    match = "<ip srcipaddr='$A[1]' dstipaddr='$IP[@2]'/>"
    subject = load_nwfilter(f"<filter name='f'><rule action='drop' direction='in'>{match}</rule></filter>")
    rules = list(placed_rules(subject, {"A": ["1.1.1.1"]}, _lookup))
    assert [str(each) for each in missing_variables(rules)] == ["A[1]", "IP[@2]"]
