"""Results of operations that only QEMU has."""

from __future__ import annotations

from collections.abc import Sequence

from virtcore._tuples import NamedTuple

__all__ = ["MonitorReply"]


class MonitorReply(NamedTuple):
    """What the monitor answered, and the descriptors that came with it (the receiver's to close)."""

    result: str
    files: Sequence[int]
