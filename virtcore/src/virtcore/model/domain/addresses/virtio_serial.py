"""Ports of the guest's virtio-serial controllers."""

from __future__ import annotations

from virtcore.errors import InternalError, XMLError
from virtcore.model.domain.address import VirtioSerialAddress
from virtcore.model.domain.controller import VirtioSerialController

__all__ = ["DEFAULT_PORTS", "VirtioSerialPorts"]

#: Ports of a controller that names no number.
DEFAULT_PORTS = 31


class VirtioSerialPorts:
    """Every virtio-serial port of a guest. Port 0 of a controller is for consoles."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._taken: dict[int, set[int]] = {}

    def add_controller(self, controller: VirtioSerialController) -> None:
        """Add the ports of a controller.

        :raises InternalError: another controller has its index.
        """
        index = controller.index or 0
        if index in self._sizes:
            raise InternalError(f"virtio serial controller with index {index} already exists in the address set")
        self._sizes[index] = controller.ports if controller.ports is not None else DEFAULT_PORTS
        self._taken[index] = set()

    def reserve(self, address: VirtioSerialAddress) -> None:
        """Take a port.

        :raises XMLError: there is no such port, or it is taken.
        """
        index, port = address.controller or 0, address.port or 0
        if index not in self._sizes:
            raise XMLError(f"virtio serial controller {index} is missing")
        if port >= self._sizes[index]:
            raise XMLError(f"virtio serial controller {index} does not have port {port}")
        if port in self._taken[index]:
            raise XMLError(f"virtio serial port {port} on controller {index} is already occupied")
        self._taken[index].add(port)

    def free(self, *, zero: bool) -> VirtioSerialAddress | None:
        """The first free port of any controller; ``zero`` allows port 0. Not taken yet."""
        for index in sorted(self._sizes):
            port = self._first(index, 0 if zero else 1)
            if port is not None:
                return VirtioSerialAddress(controller=index, bus=0, port=port)
        return None

    def free_on(self, controller: int) -> VirtioSerialAddress:
        """The first free port of a controller. Not taken yet.

        :raises InternalError: there is no such controller.
        :raises XMLError: it has no free port.
        """
        if controller not in self._sizes:
            raise InternalError(f"virtio-serial controller {controller} not available")
        port = self._first(controller, 1)
        if port is None:
            raise XMLError(f"Unable to find a free port on virtio-serial controller {controller}")
        return VirtioSerialAddress(controller=controller, bus=0, port=port)

    @property
    def controllers(self) -> list[int]:
        """Indexes of the controllers."""
        return sorted(self._sizes)

    def _first(self, controller: int, start: int) -> int | None:
        for port in range(start, self._sizes[controller]):
            if port not in self._taken[controller]:
                return port
        return None
