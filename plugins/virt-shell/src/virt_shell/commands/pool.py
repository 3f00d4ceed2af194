"""Commands on storage pools."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, command, flag, string
from virt_shell.completion import among, comma_list
from virt_shell.events import Printers
from virt_shell.numbers import pretty_size
from virt_shell.objects import VALIDATE, ObjectKind, definition, named_by
from virt_shell.shell import Shell
from virt_shell.table import Table
from virt_shell.text import pick, split_list
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.api.sync import StoragePool

pools = named_by("list_storage_pools")
active_pools = named_by("list_storage_pools", "ConnectListAllStoragePoolsFlags.ACTIVE")
_inactive_pools = named_by("list_storage_pools", "ConnectListAllStoragePoolsFlags.INACTIVE")
_persistent_pools = named_by("list_storage_pools", "ConnectListAllStoragePoolsFlags.PERSISTENT")

POOL = ObjectKind(
    module=__name__,
    option="pool",
    noun="pool",
    group="pool",
    prefix="pool-",
    help="pool name or uuid",
    lookup="lookup_storage_pool",
    keys=("uuid", "name"),
    completer=pools,
)

_FILE = "file containing an XML pool description"
_OVERWRITE = (
    flag("no-overwrite", "do not overwrite any existing data"),
    flag("overwrite", "overwrite any existing data"),
)
BUILD = (flag("build", "build the pool as normal"), *_OVERWRITE)


def create_flags(args: Arguments) -> int:
    """The flags of what starts a pool.

    :raises CommandError: they contradict each other.
    """
    from virtcore.enums import StoragePoolCreateFlags

    args.exclusive("overwrite", "no-overwrite")
    return args.flags(
        StoragePoolCreateFlags,
        {"build": "WITH_BUILD", "overwrite": "WITH_BUILD_OVERWRITE", "no-overwrite": "WITH_BUILD_NO_OVERWRITE"},
    )


def _build_flags(args: Arguments) -> int:
    from virtcore.enums import StoragePoolBuildFlags

    return args.flags(StoragePoolBuildFlags, {"no-overwrite": "NO_OVERWRITE", "overwrite": "OVERWRITE"})


POOL.making(
    "define",
    help="define an inactive persistent storage pool or modify an existing persistent one from an XML file",
    description="Define a pool that stays, or change the definition of one.",
    done="Pool {name} defined from {file}",
    failed="Failed to define pool from {file}",
    method="define_storage_pool",
    file_help=_FILE,
    options=[VALIDATE],
    flags=lambda args: int("validate" in args),
)
POOL.making(
    "create",
    help="create a pool from an XML file",
    description="Start a pool from a document.",
    done="Pool {name} created from {file}",
    failed="Failed to create pool from {file}",
    method="create_storage_pool",
    file_help=_FILE,
    options=BUILD,
    flags=create_flags,
)
POOL.acting(
    "build",
    help="build a pool",
    description="Make what a pool needs: a folder, a file system, a volume group.",
    done="Pool {name} built",
    failed="Failed to build pool {name}",
    act=lambda pool, args: pool.build(_build_flags(args)),
    options=_OVERWRITE,
)
POOL.acting(
    "start",
    help="start a (previously defined) inactive pool",
    description="Make a defined pool work.",
    done="Pool {name} started",
    failed="Failed to start pool {name}",
    act=lambda pool, args: pool.create(create_flags(args)),
    options=BUILD,
    completer=_inactive_pools,
)
POOL.acting(
    "destroy",
    help="destroy (stop) a pool",
    description="Stop a pool at once; what is in it stays.",
    done="Pool {name} destroyed",
    failed="Failed to destroy pool {name}",
    act=lambda pool, args: pool.destroy(),
    completer=active_pools,
)
POOL.acting(
    "delete",
    help="delete a pool",
    description="Remove what is behind an inactive pool, for good.",
    done="Pool {name} deleted",
    failed="Failed to delete pool {name}",
    act=lambda pool, args: pool.delete(),
    completer=_inactive_pools,
)
POOL.acting(
    "refresh",
    help="refresh a pool",
    description="Look at the volumes of a pool afresh.",
    done="Pool {name} refreshed",
    failed="Failed to refresh pool {name}",
    act=lambda pool, args: pool.refresh(),
    completer=active_pools,
)
POOL.acting(
    "undefine",
    help="undefine an inactive pool",
    description="Remove the definition of an inactive pool.",
    done="Pool {name} has been undefined",
    failed="Failed to undefine pool {name}",
    act=lambda pool, args: pool.undefine(),
    completer=_persistent_pools,
)
POOL.dumping(
    help="pool information in XML",
    description="Print a pool's XML.",
    options=[flag("inactive", "show inactive defined XML")],
    flags=lambda args: int("inactive" in args),
)
POOL.editing(
    help="edit XML configuration for a storage pool",
    description="Open a pool's definition in the editor and define what was saved.",
    read=definition,
    method="define_storage_pool",
)
POOL.converting("name", source="uuid", help="convert a pool UUID to pool name", option_help=POOL.help)
POOL.converting("uuid", source="name", help="convert a pool name to pool UUID", option_help=POOL.help)
POOL.autostarting(help="autostart a pool", description="Have a pool start with the host, or not.")


# -- what there is

_STATES = ("inactive", "building", "running", "degraded", "inaccessible")
#: States in which sizes mean something.
_SIZED = (2, 3)

#: option of ``pool-list`` -> name of the ConnectListAllStoragePoolsFlags member
_FILTERS = {
    "persistent": "PERSISTENT",
    "transient": "TRANSIENT",
    "autostart": "AUTOSTART",
    "no-autostart": "NO_AUTOSTART",
}
_TYPES = (
    "dir",
    "fs",
    "netfs",
    "logical",
    "disk",
    "iscsi",
    "iscsi-direct",
    "scsi",
    "mpath",
    "rbd",
    "sheepdog",
    "gluster",
    "zfs",
    "vstorage",
)
POOL_TYPE = among(*_TYPES)


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


@command(
    "pool-list",
    group="pool",
    help="list pools",
    description="Print the pools there are, the active ones by default.",
    options=[
        flag("inactive", "list inactive pools"),
        flag("all", "list inactive & active pools"),
        flag("transient", "list transient pools"),
        flag("persistent", "list persistent pools"),
        flag("autostart", "list pools with autostart enabled"),
        flag("no-autostart", "list pools with autostart disabled"),
        string(
            "type",
            "only list pool of specified type(s) (if supported)",
            unwanted_positional=True,
            completer=comma_list(*_TYPES),
        ),
        flag("details", "display extended details for pools"),
        flag("uuid", "list UUID of active pools only"),
        flag("name", "list name of active pools only"),
    ],
)
def pool_list(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import ConnectListAllStoragePoolsFlags as Flags

    args.exclusive("details", "uuid")
    args.exclusive("details", "name")
    flags = args.flags(Flags, _FILTERS)
    if "all" in args:
        flags |= Flags.ACTIVE | Flags.INACTIVE
    else:
        flags |= Flags.INACTIVE if "inactive" in args else Flags.ACTIVE
    wanted = args.get("type")
    for kind in split_list(wanted) if wanted is not None else ():
        if kind not in _TYPES:
            raise CommandError(f"Invalid pool type '{kind}'")
        flags |= Flags[kind.upper().replace("-", "_")]
    with shell.failing("Failed to list pools"):
        found = sorted(shell.connection.list_storage_pools(flags), key=lambda pool: pool.name.lower())
    if "uuid" in args or "name" in args:
        for pool in found:
            shell.out(f"{pool.uuid:<36}{' ' if 'name' in args else chr(10)}" if "uuid" in args else "")
            shell.out(f"{pool.name:<20}\n" if "name" in args else "")
        return True
    detailed = "details" in args
    sizes = ["Persistent", "Capacity", "Allocation", "Available"] if detailed else []
    table = Table("Name", "State", "Autostart", *sizes)
    for pool in found:
        table.add(pool.name, *(_detailed(pool) if detailed else _plain(pool)))
    shell.out(table.render(header=not shell.quiet))
    return True


def _plain(pool: StoragePool) -> list[str]:
    return ["active" if pool.is_active() else "inactive", _autostart(pool)]


def _detailed(pool: StoragePool) -> list[str]:
    info = pool.info()
    sizes = (info.capacity, info.allocation, info.available)
    known = [pretty_size(size) if info.state in _SIZED else "-" for size in sizes]
    return [pick(_STATES, info.state, "unknown"), _autostart(pool), _yes(pool.is_persistent()), *known]


def _autostart(pool: StoragePool) -> str:
    from virtcore.errors import VirtError

    try:
        return _yes(pool.autostart())
    except VirtError:
        return "no autostart"


@command(
    "pool-info",
    group="pool",
    help="storage pool information",
    description="Print what a pool is and how full.",
    options=[POOL.named(), flag("bytes", "Return pool info in bytes")],
)
def info(shell: Shell, args: Arguments) -> bool:
    pool = POOL.find(shell, args)

    def line(label: str, value: object) -> None:
        shell.out(f"{label + ':':<15} {value}\n")

    line("Name", pool.name)
    line("UUID", pool.uuid)
    found = pool.info()
    line("State", pick(_STATES, found.state, "unknown"))
    line("Persistent", _yes(pool.is_persistent()))
    line("Autostart", _autostart(pool))
    if found.state in _SIZED:
        for label in ("capacity", "allocation", "available"):
            size = getattr(found, label)
            line(label.capitalize(), size if "bytes" in args else pretty_size(size))
    return True


@command(
    "pool-capabilities",
    group="pool",
    help="storage pool capabilities",
    description="Print which types of pools and volumes are supported.",
)
def capabilities(shell: Shell, args: Arguments) -> bool:
    with shell.failing("failed to get storage pool capabilities"):
        found = shell.connection.storage_pool_capabilities()
    shell.out(f"{found}\n")
    return True


# -- events

_LIFECYCLE = ("Defined", "Undefined", "Started", "Stopped", "Created", "Deleted")

EVENTS: Printers = {
    "lifecycle": (
        "StoragePoolLifecycleEvent",
        lambda event: (
            f"event 'lifecycle' for storage pool {event.pool.name}: {pick(_LIFECYCLE, event.type, 'unknown')}"
        ),
    ),
    "refresh": ("StoragePoolRefreshEvent", lambda event: f"event 'refresh' for storage pool {event.pool.name}"),
}
POOL.watching(
    EVENTS,
    help="Storage Pool Events",
    filter_help="filter by storage pool name or uuid",
    attribute="pool",
    called="storage pool",
)
