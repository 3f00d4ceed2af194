"""A lock between tasks that costs nothing until somebody has to wait for it: no asyncio, and few bytes."""

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections import deque

__all__ = ["Turns"]


class Turns:
    """As :class:`asyncio.Lock`: ``async with turns: ...``, in the order of asking. Used in the core loop only, and by
    whoever stands in for it before there is one."""

    __slots__ = ("_held", "_waiting")

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[asyncio.Future[None]] | None = None

    def locked(self) -> bool:
        """Whether somebody has it."""
        return self._held

    async def __aenter__(self) -> None:
        if not self._held:
            self._held = True
            return
        import asyncio

        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            from collections import deque

            self._waiting = deque()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had just been its turn
                self._pass_on()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return  # and stays held, by that one
        self._held = False
