"""A network of this host, and what is kept of it while it is active: ``<networkstatus>``."""

from __future__ import annotations

from virtcore.driver.toolkit.networks import NetworkObject
from virtcore.model.definition import DefinitionContext
from virtcore.model.network.network import Network
from virtcore.model.network.networkport import NetworkPort, NetworkPortRules
from virtcore.model.network.rules import NetworkRules
from virtcore.xml import CPU_SET, ULONG, YES_NO, CpuSet, attribute, child, children, element, flag, leaf

__all__ = ["HostNetwork", "format_status", "load_status"]

#: Traffic classes that the bridge itself has: those of ports come after.
_OWN_CLASSES = frozenset({0, 1, 2})


class HostNetwork(NetworkObject):
    """One network of the host.

    :ivar complete: it was started to the end; else what is there of it is not all, or nothing.
    :ivar removal: commands that take its firewall rules back, in order.
    :ivar classes: traffic classes of its bridge that are in use.
    """

    __slots__ = ("classes", "complete", "removal")

    def __init__(self, name: str, uuid: str) -> None:
        super().__init__(name, uuid)
        self.forget()

    def forget(self) -> None:
        """It is not active: nothing of it is there."""
        self.complete = False
        self.removal: list[list[str]] = []
        self.classes: set[int] = set(_OWN_CLASSES)
        self.ports.clear()

    @property
    def floor_sum(self) -> int:
        """KiB a second that are guaranteed to its ports."""
        return sum(floor_of(port) for port in self.ports.values())

    def next_class(self) -> int:
        """A traffic class that is free; it is in use from now on."""
        number = next(number for number in range(len(self.classes) + 1) if number not in self.classes)
        self.classes.add(number)
        return number


def floor_of(port: NetworkPort) -> int:
    """KiB a second that are guaranteed to a port by a traffic class of its own."""
    bandwidth = port.bandwidth
    if bandwidth is None or not bandwidth.class_id or bandwidth.inbound is None:
        return 0
    return bandwidth.inbound.floor or 0


@element("class_id")
class ClassIds:
    """Traffic classes in use."""

    bitmap: CpuSet = attribute(codec=CPU_SET, required=True)


@element("floor")
class FloorSum:
    """Rates that are guaranteed, together."""

    sum: int = attribute(codec=ULONG, required=True, doc="KiB a second")


@element("action")
class FirewallAction:
    """A command that takes a rule back."""

    ignore_errors: bool = attribute("ignoreErrors", codec=YES_NO, required=True)
    args: list[str] = leaf("item", within="args")


@element("group")
class FirewallGroup:
    """Commands that belong together."""

    ignore_errors: bool = attribute("ignoreErrors", codec=YES_NO, required=True)
    actions: list[FirewallAction] = children("action")


@element("firewall")
class FirewallRemoval:
    """What takes the rules of the network back."""

    groups: list[FirewallGroup] = children("group")


@element("networkstatus", root=True)
class NetworkStatus:
    """An active network with all that its driver knows of it."""

    begun: bool = flag(doc="it is being started")
    classes: ClassIds | None = child("class_id")
    floor: FloorSum | None = child("floor")
    removal: FirewallRemoval | None = child("firewall", within="fwRemoval")
    network: Network = child("network", required=True)
    ports: list[NetworkPort] = children("networkport")


def format_status(network: HostNetwork) -> str:
    """What is kept of an active network."""
    from virtcore.xml import Mode, format

    assert network.live is not None
    removal = None
    if network.removal:
        actions = [FirewallAction(ignore_errors=True, args=list(argv)) for argv in network.removal]
        removal = FirewallRemoval(groups=[FirewallGroup(ignore_errors=True, actions=actions)])
    status = NetworkStatus(
        begun=not network.complete,
        classes=ClassIds(bitmap=CpuSet(network.classes)),
        floor=FloorSum(sum=network.floor_sum),
        removal=removal,
        network=network.live,
        ports=list(network.ports.values()),
    )
    return format(status, Mode.STATUS)


def load_status(network: HostNetwork, text: str) -> None:
    """Take over what was kept.

    :raises VirtError: it is malformed.
    """
    from virtcore.xml import Mode, load

    status = load(text, NetworkStatus, mode=Mode.STATUS, name="(network_status)")
    NetworkRules().complete(status.network, DefinitionContext())
    for port in status.ports:
        NetworkPortRules().complete(port, DefinitionContext())
    network.forget()
    network.live = status.network
    network.complete = not status.begun
    if status.classes is not None:
        network.classes = set(status.classes.bitmap)
    if status.removal is not None:
        network.removal = [action.args for group in status.removal.groups for action in group.actions]
    network.ports.update((port.uuid, port) for port in status.ports)
