"""When a process started, which with its number names it for good."""

from __future__ import annotations

__all__ = ["start_time"]


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none (a zombie counts as ended)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
