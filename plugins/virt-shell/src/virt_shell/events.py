"""Waiting for events and printing them: what ``event``, ``net-event``, ``pool-event`` and siblings share."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from virt_shell.command import Arguments, CommandError, Option, flag, integer, string
from virt_shell.completion import among
from virtcore._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virt_shell.command import Completer
    from virt_shell.shell import Shell
    from virtcore.operations.events import Event

__all__ = ["Printers", "event_options", "timestamp", "wait_for_events"]

#: event name -> class in virtcore.operations.events, and how one is printed: without the line's end, given what stands
#: for the object (its name in quotes or not is the printer's affair).
Printers = Mapping[str, tuple[str, Callable[[Any], str]]]


def event_options(option: str, help: str, completer: Completer, printers: Printers, *, every: bool) -> list[Option]:
    """Options of a command that waits for events.

    :param printers: the events there are.
    :param every: it has ``--all``.
    """
    return [
        string(option, help, unwanted_positional=True, completer=completer),
        string("event", "which event type to wait for", unwanted_positional=True, completer=among(*printers)),
        *([flag("all", "wait for all events instead of just one type")] if every else []),
        flag("loop", "loop until timeout or interrupt, rather than one-shot"),
        integer("timeout", "timeout seconds", unwanted_positional=True),
        flag("list", "list valid event types"),
        flag("timestamp", "show timestamp for each printed event"),
    ]


def timestamp() -> str:
    """The time as virsh prints it before an event."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "+0000"


def _any() -> Callable[[Any], bool]:
    return lambda event: True


def wait_for_events(
    shell: Shell, args: Arguments, printers: Printers, about: Callable[[], Callable[[Any], bool]] = _any
) -> bool:
    """List the event types, or print events until one came, time is up or the user has enough.

    :param about: gives what tells whether an event is about the object asked for; called once the options are found
        to make sense, so that looking for the object comes last.
    :raises CommandError: the options do not say what to wait for.
    """
    if "list" in args:
        shell.out("".join(f"{name}\n" for name in printers))
        return True
    name = args.get("event")
    if name is None and not args.given("all"):
        has_all = any(option.name == "all" for option in args.command.options)
        choices = "one of --list, --all, or" if has_all else "either --list or"
        raise CommandError(f"{choices} --event <type> is required")
    if name is not None and name not in printers:
        raise CommandError(f"unknown event type {name}")
    timeout = args.timeout()
    return print_events(shell, args, {name: printers[name]} if name else printers, about(), timeout)


def print_events(
    shell: Shell, args: Arguments, printers: Printers, wanted: Callable[[Any], bool], timeout: int | None
) -> bool:
    from virtcore.operations import events as kinds

    classes = {getattr(kinds, name): show for name, show in printers.values()}
    received: queue.SimpleQueue[Event] = queue.SimpleQueue()
    subscription = shell.connection.on_event(received.put, *classes)
    deadline = None if timeout is None else time.monotonic() + timeout
    count = 0
    try:
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                happened = received.get(timeout=left)
            except queue.Empty:
                shell.out("event loop timed out\n")
                break
            show = classes.get(type(happened))
            if show is None or not wanted(happened):
                continue
            shell.out((f"{timestamp()}: " if "timestamp" in args else "") + show(happened) + "\n")
            sys.stdout.flush()
            count += 1
            if "loop" not in args:
                break
    except KeyboardInterrupt:
        shell.out("event loop interrupted\n")
    finally:
        subscription.cancel()
    shell.out(f"events received: {count}\n")
    return count > 0
