"""Ports of the guest's USB buses, through hubs."""

from __future__ import annotations

from virtcore.errors import InternalError, XMLError
from virtcore.model.domain.address import USBAddress
from virtcore.model.domain.controller import USBController, USBControllerModel as Model

__all__ = ["HUB_PORTS", "USBPorts", "controller_ports"]

#: Ports of a hub.
HUB_PORTS = 8
#: Hubs can be chained so deep.
MAX_DEPTH = 4

_PORTS: dict[Model | None, int] = {
    None: 2,
    Model.PIIX3_UHCI: 2,
    Model.PIIX4_UHCI: 2,
    Model.VT82C686B_UHCI: 2,
    Model.EHCI: 6,
    Model.ICH9_EHCI1: 6,
    # The companions serve the EHCI controller's ports.
    Model.ICH9_UHCI1: 0,
    Model.ICH9_UHCI2: 0,
    Model.ICH9_UHCI3: 0,
    Model.PCI_OHCI: 3,
    Model.NEC_XHCI: 4,
    Model.QEMU_XHCI: 4,
    Model.QUSB1: 8,
    Model.QUSB2: 8,
    Model.NONE: 0,
}
#: Models whose number of ports can be chosen.
_CONFIGURABLE = (Model.NEC_XHCI, Model.QEMU_XHCI, Model.QUSB1, Model.QUSB2)


def controller_ports(controller: USBController) -> int:
    """Number of ports a controller offers to devices."""
    if controller.model in _CONFIGURABLE and controller.ports is not None:
        return controller.ports
    return _PORTS[controller.model]


class _Hub:
    """A controller or a hub: ports 1 to ``size``."""

    __slots__ = ("hubs", "size", "taken")

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken: set[int] = set()
        self.hubs: dict[int, _Hub] = {}

    def free(self, depth: int = 1) -> tuple[int, ...] | None:
        """Path of the first free port, hubs searched after the own ports."""
        for port in range(1, self.size + 1):
            if port not in self.taken:
                return (port,)
        if depth < MAX_DEPTH:
            for port in sorted(self.hubs):
                below = self.hubs[port].free(depth + 1)
                if below is not None:
                    return (port, *below)
        return None


class USBPorts:
    """Every USB port of a guest."""

    def __init__(self) -> None:
        self._buses: dict[int, _Hub] = {}

    def add_controller(self, controller: USBController) -> None:
        """Add the ports of a controller.

        :raises XMLError: another controller has its index.
        """
        ports, index = controller_ports(controller), controller.index or 0
        if not ports:
            return
        if index in self._buses:
            raise XMLError(f"Duplicate USB controllers with index {index}")
        self._buses[index] = _Hub(ports)

    def add_hub(self, address: USBAddress) -> None:
        """Add the ports of a hub that sits at an address.

        :raises XMLError: there is no such port, or another hub is there.
        """
        above, port = self._locate(address)
        if port in above.hubs:
            raise XMLError(f"Duplicate USB hub on bus {address.bus or 0} port {address.port}")
        above.taken.add(port)
        above.hubs[port] = _Hub(HUB_PORTS)

    def reserve(self, address: USBAddress) -> None:
        """Take a port.

        :raises XMLError: there is no such port, or it is taken.
        """
        above, port = self._locate(address)
        if port in above.taken:
            raise XMLError(f"Duplicate USB address bus {address.bus or 0} port {address.port}")
        above.taken.add(port)

    def assign(self, wanted: USBAddress | None, *, hub: bool = False) -> USBAddress:
        """Find and take a free port, on the bus ``wanted`` names or on any.

        :param hub: a hub goes there; its ports are added.
        :raises XMLError: the bus does not exist.
        :raises InternalError: no port is free.
        """
        if wanted is not None:
            bus = wanted.bus or 0
            if bus not in self._buses:
                raise XMLError(f"USB bus {bus} requested but no controller with that index is present")
            candidates = [bus]
        else:
            candidates = sorted(self._buses)
        for bus in candidates:
            path = self._buses[bus].free()
            if path is not None:
                address = USBAddress(bus=bus, port=".".join(map(str, path)))
                self.reserve(address)
                if hub:
                    self.add_hub(address)
                return address
        raise InternalError("No free USB ports")

    def _locate(self, address: USBAddress) -> tuple[_Hub, int]:
        """The controller or hub an address leads to, and the port on it."""
        bus, text = address.bus or 0, address.port or ""
        hub = self._buses.get(bus)
        if hub is None:
            raise XMLError(f"Missing USB bus {bus}")
        path = [int(part) for part in text.split(".")]
        for port in path[:-1]:
            if port > hub.size:
                raise XMLError(f"port {port} out of range in USB address bus: {bus} port: {text}")
            if port not in hub.hubs:
                raise XMLError(f"there is no hub at port {port} in USB address bus: {bus} port: {text}")
            hub = hub.hubs[port]
        if path[-1] > hub.size:
            raise XMLError(f"requested USB port {text} not present on USB bus {bus}")
        return hub, path[-1]
