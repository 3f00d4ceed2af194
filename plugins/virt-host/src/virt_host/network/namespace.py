"""What virtual networks of a Linux host may have beyond libvirt's own elements: ``<dnsmasq:options>``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.xml import Namespace, attribute, children, element, register_namespace

if TYPE_CHECKING:
    from virtcore.model.network import Network

__all__ = ["DNSMASQ", "DnsmasqOption", "DnsmasqOptions", "options_of", "register"]

DNSMASQ = Namespace("dnsmasq", "http://libvirt.org/schemas/network/dnsmasq/1.0", "network")


@element("option")
class DnsmasqOption:
    """A line of dnsmasq's configuration."""

    value: str = attribute(
        required=True,
        missing="No dnsmasq options value specified",
        missing_code=ErrorCode.INTERNAL_ERROR,
        doc="the line, as it is",
    )


@element("options", ns=DNSMASQ, since="5.6.0")
class DnsmasqOptions:
    """Further lines of dnsmasq's configuration. What they do is the user's affair."""

    options: list[DnsmasqOption] = children()


def register() -> None:
    """Make the element known to every reader of network documents. Doing it again changes nothing."""
    register_namespace(DNSMASQ, DnsmasqOptions)


def options_of(network: Network) -> list[str]:
    """The lines a network has for dnsmasq."""
    return [option.value for each in network.options if isinstance(each, DnsmasqOptions) for option in each.options]
