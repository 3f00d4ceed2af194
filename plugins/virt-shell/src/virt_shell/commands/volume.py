"""Commands on storage volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from virt_shell.command import Arguments, CommandError, Option, command, data, flag, string
from virt_shell.commands.pool import POOL, active_pools
from virt_shell.numbers import parse_size, pretty_size
from virt_shell.objects import VALIDATE, ObjectKind
from virt_shell.shell import Shell
from virt_shell.table import Table
from virt_shell.text import escape_xml, pick, read_file
from virtcore._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtcore.api.sync import StoragePool, StorageVol


def _volumes(shell: Shell, args: Arguments) -> Sequence[str]:
    """Names of the volumes of the pool that was given, or keys of all."""
    if "pool" in args:
        return [volume.name for volume in POOL.find(shell, args).list_volumes()]
    return _keys(shell, args)


def _keys(shell: Shell, args: Arguments) -> Sequence[str]:
    """Keys of the volumes of all active pools."""
    pools = shell.connection.list_storage_pools(2)
    return [volume.key for pool in pools for volume in pool.list_volumes()]


def _given_pool(shell: Shell, args: Arguments, option: str) -> StoragePool | None:
    """The active pool that an option names."""
    name = args.get(option)
    if name is None:
        return None
    pool: StoragePool = POOL.find_text(shell, name)
    if not pool.is_active():
        raise CommandError(f"pool '{name}' is not active")
    return pool


class VolumeKind(ObjectKind):
    """Volumes: named in a pool that another option gives, or by what is unique on the host."""

    __slots__ = ()

    def find(self, shell: Shell, args: Arguments, *, by: Sequence[str] = (), pool: str = "pool") -> Any:
        """The volume that the option names.

        :param by: with ``name`` in it the name in a pool counts, too.
        :param pool: the option that gives the pool; empty where the command has none.
        """
        text = args.require(self.option)
        where = _given_pool(shell, args, pool) if pool else None
        found = self._look(shell, text, where if "name" in (by or self.keys) else None)
        if isinstance(found, Exception):
            hint = f", specifying --{pool} might help" if pool and where is None else ""
            raise CommandError(f"failed to get vol '{text}'{hint}") from found
        if where is not None and shell.connection.lookup_storage_pool(volume=found).name != where.name:
            raise CommandError(f"Requested volume '{text}' is not in pool '{where.name}'")
        return found

    def _look(self, shell: Shell, text: str, pool: StoragePool | None) -> Any:
        """The volume of a name in a pool, a key or a path; the last error when there is none."""
        from virtcore.errors import VirtError

        lookup = shell.connection.lookup_storage_vol
        ways: list[Callable[[], StorageVol]] = [partial(lookup, text), partial(lookup, None, text)]
        if pool is not None:
            ways.insert(0, partial(pool.lookup_volume, text))
        last: VirtError | None = None
        for look in ways:
            try:
                return look()
            except VirtError as problem:
                last = problem
        return last

    def in_pool(self, shell: Shell, pool: StoragePool, text: str) -> StorageVol:
        """The volume of a name in the pool, or of a key or path anywhere.

        :raises CommandError: there is none.
        """
        found = self._look(shell, text, pool)
        if isinstance(found, Exception):
            raise CommandError(f"failed to get vol '{text}'") from found
        volume: StorageVol = found
        return volume


VOLUME = VolumeKind(
    module=__name__,
    option="vol",
    noun="vol",
    group="volume",
    prefix="vol-",
    help="vol name, key or path",
    lookup="lookup_storage_vol",
    keys=("name", "key", "path"),
    completer=_volumes,
)

IN_POOL = string("pool", "pool name or uuid", positional=True, completer=active_pools)
PREALLOC = flag("prealloc-metadata", "preallocate metadata (for qcow2 instead of full allocation)")
REFLINK = flag("reflink", "use btrfs COW lightweight copy")


def parent_pool(help: str = "pool name") -> Option:
    """The option that names the pool a volume is made in."""
    return data("pool", help, completer=active_pools)


def create_flags(args: Arguments) -> int:
    """The flags of what makes a volume."""
    from virtcore.enums import StorageVolCreateFlags

    table = {"prealloc-metadata": "PREALLOC_METADATA", "reflink": "REFLINK", "validate": "VALIDATE"}
    return args.flags(StorageVolCreateFlags, table)


def _delete_flags(args: Arguments) -> int:
    from virtcore.enums import StorageVolDeleteFlags

    return args.flags(StorageVolDeleteFlags, {"delete-snapshots": "WITH_SNAPSHOTS"})


VOLUME.acting(
    "delete",
    help="delete a vol",
    description="Remove a volume, for good.",
    done="Vol {name} deleted",
    failed="Failed to delete vol {name}",
    act=lambda volume, args: volume.delete(_delete_flags(args)),
    options=[
        IN_POOL,
        flag(
            "delete-snapshots",
            "delete snapshots associated with volume (must be supported by storage driver)",
        ),
    ],
)
VOLUME.dumping(help="vol information in XML", description="Print a volume's XML.", options=[IN_POOL])

# -- names


def _telling(what: str, help: str, option_help: str, by: Sequence[str], *, pool: bool) -> None:
    """Declare a command that prints one fact about a volume."""

    def handler(shell: Shell, args: Arguments) -> bool:
        found = VOLUME.find(shell, args, by=by, pool="pool" if pool else "")
        shell.out(f"{found.path() if what == 'path' else getattr(found, what)}\n")
        return True

    options = [VOLUME.named(None if pool else _keys, help=option_help), *([IN_POOL] if pool else [])]
    command(f"vol-{what}", group="volume", help=help, options=options)(handler)


_telling(
    "key",
    "returns the volume key for a given volume name or path",
    "volume name or path",
    ("name", "key", "path"),
    pool=True,
)
_telling(
    "path",
    "returns the volume path for a given volume name or key",
    "volume name or key",
    ("name", "key", "path"),
    pool=True,
)
_telling(
    "name",
    "returns the volume name for a given volume key or path",
    "volume key or path",
    ("key", "path"),
    pool=False,
)


@command(
    "vol-pool",
    group="volume",
    help="returns the storage pool for a given volume key or path",
    options=[
        VOLUME.named(_keys, help="volume key or path"),
        flag("uuid", "return the pool uuid rather than pool name"),
    ],
)
def vol_pool(shell: Shell, args: Arguments) -> bool:
    volume = VOLUME.find(shell, args, by=("key", "path"), pool="")
    with shell.failing("failed to get parent pool"):
        pool = shell.connection.lookup_storage_pool(volume=volume)
    shell.out(f"{pool.uuid if 'uuid' in args else pool.name}\n")
    return True


# -- what there is

_TYPES = ("file", "block", "dir", "network", "netdir", "ploop")


@command(
    "vol-list",
    group="volume",
    help="list vols",
    description="Print the volumes of a pool.",
    options=[POOL.named(active_pools), flag("details", "display extended details for volumes")],
)
def vol_list(shell: Shell, args: Arguments) -> bool:
    pool = POOL.find(shell, args)
    with shell.failing("Failed to list volumes"):
        found = sorted(pool.list_volumes(), key=lambda volume: volume.name.lower())
    details = "details" in args
    table = Table("Name", "Path", *(["Type", "Capacity", "Allocation"] if details else []))
    for volume in found:
        table.add(volume.name, _path(volume), *(_details(volume) if details else []))
    shell.out(table.render(header=not shell.quiet))
    return True


def _path(volume: StorageVol) -> str:
    from virtcore.errors import VirtError

    try:
        return volume.path()
    except VirtError:
        return "unknown"  # it went meanwhile


def _details(volume: StorageVol) -> list[str]:
    from virtcore.errors import VirtError

    try:
        info = volume.info()
    except VirtError:
        return ["unknown"] * 3
    return [pick(_TYPES, info.type, "unknown"), pretty_size(info.capacity), pretty_size(info.allocation)]


@command(
    "vol-info",
    group="volume",
    help="storage vol information",
    description="Print what a volume is and how big.",
    options=[
        VOLUME.named(),
        IN_POOL,
        flag("bytes", "sizes are represented in bytes rather than pretty units"),
        flag("physical", "return the physical size of the volume in allocation field"),
    ],
)
def info(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import StorageVolInfoFlags

    volume = VOLUME.find(shell, args)

    def line(label: str, value: str) -> None:
        shell.out(f"{label + ':':<15} {value}\n")

    def size(value: int) -> str:
        return f"{value} bytes" if "bytes" in args else pretty_size(value)

    physical = "physical" in args
    line("Name", volume.name)
    found = volume.info(StorageVolInfoFlags.GET_PHYSICAL if physical else 0)
    line("Type", pick(_TYPES, found.type, "unknown"))
    line("Capacity", size(found.capacity))
    line("Physical" if physical else "Allocation", size(found.allocation))
    return True


# -- making


@command(
    "vol-create",
    group="volume",
    help="create a vol from an XML file",
    description="Make a volume from a document.",
    options=[parent_pool(), data("file", "file containing an XML vol description"), PREALLOC, VALIDATE],
)
def create(shell: Shell, args: Arguments) -> bool:
    pool = POOL.find(shell, args)
    path = args.require("file")
    xml = read_file(path)
    with shell.failing(f"Failed to create vol from {path}"):
        made = pool.create_volume(xml, create_flags(args))
    shell.extra(f"Vol {made.name} created from {path}\n")
    return True


@command(
    "vol-create-as",
    group="volume",
    help="create a volume from a set of args",
    description="Make a volume that the options describe.",
    options=[
        parent_pool(),
        data("name", "name of the volume"),
        data("capacity", "size of the vol, as scaled integer (default bytes)"),
        string(
            "allocation",
            "initial allocation size, as scaled integer (default bytes)",
            unwanted_positional=True,
        ),
        string("format", "file format type raw,bochs,qcow,qcow2,qed,vmdk", unwanted_positional=True),
        string("backing-vol", "the backing volume if taking a snapshot", unwanted_positional=True, completer=_volumes),
        string("backing-vol-format", "format of backing volume if taking a snapshot", unwanted_positional=True),
        PREALLOC,
        flag("print-xml", "print XML document, but don't define/create"),
    ],
)
def create_as(shell: Shell, args: Arguments) -> bool:
    pool = POOL.find(shell, args)
    name = args.require("name")
    xml = _description(shell, args, pool, name)
    if "print-xml" in args:
        shell.out(xml)
        return True
    with shell.failing(f"Failed to create vol {name}"):
        made = pool.create_volume(xml, create_flags(args))
    shell.extra(f"Vol {made.name} created\n")
    return True


def _description(shell: Shell, args: Arguments, pool: StoragePool, name: str) -> str:
    """The document that the options describe."""
    capacity = args.require("capacity")
    lines = [f"  <name>{escape_xml(name)}</name>"]
    lines.append(f"  <capacity>{parse_size(capacity, f'Malformed size {capacity}')}</capacity>")
    allocation = args.get("allocation")
    if allocation is not None:
        lines.append(f"  <allocation>{parse_size(allocation, f'Malformed size {allocation}')}</allocation>")
    kind, backing, backing_kind = args.get("format"), args.get("backing-vol"), args.get("backing-vol-format")
    if kind is not None:
        lines += ["  <target>", f"    <format type='{escape_xml(kind)}'/>", "  </target>"]
    if backing is not None:
        path = VOLUME.in_pool(shell, pool, backing).path()
        lines += ["  <backingStore>", f"    <path>{escape_xml(path)}</path>"]
        if backing_kind is not None:
            lines.append(f"    <format type='{escape_xml(backing_kind)}'/>")
        lines.append("  </backingStore>")
    return "\n".join(["<volume>", *lines, "</volume>", ""])
