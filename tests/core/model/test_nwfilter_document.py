"""Network filters and bindings: values in libvirt's spelling, what is merged and dropped, and what is refused."""

from __future__ import annotations

import pytest

from virtcore.errors import ErrorCode, VirtError
from virtcore.model.definition import DefinitionContext
from virtcore.model.nwfilter import (
    Filter,
    FilterRules,
    Rule,
    TCPMatch,
    format_nwfilter,
    format_nwfilter_binding,
    load_nwfilter,
    load_nwfilter_binding,
)
from virtcore.xml import format, parse

UUID = "3e3fce45-4f53-4fa7-bb32-11f34168b82b"


def document(content: str, attributes: str = "") -> str:
    return f"<filter name='f'{attributes}><uuid>{UUID}</uuid>{content}</filter>"


def rule(content: str) -> str:
    return document(f"<rule action='drop' direction='in'>{content}</rule>")


def matches(content: str) -> list[str]:
    """The elements of a rule, as they are printed."""
    lines = format_nwfilter(load_nwfilter(rule(content))).splitlines()
    assert lines[2] == "  <rule action='drop' direction='in' priority='500'>"
    return [line.strip() for line in lines[3:-2]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # Numbers keep their base; names are printed where there are some.
        ("<mac protocolid='ARP'/>", "<mac protocolid='arp'/>"),
        ("<mac protocolid='2054'/>", "<mac protocolid='arp'/>"),
        ("<mac protocolid='0x1234'/>", "<mac protocolid='0x1234'/>"),
        ("<mac protocolid='fffe'/>", "<mac protocolid='0xfffe'/>"),
        ("<vlan vlanid='0xaf' encap-protocol='60'/>", "<vlan vlanid='0xaf' encap-protocol='60'/>"),
        ("<arp opcode='reply'/>", "<arp opcode='Reply'/>"),
        ("<arp opcode='0x10' gratuitous='1'/>", "<arp opcode='16' gratuitous='true'/>"),
        ("<rarp gratuitous='maybe'/>", "<rarp gratuitous='false'/>"),
        ("<ip protocol='0x11' dscp='63'/>", "<ip protocol='udp' dscp='63'/>"),
        ("<ipv6 protocol='33' dstportend='0xff'/>", "<ipv6 protocol='33' dstportend='0xff'/>"),
        ("<stp type='0x12' root-cost='-1'/>", "<stp type='0x12' root-cost='4294967295'/>"),
        # Addresses and masks.
        ("<mac srcmacaddr='1:2:3:4:5:6'/>", "<mac srcmacaddr='01:02:03:04:05:06'/>"),
        ("<tcp srcipaddr='10.1' srcipmask='255.255.0.0'/>", "<tcp srcipaddr='10.0.0.1' srcipmask='16'/>"),
        ("<tcp srcipaddr='::ffff:10.1.2.3'/>", "<tcp srcipaddr='10.1.2.3'/>"),
        (
            "<udp-ipv6 srcipaddr='A:0:0::1' srcipmask='ffff:ff00::'/>",
            "<udp-ipv6 srcipaddr='a::1' srcipmask='24'/>",
        ),
        (
            "<all-ipv6 dstipfrom='::10.1.2.3' dstipto='::20.1.2.3'/>",
            "<all-ipv6 dstipfrom='::10.1.2.3' dstipto='::20.1.2.3'/>",
        ),
        # Words.
        ("<tcp state='related,NEW established'/>", "<tcp state='NEW,ESTABLISHED,RELATED'/>"),
        ("<tcp state='NEW,none'/>", "<tcp state='NONE'/>"),
        ("<tcp flags='syn,ack/SYN'/>", "<tcp flags='SYN,ACK/SYN'/>"),
        ("<tcp flags='FIN,SYN,RST,PSH,ACK,URG/'/>", "<tcp flags='ALL/NONE'/>"),
        ("<all ipset='s_1:.-+ x' ipsetflags='SRC,dst'/>", "<all ipset='s_1:.-+ x' ipsetflags='src,dst'/>"),
        ("<sctp ipset='s'/>", "<sctp ipset='s' ipsetflags='src'/>"),
        ("<all ipset='s'/>", "<all ipset='s'/>"),
        # Variables.
        (
            "<tcp srcipaddr='$IP' srcipmask='$M[@0]' dstipaddr='$IP[ @ 2 ]' dscp='$D[3] '/>",
            "<tcp srcipaddr='$IP' srcipmask='$M' dstipaddr='$IP[@2]' dscp='$D[3]'/>",
        ),
        ("<icmp/>", "<icmp/>"),
        ("<esp unknown='7'/>", "<esp/>"),
    ],
)
def test_values(given: str, expected: str) -> None:
    assert matches(given) == [expected]
    assert matches(expected) == [expected]


def test_a_comment_ends_at_its_limit() -> None:
    assert matches(f"<all comment='{'&lt;' * 300}'/>") == [f"<all comment='{'&lt;' * 256}'/>"]


def test_elements_of_one_protocol_are_merged() -> None:
    assert matches(
        "<tcp match='no' srcipaddr='10.1.2.3'/><udp dscp='1'/><tcp srcipmask='8' comment='c' dscp='2'/>"
        "<tcp match='no' dscp='3' srcportstart='22'/><tcp dstportstart='23'/>"
    ) == [
        "<tcp comment='c'/>",
        "<tcp match='no' srcipaddr='10.1.2.3' srcipmask='8' dscp='3' srcportstart='22' dstportstart='23'/>",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # Which attributes are turned around together differs from protocol to protocol.
        ("<mac srcmacaddr='1:2:3:4:5:6'/><mac match='no' srcmacmask='ff:0:0:0:0:0'/>", 1),
        ("<arp srcmacaddr='1:2:3:4:5:6'/><arp match='no' srcmacmask='ff:0:0:0:0:0'/>", 2),
        ("<stp port='1'/><stp match='no' port-hi='2'/>", 1),
        ("<ip protocol='tcp' srcportstart='1'/><ip match='no' srcportend='2'/>", 2),
        ("<udp srcportstart='1'/><udp match='no' srcportend='2'/>", 1),
        ("<icmpv6 type='1'/><icmpv6 match='no' code='2'/>", 1),
    ],
)
def test_what_is_turned_around_together(given: str, expected: int) -> None:
    assert len(matches(given)) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", "chain='root'"),
        (" priority='7'", "chain='root'"),
        (" chain='root' priority='7'", "chain='root' priority='7'"),
        (" chain='mac'", "chain='mac' priority='-800'"),
        (" chain='arp-xyz'", "chain='arp-xyz' priority='-500'"),
        (" chain='rarp'", "chain='rarp' priority='-400'"),
        (" chain='ipv4'", "chain='ipv4' priority='-700'"),
        (" chain='ipv6'", "chain='ipv6' priority='-600'"),
        (" chain='vlan'", "chain='vlan' priority='-750'"),
        (" chain='stp'", "chain='stp'"),
        (" chain='stp' priority='-1000'", "chain='stp' priority='-1000'"),
    ],
)
def test_chains(attributes: str, expected: str) -> None:
    text = format_nwfilter(load_nwfilter(document("", attributes)))
    assert text == f"<filter name='f' {expected}>\n  <uuid>{UUID}</uuid>\n</filter>\n"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("priority='-7'", "priority='-7'/>"),
        ("priority='1001'", "priority='500'/>"),
        ("priority='x'", "priority='500'/>"),
        ("statematch='FALSE'", "priority='500' statematch='false'/>"),
        ("statematch='0'", "priority='500' statematch='false'/>"),
        ("statematch='no'", "priority='500'/>"),
    ],
)
def test_rules(attributes: str, expected: str) -> None:
    text = format_nwfilter(load_nwfilter(document(f"<rule action='return' direction='inout' {attributes}/>")))
    assert f"  <rule action='return' direction='inout' {expected}\n" in text


def test_references_have_sorted_parameters() -> None:
    given = (
        "<filterref filter='a'><parameter name='b' value='2'/><parameter name='a' value='3'/>"
        "<parameter name='b' value='1'/><parameter name='a-b' value='1'/><parameter name='c' value=''/>"
        "<parameter name='d' value='x y'/><parameter name='e'/></filterref>"
        "<rule action='drop' direction='in'/><filterref filter='z'/>"
    )
    assert format_nwfilter(load_nwfilter(document(given))).splitlines()[2:-1] == [
        "  <filterref filter='a'>",
        "    <parameter name='a' value='3'/>",
        "    <parameter name='b' value='2'/>",
        "    <parameter name='b' value='1'/>",
        "  </filterref>",
        "  <rule action='drop' direction='in' priority='500'/>",
        "  <filterref filter='z'/>",
    ]


def test_completing_again_changes_nothing() -> None:
    subject = load_nwfilter(rule("<tcp match='no' srcipaddr='1.2.3.4'/><tcp ipset='s' dscp='2'/>"))
    before = format_nwfilter(subject)
    FilterRules().complete(subject, DefinitionContext())
    assert format_nwfilter(subject) == before


def test_a_rule_is_typed_and_reading_loses_nothing() -> None:
    given = rule("<tcp match='no' dscp='2' colour='red'/><tcp srcportstart='22'/>")
    kept = parse(given, Filter)
    entry = kept.entries[0]
    assert isinstance(entry, Rule)
    assert [type(match) for match in entry.matches] == [TCPMatch, TCPMatch]
    assert "colour='red'" in format(kept)


REFUSED = [
    ("mac", "srcmacaddr", "1:2"),
    ("mac", "srcmacmask", "ff:0:ff:0:0:0"),
    ("mac", "protocolid", "0x5ff"),
    ("mac", "protocolid", "bogus"),
    ("vlan", "vlanid", "4096"),
    ("vlan", "encap-protocol", "59"),
    ("stp", "type", "256"),
    ("stp", "root-cost", "4294967296"),
    ("arp", "opcode", "bogus"),
    ("arp", "arpsrcipaddr", "::1"),
    ("ip", "dscp", "64"),
    ("ip", "protocol", "bogus"),
    ("ipv6", "srcipaddr", "1.2.3.4"),
    ("ipv6", "srcipmask", "129"),
    ("tcp", "srcipmask", "255.0.255.0"),
    ("tcp", "connlimit-above", "0x1"),
    ("tcp", "state", "BOGUS"),
    ("tcp", "flags", "SYN"),
    ("tcp", "flags", "SYN/BOGUS"),
    ("all", "ipset", "a/b"),
    ("all", "ipset", "x" * 32),
    ("all", "ipsetflags", "src,"),
    ("all", "ipsetflags", "src,src,src,src,src,src,src"),
    ("all", "srcipaddr", "$IP[@1001]"),
    ("all", "srcipaddr", "$IP[x]"),
    ("all", "comment", "$5 off"),
]


@pytest.mark.parametrize(("protocol", "attribute", "value"), REFUSED)
def test_illegal_values(protocol: str, attribute: str, value: str) -> None:
    with pytest.raises(VirtError) as caught:
        load_nwfilter(rule(f"<{protocol} {attribute}='{value}'/>"))
    assert str(caught.value) == f"internal error: {attribute} has illegal value {value}"
    assert caught.value.path == f"/filter/rule/{protocol}/@{attribute}"
    assert caught.value.value == value


PORTS = (
    "rule with port specification requires protocol specification with protocol to be either one of tcp(6), udp(17), "
    "dccp(33), or sctp(132)"
)


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ("<filter/>", ErrorCode.INTERNAL_ERROR, "internal error: filter has no name"),
        ("<filter name='f'><uuid>x</uuid></filter>", ErrorCode.XML_ERROR, "XML error: malformed uuid element"),
        (document("", " priority='x'"), ErrorCode.INVALID_ARG, "invalid argument: Could not parse chain priority 'x'"),
        (
            document("", " priority='1001'"),
            ErrorCode.INVALID_ARG,
            "invalid argument: Priority '1001' is outside valid range of [-1000,1000]",
        ),
        (
            document("", " chain='0123456789abc'"),
            ErrorCode.INVALID_ARG,
            "invalid argument: Name of chain is longer than 12 characters",
        ),
        (
            document("", " chain='mac/x'"),
            ErrorCode.INVALID_ARG,
            "invalid argument: Chain name contains invalid characters",
        ),
        (
            document("", " chain='tcp'"),
            ErrorCode.INVALID_ARG,
            (
                "invalid argument: Invalid chain name 'tcp'. Please use a chain name called 'root' or any of the "
                "following "
                "prefixes: mac, vlan, stp, arp, rarp, ipv4, ipv6"
            ),
        ),
        (document("<filterref/>"), ErrorCode.INTERNAL_ERROR, "internal error: rule node requires action attribute"),
        (
            document("<rule direction='in'/>"),
            ErrorCode.INTERNAL_ERROR,
            "internal error: rule node requires action attribute",
        ),
        (
            document("<rule action='drop'/>"),
            ErrorCode.INTERNAL_ERROR,
            "internal error: rule node requires direction attribute",
        ),
        (
            document("<rule action='lose' direction='in'/>"),
            ErrorCode.CONFIG_UNSUPPORTED,
            "unsupported configuration: unknown rule action attribute value",
        ),
        (rule("<ip srcportstart='1'/>"), ErrorCode.INTERNAL_ERROR, f"internal error: IP {PORTS}"),
        (rule("<ipv6 dstportend='1' protocol='$P'/>"), ErrorCode.INTERNAL_ERROR, f"internal error: IPv6 {PORTS}"),
    ],
)
def test_refusals(given: str, code: ErrorCode, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load_nwfilter(given)
    assert (caught.value.code, str(caught.value)) == (code, message)


# ------------------------------------------------------------------------------------------------------------- bindings

BINDING = f"""\
<filterbinding>
  <owner>
    <name>guest</name>
    <uuid>{UUID}</uuid>
  </owner>
  <portdev name='vnet0'/>
  <linkdev name='eth0'/>
  <mac address='52:54:00:00:00:01'/>
  <filterref filter='clean-traffic'>
    <parameter name='IP' value='10.0.0.1'/>
  </filterref>
</filterbinding>
"""


def test_bindings() -> None:
    assert format_nwfilter_binding(load_nwfilter_binding(BINDING)) == BINDING
    assert format_nwfilter_binding(load_nwfilter_binding(BINDING, validate=True)) == BINDING


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("    <name>guest</name>\n", "filter binding has no owner name"),
        (f"    <uuid>{UUID}</uuid>\n", "filter binding has no owner UUID"),
        ("  <portdev name='vnet0'/>\n", "filter binding has no port dev name"),
        (" name='eth0'", "filter binding has no link dev name"),
        ("  <mac address='52:54:00:00:00:01'/>\n", "filter binding has no MAC address"),
        (" filter='clean-traffic'", "filter binding has no filter reference"),
        ("-4f53", f"Unable to parse UUID '{UUID.replace('-4f53', '')}'"),
        (":00:01", "Unable to parse MAC '52:54:00:00'"),
    ],
)
def test_refusals_of_bindings(gone: str, message: str) -> None:
    assert gone in BINDING
    with pytest.raises(VirtError) as caught:
        load_nwfilter_binding(BINDING.replace(gone, ""))
    assert str(caught.value) == f"internal error: {message}"
