"""Walking devices that have addresses; adding controllers to a domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virtcore.model.domain.rules.devices import every_device

if TYPE_CHECKING:
    from virtcore.model.domain.controller import AnyController, Controller
    from virtcore.model.domain.domain import Domain

__all__ = ["addressed_devices", "find_controller", "insert_controller"]


def addressed_devices(domain: Domain) -> list[Any]:
    """Every device that can have an address; of different classes, which all have the field."""
    return every_device(domain)


def find_controller(controllers: list[AnyController], kind: type[Controller], index: int) -> AnyController | None:
    """The controller of a kind and index."""
    for controller in controllers:
        if isinstance(controller, kind) and (controller.index or 0) == index:
            return controller
    return None


def insert_controller(controllers: list[AnyController], added: AnyController) -> None:
    """Add a controller: among its kind by index, a USB master before its companions, a new kind at the end."""
    place = None
    for position in range(len(controllers) - 1, -1, -1):
        current = controllers[position]
        if type(current) is not type(added):
            continue
        present, index = current.index or 0, added.index or 0
        companion = current.master_startport is not None and added.master_startport is None
        if present > index or (companion and present == index):
            place = position
        elif place is None:
            place = position + 1
    controllers.insert(len(controllers) if place is None else place, added)
