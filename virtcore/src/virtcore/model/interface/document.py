"""From an interface document to a complete :class:`HostInterface`, and back."""

from __future__ import annotations

from typing import ClassVar

from virtcore.errors import ErrorDomain, XMLError
from virtcore.model.definition import DefinitionContext, DefinitionRules
from virtcore.model.interface.device import Bond, HostInterface
from virtcore.xml import Mode, Stage

__all__ = ["InterfaceRules", "format_interface", "load_interface"]

_LARGEST_PACKET = 100000


def _settle(_rules: InterfaceRules, interface: HostInterface, context: DefinitionContext) -> None:
    if interface.mtu is not None and interface.mtu > _LARGEST_PACKET:
        raise XMLError(
            f"value of the 'size' attribute of 'mtu' element must be at most {_LARGEST_PACKET}",
            path="/interface/mtu/@size",
        )
    for protocol in interface.protocols:
        protocol.ips = [ip for ip in protocol.ips if ip.address is not None]
    bonds: list[Bond | None] = [interface.bond]
    if interface.bridge is not None:
        bonds.extend(member.bond for member in interface.bridge.interfaces)
    for bond in bonds:
        if bond is not None and bond.miimon is not None:
            # One way of watching; this one has precedence.
            bond.arpmon = None


class InterfaceRules(DefinitionRules[HostInterface, DefinitionContext]):
    """What makes the configuration of a host interface complete."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.INTERFACE
    completion = (Stage("settle", _settle),)


def load_interface(source: str | bytes, *, validate: bool = False) -> HostInterface:
    """Reads the configuration of a host interface (``virInterfaceDefineXML``).

    :param validate: the schema is checked first (``VIR_INTERFACE_DEFINE_VALIDATE``).
    :raises VirtError: the document is malformed or refused by libvirt's parser.
    """
    from virtcore.xml import load

    return load(source, HostInterface, InterfaceRules(), DefinitionContext(), mode=Mode.INACTIVE, validate=validate)


def format_interface(interface: HostInterface) -> str:
    """The configuration of a host interface, as libvirt prints it."""
    from virtcore.xml import format

    return format(interface)
