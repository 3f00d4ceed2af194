"""From a changed configuration to a changed guest: which kinds of change concern a difference.

A kind of change says which places of a configuration it brings to a guest (paths as
:func:`virtcore.xml.diff` gives them, without positions), and how. What differs at a place that no kind is
for cannot be changed while a guest runs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtcore.errors import OperationUnsupported, VirtError
from virtcore.xml import diff

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.tuning.state import TuningState
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain

__all__ = ["GuestChange", "LiveChange", "apply_changes"]

log = logging.getLogger(__name__)

_POSITION = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestChange:
    """A guest that is to become another one.

    :ivar old: what it is.
    :ivar new: what it shall be; a kind of change may put in what has come of it.
    """

    state: TuningState
    obj: DomainObject
    guest: Guest
    old: Domain
    new: Domain


@dataclass(frozen=True, slots=True)
class LiveChange:
    """A kind of change.

    :ivar places: paths below which it brings differences to the guest.
    :ivar apply: does it; raising means that the guest is as it was.
    """

    places: tuple[str, ...]
    apply: Callable[[GuestChange], Awaitable[None]]

    def concerns(self, path: str) -> bool:
        """Whether a difference at a path (without positions) is partly or wholly its own."""
        return any(_within(path, place) or _within(place, path) for place in self.places)


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


async def apply_changes(change: GuestChange, kinds: tuple[LiveChange, ...]) -> None:
    """Apply the kinds that a change takes, in their order; when one raises, those before it are undone.

    :raises OperationUnsupported: there is a difference that no kind is for; nothing has changed.
    :raises VirtError: what a kind raised.
    """
    paths = {_POSITION.sub("", found.path) for found in diff(change.old, change.new)}
    for path in sorted(paths):
        if not any(kind.concerns(path) for kind in kinds):
            raise OperationUnsupported("the running guest cannot be changed", path=path)
    done: list[LiveChange] = []
    try:
        for kind in kinds:
            if any(kind.concerns(path) for path in paths):
                await kind.apply(change)
                done.append(kind)
    except BaseException:
        back = GuestChange(state=change.state, obj=change.obj, guest=change.guest, old=change.new, new=change.old)
        for kind in reversed(done):
            try:
                await kind.apply(back)
            except VirtError as error:
                log.error("cannot undo a change of domain '%s': %s", change.obj.name, error)
        raise
