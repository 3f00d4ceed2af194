"""Text as virsh prints it: names of states, reasons and events, shell and XML escapes, typed values."""

from __future__ import annotations

from virt_shell.command import CommandError
from virtcore._typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from virtcore.enums import TypedParameterType
    from virtcore.types import TypedValue

__all__ = [
    "block_job",
    "control_state",
    "escape_shell",
    "escape_xml",
    "event_detail",
    "event_type",
    "event_value",
    "pick",
    "read_bytes",
    "read_file",
    "select_xpath",
    "split_list",
    "state_name",
    "state_reason",
    "typed_value",
]

#: Largest XML file a command reads, in bytes.
MAX_XML = 10 * 1024 * 1024

_STATES = ("no state", "running", "idle", "paused", "in shutdown", "shut off", "crashed", "pmsuspended")
_REASONS: tuple[tuple[str, ...], ...] = (
    ("unknown",),
    (
        "unknown",
        "booted",
        "migrated",
        "restored",
        "from snapshot",
        "unpaused",
        "migration canceled",
        "save canceled",
        "event wakeup",
        "crashed",
        "post-copy",
        "post-copy failed",
    ),
    ("unknown",),
    (
        "unknown",
        "user",
        "migrating",
        "saving",
        "dumping",
        "I/O error",
        "watchdog",
        "from snapshot",
        "shutting down",
        "creating snapshot",
        "crashed",
        "starting up",
        "post-copy",
        "post-copy failed",
        "api error",
    ),
    ("unknown", "user"),
    ("unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot", "daemon"),
    ("unknown", "panicked"),
    ("unknown",),
)
_CONTROL = ("ok", "background job", "occupied", "error")
_CONTROL_ERRORS = ("", "unknown", "monitor failure", "internal (locking) error")
_EVENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Defined", ("Added", "Updated", "Renamed", "Snapshot")),
    ("Undefined", ("Removed", "Renamed")),
    ("Started", ("Booted", "Migrated", "Restored", "Snapshot", "Event wakeup")),
    (
        "Suspended",
        (
            "Paused",
            "Migrated",
            "I/O Error",
            "Watchdog",
            "Restored",
            "Snapshot",
            "API error",
            "Post-copy",
            "Post-copy Error",
        ),
    ),
    ("Resumed", ("Unpaused", "Migrated", "Snapshot", "Post-copy", "Post-copy Error")),
    ("Stopped", ("Shutdown", "Destroyed", "Crashed", "Migrated", "Saved", "Failed", "Snapshot")),
    ("Shutdown", ("Finished", "Finished after guest request", "Finished after host request")),
    ("PMSuspended", ("Memory", "Disk")),
    ("Crashed", ("Panicked", "Crashloaded")),
)


def pick(names: Sequence[str], index: int, otherwise: str) -> str:
    """The name of an index, or what stands for one that has none."""
    return names[index] if 0 <= index < len(names) else otherwise


def state_name(state: int) -> str:
    """Name of a domain state."""
    return pick(_STATES, state, "no state")


def state_reason(state: int, reason: int) -> str:
    """Name of the reason of a domain state."""
    return pick(_REASONS[state], reason, "unknown") if 0 <= state < len(_REASONS) else "unknown"


def control_state(state: int, details: int) -> str:
    """Name of a control channel's state, with the reason of an error."""
    name = pick(_CONTROL, state, "unknown")
    return f"{name}: {pick(_CONTROL_ERRORS, details, 'unknown')}" if state == 3 and details > 0 else name


def event_type(kind: int) -> str:
    """Name of a life cycle event."""
    return _EVENTS[kind][0] if 0 <= kind < len(_EVENTS) else "unknown"


def event_detail(kind: int, detail: int) -> str:
    """Name of a life cycle event's detail."""
    return pick(_EVENTS[kind][1], detail, "unknown") if 0 <= kind < len(_EVENTS) else "unknown"


_BLOCK_JOBS = ("Unknown job", "Block Pull", "Block Copy", "Block Commit", "Active Block Commit", "Backup")


def block_job(kind: int) -> str:
    """Name of a kind of block job."""
    return pick(_BLOCK_JOBS, kind, _BLOCK_JOBS[0])


def escape_shell(text: str) -> str:
    """Quoted for a POSIX shell, only where needed."""
    if not text:
        return "''"
    if not any(char in "\r\t\n !\"#$&'()*;<>?[\\]^`{|}~" for char in text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def escape_xml(text: str) -> str:
    """Escaped as libvirt does in XML; control characters are left out."""
    kept = "".join(char for char in text if char >= " " or char in "\t\n\r")
    for plain, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&apos;")):
        kept = kept.replace(plain, escaped)
    return kept


def split_list(text: str) -> list[str]:
    """A comma-separated list in which ``,,`` stands for a comma."""
    parts, current, at = [], "", 0
    while at < len(text):
        if text[at] != ",":
            current += text[at]
        elif text[at + 1 : at + 2] == ",":
            current += ","
            at += 1
        else:
            parts.append(current)
            current = ""
        at += 1
    return [*parts, current]


def typed_value(kind: TypedParameterType, value: TypedValue) -> str:
    """A typed parameter's value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:f}" if isinstance(value, float) else str(value)


def event_value(value: TypedValue) -> str:
    """A typed parameter's value as events and raw statistics have it."""
    return f"{value:g}" if isinstance(value, float) else str(int(value) if isinstance(value, bool) else value)


def read_bytes(path: str, limit: int = MAX_XML) -> bytes:
    """The content of a file.

    :param limit: most bytes it may have.
    :raises CommandError: with the message libvirt's file reader gives.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(limit + 1)
    except OSError as problem:
        verb = "open" if not isinstance(problem, IsADirectoryError) else "read"
        raise CommandError(f"Failed to {verb} file '{path}': {problem.strerror}") from None
    if len(content) > limit:
        raise CommandError(f"Failed to read file '{path}': Value too large for defined data type")
    return content


def read_file(path: str) -> str:
    """The text of a file.

    :raises CommandError: with the message libvirt's file reader gives.
    """
    return read_bytes(path).decode("utf-8", "surrogateescape")


def select_xpath(xml: str, expression: str | None, *, wrap: bool) -> str:
    """A document, or what an XPath expression selects of it, each node on lines of its own.

    :raises CommandError: the expression is wrong or selects no nodes.
    """
    if expression is None:
        return xml
    from lxml import etree

    root = etree.fromstring(xml.encode(), etree.XMLParser(remove_blank_text=True))
    try:
        found = root.xpath(expression)
    except etree.XPathError as problem:
        raise CommandError(f"internal error: Invalid XPath expression '{expression}': {problem}") from None
    nodes = [node for node in found if isinstance(node, etree._Element)] if isinstance(found, list) else []
    if wrap:
        wrapper = etree.Element("nodes")
        wrapper.extend(nodes)
        nodes = [wrapper]
    return "".join(etree.tostring(node, encoding="unicode", pretty_print=True, with_tail=False) for node in nodes)
