"""Core scheduling: which threads of the host may run beside each other on the two halves of one core.

The kernel lets threads share a core that have the same mark. A mark cannot be named, only made for oneself and passed
on, so each is made by a thread that ends then.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from virtcore.errors import SystemError

__all__ = ["Scope", "is_supported", "share_cores"]

_PR_SCHED_CORE: Final = 62
_GET, _CREATE, _SHARE_TO = 0, 1, 2


class Scope(IntEnum):
    """What a number names: one thread, or a process with all its threads and those it will have."""

    THREAD = 0
    PROCESS = 1


def _control(command: int, target: int = 0, scope: Scope = Scope.THREAD, answer: int = 0) -> int:
    """The system call; returns the error's number, 0 for none."""
    library = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(word) for word in (command, target, scope, answer)]
    return ctypes.get_errno() if library.prctl(_PR_SCHED_CORE, *words) else 0


def is_supported() -> bool:
    """Whether this kernel can.

    :raises SystemError: it does not tell.
    """
    mark = ctypes.c_ulonglong()
    failure = _control(_GET, answer=ctypes.addressof(mark))
    if failure in (0, errno.EINVAL):
        return not failure
    raise SystemError(f"Unable to detect SCHED_CORE: {os.strerror(failure)}")


def share_cores(numbers: Iterable[int], scope: Scope) -> None:
    """Let threads or processes share cores with each other and nobody else. Blocks.

    :param numbers: of them; what has ended is passed over.
    :raises SystemError: the kernel refuses it.
    """
    wanted, failures = list(numbers), list[int]()

    def mark() -> None:
        failure = _control(_CREATE)
        if failure:
            failures.append(failure)
            return
        failures.extend(_control(_SHARE_TO, number, scope) for number in wanted)

    marking = threading.Thread(target=mark, name="virt-qemu-mark", daemon=True)
    marking.start()
    marking.join()
    failure = next((each for each in failures if each not in (0, errno.ESRCH)), 0)
    if failure:
        raise SystemError(f"Unable to set SCHED_CORE: {os.strerror(failure)}")
