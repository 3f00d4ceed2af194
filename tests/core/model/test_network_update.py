"""Changes of a network's sections: what they do, and what is refused without a change."""

from __future__ import annotations

import pytest

from virtcore.enums import NetworkUpdateCommand as Command, NetworkUpdateSection as Section
from virtcore.errors import ErrorCode, VirtError
from virtcore.model.network import Network, format_network, load_network, update_network

UUID = "3e3fce45-4f53-4fa7-bb32-11f34168b82b"
NETWORK = f"""\
<network>
  <name>n</name>
  <uuid>{UUID}</uuid>
  <bridge name='virbr0' stp='on' delay='0'/>
  <dns>
    <txt name='a' value='1'/>
    <srv service='s' protocol='tcp' domain='d' target='t'/>
    <srv service='s' protocol='tcp' domain='e' target='t'/>
    <host ip='10.0.0.1'>
      <hostname>one</hostname>
      <hostname>shared</hostname>
    </host>
    <host ip='10.0.0.2'>
      <hostname>shared</hostname>
    </host>
  </dns>
  <ip family='ipv6' address='fd00::1' prefix='64'>
  </ip>
  <ip address='10.0.0.1' prefix='24'>
    <dhcp>
      <range start='10.0.0.10' end='10.0.0.20'/>
      <host mac='52:54:00:00:00:01' name='one' ip='10.0.0.2'/>
      <host mac='52:54:00:00:00:02' name='two' ip='10.0.0.3'/>
    </dhcp>
  </ip>
  <ip address='10.1.0.1' prefix='24'>
  </ip>
  <portgroup name='g' default='yes'>
  </portgroup>
  <portgroup name='h'>
  </portgroup>
</network>
"""
POOL = f"""\
<network>
  <name>n</name>
  <uuid>{UUID}</uuid>
  <forward dev='eth0' mode='vepa'>
    <interface dev='eth0'/>
    <interface dev='eth1'/>
  </forward>
</network>
"""


def subject(text: str = NETWORK) -> Network:
    loaded = load_network(text)
    assert format_network(loaded) == text
    return loaded


def changed(
    command: Command, section: Section, index: int, xml: str, text: str = NETWORK
) -> tuple[list[str], list[str]]:
    """Lines that went and lines that came."""
    network = subject(text)
    update_network(network, command, section, index, xml)
    before, after = text.splitlines(), format_network(network).splitlines()
    return [x.strip() for x in before if x not in after], [x.strip() for x in after if x not in before]


NEW_HOST = "<host mac='52:54:00:00:00:03' name='three' ip='10.0.0.4'/>"


@pytest.mark.parametrize("index", [1, -1])
def test_hosts_come_first_and_last(index: int) -> None:
    for command, place in ((Command.ADD_FIRST, 0), (Command.ADD_LAST, 2)):
        network = subject()
        update_network(network, command, Section.IP_DHCP_HOST, index, NEW_HOST)
        dhcp = network.ips[1].dhcp
        assert dhcp is not None
        assert [host.name for host in dhcp.hosts].index("three") == place


def test_a_host_is_found_by_one_attribute() -> None:
    one = "<host mac='52:54:00:00:00:01' name='one' ip='10.0.0.2'/>"
    by_name = changed(Command.MODIFY, Section.IP_DHCP_HOST, -1, "<host name='one' ip='10.0.0.9'/>")
    assert by_name == ([one], ["<host name='one' ip='10.0.0.9'/>"])
    by_mac = changed(Command.DELETE, Section.IP_DHCP_HOST, -1, "<host mac='52:54:0:0:0:01'/>")
    assert by_mac == ([one], [])
    by_address = changed(Command.DELETE, Section.IP_DHCP_HOST, -1, "<host ip='10.2'/>")
    assert by_address == ([one], [])


def test_without_dhcp_the_first_ipv4_address_serves() -> None:
    network = load_network(
        f"<network><name>n</name><uuid>{UUID}</uuid><ip family='ipv6' address='fd00::1'/>"
        "<ip address='10.0.0.1'/></network>"
    )
    update_network(network, Command.ADD_LAST, Section.IP_DHCP_RANGE, -1, "<range start='10.0.0.2' end='10.0.0.3'/>")
    assert network.ips[0].dhcp is None
    assert network.ips[1].dhcp is not None
    update_network(network, Command.DELETE, Section.IP_DHCP_RANGE, -1, "<range start='10.0.0.2' end='10.0.0.3'/>")
    assert "dhcp" not in format_network(network)


@pytest.mark.parametrize(
    ("command", "section", "xml", "gone", "new"),
    [
        (
            Command.ADD_LAST,
            Section.IP_DHCP_RANGE,
            "<range start='10.0.0.30' end='10.0.0.31'><lease expiry='2'/></range>",
            [],
            ["<range start='10.0.0.30' end='10.0.0.31'>", "<lease expiry='2' unit='minutes'/>", "</range>"],
        ),
        (
            Command.DELETE,
            Section.IP_DHCP_RANGE,
            "<range start='10.0.0.10' end='10.0.0.20'/>",
            ["<range start='10.0.0.10' end='10.0.0.20'/>"],
            [],
        ),
        (Command.ADD_FIRST, Section.PORTGROUP, "<portgroup name='i'/>", [], ["<portgroup name='i'>"]),
        (
            Command.MODIFY,
            Section.PORTGROUP,
            "<portgroup name='g' trustGuestRxFilters='yes'/>",
            ["<portgroup name='g' default='yes'>"],
            ["<portgroup name='g' trustGuestRxFilters='yes'>"],
        ),
        (Command.DELETE, Section.PORTGROUP, "<portgroup name='h'/>", ["<portgroup name='h'>"], []),
        (Command.ADD_LAST, Section.DNS_TXT, "<txt name='b' value='2'/>", [], ["<txt name='b' value='2'/>"]),
        (
            Command.MODIFY,
            Section.DNS_TXT,
            "<txt name='a' value='2'/>",
            ["<txt name='a' value='1'/>"],
            ["<txt name='a' value='2'/>"],
        ),
        (Command.DELETE, Section.DNS_TXT, "<txt name='a'/>", ["<txt name='a' value='1'/>"], []),
        (
            Command.DELETE,
            Section.DNS_SRV,
            "<srv domain='d'/>",
            ["<srv service='s' protocol='tcp' domain='d' target='t'/>"],
            [],
        ),
        (
            Command.MODIFY,
            Section.DNS_HOST,
            "<host ip='10.0.0.2'><hostname>new</hostname></host>",
            [],
            ["<hostname>new</hostname>"],
        ),
        (
            Command.DELETE,
            Section.DNS_HOST,
            "<host><hostname>one</hostname></host>",
            ["<host ip='10.0.0.1'>", "<hostname>one</hostname>"],
            [],
        ),
    ],
)
def test_changes(command: Command, section: Section, xml: str, gone: list[str], new: list[str]) -> None:
    assert changed(command, section, -1, xml) == (gone, new)


def test_the_first_interface_is_the_device() -> None:
    gone, new = changed(Command.ADD_FIRST, Section.FORWARD_INTERFACE, -1, "<interface dev='eth2'/>", POOL)
    assert gone == ["<forward dev='eth0' mode='vepa'>"]
    assert new == ["<forward dev='eth2' mode='vepa'>", "<interface dev='eth2'/>"]
    gone, new = changed(Command.DELETE, Section.FORWARD_INTERFACE, -1, "<interface dev='eth0'/>", POOL)
    assert new == ["<forward dev='eth1' mode='vepa'>"]


NAMES = "in network 'n'"


@pytest.mark.parametrize(
    ("command", "section", "index", "xml", "code", "message"),
    [
        (
            Command.ADD_LAST,
            Section.BRIDGE,
            -1,
            "<bridge/>",
            ErrorCode.OPERATION_UNSUPPORTED,
            "Operation not supported: can't update 'bridge' section of network 'n'",
        ),
        (
            Command.ADD_LAST,
            Section.FORWARD_PF,
            -1,
            "<pf/>",
            ErrorCode.OPERATION_UNSUPPORTED,
            "Operation not supported: can't update 'forward pf' section of network 'n'",
        ),
        (
            Command.ADD_LAST,
            Section.NONE,
            -1,
            "<pf/>",
            ErrorCode.OPERATION_UNSUPPORTED,
            "Operation not supported: can't update unrecognized section of network",
        ),
        (
            Command.NONE,
            Section.DNS_TXT,
            -1,
            "<txt name='a'/>",
            ErrorCode.OPERATION_UNSUPPORTED,
            "Operation not supported: unrecognized network update command code 0",
        ),
        (
            Command.ADD_LAST,
            Section.IP_DHCP_HOST,
            -1,
            "<range/>",
            ErrorCode.XML_ERROR,
            "XML error: unexpected element <range>, expecting <host>, while updating network 'n'",
        ),
        (
            Command.ADD_LAST,
            Section.IP_DHCP_HOST,
            7,
            NEW_HOST,
            ErrorCode.OPERATION_INVALID,
            f"couldn't update dhcp host entry - no <ip> element found at index 7 {NAMES}",
        ),
        (
            Command.ADD_LAST,
            Section.IP_DHCP_HOST,
            2,
            "<host mac='52:54:00:00:00:03' ip='10.1.0.4'/>",
            ErrorCode.OPERATION_INVALID,
            "dhcp is supported only for a single IPv4 address on each network",
        ),
        (
            Command.ADD_LAST,
            Section.IP_DHCP_HOST,
            -1,
            "<host mac='52:54:00:00:00:01' ip='10.0.0.9'/>",
            ErrorCode.OPERATION_INVALID,
            (
                "there is an existing dhcp host entry in network 'n' that matches "
                "\"<host mac='52:54:00:00:00:01' name='(null)' ip='10.0.0.9'/>\""
            ),
        ),
        (
            Command.MODIFY,
            Section.IP_DHCP_HOST,
            -1,
            "<host name='x' ip='10.0.0.9'/>",
            ErrorCode.OPERATION_INVALID,
            (
                "couldn't locate an existing dhcp host entry with \"mac='unknown'\" \"name='x'\" \"ip='10.0.0.9'\" "
                f"{NAMES}"
            ),
        ),
        (
            Command.DELETE,
            Section.IP_DHCP_HOST,
            -1,
            "<host name='one' ip='10.0.0.3'/>",
            ErrorCode.OPERATION_INVALID,
            f"couldn't locate a matching dhcp host entry {NAMES}",
        ),
        (
            Command.DELETE,
            Section.IP_DHCP_HOST,
            -1,
            "<host/>",
            ErrorCode.XML_ERROR,
            f"At least one of name, mac, or ip attribute must be specified for static host definition {NAMES}",
        ),
        (
            Command.ADD_LAST,
            Section.IP_DHCP_HOST,
            -1,
            "<host name='x' ip='here'/>",
            ErrorCode.XML_ERROR,
            "Invalid IP address in static host definition for network 'n'",
        ),
        (
            Command.ADD_LAST,
            Section.IP_DHCP_HOST,
            -1,
            "<host name='x' ip='fd00::9'/>",
            ErrorCode.OPERATION_INVALID,
            "the address family of a host entry IP must match the address family of the dhcp element's parent",
        ),
        (
            Command.MODIFY,
            Section.IP_DHCP_RANGE,
            -1,
            "<range/>",
            ErrorCode.OPERATION_UNSUPPORTED,
            "dhcp ranges cannot be modified, only added or deleted",
        ),
        (
            Command.ADD_LAST,
            Section.IP_DHCP_RANGE,
            -1,
            "<range start='10.0.0.10' end='10.0.0.20'/>",
            ErrorCode.OPERATION_INVALID,
            (
                "there is an existing dhcp range entry in network 'n' that matches "
                "\"<range start='10.0.0.10' end='10.0.0.20'/>\""
            ),
        ),
        (
            Command.DELETE,
            Section.IP_DHCP_RANGE,
            -1,
            "<range start='10.0.0.10' end='10.0.0.21'/>",
            ErrorCode.OPERATION_INVALID,
            f"couldn't locate a matching dhcp range entry {NAMES}",
        ),
        (
            Command.MODIFY,
            Section.FORWARD_INTERFACE,
            -1,
            "<interface dev='eth0'/>",
            ErrorCode.OPERATION_UNSUPPORTED,
            "forward interface entries cannot be modified, only added or deleted",
        ),
        (
            Command.ADD_LAST,
            Section.FORWARD_INTERFACE,
            -1,
            "<interface/>",
            ErrorCode.XML_ERROR,
            "missing dev attribute in <interface> element",
        ),
        (
            Command.DELETE,
            Section.FORWARD_INTERFACE,
            -1,
            "<interface dev='eth0'/>",
            ErrorCode.OPERATION_INVALID,
            f"couldn't find an interface entry {NAMES} matching <interface dev='eth0'>",
        ),
        (
            Command.ADD_LAST,
            Section.PORTGROUP,
            -1,
            "<portgroup name='g'/>",
            ErrorCode.OPERATION_INVALID,
            f"there is an existing portgroup entry {NAMES} that matches \"<portgroup name='g'>\"",
        ),
        (
            Command.ADD_LAST,
            Section.PORTGROUP,
            -1,
            "<portgroup name='i' default='yes'/>",
            ErrorCode.OPERATION_INVALID,
            f"a different portgroup entry {NAMES} is already set as the default. Only one default is allowed.",
        ),
        (
            Command.DELETE,
            Section.PORTGROUP,
            -1,
            "<portgroup name='i'/>",
            ErrorCode.OPERATION_INVALID,
            f"couldn't find a portgroup entry {NAMES} matching <portgroup name='i'>",
        ),
        (
            Command.ADD_LAST,
            Section.DNS_HOST,
            -1,
            "<host ip='10.0.0.1'><hostname>x</hostname></host>",
            ErrorCode.OPERATION_INVALID,
            "there is already at least one DNS HOST record with a matching field in network n",
        ),
        (
            Command.DELETE,
            Section.DNS_HOST,
            -1,
            "<host><hostname>shared</hostname></host>",
            ErrorCode.OPERATION_INVALID,
            "multiple matching DNS HOST records were found in network n",
        ),
        (
            Command.MODIFY,
            Section.DNS_HOST,
            -1,
            "<host ip='10.0.0.3'/>",
            ErrorCode.OPERATION_INVALID,
            "couldn't locate a matching DNS HOST record in network n",
        ),
        (
            Command.MODIFY,
            Section.DNS_SRV,
            -1,
            "<txt/>",
            ErrorCode.OPERATION_UNSUPPORTED,
            "DNS SRV records cannot be modified, only added or deleted",
        ),
        (
            Command.DELETE,
            Section.DNS_SRV,
            -1,
            "<srv service='s'/>",
            ErrorCode.OPERATION_INVALID,
            "multiple DNS SRV records matching all specified fields were found in network n",
        ),
        (
            Command.ADD_LAST,
            Section.DNS_TXT,
            -1,
            "<txt name='a' value='b'/>",
            ErrorCode.OPERATION_INVALID,
            "there is already a DNS TXT record with name 'a' in network n",
        ),
        (
            Command.MODIFY,
            Section.DNS_TXT,
            -1,
            "<txt name='a'/>",
            ErrorCode.OPERATION_INVALID,
            "missing value of modifying DNS TXT record in network n",
        ),
    ],
)
def test_refusals_change_nothing(
    command: Command, section: Section, index: int, xml: str, code: ErrorCode, message: str
) -> None:
    network = subject()
    with pytest.raises(VirtError) as caught:
        update_network(network, command, section, index, xml)
    assert caught.value.code is code
    assert str(caught.value).endswith(message)
    assert format_network(network) == NETWORK


def test_an_interface_in_use_stays() -> None:
    network = subject(POOL)
    assert network.forward is not None
    network.forward.interfaces[0].connections = 3
    with pytest.raises(
        VirtError,
        match=r"unable to delete interface 'eth0' in network 'n'\. It is currently being used by 3 domains\.",
    ):
        update_network(network, Command.DELETE, Section.FORWARD_INTERFACE, -1, "<interface dev='eth0'/>")


def test_malformed_xml_is_refused() -> None:
    with pytest.raises(VirtError) as caught:
        update_network(subject(), Command.ADD_LAST, Section.DNS_TXT, -1, "<txt")
    assert caught.value.code is ErrorCode.XML_DETAIL
