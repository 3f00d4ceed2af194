"""Networks, their ports and filters: documents read, completed, validated, updated and printed again."""

from __future__ import annotations

from typing import Any

from virtcore.enums import NetworkUpdateCommand, NetworkUpdateSection, NetworkXMLFlags
from virtcore.model.network import format_network, load_network, update_network

_FLAGS = {"inactive": NetworkXMLFlags.INACTIVE}


def _format_flags(case: Any) -> NetworkXMLFlags:
    flags = NetworkXMLFlags(0)
    for name in case.params["flags"]:
        flags |= _FLAGS[name]
    return flags


def network(case: Any) -> str:
    """Round trip of a network."""
    return format_network(load_network(case.text("xml")), _format_flags(case))


def network_update(case: Any) -> str:
    """A section of a network changed."""
    subject = load_network(case.text("network"))
    update_network(
        subject,
        NetworkUpdateCommand[_enum_name(case.params["command"])],
        NetworkUpdateSection[_enum_name(case.params["section"])],
        case.params["parent_index"],
        case.text("update"),
    )
    return format_network(subject, _format_flags(case))


def _enum_name(word: str) -> str:
    return word.upper().replace("-", "_")
