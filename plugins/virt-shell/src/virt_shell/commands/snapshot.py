"""Commands on snapshots of domains."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, flag, string
from virt_shell.domains import DOMAIN
from virt_shell.moments import MomentKind, attributes, element
from virt_shell.shell import Shell
from virtcore._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtcore.api.sync import Domain

SNAPSHOT = MomentKind(
    module=__name__,
    noun="snapshot",
    root="domainsnapshot",
    missing="NoDomainSnapshot",
    current=True,
    filters=("leaves", "no-leaves", "inactive", "active", "disk-only", "internal", "external"),
)

_SECURITY = flag("security-info", "include security sensitive information in XML dump")
_DISK_ONLY = "<state>disk-snapshot</state>"
_TAKING = (
    flag("no-metadata", "take snapshot but create no metadata"),
    flag("halt", "halt domain after snapshot is created"),
    flag("disk-only", "capture disk state but not vm state"),
    flag("reuse-external", "reuse any existing external files"),
    flag("quiesce", "quiesce guest's file systems"),
    flag("atomic", "require atomic operation"),
    flag("live", "take a live snapshot"),
    flag("validate", "validate the XML against the schema"),
)


def _disk(spec: str) -> str:
    """``<disk>`` of ``disk[,snapshot=type][,driver=type][,stype=type][,file=name]``."""
    found = attributes(spec, ("snapshot", "driver", "stype", "file"), named=True)
    stype, driver, file = found.get("stype", "file"), found.get("driver"), found.get("file")
    kind = found.get("stype")
    start = element("disk", {"name": found["name"], "snapshot": found.get("snapshot"), "type": kind})
    if stype not in ("file", "block"):
        raise ValueError(f"Unknown storage type: '{stype}'")
    inner = [element("driver", {"type": driver}) + "/>"] if driver is not None else []
    if file is not None:
        inner.append(element("source", {"dev" if stype == "block" else "file": file}) + "/>")
    return "\n".join([f"{start}>", *(f"  {line}" for line in inner), "</disk>"]) if inner else f"{start}/>"


def _memory(spec: str) -> str:
    """``<memory>`` of ``[file=]name[,snapshot=type]``."""
    found = attributes(spec, ("snapshot", "file"), named=False)
    return element("memory", {"snapshot": found.get("snapshot"), "file": found.get("file")}) + "/>"


def _save(domain: Domain, snapshot: Any, xml: str, args: Arguments, shell: Shell) -> None:
    options = ["redefine"]
    if "current" in args and "snapshotname" in args:
        options.append("current")
    if _DISK_ONLY in xml:
        options.append("disk-only")
    changed = SNAPSHOT.make(domain, xml, SNAPSHOT.flags("Create", options))
    if changed.name == snapshot.name:
        shell.extra(f"Snapshot {snapshot.name} edited.\n")
    elif "clone" in args:
        shell.extra(f"Snapshot {snapshot.name} cloned to {changed.name}.\n")
    else:
        surplus = snapshot if "rename" in args else changed
        with shell.failing(f"Failed to clean up {surplus.name}"):
            surplus.delete(SNAPSHOT.flags("Delete", ["metadata"]))
        if "rename" not in args:
            raise CommandError(f"Must use --rename or --clone to change {snapshot.name} to {changed.name}")


SNAPSHOT.creating(
    [
        flag("redefine", "redefine metadata for existing snapshot"),
        flag("current", "with redefine, set current snapshot"),
        *_TAKING,
    ]
)
SNAPSHOT.creating_from_arguments(
    [*_TAKING, string("memspec", "memory attributes: [file=]name[,snapshot=type]")],
    "disk attributes: disk[,snapshot=type][,driver=type][,stype=type][,file=name]",
    _disk,
    _memory,
)
SNAPSHOT.deleting([SNAPSHOT.named("snapshot name", required=False), flag("current", "delete current snapshot")])
SNAPSHOT.dumping([_SECURITY])
SNAPSHOT.editing(
    [
        SNAPSHOT.named("snapshot name", required=False),
        flag("current", "also set edited snapshot as current"),
        flag("rename", "allow renaming an existing snapshot"),
        flag("clone", "allow cloning to new name"),
    ],
    _save,
)
SNAPSHOT.listing(
    [
        flag("metadata", "list only snapshots that have metadata that would prevent undefine"),
        flag("no-metadata", "list only snapshots that have no metadata managed by libvirt"),
        flag("inactive", "filter by snapshots taken while inactive"),
        flag("active", "filter by snapshots taken while active (full system snapshots)"),
        flag("disk-only", "filter by disk-only snapshots"),
        flag("internal", "filter by internal snapshots"),
        flag("external", "filter by external snapshots"),
    ],
    state=True,
)
SNAPSHOT.telling_parent(
    [
        SNAPSHOT.named("find parent of snapshot name", required=False),
        flag("current", "find parent of current snapshot"),
    ]
)


def _current(shell: Shell, args: Arguments) -> bool:
    args.exclusive("name", "snapshotname")
    domain = shell.domain(args)
    name = args.get("snapshotname")
    if name is not None:
        xml = SNAPSHOT.lookup(domain, name).xml(SNAPSHOT.flags("XML", ["security-info"]))
        options = ["redefine", "current", *(["disk-only"] if _DISK_ONLY in xml else [])]
        SNAPSHOT.make(domain, xml, SNAPSHOT.flags("Create", options))
        shell.extra(f"Snapshot {name} set as current")
        return True
    if not domain.has_current_snapshot():
        raise CommandError(f"domain '{args.require('domain')}' has no current snapshot")
    snapshot = domain.current_snapshot()
    shell.out(snapshot.name if "name" in args else snapshot.xml(SNAPSHOT.flags("XML", args)))
    return True


SNAPSHOT.declare(
    "current",
    _current,
    "Get or set the current snapshot",
    "Print the XML or the name of the current snapshot, or make one the current one.",
    [
        DOMAIN,
        flag("name", "list the name, rather than the full xml"),
        _SECURITY,
        SNAPSHOT.named("name of existing snapshot to make current", required=False),
    ],
)


def _info(shell: Shell, args: Arguments) -> bool:
    from lxml import etree

    domain = shell.domain(args)
    snapshot = SNAPSHOT.find(domain, args)

    def row(label: str, value: str) -> None:
        shell.out(f"{label:<15} {value}\n")

    row("Name:", snapshot.name)
    row("Domain:", domain.name)
    row("Current:", "yes" if snapshot.is_current() else "no")
    root = etree.fromstring(snapshot.xml().encode())
    state = root.findtext("state")
    if state is None:
        raise CommandError("unexpected problem reading snapshot xml")
    row("State:", state)
    memory = root.find("memory")
    if memory is None:
        external = state == "disk-snapshot"
    else:
        external = "external" in [
            memory.get("snapshot"),
            *(disk.get("snapshot") for disk in root.iterfind("disks/disk")),
        ]
    row("Location:", "external" if external else "internal")
    row("Parent:", root.findtext("parent/name") or "-")
    SNAPSHOT.print_family(shell, snapshot)
    row("Metadata:", "yes" if snapshot.has_metadata() else "no")
    return True


SNAPSHOT.declare(
    "info",
    _info,
    "snapshot information",
    "Print the basic facts of a snapshot.",
    [DOMAIN, SNAPSHOT.named("snapshot name", required=False), flag("current", "info on current snapshot")],
)


def _revert(shell: Shell, args: Arguments) -> bool:
    from virtcore.errors import SnapshotRevertRisky

    snapshot = SNAPSHOT.find(shell.domain(args), args)
    options = [option for option in ("running", "paused", "reset-nvram") if option in args]
    try:
        snapshot.revert(SNAPSHOT.flags("Revert", options))
    except SnapshotRevertRisky:
        # The risk is only asked for where there is one, so that a server that does not know the flag is served too.
        if "force" not in args:
            raise
        snapshot.revert(SNAPSHOT.flags("Revert", [*options, "force"]))
    shell.extra(f"Domain snapshot {snapshot.name} reverted\n")
    return True


SNAPSHOT.declare(
    "revert",
    _revert,
    "Revert a domain to a snapshot",
    "Take a domain back to a snapshot.",
    [
        DOMAIN,
        SNAPSHOT.named("snapshot name", required=False),
        flag("current", "revert to current snapshot"),
        flag("running", "after reverting, change state to running"),
        flag("paused", "after reverting, change state to paused"),
        flag("force", "try harder on risky reverts"),
        flag("reset-nvram", "re-initialize NVRAM from its pristine template"),
    ],
)
