"""The command that prints events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from virt_shell.command import Arguments, CommandError, command, flag, integer, string
from virt_shell.completion import domains
from virt_shell.shell import Shell
from virt_shell.text import event_detail, event_type

if TYPE_CHECKING:
    from virtcore.operations.events import DomainLifecycleEvent, DomainRebootEvent, Event


def _lifecycle(event: DomainLifecycleEvent) -> str:
    what = f"{event_type(event.type)} {event_detail(event.type, event.detail)}"
    return f"event 'lifecycle' for domain '{event.domain.name}': {what}\n"


def _reboot(event: DomainRebootEvent) -> str:
    return f"event 'reboot' for domain '{event.domain.name}'\n"


#: event name -> class in virtcore.operations.events, and how it is printed
EVENTS: dict[str, tuple[str, Callable[..., str]]] = {
    "lifecycle": ("DomainLifecycleEvent", _lifecycle),
    "reboot": ("DomainRebootEvent", _reboot),
}


def _event_names(shell: Shell, args: Arguments) -> list[str]:
    """Names of domain events."""
    return list(EVENTS)


@command(
    "event",
    group="events",
    help="Domain Events",
    description="List event types, or wait for domain events to occur",
    options=[
        string("domain", "filter by domain name, id or uuid", unwanted_positional=True, completer=domains),
        string("event", "which event type to wait for", unwanted_positional=True, completer=_event_names),
        flag("all", "wait for all events instead of just one type"),
        flag("loop", "loop until timeout or interrupt, rather than one-shot"),
        integer("timeout", "timeout seconds", unwanted_positional=True),
        flag("list", "list valid event types"),
        flag("timestamp", "show timestamp for each printed event"),
    ],
)
def event(shell: Shell, args: Arguments) -> bool:
    args.exclusive("all", "event")
    args.exclusive("list", "all")
    args.exclusive("list", "event")
    if "list" in args:
        shell.out("".join(f"{name}\n" for name in EVENTS))
        return True
    name = args.get("event")
    if name is None and "all" not in args:
        raise CommandError("one of --list, --all, or --event <type> is required")
    if name is not None and name not in EVENTS:
        raise CommandError(f"unknown event type {name}")
    timeout = args.timeout()
    only = shell.domain(args) if "domain" in args else None
    return _wait(shell, args, [name] if name else list(EVENTS), only.uuid if only else None, timeout)


def _wait(shell: Shell, args: Arguments, names: list[str], uuid: str | None, timeout: int | None) -> bool:
    import queue
    import sys
    import time
    from datetime import UTC, datetime

    from virtcore.operations import events as kinds

    printers = {getattr(kinds, EVENTS[name][0]): EVENTS[name][1] for name in names}
    received: queue.SimpleQueue[Event] = queue.SimpleQueue()
    subscription = shell.connection.on_event(received.put, *printers)
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
            printer = printers.get(type(happened))
            if printer is None or (uuid is not None and happened.domain.uuid != uuid):  # type: ignore[union-attr]
                continue
            if "timestamp" in args:
                shell.out(datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "+0000: ")
            shell.out(printer(happened))
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
