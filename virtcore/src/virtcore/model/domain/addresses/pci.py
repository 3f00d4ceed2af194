"""Slots of the guest's PCI buses.

A :class:`PCIAddressSet` is used twice: in a *dry run* it grows the buses that are needed, then, with a controller for
each bus in the domain, it hands out the addresses.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Protocol

from virtcore.errors import InternalError, VirtError, XMLError
from virtcore.model.domain.address import PCIAddress
from virtcore.model.domain.controller import PCIControllerModel as Model

__all__ = ["ENDPOINT", "Connect", "PCIAddressSet", "PCIBus", "connect_type", "spell"]

LAST_SLOT = 31
LAST_FUNCTION = 7


class Connect(IntFlag):
    """What a bus accepts, or what a device needs of its bus."""

    NONE = 0
    AUTOASSIGN = 1 << 0
    HOTPLUGGABLE = 1 << 1
    #: Devices of this kind may share a slot, a function each.
    AGGREGATE_SLOT = 1 << 2
    #: The device is part of the chipset: bus 0, whatever that bus accepts otherwise.
    INTEGRATED = 1 << 3
    PCI_DEVICE = 1 << 4
    PCIE_DEVICE = 1 << 5
    PCIE_ROOT_PORT = 1 << 6
    PCIE_SWITCH_UPSTREAM_PORT = 1 << 7
    PCIE_SWITCH_DOWNSTREAM_PORT = 1 << 8
    DMI_TO_PCI_BRIDGE = 1 << 9
    PCIE_TO_PCI_BRIDGE = 1 << 10
    PCI_EXPANDER_BUS = 1 << 11
    PCIE_EXPANDER_BUS = 1 << 12
    PCI_BRIDGE = 1 << 13


ENDPOINT = Connect.PCI_DEVICE | Connect.PCIE_DEVICE

# The search compares flags thousands of times a domain, and members of an enumeration are slow at it: inside they are
# plain integers.
_TYPES = 0x3FF0
_ENDPOINT = int(ENDPOINT)
_AUTOASSIGN, _HOTPLUGGABLE, _AGGREGATE = 1 << 0, 1 << 1, 1 << 2
_DEMANDS = _AUTOASSIGN | _HOTPLUGGABLE
_INTEGRATED, _PCI, _BRIDGE = 1 << 3, int(Connect.PCI_DEVICE), int(Connect.PCI_BRIDGE)
_EXPRESS = int(Connect.PCIE_DEVICE | Connect.PCIE_SWITCH_UPSTREAM_PORT)

#: What each kind of controller is as a device on its own bus; the roots are on none.
_AS_DEVICE: dict[Model, Connect] = {
    Model.PCI_BRIDGE: Connect.PCI_BRIDGE,
    Model.PCI_EXPANDER_BUS: Connect.PCI_EXPANDER_BUS,
    Model.PCIE_EXPANDER_BUS: Connect.PCIE_EXPANDER_BUS,
    Model.DMI_TO_PCI_BRIDGE: Connect.DMI_TO_PCI_BRIDGE,
    Model.PCIE_TO_PCI_BRIDGE: Connect.PCIE_TO_PCI_BRIDGE,
    Model.PCIE_ROOT_PORT: Connect.PCIE_ROOT_PORT | Connect.AGGREGATE_SLOT,
    Model.PCIE_SWITCH_UPSTREAM_PORT: Connect.PCIE_SWITCH_UPSTREAM_PORT,
    Model.PCIE_SWITCH_DOWNSTREAM_PORT: Connect.PCIE_SWITCH_DOWNSTREAM_PORT,
}

_PORT = Connect.AUTOASSIGN | Connect.PCIE_DEVICE | Connect.PCIE_SWITCH_UPSTREAM_PORT | Connect.PCIE_TO_PCI_BRIDGE
_CONVENTIONAL = Connect.AUTOASSIGN | Connect.PCI_DEVICE | Connect.PCI_BRIDGE

#: model -> (what its bus accepts, whether hot-plug is possible, first slot, last slot)
_AS_BUS: dict[Model, tuple[Connect, bool, int, int]] = {
    Model.PCI_ROOT: (_CONVENTIONAL | Connect.PCI_EXPANDER_BUS, True, 1, LAST_SLOT),
    Model.PCI_BRIDGE: (_CONVENTIONAL, True, 1, LAST_SLOT),
    Model.PCI_EXPANDER_BUS: (_CONVENTIONAL, True, 0, LAST_SLOT),
    Model.PCIE_ROOT: (
        Connect.PCIE_DEVICE | Connect.PCIE_ROOT_PORT | Connect.DMI_TO_PCI_BRIDGE | Connect.PCIE_EXPANDER_BUS,
        False,
        1,
        LAST_SLOT,
    ),
    Model.DMI_TO_PCI_BRIDGE: (Connect.PCI_DEVICE | Connect.PCI_BRIDGE, False, 0, LAST_SLOT),
    # Slot 0 belongs to the bridge's own hot-plug controller.
    Model.PCIE_TO_PCI_BRIDGE: (_CONVENTIONAL, True, 1, LAST_SLOT),
    Model.PCIE_ROOT_PORT: (_PORT, True, 0, 0),
    Model.PCIE_SWITCH_DOWNSTREAM_PORT: (_PORT, True, 0, 0),
    Model.PCIE_SWITCH_UPSTREAM_PORT: (Connect.PCIE_SWITCH_DOWNSTREAM_PORT, False, 0, LAST_SLOT),
    Model.PCIE_EXPANDER_BUS: (Connect.PCIE_ROOT_PORT | Connect.DMI_TO_PCI_BRIDGE, False, 0, LAST_SLOT),
}

#: In the order in which a refusal names what the device needs.
_NAMES: tuple[tuple[Connect, str], ...] = (
    (Connect.PCI_DEVICE, "standard PCI device"),
    (Connect.PCIE_DEVICE, "PCI Express device"),
    (Connect.PCIE_ROOT_PORT, "pcie-root-port"),
    (Connect.PCIE_SWITCH_UPSTREAM_PORT, "pcie-switch-upstream-port"),
    (Connect.PCIE_SWITCH_DOWNSTREAM_PORT, "pcie-switch-downstream-port"),
    (Connect.DMI_TO_PCI_BRIDGE, "dmi-to-pci-bridge"),
    (Connect.PCIE_TO_PCI_BRIDGE, "pcie-to-pci-bridge"),
    (Connect.PCI_EXPANDER_BUS, "pci-expander-bus"),
    (Connect.PCIE_EXPANDER_BUS, "pcie-expander-bus"),
    (Connect.PCI_BRIDGE, "pci-bridge"),
)
#: Controllers that are never added by themselves, and what they are called when a slot for one is missing.
_NEVER_ADDED: tuple[tuple[Connect, str], ...] = tuple(
    row for row in _NAMES if row[0] not in (Connect.PCI_DEVICE, Connect.PCIE_DEVICE, Connect.PCIE_TO_PCI_BRIDGE)
)


def connect_type(model: Model | None) -> Connect:
    """What a PCI controller needs of the bus it sits on; nothing for the roots."""
    return _AS_DEVICE.get(model, Connect.NONE) if model is not None else Connect.NONE


class Function(Protocol):
    """A PCI function of the guest or of the host."""

    @property
    def domain(self) -> int | None: ...
    @property
    def bus(self) -> int | None: ...
    @property
    def slot(self) -> int | None: ...
    @property
    def function(self) -> int | None: ...


def spell(address: Function) -> str:
    """An address as messages and the kernel spell it."""
    return f"{address.domain or 0:04x}:{address.bus or 0:02x}:{address.slot or 0:02x}.{address.function or 0:x}"


class PCIBus:
    """The slots behind one controller."""

    __slots__ = ("accepts", "aggregate", "first", "functions", "group", "group_locked", "last", "model")

    def __init__(self) -> None:
        self.model: Model | None = None
        self.accepts = 0
        self.first = 0
        self.last = 0
        #: slot -> bit set of functions in use
        self.functions: dict[int, int] = {}
        #: slots whose functions are handed out one by one
        self.aggregate: set[int] = set()
        #: devices of one isolation group share a bus with nobody else
        self.group = 0
        self.group_locked = False

    def set_model(self, model: Model, *, hotplug: bool) -> None:
        """Take the properties of a kind of controller."""
        accepts, may_hotplug, self.first, self.last = _AS_BUS[model]
        self.accepts = int(accepts) | (_HOTPLUGGABLE if hotplug and may_hotplug else 0)
        self.model = model

    @property
    def full(self) -> bool:
        """Whether no slot is wholly free."""
        return all(self.functions.get(slot) for slot in range(self.first, self.last + 1))

    @property
    def empty(self) -> bool:
        """Whether every slot is free."""
        return not self.functions


class PCIAddressSet:
    """Every PCI bus of a guest.

    :param buses: number of buses there are; models come with :meth:`PCIBus.set_model`.
    :param dry_run: buses that turn out to be needed are added, and nothing is handed out.
    :param several_roots: the machine expands by further root buses rather than bridges.
    :param pcie_to_pci_bridge: conventional devices on a PCI Express guest get this bridge.
    """

    def __init__(
        self, buses: int, *, dry_run: bool, several_roots: bool = False, pcie_to_pci_bridge: bool = False
    ) -> None:
        self.buses = [PCIBus() for _ in range(buses)]
        self.dry_run = dry_run
        self.several_roots = several_roots
        self.pcie_to_pci_bridge = pcie_to_pci_bridge
        #: Buses that a search for the same need not look at again: nothing is ever given back.
        self._searched: dict[tuple[int, int, int | None], int] = {}
        #: Some bus is, or was, an isolation group's.
        self._isolated = False

    def in_use(self, slot: int, bus: int = 0) -> bool:
        """Whether any function of a slot is taken."""
        return bool(self.buses[bus].functions.get(slot))

    def reserve(self, address: PCIAddress, needs: Connect, group: int = 0, *, from_config: bool = True) -> None:
        """Take an address.

        :raises XMLError: it does not exist, does not suit the device, or is taken (``InternalError`` when
            ``from_config`` is false, since the user did not choose it).
        """
        flags, bus_index = int(needs), address.bus or 0
        if self.dry_run and bus_index >= len(self.buses):
            bus_index = address.bus = self._grow(bus_index, flags)
        self._validate(address, flags, from_config)
        bus, slot, function = self.buses[bus_index], address.slot or 0, address.function or 0
        if bus.functions.get(slot, 0) >> function & 1:
            raise _refusal(from_config, f"Attempted double use of PCI Address {spell(address)}")
        if (bus.functions or bus.group_locked) and bus.group != group and from_config:
            # The user mixed groups on the bus: isolation cannot be promised any more.
            bus.group = 0
            self._searched.clear()
        self._take(bus, slot, function, flags, group)

    def _take(self, bus: PCIBus, slot: int, function: int, needs: int, group: int) -> None:
        taken = bus.functions.get(slot, 0)
        if not taken and needs & _AGGREGATE:
            bus.aggregate.add(slot)
        if bus.group != group and not bus.functions and not bus.group_locked:
            bus.group = group
            self._isolated = True
            self._searched.clear()
        bus.functions[slot] = taken | 1 << function

    def next(self, needs: Connect, group: int = 0, function: int | None = None) -> PCIAddress:
        """Find and take the next slot that is wholly free, or shareable where the device allows it.

        :param function: function to take; None for the first.
        :raises InternalError: there is none.
        """
        bus, slot, function = self.take_next(needs, group, function)
        return PCIAddress(domain=0, bus=bus, slot=slot, function=function)

    def take_next(self, needs: Connect, group: int = 0, function: int | None = None) -> tuple[int, int, int]:
        """:meth:`next` as bus, slot and function."""
        if not self.buses:
            raise XMLError("No PCI buses available")
        flags = int(needs)
        place = self._find(flags, group, function)
        if place is None:
            if not self.dry_run:
                raise InternalError("No more available PCI slots")
            index = self._grow(len(self.buses), flags)
            place = (index, self.buses[index].first, function or 0)
            if not _fits(self.buses[index].accepts, index, flags, False):
                self._validate(PCIAddress(domain=0, bus=index, slot=place[1], function=place[2]), flags, False)
        index, slot, chosen = place
        self._take(self.buses[index], slot, chosen, flags, group)
        return place

    def validate(self, address: PCIAddress, needs: Connect, *, from_config: bool = True) -> None:
        """Check that an address exists and suits a device.

        :raises XMLError: with libvirt's message; ``InternalError`` when the address was not the user's.
        """

        self._validate(address, int(needs), from_config)

    def _validate(self, address: PCIAddress, needs: int, from_config: bool) -> None:
        if not self.buses:
            raise _refusal(from_config, "No PCI buses available")
        index, slot = address.bus or 0, address.slot or 0
        problem = None
        if address.domain:
            problem = "Only PCI domain 0 is available"
        elif index >= len(self.buses):
            problem = f"Only PCI buses up to {len(self.buses) - 1} are available"
        else:
            bus = self.buses[index]
            if not _fits(bus.accepts, index, needs, from_config):
                raise _refusal(from_config, _mismatch(bus.accepts, address, needs, from_config))
            if slot < bus.first:
                problem = f"slot must be >= {bus.first}"
            elif slot > bus.last:
                problem = f"slot must be <= {bus.last}"
            elif (address.function or 0) > LAST_FUNCTION:
                problem = f"function must be <= {LAST_FUNCTION}"
        if problem is not None:
            raise _refusal(from_config, f"Invalid PCI address {spell(address)}. {problem}")

    # -- finding

    def _find(self, needs: int, group: int, function: int | None) -> tuple[int, int, int] | None:
        """Bus, slot and function that are free."""
        key = (needs, group, function)
        buses = self.buses
        for index in range(self._searched.get(key, 0), len(buses)):
            if buses[index].group == group:
                place = self._free_on(index, needs, function)
                if place is not None:
                    self._searched[key] = index
                    return (index, *place)
        self._searched[key] = len(buses)
        # An empty bus changes its group with its first device.
        for index, bus in enumerate(self.buses) if group or self._isolated else ():
            if bus.group != group and not bus.functions and not bus.group_locked:
                place = self._free_on(index, needs, function)
                if place is not None:
                    return (index, *place)
        return None

    def _free_on(self, index: int, needs: int, function: int | None) -> tuple[int, int] | None:
        """Slot and function of a bus that are free for a device; None when it does not go there."""
        bus = self.buses[index]
        if needs & _INTEGRATED:
            if not _fits(bus.accepts, index, needs, False):
                return None
        else:  # the same, for the thousands that are asked so
            demands = needs & _DEMANDS
            if bus.accepts & demands != demands or not needs & bus.accepts & _TYPES:
                return None
        functions, shares = bus.functions, needs & _AGGREGATE
        if not functions:
            return bus.first, function or 0
        for slot in range(bus.first, bus.last + 1):
            taken = functions.get(slot)
            if not taken:
                return slot, function or 0
            if shares and slot in bus.aggregate:
                for choice in range(LAST_FUNCTION + 1) if function is None else (function,):
                    if not taken >> choice & 1:
                        return slot, choice
        return None

    def _grow(self, bus_index: int, needs: int) -> int:
        """Add the controllers that make room for a device on bus ``bus_index``; returns the bus it ends up on."""
        missing = bus_index - len(self.buses) + 1
        if missing <= 0:
            return bus_index
        bridge = False
        if needs & _PCI:
            model = Model.PCI_ROOT if self.several_roots else Model.PCI_BRIDGE
            if not self.several_roots:
                bridge = not any(bus.accepts & _BRIDGE for bus in self.buses)
                if bridge and missing == 1:
                    # A conventional topology has to begin first: one more controller above the device's bus.
                    missing += 1
                    bus_index += 1
        elif needs & _EXPRESS:
            model = Model.PCIE_ROOT_PORT
        else:
            for kind, name in _NEVER_ADDED:
                if needs & kind:
                    raise InternalError(
                        f"a PCI slot is needed to connect a PCI controller model='{name}', but none is available, "
                        "and it cannot be automatically added"
                    )
            raise InternalError(f"Cannot automatically add a new PCI bus for a device with connect flags {needs:02x}")
        added = [PCIBus() for _ in range(missing)]
        self.buses += added
        if bridge and self.pcie_to_pci_bridge:
            port = added.pop(0)
            port.set_model(Model.PCIE_ROOT_PORT, hotplug=True)
            # Nothing but the bridge may take this port.
            port.accepts = int(Connect.PCIE_TO_PCI_BRIDGE)
            added.pop(0).set_model(Model.PCIE_TO_PCI_BRIDGE, hotplug=True)
        elif bridge:
            added.pop(0).set_model(Model.DMI_TO_PCI_BRIDGE, hotplug=False)
        for bus in added:
            bus.set_model(model, hotplug=True)
        return bus_index


def _refusal(from_config: bool, text: str) -> VirtError:
    return XMLError(text) if from_config else InternalError(text)


def _effective(accepts: int, index: int, needs: int, from_config: bool) -> tuple[int, int]:
    """What a bus accepts of a device, and what the device needs, with the exceptions there are."""
    if needs & _INTEGRATED and index == 0:
        accepts |= _PCI | _AUTOASSIGN
    if from_config:
        # An address the user chose may put a PCI device into a PCIe slot and the other way round.
        if accepts & _ENDPOINT:
            accepts |= _ENDPOINT
        if needs & _BRIDGE:
            needs |= _PCI
    return accepts, needs


def _fits(accepts: int, index: int, needs: int, from_config: bool) -> bool:
    """Whether a device can sit on a bus."""
    if needs & _INTEGRATED:
        if index:
            return False
        accepts |= _PCI | _AUTOASSIGN
    if from_config:
        accepts, needs = _effective(accepts, index, needs, from_config)
        demands = needs & _HOTPLUGGABLE
    else:
        demands = needs & _DEMANDS
    return accepts & demands == demands and bool(needs & accepts & _TYPES)


def _mismatch(accepts: int, address: PCIAddress, needs: int, from_config: bool) -> str:
    """Why a device cannot sit on a bus."""
    index, where = address.bus or 0, spell(address)
    if needs & _INTEGRATED and index:
        return f"The device at PCI address {where} needs to be an integrated device (bus=0)"
    accepts, needs = _effective(accepts, index, needs, from_config)
    if not from_config and needs & _AUTOASSIGN and not accepts & _AUTOASSIGN:
        return (
            f"The device at PCI address {where} was auto-assigned this address, but the PCI controller with "
            f"index='{index}' doesn't allow auto-assignment"
        )
    if needs & _HOTPLUGGABLE and not accepts & _HOTPLUGGABLE:
        return (
            f"The device at PCI address {where} requires hotplug capability, but the PCI controller with "
            f"index='{index}' doesn't support hotplug"
        )
    for kind, name in _NAMES:
        if needs & kind:
            return (
                f"The device at PCI address {where} cannot be plugged into the PCI controller with index='{index}'. "
                f"It requires a controller that accepts a {name}."
            )
    return f"The device at PCI address {where} has unrecognized connection type flags 0x{needs & _TYPES:02x}"
