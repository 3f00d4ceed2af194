"""``<dns>`` of a virtual network: what its name server answers itself, and where it asks."""

from __future__ import annotations

from virtcore.errors import ErrorCode
from virtcore.model.network.addresses import IP
from virtcore.xml import YES_NO, attribute, children, element, leaf

__all__ = ["DNS", "DNSForwarder", "DNSHost", "DNSService", "DNSText"]

_WHERE = "in network '{document}' DNS HOST record"


@element("forwarder")
class DNSForwarder:
    """A name server that is asked."""

    domain: str | None = attribute(doc="for names in this domain only", since="3.0.0")
    addr: str | None = attribute(
        codec=IP,
        invalid="Invalid forwarder IP address '{value}' in network '{document}'",
        doc="its address; none: nobody is asked for the domain",
        since="1.1.3",
    )


@element("txt")
class DNSText:
    """A TXT record."""

    name: str = attribute(
        required=True,
        missing="missing required name attribute in DNS TXT record of network {document}",
        code=ErrorCode.XML_DETAIL,
        doc="name",
    )
    value: str | None = attribute(doc="text")


def _number(name: str, doc: str, *, minimum: int = 0, said: str = "invalid") -> int | None:
    """A number of an SRV record."""
    number: int | None = attribute(
        name,
        blank=False,
        omit=0,
        minimum=minimum,
        maximum=65535,
        invalid=f"{said} DNS SRV {name} attribute for service '{{@service}}' in network '{{document}}'",
        code=ErrorCode.XML_DETAIL,
        doc=doc,
    )
    return number


@element("srv")
class DNSService:
    """An SRV record."""

    service: str | None = attribute(doc="name of the service")
    protocol: str | None = attribute(doc="its protocol")
    domain: str | None = attribute(doc="domain it is for; the network's by default")
    target: str | None = attribute(doc="host that offers it")
    port: int | None = _number("port", "its port", minimum=1)
    priority: int | None = _number("priority", "lower is asked first", said="Invalid")
    weight: int | None = _number("weight", "share among equal priorities")


@element("host")
class DNSHost:
    """Names of an address."""

    ip: str | None = attribute(
        codec=IP, invalid=f"Invalid IP address {_WHERE}", code=ErrorCode.XML_DETAIL, doc="address"
    )
    hostnames: list[str] = leaf("hostname", blank=True, doc="its names")


@element("dns")
class DNS:
    """The network's name server."""

    enable: bool | None = attribute(codec=YES_NO, doc="whether there is one", since="2.2.0")
    forward_plain_names: bool | None = attribute(
        "forwardPlainNames", codec=YES_NO, doc="whether names without a dot are asked for elsewhere", since="1.1.2"
    )
    forwarders: list[DNSForwarder] = children()
    texts: list[DNSText] = children()
    services: list[DNSService] = children()
    hosts: list[DNSHost] = children()
