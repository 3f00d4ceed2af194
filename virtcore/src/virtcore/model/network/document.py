"""From a network document to a complete, valid :class:`Network`, and back."""

from __future__ import annotations

from copy import copy

from virtcore.enums import NetworkXMLFlags
from virtcore.model.definition import DefinitionContext
from virtcore.model.network.network import Network
from virtcore.model.network.rules import NetworkRules
from virtcore.xml import Mode

__all__ = ["format_network", "load_network"]

_NONE = NetworkXMLFlags(0)


def load_network(source: str | bytes, *, validate: bool = False, context: DefinitionContext | None = None) -> Network:
    """Reads a network document, completes and validates it (``virNetworkDefineXMLFlags``).

    :param validate: the schema is checked first (``VIR_NETWORK_DEFINE_VALIDATE``); else un-namespaced content that
        libvirt does not know is dropped.
    :param context: where generated UUIDs come from.
    :raises VirtError: the document is malformed, or refused by libvirt's parser.
    """
    from virtcore.xml import load

    return load(source, Network, NetworkRules(), context or DefinitionContext(), validate=validate)


def format_network(network: Network, flags: NetworkXMLFlags = _NONE) -> str:
    """The network's document, as libvirt prints it.

    :param flags: with ``INACTIVE`` as a definition, without what only a running network has.
    """
    from virtcore.xml import format

    if NetworkXMLFlags.INACTIVE not in flags:
        return format(network, Mode.LIVE)
    forward = network.forward
    if forward is not None and forward.pf is not None and (forward.interfaces or forward.addresses):
        # The physical function's virtual functions, which were found when the network started.
        network, forward = copy(network), copy(forward)
        network.forward = forward
        forward.interfaces, forward.addresses = [], []
    return format(network, Mode.INACTIVE)
