"""``<networkport>``: the place of an interface in a virtual network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from virtcore.errors import ErrorCode, ErrorDomain
from virtcore.model.definition import DefinitionContext, DefinitionRules
from virtcore.model.domain.hostdev import PCIHostdevDriver
from virtcore.model.domain.interface import MacvtapMode
from virtcore.model.network.port import MACTableManager
from virtcore.model.network.port_rules import settle_bandwidth, settle_virtualport, settle_vlan
from virtcore.model.patterns import DEVICE_NAME
from virtcore.model.pci import settle_pci
from virtcore.model.storage.source import SourcePCIAddress
from virtcore.xml import MAC, UUID, YES_NO, Stage, attribute, child, element, extras, leaf
from virtcore.xml.fields import BAD_TAG

if TYPE_CHECKING:
    from virtcore.model.network.port import VLAN, Bandwidth, PortOptions, VirtualPort
    from virtcore.xml import Extras

__all__ = [
    "BridgePlug",
    "DirectPlug",
    "HostdevPlug",
    "NetworkPlug",
    "NetworkPort",
    "NetworkPortRules",
    "NoPlug",
    "format_network_port",
    "load_network_port",
]


def _needed(what: str) -> dict[str, Any]:
    """What a required field is refused with when it is absent."""
    return {
        "required": True,
        "blank": False,
        "missing": f"network port has no {what}",
        "code": ErrorCode.INTERNAL_ERROR,
    }


@element("plug", tag="none")
class NoPlug:
    """Not plugged in."""


@element("plug", tag="bridge")
class BridgePlug:
    """Plugged into a bridge of the host."""

    bridge: str = attribute(
        required=True, pattern=DEVICE_NAME, missing="Missing network port bridge name", doc="name of the bridge"
    )
    mac_table_manager: MACTableManager | None = attribute(
        "macTableManager",
        invalid="Invalid macTableManager setting '{value}' in network port",
        doc="who fills the bridge's MAC table",
    )


@element("plug", tag="network")
class NetworkPlug(BridgePlug):
    """Plugged into the network's own bridge."""


@element("plug", tag="direct")
class DirectPlug:
    """Directly on a device of the host."""

    dev: str = attribute(
        required=True, pattern=DEVICE_NAME, missing="Missing network port link device name", doc="name of the device"
    )
    mode: MacvtapMode | None = attribute(
        demanded=True,
        invalid="Invalid mode setting '{value}' in network port",
        doc="how it reaches its neighbours; vepa by default",
    )


@element("plug", tag="hostdev-pci")
class HostdevPlug:
    """A PCI device of the host."""

    managed: bool | None = attribute(codec=YES_NO, doc="whether libvirt takes the device from the host")
    driver: PCIHostdevDriver | None = child("driver")
    address: SourcePCIAddress = child(required=True, missing="Missing network port PCI address")


@element("networkport", root=True, doc="The place of an interface in a virtual network.", since="5.5.0")
class NetworkPort:
    uuid: str = leaf(codec=UUID, invalid="Unable to parse UUID '{value}'", **_needed("uuid"), doc="Unique everywhere.")
    owner_name: str = leaf("name", within="owner", **_needed("owner name"), doc="Name of the domain.")
    owner_uuid: str = leaf(
        "uuid",
        within="owner",
        codec=UUID,
        invalid="Unable to parse UUID '{value}'",
        **_needed("owner UUID"),
        doc="UUID of the domain.",
    )
    group: str | None = leaf(pattern=DEVICE_NAME, doc="Port group of the network.")
    mac: str = attribute(
        "address",
        within="mac",
        codec=MAC,
        invalid="Unable to parse MAC '{value}'",
        **_needed("mac"),
        doc="MAC address of the interface.",
    )
    virtualport: VirtualPort | None = child("virtualport")
    bandwidth: Bandwidth | None = child("bandwidth")
    vlan: VLAN | None = child("vlan")
    port: PortOptions | None = child("port")
    trust_guest_rx_filters: bool | None = attribute(
        "trustGuest", within="rxfilters", codec=YES_NO, demanded=True, doc="Follow the guest's receive filters."
    )
    plug: NoPlug | BridgePlug | NetworkPlug | DirectPlug | HostdevPlug | None = child(
        tag="@type",
        default="none",
        invalid=BAD_TAG,
        shown=lambda port: not isinstance(port.plug, NoPlug),
    )
    extra: Extras = extras()


def _settle(_rules: NetworkPortRules, port: NetworkPort, context: DefinitionContext) -> None:
    if port.virtualport is not None:
        settle_virtualport(port.virtualport)
    port.bandwidth = settle_bandwidth(port.bandwidth, floor=True, classified=True)
    if port.vlan is not None:
        settle_vlan(port.vlan)
    plug = port.plug
    if isinstance(plug, DirectPlug):
        plug.mode = plug.mode or MacvtapMode.VEPA
    elif isinstance(plug, HostdevPlug):
        settle_pci(plug.address)


class NetworkPortRules(DefinitionRules[NetworkPort, DefinitionContext]):
    """What makes a port of a network complete."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.NETWORK
    completion: ClassVar[tuple[Stage, ...]] = (Stage("settle", _settle),)


def load_network_port(source: str | bytes, *, validate: bool = False) -> NetworkPort:
    """Reads a port of a network and completes it (``virNetworkPortCreateXML``).

    :param validate: the schema is checked first (``VIR_NETWORK_PORT_CREATE_VALIDATE``).
    :raises VirtError: the document is malformed, or refused by libvirt's parser.
    """
    from virtcore.xml import load

    return load(source, NetworkPort, NetworkPortRules(), DefinitionContext(), validate=validate)


def format_network_port(port: NetworkPort) -> str:
    """The port's document, as libvirt prints it."""
    from virtcore.xml import format

    return format(port)
