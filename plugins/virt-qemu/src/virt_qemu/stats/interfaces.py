"""Traffic of guests' network interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.networks import actual_type
from virt_qemu.stats.threads import device_counters
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.errors import InternalError
from virtcore.model.domain.interface import InterfaceType
from virtcore.operations.values import InterfaceStats

if TYPE_CHECKING:
    from virtcore.model.domain import Domain, Interface
    from virtcore.types import TypedParameters

__all__ = ["add_interfaces", "interface_stats"]

_COUNTERS = ("rx.bytes", "rx.pkts", "rx.errs", "rx.drop", "tx.bytes", "tx.pkts", "tx.errs", "tx.drop")


def _name(interface: Interface) -> str | None:
    return interface.target.dev if interface.target is not None else None


def _as_the_guest_sees_it(interface: Interface, counted: InterfaceStats) -> InterfaceStats:
    """What a tap device sends is what the guest receives; a device on top of one of the host's has the guest's view."""
    if actual_type(interface) is InterfaceType.DIRECT:
        return counted
    return InterfaceStats(*counted[4:], *counted[:4])


def interface_stats(interface: Interface) -> InterfaceStats:
    """Counters of an interface of a running guest.

    :raises InternalError: it has no device on the host, or that is not there.
    """
    name = _name(interface)
    if name is None:
        raise InternalError("Interface name not provided")
    counted = device_counters().get(name)
    if counted is None:
        raise InternalError("/proc/net/dev: Interface not found")
    return _as_the_guest_sees_it(interface, counted)


def add_interfaces(domain: Domain, rows: TypedParameters) -> None:
    """Add the group of a running guest's interfaces; those without a device on the host are only counted."""
    interfaces = domain.devices.interfaces if domain.devices is not None else []
    rows.add("net.count", Kind.UINT, len(interfaces))
    named = [(number, interface, _name(interface)) for number, interface in enumerate(interfaces)]
    counters = device_counters() if any(name for _, _, name in named) else {}
    for number, interface, name in named:
        if name is None:
            continue
        rows.add(f"net.{number}.name", Kind.STRING, name)
        if name in counters:
            values = _as_the_guest_sees_it(interface, counters[name])
            for counter, value in zip(_COUNTERS, values, strict=True):
                rows.add(f"net.{number}.{counter}", Kind.ULLONG, value)
