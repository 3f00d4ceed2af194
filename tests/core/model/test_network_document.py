"""Networks and their ports: what is kept, filled in and dropped, and what is refused."""

from __future__ import annotations

import uuid

import pytest

from virtcore.enums import NetworkXMLFlags
from virtcore.errors import ErrorDomain, VirtError
from virtcore.model.definition import DefinitionContext
from virtcore.model.network import (
    DirectPlug,
    Forward,
    ForwardInterface,
    ForwardMode,
    NetworkRules,
    PhysicalFunction,
    format_network,
    format_network_port,
    load_network,
    load_network_port,
)
from virtcore.xml import format, parse

UUID = "3e3fce45-4f53-4fa7-bb32-11f34168b82b"


def network(content: str, attributes: str = "") -> str:
    return f"<network{attributes}><name>n</name><uuid>{UUID}</uuid>{content}</network>"


def printed(content: str, flags: NetworkXMLFlags = NetworkXMLFlags.INACTIVE) -> str:
    """What stands between name and end of the output."""
    text = format_network(load_network(network(content)), flags)
    head, _, rest = text.partition("</uuid>\n")
    assert head == f"<network>\n  <name>n</name>\n  <uuid>{UUID}"
    return rest.removesuffix("</network>\n")


EVERYTHING = f"""\
<network ipv6='yes' trustGuestRxFilters='no'>
  <name>n</name>
  <uuid>{UUID}</uuid>
  <title>a network</title>
  <description>for a test</description>
  <metadata>
    <app:note xmlns:app="urn:app">kept</app:note>
  </metadata>
  <forward dev='eth0' mode='nat'>
    <nat ipv6='yes'>
      <address start='1.2.3.4' end='1.2.3.9'/>
      <port start='500' end='1000'/>
    </nat>
    <interface dev='eth0'/>
  </forward>
  <bridge name='virbr7' zone='public' stp='off' delay='2' macTableManager='libvirt'/>
  <mtu size='9000'/>
  <mac address='52:54:00:01:02:03'/>
  <domain name='example.org' localOnly='yes' register='yes'/>
  <dns enable='yes' forwardPlainNames='no'>
    <forwarder domain='example.com' addr='1.1.1.1'/>
    <forwarder addr='::1'/>
    <txt name='example' value='a value'/>
    <srv service='ldap' protocol='tcp' domain='d' target='t' port='389' priority='1' weight='2'/>
    <srv service='sip' protocol='udp'/>
    <host ip='10.0.0.2'>
      <hostname>one</hostname>
      <hostname>two</hostname>
    </host>
  </dns>
  <vlan trunk='yes'>
    <tag id='1' nativeMode='untagged'/>
    <tag id='2'/>
  </vlan>
  <bandwidth>
    <inbound average='1000' peak='5000' burst='5120'/>
    <outbound average='1000'/>
  </bandwidth>
  <port isolated='yes'/>
  <ip address='10.0.0.1' netmask='255.255.255.0' localPtr='yes'>
    <tftp root='/srv/tftp'/>
    <dhcp>
      <range start='10.0.0.100' end='10.0.0.200'>
        <lease expiry='12' unit='hours'/>
      </range>
      <range start='10.0.0.201' end='10.0.0.202'/>
      <host mac='52:54:00:AA:00:01' name='one' ip='10.0.0.2'>
        <lease expiry='0'/>
      </host>
      <bootp file='pxelinux.0' server='10.0.0.9'/>
    </dhcp>
  </ip>
  <ip family='ipv6' address='fd00::1' prefix='64'>
    <dhcp>
      <host id='0:1:a' name='two' ip='fd00::2'/>
    </dhcp>
  </ip>
  <route address='10.9.0.0' prefix='16' gateway='10.0.0.7' metric='3'/>
  <route family='ipv6' address='fd01::' prefix='64' gateway='fd00::7'/>
  <virtualport type='openvswitch'>
    <parameters interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f' profileid='p'/>
  </virtualport>
  <portgroup name='engineering' default='yes' trustGuestRxFilters='yes'>
    <vlan>
      <tag id='3'/>
    </vlan>
    <virtualport>
      <parameters managerid='11'/>
    </virtualport>
    <bandwidth>
      <inbound average='1'/>
    </bandwidth>
  </portgroup>
  <portgroup name='sales'>
  </portgroup>
</network>
"""


def test_everything_is_printed_as_it_was() -> None:
    assert format_network(load_network(EVERYTHING)) == EVERYTHING
    assert format(parse(EVERYTHING, type(load_network(EVERYTHING)))) == EVERYTHING


def test_what_the_schema_says_of_it() -> None:
    assert format_network(load_network(EVERYTHING, validate=True)) == EVERYTHING
    with pytest.raises(VirtError, match="failed to validate"):
        load_network(network("<bridge name='b' colour='red'/>"), validate=True)


def test_unknown_content_is_dropped_by_load_and_kept_by_parse() -> None:
    given = network("<bridge name='b' colour='red'/><gadget/>")
    loaded = load_network(given)
    assert "gadget" not in format_network(loaded)
    assert "colour" not in format_network(loaded)
    kept = format(parse(given, type(loaded)))
    assert "<gadget/>" in kept
    assert "colour='red'" in kept


def test_an_isolated_network_gets_a_bridge_and_a_uuid() -> None:
    context = DefinitionContext(new_uuid=lambda: uuid.UUID(UUID))
    bare = load_network("<network ipv6='no'><name>n</name><forward mode='none'/></network>", context=context)
    assert bare.uuid == UUID
    assert bare.mode is ForwardMode.NONE
    assert format_network(bare) == (
        f"<network>\n  <name>n</name>\n  <uuid>{UUID}</uuid>\n  <bridge stp='on' delay='0'/>\n</network>\n"
    )


def test_completing_again_changes_nothing() -> None:
    rules, context = NetworkRules(), DefinitionContext()
    for given in (EVERYTHING, network("<forward mode='bridge'><interface dev='eth0'/></forward>"), network("")):
        subject = load_network(given)
        before = format_network(subject)
        rules.complete(subject, context)
        rules.validate(subject, context)
        assert format_network(subject) == before


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # Nat is the default; a device is the first interface, and the other way round.
        (
            "<forward dev='eth0'/><ip address='10.1'/>",
            (
                "  <forward dev='eth0' mode='nat'>\n    <interface dev='eth0'/>\n  </forward>\n"
                "  <bridge stp='on' delay='0'/>\n  <ip address='10.0.0.1'>\n  </ip>\n"
            ),
        ),
        (
            "<forward mode='vepa'><interface dev='a'/><interface dev='b'/></forward>",
            "  <forward dev='a' mode='vepa'>\n    <interface dev='a'/>\n    <interface dev='b'/>\n  </forward>\n",
        ),
        # Interfaces count more than virtual functions.
        (
            "<forward mode='hostdev'><interface dev='a'/><address type='pci' slot='0x3'/></forward>",
            "  <forward dev='a' mode='hostdev' managed='no'>\n    <interface dev='a'/>\n  </forward>\n",
        ),
        (
            "<forward mode='hostdev' managed='YES'><driver name='vfio'/><address type='pci' slot='3'/></forward>",
            (
                "  <forward mode='hostdev' managed='yes'>\n    <driver name='vfio'/>\n"
                "    <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>\n  </forward>\n"
            ),
        ),
        # A bridge that says nothing is none, where the network has none of its own.
        ("<forward mode='bridge'/><bridge delay='0'/>", "  <forward mode='bridge'/>\n"),
        ("<bridge stp='odd' delay=' 7'/>", "  <bridge stp='on' delay='7'/>\n"),
        # Nothing to hand out.
        (
            "<ip address='10.0.0.1' prefix='0'><dhcp><bootp file='f'/></dhcp></ip>",
            "  <bridge stp='on' delay='0'/>\n  <ip address='10.0.0.1'>\n  </ip>\n",
        ),
        # Without an expiry it is no lease, and minutes are the default.
        (
            (
                "<ip address='10.0.0.1'><dhcp><range start='10.0.0.2' end='10.0.0.3'><lease unit='hours'/></range>"
                "<host name='1st' ip='10.0.0.5'><lease expiry='0x10'/></host></dhcp></ip>"
            ),
            (
                "  <bridge stp='on' delay='0'/>\n  <ip address='10.0.0.1'>\n    <dhcp>\n"
                "      <range start='10.0.0.2' end='10.0.0.3'/>\n      <host name='1st' ip='10.0.0.5'>\n"
                "        <lease expiry='16' unit='minutes'/>\n      </host>\n    </dhcp>\n  </ip>\n"
            ),
        ),
        ("<domain localOnly='yes'/><dns/>", "  <bridge stp='on' delay='0'/>\n"),
        ("<virtualport type='midonet'/>", "  <bridge stp='on' delay='0'/>\n  <virtualport type='midonet'/>\n"),
        ("<bandwidth/><mtu size='0'/>", "  <bridge stp='on' delay='0'/>\n"),
        (
            "<bandwidth><inbound average='0'/></bandwidth>",
            "  <bridge stp='on' delay='0'/>\n  <bandwidth>\n  </bandwidth>\n",
        ),
        (
            "<vlan trunk='NO'><tag id='0'/></vlan>",
            "  <bridge stp='on' delay='0'/>\n  <vlan>\n    <tag id='0'/>\n  </vlan>\n",
        ),
        # Each application has one element in the metadata.
        (
            "<metadata><a xmlns='urn:a'/><plain/><b xmlns='urn:a'/></metadata>",
            "  <metadata>\n    <a xmlns=\"urn:a\"/>\n  </metadata>\n  <bridge stp='on' delay='0'/>\n",
        ),
    ],
)
def test_what_is_filled_in_and_dropped(given: str, expected: str) -> None:
    assert printed(given) == expected


def test_what_only_a_running_network_has() -> None:
    given = network("<forward mode='hostdev' managed='no'><pf dev='eth0'/></forward>", " connections='4'")
    subject = load_network(given)
    assert subject.connections is None
    subject.connections = 2
    assert subject.forward is not None
    assert subject.forward.pf == PhysicalFunction(dev="eth0")
    subject.forward.interfaces = [ForwardInterface(dev="eth0v1", connections=1), ForwardInterface(dev="eth0v2")]
    live, inactive = format_network(subject), format_network(subject, NetworkXMLFlags.INACTIVE)
    assert "<network connections='2'>" in live
    assert (
        "  <forward mode='hostdev' managed='no'>\n    <pf dev='eth0'/>\n    <interface dev='eth0v1' connections='1'/>\n"
        "    <interface dev='eth0v2'/>\n" in live
    )
    assert "interface" not in inactive
    assert "connections" not in inactive
    assert len(subject.forward.interfaces) == 2


NAT = "<forward mode='nat'>{}</forward><ip address='10.0.0.1'/>"
DHCP = "<ip address='10.0.0.1' prefix='24'><dhcp>{}</dhcp></ip>"
IPV6 = "<ip family='ipv6' address='fd00::1' prefix='64'><dhcp>{}</dhcp></ip>"


@pytest.mark.parametrize(
    ("given", "message", "path"),
    [
        ("<uuid>x</uuid>", None, None),
        ("<title>a\nb</title>", "XML error: Network title can't contain newlines", "/network/title"),
        (
            "<domain name='d' register='yes'/>",
            (
                "unsupported configuration: attribute 'register=yes' in <domain> element requires 'localOnly=yes' in "
                "network n"
            ),
            "/network/domain/@register",
        ),
        ("<bridge delay='x'/>", "XML error: Invalid delay value in network 'n'", "/network/bridge/@delay"),
        (
            "<bridge macTableManager='default'/>",
            "XML error: Invalid macTableManager setting 'default' in network 'n'",
            "/network/bridge/@macTableManager",
        ),
        ("<mac address='z'/>", "XML error: Invalid bridge mac address 'z' in network 'n'", "/network/mac/@address"),
        (
            "<mac address='01:00:00:00:00:00'/>",
            "XML error: Invalid multicast bridge mac address '01:00:00:00:00:00' in network 'n'",
            "/network/mac/@address",
        ),
        ("<mtu size='big'/>", "XML error: Invalid mtu size 'big' in network 'n'", "/network/mtu/@size"),
        # forward
        (
            "<forward mode='tunnel'/>",
            "unsupported configuration: unknown forwarding type 'tunnel'",
            "/network/forward/@mode",
        ),
        ("<forward/>", "XML error: nat forwarding requested, but no IP address provided for network 'n'", None),
        (
            NAT.format("<interface dev='a'/><interface dev='b'/>"),
            "XML error: multiple forwarding interfaces specified for network 'n', only one is supported",
            "/network/forward",
        ),
        (
            "<forward mode='open' dev='a'/>",
            "XML error: forward dev not allowed for network 'n' with forward mode='open'",
            "/network/forward",
        ),
        (
            "<forward mode='bridge' dev='a'><interface dev='b'/></forward>",
            "XML error: <forward dev='a'> must match first <interface dev='b'/> in network n",
            "/network/forward/@dev",
        ),
        (
            "<forward mode='bridge'><interface dev='b'/><interface dev='b'/></forward>",
            "XML error: interface 'b' can only be listed once in network n",
            "/network/forward/interface[2]",
        ),
        (
            "<forward mode='hostdev' dev='a'><pf dev='b'/></forward>",
            (
                "XML error: the <forward> 'dev' attribute cannot be used when <address> or <pf> "
                "sub-elements are present in "
                "network n"
            ),
            "/network/forward/@dev",
        ),
        (
            "<forward mode='hostdev'><pf dev='a'/><pf dev='b'/></forward>",
            "XML error: Only one <pf> element is allowed in <forward> of network n",
            "/network/forward/pf[2]",
        ),
        (
            "<forward mode='hostdev'><address/></forward>",
            "XML error: missing address type in network n",
            "/network/forward/address[1]",
        ),
        (
            "<forward mode='hostdev'><address type='usb'/></forward>",
            "unsupported configuration: unknown address type 'usb' in network n",
            "/network/forward/address[1]/@type",
        ),
        (
            "<forward mode='hostdev'><address type='netdev'/></forward>",
            "XML error: unsupported address type 'netdev' in network n",
            "/network/forward/address[1]/@type",
        ),
        (
            "<forward mode='hostdev'><address type='pci' bus='3'/><address type='pci' bus='0x3'/></forward>",
            "XML error: PCI device '0000:03:00.0' can only be listed once in network n",
            "/network/forward/address[2]",
        ),
        (
            "<forward mode='vepa'/><bridge name='b'/>",
            "XML error: bridge name not allowed in vepa mode (network 'n')",
            "/network/bridge/@name",
        ),
        (
            "<forward mode='bridge'/><bridge name='b' stp='off'/>",
            (
                "XML error: bridge delay/stp/zone options only allowed in open, route, nat, and "
                "isolated mode, not in bridge "
                "(network 'n')"
            ),
            "/network/bridge",
        ),
        (
            "<forward mode='bridge' dev='a'/><bridge name='b'/>",
            (
                "XML error: A network with forward mode='bridge' can specify a bridge name or a "
                "forward dev, but not both "
                "(network 'n')"
            ),
            "/network/bridge/@name",
        ),
        (
            "<forward mode='private'/><mtu size='9'/>",
            "XML error: mtu size only allowed in open, route, nat, and isolated mode, not in private (network 'n')",
            "/network/mtu/@size",
        ),
        # nat
        (
            "<forward mode='route'><nat/></forward>",
            "XML error: The <nat> element can only be used when <forward> 'mode' is 'nat' in network n",
            "/network/forward/nat",
        ),
        (
            NAT.format("<nat><address start='1.2.3.4'/></nat>"),
            "XML error: missing 'end' attribute in <address> element in <nat> in <forward> in network n",
            "/network/forward/nat/address/@end",
        ),
        (
            NAT.format("<nat><address start='::1' end='::2'/></nat>"),
            "XML error: Bad ipv4 start address '::1' in <nat> in <forward> in network 'n'",
            "/network/forward/nat/address/@start",
        ),
        (
            NAT.format("<nat><address start='1.2.3.4' end='1.2.3.1'/></nat>"),
            "internal error: range 1.2.3.4 - 1.2.3.1 is reversed ",
            None,
        ),
        (
            NAT.format("<nat><port start='5' end='4'/></nat>"),
            "Missing or invalid 'end' attribute in <port> in <nat> in <forward> in network n",
            "/network/forward/nat/port/@end",
        ),
        # ip and dhcp
        ("<ip/>", "XML error: Missing required address attribute in network 'n'", "/network/ip/@address"),
        ("<ip address='here'/>", "XML error: Invalid address 'here' in network 'n'", "/network/ip/@address"),
        (
            "<ip address='::1'/>",
            "unsupported configuration: no family specified for non-IPv4 address '::1' in network 'n'",
            "/network/ip[1]",
        ),
        (
            "<ip address='1.2.3.4' netmask='255.0.0.0' prefix='8'/>",
            "unsupported configuration: Network 'n' IP address cannot have both a prefix and a netmask",
            "/network/ip[1]/@prefix",
        ),
        (
            "<ip address='1.2.3.4' prefix='33'/>",
            "unsupported configuration: Invalid IPv4 prefix '33' in network 'n'",
            "/network/ip[1]/@prefix",
        ),
        (
            "<ip family='ipv6' address='::1' netmask='ffff::'/>",
            "unsupported configuration: netmask not allowed for IPv6 address '::1' in network 'n'",
            "/network/ip[1]/@netmask",
        ),
        ("<ip family='ipx' address='1.2.3.4'/>", "XML error: Unrecognized family 'ipx' in network 'n'", None),
        (
            DHCP.format("<range start='10.0.0.2'/>"),
            "XML error: Missing 'end' attribute in dhcp range for network 'n'",
            "/network/ip/dhcp/range/@end",
        ),
        (
            DHCP.format("<range start='x' end='10.0.0.3'/>"),
            "Cannot parse socket address 'x': Name or service not known",
            "/network/ip/dhcp/range/@start",
        ),
        (
            DHCP.format("<range start='10.0.0.0' end='10.0.0.3'/>"),
            "internal error: start of range 10.0.0.0 - 10.0.0.3 in network 10.0.0.1/24 is the network address",
            None,
        ),
        (
            DHCP.format("<range start='10.0.0.5' end='10.0.0.255'/>"),
            "internal error: end of range 10.0.0.5 - 10.0.0.255 in network 10.0.0.1/24 is the broadcast address",
            None,
        ),
        (
            DHCP.format("<range start='10.0.0.5' end='10.0.1.3'/>"),
            "internal error: range 10.0.0.5 - 10.0.1.3 is not entirely within network 10.0.0.1/24",
            None,
        ),
        (
            DHCP.format("<range start='10.0.0.5' end='fd00::1'/>"),
            "internal error: mismatch of address family in range 10.0.0.5 - fd00::1",
            None,
        ),
        (
            "<ip family='ipv6' address='fd00::1' prefix='64'><dhcp><range start='fd00::9' end='fd00::2'/></dhcp></ip>",
            "internal error: range fd00::9 - fd00::2 start larger than end",
            None,
        ),
        (
            DHCP.format("<range start='10.0.0.5' end='10.0.0.6'><lease expiry='119' unit='seconds'/></range>"),
            "unsupported configuration: The minimum lease time should be greater than 2 minutes",
            None,
        ),
        (
            DHCP.format("<host ip='10.0.0.2'/>"),
            "XML error: Static host definition in IPv4 network 'n' must have mac or name attribute",
            None,
        ),
        (DHCP.format("<host mac='z'/>"), "XML error: Cannot parse MAC address 'z' in network 'n'", None),
        (
            DHCP.format("<host name='a'/>"),
            "XML error: Missing IP address in static host definition for network 'n'",
            None,
        ),
        (DHCP.format("<host name='-a' ip='1.2.3.4'/>"), "XML error: Cannot use host name '-a' in network 'n'", None),
        (
            IPV6.format("<host mac='52:54:00:00:00:01' ip='fd00::2'/>"),
            "XML error: Invalid to specify MAC address '52:54:00:00:00:01' in network 'n' IPv6 static host definition",
            None,
        ),
        (IPV6.format("<host id='0:g'/>"), "XML error: Invalid character 'g' in id '0:g' of network 'n'", None),
        (
            IPV6.format("<host ip='fd00::2'/>"),
            "XML error: Static host definition in IPv6 network 'n' must have id or name attribute",
            None,
        ),
        (
            "<ip family='ipv6' address='fd00::1'><tftp root='/'/></ip>",
            "unsupported configuration: Unsupported <tftp> element in an IPv6 element in network 'n'",
            "/network/ip[1]/tftp",
        ),
        # routes
        ("<route gateway='1.2.3.4'/>", "XML error: n: Missing required address attribute in route definition", None),
        (
            "<ip address='10.0.0.1'/><route address='10.0.0.3' prefix='24' gateway='10.0.0.2'/>",
            "XML error: n: Address '10.0.0.3' in route definition is not a network address",
            None,
        ),
        (
            "<ip address='10.0.0.1' prefix='24'/><route address='10.9.0.0' prefix='16' gateway='10.0.1.2'/>",
            "unsupported configuration: unreachable static route gateway '10.0.1.2' specified for network 'n'",
            "/network/route[1]/@gateway",
        ),
        # dns
        (
            "<dns><forwarder/></dns>",
            "XML error: Invalid forwarder element, must contain at least one of addr or domain",
            None,
        ),
        (
            "<dns><forwarder addr='x'/></dns>",
            "XML error: Invalid forwarder IP address 'x' in network 'n'",
            "/network/dns/forwarder/@addr",
        ),
        (
            "<dns enable='no'><txt name='a' value='b'/></dns>",
            "XML error: Extra data in disabled network 'n'",
            "/network/dns",
        ),
        ("<dns><host ip='1.2.3.4'/></dns>", "Missing hostname in network 'n' DNS HOST record", None),
        (
            "<dns><host ip='1.2.3.4'><hostname/></host></dns>",
            "Missing hostname in network 'n' DNS HOST record",
            None,
        ),
        (
            "<dns><host><hostname>a</hostname></host></dns>",
            "Missing IP address in network 'n' DNS HOST record",
            None,
        ),
        (
            "<dns><txt name='a,b' value='c'/></dns>",
            "prohibited character in DNS TXT record name 'a,b' of network n",
            None,
        ),
        (
            "<dns><txt name='a'/></dns>",
            "missing required value attribute in DNS TXT record named 'a' of network n",
            None,
        ),
        (
            "<dns><srv protocol='tcp'/></dns>",
            "missing required service attribute in DNS SRV record of network 'n'",
            None,
        ),
        (
            "<dns><srv service='a.b' protocol='tcp'/></dns>",
            "invalid character in service attribute 'a.b' in DNS SRV record of network 'n'",
            None,
        ),
        (
            "<dns><srv service='s' protocol='tcp' port='1'/></dns>",
            "DNS SRV port attribute not permitted without target for service 's' in network 'n'",
            None,
        ),
        (
            "<dns><srv service='s' protocol='tcp' target='t' priority='65536'/></dns>",
            "Invalid DNS SRV priority attribute for service 's' in network 'n'",
            "/network/dns/srv/@priority",
        ),
        # what interfaces of domains have too
        ("<virtualport/>", "XML error: missing required virtualport type", None),
        (
            "<virtualport type='802.1Qbh'><parameters typeid='x'/></virtualport>",
            "XML error: cannot parse value of typeid parameter",
            "/network/virtualport/parameters/@typeid",
        ),
        (
            "<bandwidth><inbound average='1' floor='1'/></bandwidth>",
            "unsupported configuration: floor attribute is not supported for this config",
            None,
        ),
        (
            "<bandwidth><inbound average='1' burst='4194304'/></bandwidth>",
            "numerical overflow: value '4194304' is too big for 'burst' parameter, maximum is '4194303'",
            "bandwidth/@burst",
        ),
        (
            "<bandwidth classID='3'/>",
            "classID attribute not supported on <bandwidth> in this usage context",
            None,
        ),
        (
            "<vlan trunk='no'><tag id='1'/><tag id='2'/></vlan>",
            "XML error: invalid \"trunk='no'\" in <vlan> - trunk='yes' is required for more than one vlan tag",
            None,
        ),
        ("<portgroup/>", "XML error: Missing required name attribute in portgroup", "/network/portgroup/@name"),
    ],
)
def test_refusals(given: str, message: str | None, path: str | None) -> None:
    if message is None:
        # A second UUID counts for nothing.
        load_network(network(given))
        return
    with pytest.raises(VirtError) as caught:
        load_network(network(given))
    assert str(caught.value) == message
    if path is not None:
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("<network/>", "missing name information"),
        ("<network><name>a/b</name></network>", "invalid char in name: /"),
        ("<domain/>", "XML error: expecting root element of 'network', not 'domain'"),
    ],
)
def test_refusals_of_the_whole(given: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load_network(given)
    assert str(caught.value).startswith(message)


def test_an_error_says_where_it_comes_from() -> None:
    with pytest.raises(VirtError) as caught:
        load_network(network("<forward/>"))
    assert caught.value.domain is ErrorDomain.NETWORK


# ---------------------------------------------------------------------------------------------------------------- ports

OWNER = f"<owner><name>guest</name><uuid>{UUID}</uuid></owner><mac address='52:54:00:7B:35:93'/>"
PORT = f"<networkport><uuid>{UUID}</uuid>{OWNER}{{}}</networkport>"
PORT_HEAD = f"""\
<networkport>
  <uuid>{UUID}</uuid>
  <owner>
    <name>guest</name>
    <uuid>{UUID}</uuid>
  </owner>
  <mac address='52:54:00:7b:35:93'/>
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("<plug type='none'/>", ""),
        ("<plug/>", ""),
        ("<plug type='direct' dev='eth0'/>", "  <plug type='direct' dev='eth0' mode='vepa'/>\n"),
        (
            "<plug type='network' bridge='b' macTableManager='kernel'/>",
            "  <plug type='network' bridge='b' macTableManager='kernel'/>\n",
        ),
        (
            "<plug type='hostdev-pci' managed='yes'><driver name='vfio'/><address bus='2'/></plug>",
            (
                "  <plug type='hostdev-pci' managed='yes'>\n    <driver name='vfio'/>\n"
                "    <address domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>\n  </plug>\n"
            ),
        ),
        (
            "<bandwidth classID='7'><inbound floor='3'/></bandwidth><rxfilters trustGuest='no'/>",
            "  <bandwidth classID='7'>\n    <inbound floor='3'/>\n  </bandwidth>\n  <rxfilters trustGuest='no'/>\n",
        ),
    ],
)
def test_ports(given: str, expected: str) -> None:
    assert format_network_port(load_network_port(PORT.format(given))) == f"{PORT_HEAD}{expected}</networkport>\n"


def test_a_port_is_typed() -> None:
    port = load_network_port(PORT.format("<plug type='direct' dev='eth0' mode='private'/>"))
    assert isinstance(port.plug, DirectPlug)
    assert port.plug.mode == "private"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (f"<networkport>{OWNER}</networkport>", "internal error: network port has no uuid"),
        (f"<networkport><uuid>x</uuid>{OWNER}</networkport>", "internal error: Unable to parse UUID 'x'"),
        (f"<networkport><uuid>{UUID}</uuid></networkport>", "internal error: network port has no owner name"),
        (PORT.format("<plug type='bridge'/>"), "XML error: Missing network port bridge name"),
        (PORT.format("<plug type='direct'/>"), "XML error: Missing network port link device name"),
        (PORT.format("<plug type='hostdev-pci'/>"), "XML error: Missing network port PCI address"),
        (
            PORT.format("<plug type='magic'/>"),
            "XML error: Invalid value for attribute 'type' in element 'plug': 'magic'.",
        ),
        (
            PORT.format("<bandwidth><outbound floor='1'/></bandwidth>"),
            "unsupported configuration: floor attribute is not supported for this config",
        ),
    ],
)
def test_refusals_of_ports(given: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load_network_port(given)
    assert str(caught.value) == message


def test_a_network_without_forward_is_equal_to_itself() -> None:
    one, two = load_network(network("")), load_network(network(""))
    assert one == two
    two.forward = Forward(mode=ForwardMode.OPEN)
    assert one != two
