"""Adding controllers to a domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.domain.controller import AnyController, Controller

__all__ = ["find_controller", "insert_controller"]


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
