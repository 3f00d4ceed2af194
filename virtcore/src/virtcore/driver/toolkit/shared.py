"""State that several connections of one process share, counted by its users."""

from __future__ import annotations

import os

from virtcore._typing import Callable, Protocol, TypeVar
from virtcore.runtime.turns import Turns

__all__ = ["Shareable", "acquire", "release"]


class Shareable(Protocol):
    """What can be shared."""

    async def open(self) -> None:
        """Make it ready. Called once, before the first user gets it."""

    async def close(self) -> None:
        """Its last user has gone. Never raises."""


S = TypeVar("S", bound=Shareable)


class _Slot:
    __slots__ = ("changing", "state", "users")

    def __init__(self) -> None:
        self.state: Shareable | None = None
        self.users = 0
        self.changing = Turns()


_slots: dict[tuple[str, ...], _Slot] = {}


async def acquire(key: tuple[str, ...], make: Callable[[], S]) -> S:
    """The state known by ``key``, made and opened for its first user. To be given back with :func:`release`.

    :param key: e.g. driver and root folder.
    :raises Exception: what ``make`` or ``open`` raised; nothing is left behind.
    """
    slot = _slots.setdefault(key, _Slot())
    slot.users += 1
    try:
        async with slot.changing:
            if slot.state is None:
                state = make()
                await state.open()
                slot.state = state
            return slot.state  # type: ignore[return-value]  # made under the same key
    except BaseException:
        await _leave(key, slot)
        raise


async def release(key: tuple[str, ...]) -> None:
    """Give back what :func:`acquire` returned; the last user's release closes it."""
    slot = _slots.get(key)
    if slot is not None:  # it is None in a process that was forked off
        await _leave(key, slot)


async def _leave(key: tuple[str, ...], slot: _Slot) -> None:
    slot.users -= 1
    if slot.users > 0:
        return
    async with slot.changing:
        if slot.users > 0:  # somebody came meanwhile
            return
        state, slot.state = slot.state, None
        if state is not None:
            await state.close()
        if slot.users == 0 and _slots.get(key) is slot:
            del _slots[key]


# A forked process has no core loop that could use them.
os.register_at_fork(after_in_child=_slots.clear)
