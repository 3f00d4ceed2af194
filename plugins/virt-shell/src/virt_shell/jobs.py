"""Long work on a domain: doing it while its progress is printed, and ending it on Ctrl-C or when time is up."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from virt_shell.command import CommandError
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virt_shell.shell import Shell
    from virtcore.api.sync import Domain

__all__ = ["print_progress", "watched"]

#: How often is asked how far the work is, in seconds.
_INTERVAL = 0.5


def print_progress(label: str, remaining: int, total: int) -> None:
    """Print how far some work is, over what was printed before; 100 % only when nothing remains."""
    done = 100.0
    if remaining:
        done = min(100.0 - remaining * 100.0 / total, 99.99) if total else 0.0
    sys.stdout.flush()
    sys.stderr.write(f"\r{label}: [{int(done * 100) / 100:5.2f} %]")
    sys.stderr.flush()


class _Work(threading.Thread):
    """One change of a domain on a thread of its own."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__(name="virtsh-job", daemon=True)
        self._action = action
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            self._action()
        except BaseException as problem:  # noqa: BLE001  # handed to the main thread, which raises it
            self.problem = problem


def watched(
    shell: Shell,
    domain: Domain,
    label: str,
    action: Callable[[], object],
    *,
    verbose: bool,
    timeout: int | None = None,
    on_timeout: Callable[[], object] | None = None,
    failed: str = "",
) -> None:
    """Do ``action``; meanwhile print its progress, and abort the domain's job on Ctrl-C.

    :param timeout: seconds after which ``on_timeout`` is called once.
    :param failed: what is printed before an error.
    :raises CommandError: with the error of the work.
    """
    from virtcore.errors import VirtError

    work = _Work(action)
    work.start()
    deadline = None if timeout is None else time.monotonic() + timeout
    aborted = False
    while work.is_alive():
        try:
            work.join(_INTERVAL)
            if deadline is not None and time.monotonic() > deadline and work.is_alive():
                deadline = None
                if on_timeout is not None:
                    on_timeout()
            if verbose and work.is_alive():
                _print_job(domain, label)
        except KeyboardInterrupt:
            if not aborted:
                aborted = True
                domain.abort_job()
        except VirtError as problem:
            shell.note(problem)  # how far it is cannot be told; the work itself goes on
    if work.problem is not None:
        if isinstance(work.problem, VirtError):
            raise CommandError(failed) from work.problem
        raise work.problem
    if verbose:
        print_progress(label, 0, 1)


def _print_job(domain: Domain, label: str) -> None:
    stats = domain.job_stats().params
    total, remaining = stats.get("data_total"), stats.get("data_remaining")
    if isinstance(total, int) and isinstance(remaining, int) and total and remaining:
        print_progress(label, remaining, total)
