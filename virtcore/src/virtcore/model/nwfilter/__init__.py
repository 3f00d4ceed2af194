"""Network filters and their bindings to ports; names resolve on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

if TYPE_CHECKING:
    from virtcore.model.nwfilter.binding import (
        FilterBinding as FilterBinding,
        LinkDevice as LinkDevice,
    )
    from virtcore.model.nwfilter.document import (
        format_nwfilter as format_nwfilter,
        format_nwfilter_binding as format_nwfilter_binding,
        load_nwfilter as load_nwfilter,
        load_nwfilter_binding as load_nwfilter_binding,
    )
    from virtcore.model.nwfilter.filter import (
        Filter as Filter,
        Rule as Rule,
        RuleAction as RuleAction,
        RuleDirection as RuleDirection,
    )
    from virtcore.model.nwfilter.match import (
        AHIPv6Match as AHIPv6Match,
        AHMatch as AHMatch,
        AllIPv6Match as AllIPv6Match,
        AllMatch as AllMatch,
        AnyMatch as AnyMatch,
        ARPMatch as ARPMatch,
        ESPIPv6Match as ESPIPv6Match,
        ESPMatch as ESPMatch,
        EthernetMatch as EthernetMatch,
        ICMPMatch as ICMPMatch,
        ICMPv6Match as ICMPv6Match,
        IGMPMatch as IGMPMatch,
        IPMatch as IPMatch,
        IPv6Match as IPv6Match,
        MACMatch as MACMatch,
        Match as Match,
        RARPMatch as RARPMatch,
        SCTPIPv6Match as SCTPIPv6Match,
        SCTPMatch as SCTPMatch,
        STPMatch as STPMatch,
        TCPIPv6Match as TCPIPv6Match,
        TCPMatch as TCPMatch,
        TransportMatch as TransportMatch,
        UDPIPv6Match as UDPIPv6Match,
        UDPLiteIPv6Match as UDPLiteIPv6Match,
        UDPLiteMatch as UDPLiteMatch,
        UDPMatch as UDPMatch,
        VLANMatch as VLANMatch,
    )
    from virtcore.model.nwfilter.reference import (
        FilterParameter as FilterParameter,
        FilterReference as FilterReference,
    )
    from virtcore.model.nwfilter.rules import (
        FilterRules as FilterRules,
    )

_MODULES = {
    "binding": ("FilterBinding", "LinkDevice"),
    "document": ("format_nwfilter", "format_nwfilter_binding", "load_nwfilter", "load_nwfilter_binding"),
    "filter": ("Filter", "Rule", "RuleAction", "RuleDirection"),
    "match": (
        "AHIPv6Match",
        "AHMatch",
        "ARPMatch",
        "AllIPv6Match",
        "AllMatch",
        "AnyMatch",
        "ESPIPv6Match",
        "ESPMatch",
        "EthernetMatch",
        "ICMPMatch",
        "ICMPv6Match",
        "IGMPMatch",
        "IPMatch",
        "IPv6Match",
        "MACMatch",
        "Match",
        "RARPMatch",
        "SCTPIPv6Match",
        "SCTPMatch",
        "STPMatch",
        "TCPIPv6Match",
        "TCPMatch",
        "TransportMatch",
        "UDPIPv6Match",
        "UDPLiteIPv6Match",
        "UDPLiteMatch",
        "UDPMatch",
        "VLANMatch",
    ),
    "reference": ("FilterParameter", "FilterReference"),
    "rules": ("FilterRules",),
}

__all__ = [
    "Filter",
    "Rule",
    "RuleAction",
    "RuleDirection",
    "AHIPv6Match",
    "AHMatch",
    "ARPMatch",
    "AllIPv6Match",
    "AllMatch",
    "AnyMatch",
    "ESPIPv6Match",
    "ESPMatch",
    "EthernetMatch",
    "ICMPMatch",
    "ICMPv6Match",
    "IGMPMatch",
    "IPMatch",
    "IPv6Match",
    "MACMatch",
    "Match",
    "RARPMatch",
    "SCTPIPv6Match",
    "SCTPMatch",
    "STPMatch",
    "TCPIPv6Match",
    "TCPMatch",
    "TransportMatch",
    "UDPIPv6Match",
    "UDPLiteIPv6Match",
    "UDPLiteMatch",
    "UDPMatch",
    "VLANMatch",
    "FilterParameter",
    "FilterReference",
    "FilterBinding",
    "LinkDevice",
    "FilterRules",
    "format_nwfilter",
    "format_nwfilter_binding",
    "load_nwfilter",
    "load_nwfilter_binding",
]


__getattr__, __dir__ = lazy(__name__, _MODULES)
