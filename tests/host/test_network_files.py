"""What programs of the host are told about virtual networks: dnsmasq's files, commands for limits."""

from __future__ import annotations

import pytest

from virt_host.network.bandwidth import ovs_commands, tc_commands
from virt_host.network.dnsmasq import dnsmasq_files
from virt_host.network.namespace import DnsmasqOptions, options_of, register
from virtcore.errors import VirtError
from virtcore.model.network import Bandwidth, BandwidthRate, format_network, load_network

UUID = "3e3fce45-4f53-4fa7-bb32-11f34168b82b"
URI = "http://libvirt.org/schemas/network/dnsmasq/1.0"


def network(content: str, attributes: str = "") -> str:
    return f"<network{attributes}><name>n</name><uuid>{UUID}</uuid><bridge name='b'/>{content}</network>"


def lines(content: str, attributes: str = "") -> list[str]:
    """The configuration's lines that are no comment and not always there."""
    text = dnsmasq_files(load_network(network(content, attributes)), "/d").configuration
    always = ("strict-order", "except-interface=lo", "bind-dynamic", "interface=b", "addn-hosts=/d/n.addnhosts")
    isolated = ("dhcp-option=3", "no-resolv", "ra-param=*,0,0")
    return [line for line in text.splitlines() if not line.startswith("#") and line not in (*always, *isolated)]


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()


def test_options_belong_to_a_namespace() -> None:
    given = network("<d:options><d:option value='foo=bar'/><d:option value='x'/></d:options>", f" xmlns:d='{URI}'")
    subject = load_network(given)
    assert isinstance(subject.options[0], DnsmasqOptions)
    assert options_of(subject) == ["foo=bar", "x"]
    text = format_network(subject)
    # Libvirt's own prefix, declared before the attributes; the element is the last one.
    assert text.startswith(f"<network xmlns:dnsmasq='{URI}'>\n")
    assert text.endswith(
        "  <dnsmasq:options>\n    <dnsmasq:option value='foo=bar'/>\n    <dnsmasq:option value='x'/>\n"
        "  </dnsmasq:options>\n</network>\n"
    )
    assert format_network(load_network(text)) == text


def test_the_namespace_comes_before_attributes() -> None:
    given = network("<d:options><d:option value='x'/></d:options>", f" ipv6='yes' xmlns:d='{URI}'")
    assert format_network(load_network(given)).startswith(f"<network xmlns:dnsmasq='{URI}' ipv6='yes'>")


def test_nothing_is_declared_where_there_are_no_options() -> None:
    text = format_network(load_network(network("<d:options/>", f" xmlns:d='{URI}'")))
    assert "dnsmasq" not in text


def test_an_option_without_value_is_refused() -> None:
    with pytest.raises(VirtError) as caught:
        load_network(network("<d:options><d:option/></d:options>", f" xmlns:d='{URI}'"))
    assert str(caught.value) == "internal error: No dnsmasq options value specified"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("<dns><forwarder domain='d'/><forwarder addr='1.1.1.1'/></dns>", ["server=/d/#", "server=1.1.1.1"]),
        ("<domain name='d' localOnly='yes'/><dns enable='no'/>", ["port=0", "local=/d/", "domain=d", "expand-hosts"]),
        (
            "<dns><srv service='s' protocol='t' target='.' port='5'/><srv service='s' protocol='t' target='h'/></dns>",
            ["srv-host=_s._t", "srv-host=_s._t,h"],
        ),
        ("<ip address='10.2.0.1' prefix='16' localPtr='yes'/>", ["local=/2.10.in-addr.arpa/"]),
        (
            "<ip address='10.0.0.1'><dhcp><host mac='52:54:00:00:00:01' ip='10.0.0.2'/></dhcp></ip>",
            ["dhcp-range=10.0.0.1,static", "dhcp-no-override", "dhcp-authoritative", "dhcp-hostsfile=/d/n.hostsfile"],
        ),
        (
            "<ip family='ipv6' address='fd00::1' prefix='64'><dhcp><host name='h' ip='fd00::2'/></dhcp></ip>",
            ["dhcp-range=fd00::1,static,64", "dhcp-hostsfile=/d/n.hostsfile", "enable-ra"],
        ),
        (
            (
                "<ip address='10.0.0.1' prefix='24'><dhcp><range start='10.0.0.2' end='10.0.0.3'>"
                "<lease expiry='0'/></range>"
                "<bootp file='f' server='10.0.0.9'/></dhcp></ip>"
            ),
            [
                "dhcp-range=10.0.0.2,10.0.0.3,255.255.255.0,infinite",
                "dhcp-no-override",
                "dhcp-authoritative",
                "dhcp-boot=f,,10.0.0.9",
                "dhcp-lease-max=2",
                "dhcp-hostsfile=/d/n.hostsfile",
            ],
        ),
    ],
)
def test_configuration(given: str, expected: list[str]) -> None:
    assert lines(given) == expected


def test_options_are_the_last_lines() -> None:
    assert lines("<d:options><d:option value='x=1'/></d:options>", f" xmlns:d='{URI}'") == ["x=1"]


def test_files_of_hosts() -> None:
    files = dnsmasq_files(
        load_network(
            network(
                "<dns><host ip='10.0.0.7'><hostname>a</hostname><hostname>b</hostname></host></dns>"
                "<ip address='10.0.0.1'><dhcp><host name='h' ip='10.0.0.2'><lease expiry='2'/></host></dhcp></ip>"
            )
        ),
        "/d",
        pidfile="/run/p",
    )
    assert files.hosts == "h,10.0.0.2,2m\n"
    assert files.names == "10.0.0.7\ta\tb\t\n"
    assert "pid-file=/run/p\n" in files.configuration


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (
                "<ip address='10.0.0.1'><dhcp><host name='a' ip='10.0.0.2'/></dhcp></ip>"
                "<ip address='10.1.0.1'><dhcp><host name='a' ip='10.1.0.2'/></dhcp></ip>"
            ),
            "unsupported configuration: For IPv4, multiple DHCP definitions cannot be specified.",
        ),
        (
            "<ip address='10.0.0.1' prefix='20' localPtr='yes'/>",
            "unsupported configuration: PTR domain for IPv4 network with prefix 20 cannot be automatically created",
        ),
        (
            "<dns><txt name='a' value='b&#10;dhcp-script=/bin/sh'/></dns>",
            "XML error: a value in network 'n' has a line break",
        ),
    ],
)
def test_refusals(given: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        dnsmasq_files(load_network(network(given)), "/d")
    assert str(caught.value) == message


def test_classes_for_guaranteed_rates() -> None:
    limit = Bandwidth(inbound=BandwidthRate(average=100, burst=7))
    commands = [" ".join(command) for command in tc_commands("b", limit, swapped=True, hierarchical=True)]
    assert commands[3:6] == [
        "tc qdisc add dev b root handle 1: htb default 2",
        "tc class add dev b parent 1: classid 1:1 htb rate 100kbps ceil 100kbps quantum 8",
        "tc class add dev b parent 1:1 classid 1:2 htb rate 100kbps burst 7kb quantum 8",
    ]


def test_directions_are_the_interfaces_own_unless_swapped() -> None:
    limit = Bandwidth(inbound=BandwidthRate(average=3))
    assert tc_commands("i", limit)[-1][-3:] == ["drop", "flowid", ":1"]
    assert tc_commands("i", limit, swapped=True)[-1][-3:] == ["fw", "flowid", "1"]
    assert ovs_commands("i", limit, vm_uuid="u")[-1][-1] == "ingress_policing_rate=24"
    assert tc_commands("i", None) == ovs_commands("i", None, vm_uuid="u") == []
