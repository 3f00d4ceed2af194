"""What of a network interface can change while a guest runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from virt_qemu.command.networks import actual_type, is_virtio_net
from virtcore.driver.toolkit.configuration.devices import LoadedDevice, matching
from virtcore.errors import ConfigUnsupported, OperationUnsupported
from virtcore.model.domain.interface import InterfaceTarget, InterfaceType

if TYPE_CHECKING:
    from virt_qemu.hotplug.session import Session
    from virtcore.model.domain.interface import Interface

__all__ = ["change_interface"]

_RIGID = (InterfaceType.HOSTDEV, InterfaceType.VDPA)
_BRIDGED = (InterfaceType.NETWORK, InterfaceType.BRIDGE)
#: Types of which nothing but what the guest sees can change.
_UNCHANGEABLE = (InterfaceType.VHOSTUSER, InterfaceType.NULL, InterfaceType.VDS)
_FILTERED = (InterfaceType.ETHERNET, InterfaceType.BRIDGE, InterfaceType.NETWORK)
_SOCKETS = (InterfaceType.SERVER, InterfaceType.CLIENT, InterfaceType.MCAST, InterfaceType.UDP)


async def change_interface(session: Session, loaded: LoadedDevice) -> None:
    """Change an interface (``qemuDomainChangeNet``).

    :raises VirtError: something cannot change while a guest runs; or the host, or QEMU, refused.
    """
    from virt_qemu.hotplug.update import check_compatible

    new: Interface = loaded.device
    old: Interface = matching(session.domain, loaded).device
    check_compatible(session, new, old)
    kind = actual_type(old) or InterfaceType.USER
    if kind in _RIGID:
        raise OperationUnsupported(f"cannot change config of '{kind}' network interface type")
    _check_fixed(new, old)
    await session.host.join_network(session.guest, session.domain, new)
    unused = new
    try:
        wanted = actual_type(new) or InterfaceType.USER
        if wanted in _RIGID:
            raise OperationUnsupported(f"cannot change network interface type to '{wanted}'")
        changes = _changes(new, old, wanted, kind)
        if changes:
            await session.host.change_interface(session.guest, session.domain, old, new, frozenset(changes))
        if new.link != old.link:
            await session.monitor.execute("set_link", {"name": old.alias or "", "up": new.link != "down"})
            old.link = new.link
        if changes:
            interfaces = session.devices.interfaces
            interfaces[next(place for place, one in enumerate(interfaces) if one is old)] = new
            unused = old
    finally:
        await session.host.leave_network(unused)
    session.obj.touch()


def _unset(new: Any, old: Any, name: str) -> None:
    """What is not said stays as it is."""
    if getattr(new, name) in (None, 0):
        setattr(new, name, getattr(old, name))


def _check_fixed(new: Interface, old: Interface) -> None:
    """Refuse changes of what the guest sees, filling in what the document does not say."""
    macs = [str(one.mac.address) if one.mac is not None else "" for one in (old, new)]
    if macs[0] != macs[1]:
        raise OperationUnsupported(f"cannot change network interface mac address from {macs[0]} to {macs[1]}")
    if old.model != new.model:
        raise OperationUnsupported(
            f"cannot modify network device model from {old.model or '(null)'} to {new.model or '(null)'}"
        )
    if is_virtio_net(old) and _attributes(old.driver) != _attributes(new.driver):
        raise OperationUnsupported("cannot modify virtio network device driver attributes")
    if _options(old.driver) != _options(new.driver):
        raise OperationUnsupported("cannot modify virtio network device driver options")
    if old.script != new.script:
        raise OperationUnsupported("cannot modify network device script attribute")
    if old.target is not None and old.target.dev is not None:
        new.target = new.target or InterfaceTarget()
        _unset(new.target, old.target, "dev")
    if (old.target.dev if old.target else None) != (new.target.dev if new.target else None):
        raise OperationUnsupported("cannot modify network device tap name")
    _unset(new, old, "address")
    if type(new.address) is not type(old.address):
        raise OperationUnsupported("cannot modify network device address type")
    if new.address != old.address:
        raise OperationUnsupported("cannot modify network device guest PCI address")
    for name, complaint in (
        ("alias", "changing device alias is not allowed"),
        ("rom_bar", "cannot modify network device rom bar setting"),
        ("rom_file", "cannot modify network rom file"),
        ("boot_order", "cannot modify network device boot index setting"),
        ("rom_enabled", "cannot modify network device rom enabled setting"),
    ):
        _unset(new, old, name)
        if getattr(new, name) != getattr(old, name):
            raise OperationUnsupported(complaint)
    if (old.mtu or 0) != (new.mtu or 0):
        raise OperationUnsupported("cannot modify MTU")
    if old.backend != new.backend:
        raise OperationUnsupported("cannot modify network device backend settings")


_OPTIONS = ("iommu", "ats", "packed", "page_per_vq")
_ATTRIBUTES = (
    *("name", "txmode", "ioeventfd", "event_idx", "queues", "rx_queue_size", "tx_queue_size"),
    *("rss", "rss_hash_report", "host", "guest"),
)


def _attributes(driver: Any) -> list[Any]:
    return [getattr(driver, name, None) or None for name in _ATTRIBUTES]


def _options(driver: Any) -> list[Any]:
    return [getattr(driver, name, None) for name in _OPTIONS]


def _bridge(interface: Interface) -> str | None:
    source = interface.actual.source if interface.actual is not None else interface.source
    return getattr(source, "bridge", None)


def _direct(interface: Interface) -> tuple[Any, Any]:
    source = interface.actual.source if interface.actual is not None else interface.source
    return (getattr(source, "dev", None), getattr(source, "mode", None))


#: Parts of an interface that the host can change, and what tells them apart.
_CHANGEABLE: tuple[tuple[str, Callable[[Interface], Any]], ...] = (
    ("bandwidth", lambda each: _actual(each, "bandwidth")),
    ("isolation", lambda each: getattr(_actual(each, "port"), "isolated", None)),
    ("filter", lambda each: each.filterref),
    ("coalesce", lambda each: each.coalesce or 0),
    ("vlan", lambda each: _actual(each, "vlan")),
)


def _actual(interface: Interface, name: str) -> Any:
    """What the network has made of a part of an interface, or what its document says."""
    found = getattr(interface.actual, name, None) if interface.actual is not None else None
    return getattr(interface, name) if found is None else found


def _changes(new: Interface, old: Interface, wanted: InterfaceType, kind: InterfaceType) -> set[str]:
    """What is to change on the host.

    :raises OperationUnsupported: the interface would have to be connected anew.
    """
    refusal = OperationUnsupported(f"unable to change config on '{new.type or InterfaceType.USER}' network type")
    changes = {name for name, get in _CHANGEABLE if get(new) != get(old)}
    if new.type == old.type and wanted is kind:
        if new.type in _UNCHANGEABLE:
            raise refusal
        if new.type in _SOCKETS and new.source != old.source:
            raise refusal
        if new.type is InterfaceType.INTERNAL and new.source != old.source:
            raise refusal
        if new.type is InterfaceType.NETWORK and _network(new) != _network(old):
            changes.add("bridge")
    elif wanted in _BRIDGED and kind in _BRIDGED:
        changes.add("bridge")
    elif not (wanted is InterfaceType.DIRECT and kind is InterfaceType.DIRECT):
        raise refusal
    if _bridge(new) != _bridge(old):
        changes.add("bridge")
    if "bridge" in changes:
        changes.discard("isolation")
        if _actual(new, "virtualport") is not None:
            raise refusal
    if wanted is InterfaceType.DIRECT and _direct(new) != _direct(old):
        raise refusal
    if new.sndbuf != old.sndbuf or _actual(new, "virtualport") != _actual(old, "virtualport"):
        raise refusal
    if "filter" in changes and wanted not in _FILTERED:
        raise ConfigUnsupported(f"filters not supported on interfaces of type {wanted}")
    return changes


def _network(interface: Interface) -> str | None:
    return getattr(interface.source, "network", None)
