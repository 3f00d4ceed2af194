"""How many calls run at a time, as libvirt's pool of workers has it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from virtcore.errors import InvalidArg

__all__ = ["Workers"]

#: Most workers that a pool may have.
MOST: Final = 65535


class Workers:
    """Places for calls that have to wait for something. Calls of high priority have some of their own beside.

    There are no threads behind it: a worker is the right to run.
    """

    def __init__(self, minimum: int, maximum: int, priority: int) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.priority = priority
        #: How many there were at most: like libvirt's they come when they are needed and stay.
        self.current = minimum
        self._busy = 0
        self._busy_priority = 0
        self._waiting: deque[tuple[asyncio.Future[bool], bool]] = deque()

    @property
    def free(self) -> int:
        """Workers without work."""
        return max(self.current - self._busy, 0)

    @property
    def queued(self) -> int:
        """Calls that wait for a worker."""
        return sum(not future.done() for future, _ in self._waiting)

    def change(self, minimum: int | None, maximum: int | None, priority: int | None) -> None:
        """Change how many there may be.

        :raises InvalidArg: that makes no sense.
        """
        least = self.minimum if minimum is None else minimum
        most = self.maximum if maximum is None else maximum
        if least > most or not most:
            raise InvalidArg("minWorkers cannot be larger than maxWorkers")
        if most > MOST:
            raise InvalidArg(f"maxWorkers cannot be larger than {MOST}")
        self.minimum, self.maximum = least, most
        self.priority = self.priority if priority is None else priority
        self.current = min(max(self.current, least), most)
        self._admit()

    def take(self, high: bool) -> bool | None:
        """Take a place without waiting; None where none is free. Otherwise gives what :meth:`release` takes.

        :param high: the call never takes long.
        """
        return None if self._waiting else self._place(high)

    async def acquire(self, high: bool) -> bool:
        """Wait for a place; see :meth:`take`."""
        place = self.take(high)
        if place is not None:
            return place
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        entry = (future, high)
        self._waiting.append(entry)
        try:
            # One of high priority may get a place at once although others wait.
            self._admit()
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(future.result())
            elif entry in self._waiting:
                self._waiting.remove(entry)
            raise

    def release(self, place: bool) -> None:
        """Give a place back."""
        if place:
            self._busy_priority -= 1
        else:
            self._busy -= 1
        self._admit()

    def _place(self, high: bool) -> bool | None:
        if self._busy < self.maximum:
            self._busy += 1
            self.current = max(self.current, self._busy)
            return False
        if high and self._busy_priority < self.priority:
            self._busy_priority += 1
            return True
        return None

    def _admit(self) -> None:
        if not self._waiting:
            return
        left: deque[tuple[asyncio.Future[bool], bool]] = deque()
        while self._waiting:
            future, high = self._waiting.popleft()
            if future.done():
                continue
            place = self._place(high)
            if place is None:
                left.append((future, high))
            else:
                future.set_result(place)
        self._waiting = left
