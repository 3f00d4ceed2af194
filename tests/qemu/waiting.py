"""Waiting in tests, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(check: Callable[[], object], limit: float = 10.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + limit
    while not check():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)
