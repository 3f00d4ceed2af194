"""A builder whose devices become commands for a running QEMU instead of words for a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from virt_qemu.block.storage import present
from virt_qemu.command.line import NULL, Builder, Props, Resources
from virt_qemu.hotplug.chardevs import chardev_arguments
from virt_qemu.hotplug.plan import Plan, Step
from virtcore.errors import InternalError

if TYPE_CHECKING:
    from virt_qemu.monitor import JSON

__all__ = ["OpenedResources", "PlanBuilder"]

#: Properties that name descriptors; several are separated by colons.
_DESCRIPTORS = ("fd", "fds", "vhostfd", "vhostfds")


class OpenedResources(Resources, Protocol):
    """What is opened on the host, and found again by its number."""

    @property
    def fds(self) -> Mapping[int, int]:
        """Number that the command line would have used -> descriptor here."""


@dataclass(slots=True, kw_only=True)
class PlanBuilder(Builder):
    """The plan of one device.

    :ivar opened: where the numbers that the resources gave lead.
    :ivar next_set: number of the next set of descriptors that QEMU has not got yet.
    :ivar sets: their numbers, once used.
    """

    opened: OpenedResources
    next_set: int = 0
    plan: Plan = field(default_factory=Plan)

    def add(self, *words: str) -> None:
        raise InternalError(f"'{' '.join(words)}' cannot be told to a running QEMU")

    def device(self, props: Props) -> None:
        changes = self.overrides.get(str(props.get("id")))
        arguments = self._arguments({**props, **changes} if changes is not None else props)
        undo = ("device_del", {"id": arguments["id"]}) if "id" in arguments else None
        self.plan.devices.append(Step("device_add", arguments, undo))

    def object(self, props: Props) -> None:
        arguments = self._arguments(props)
        self.plan.backend.append(Step("object-add", arguments, ("object-del", {"id": arguments["id"]})))

    def json(self, option: str, props: Props) -> None:
        arguments = self._arguments(props)
        if option == "-blockdev":
            step = Step("blockdev-add", arguments, ("blockdev-del", {"node-name": arguments["node-name"]}))
        elif option == "-netdev":
            step = Step("netdev_add", arguments, ("netdev_del", {"id": arguments["id"]}))
        else:
            raise InternalError(f"'{option}' cannot be told to a running QEMU")
        self.plan.backend.append(step)

    def options(self, option: str, first: str, props: Props) -> None:
        if option == "-netdev":
            self.json(option, {"type": first, **props})
            return
        if option != "-chardev":
            raise InternalError(f"'{option}' cannot be told to a running QEMU")
        arguments = chardev_arguments(first, self._hand_over(present(props)))
        self.plan.backend.append(Step("chardev-add", arguments, ("chardev-remove", {"id": arguments["id"]})))

    def fdset(self, *descriptors: tuple[int, str]) -> str:
        index = self.next_set
        self.next_set += 1
        undo: tuple[str, dict[str, JSON]] | None = ("remove-fd", {"fdset-id": index})
        for number, opaque in descriptors:
            arguments: dict[str, JSON] = {"fdset-id": index, "opaque": opaque}
            self.plan.backend.append(Step("add-fd", arguments, undo, self.opened.fds.get(number, number)))
            undo = None  # the set goes as a whole
        return f"/dev/fdset/{index}"

    def _arguments(self, props: Props) -> dict[str, JSON]:
        plain = self._hand_over(present(props))
        return {name: None if value is NULL else value for name, value in plain.items()}

    def _hand_over(self, props: Mapping[str, Any]) -> dict[str, Any]:
        """Properties with descriptors named; they are handed over first."""
        changed = dict(props)
        for key in _DESCRIPTORS:
            if key in changed:
                numbers = str(changed[key]).split(":")
                changed[key] = ":".join(self._named(int(number), str(props.get("id", key))) for number in numbers)
        return changed

    def _named(self, number: int, owner: str) -> str:
        name = f"fd-{owner}-{number}"
        descriptor = self.opened.fds.get(number, number)
        self.plan.backend.append(Step("getfd", {"fdname": name}, ("closefd", {"fdname": name}), descriptor))
        return name
