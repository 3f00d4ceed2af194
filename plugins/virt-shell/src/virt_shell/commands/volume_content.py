"""Commands on what is in storage volumes: copying it, sending and fetching it, its size, wiping it."""

from __future__ import annotations

import os

from virt_shell.command import Arguments, CommandError, command, data, flag, integer, string
from virt_shell.commands.pool import POOL, active_pools
from virt_shell.commands.volume import IN_POOL, PREALLOC, REFLINK, VOLUME, create_flags, parent_pool
from virt_shell.completion import among
from virt_shell.numbers import ULONG, parse_size
from virt_shell.objects import VALIDATE
from virt_shell.shell import Shell
from virt_shell.text import read_file
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from virtcore.api.streams import Stream

# -- copies


@command(
    "vol-create-from",
    group="volume",
    help="create a vol, using another volume as input",
    description="Make a volume with the content of another one.",
    options=[
        parent_pool("pool name or uuid"),
        data("file", "file containing an XML vol description"),
        VOLUME.named(),
        string(
            "inputpool",
            "pool name or uuid of the input volume's pool",
            unwanted_positional=True,
            completer=active_pools,
        ),
        PREALLOC,
        REFLINK,
        VALIDATE,
    ],
)
def create_from(shell: Shell, args: Arguments) -> bool:
    pool = POOL.find(shell, args)
    path = args.require("file")
    source = VOLUME.find(shell, args, pool="inputpool")
    xml = read_file(path)
    with shell.failing(f"Failed to create vol from {path}"):
        made = pool.clone_volume(xml, source, create_flags(args))
    shell.extra(f"Vol {made.name} created from input vol {source.name}\n")
    return True


@command(
    "vol-clone",
    group="volume",
    help="clone a volume.",
    description="Copy a volume within its pool.",
    options=[
        VOLUME.named(),
        data("newname", "clone name"),
        IN_POOL,
        PREALLOC,
        REFLINK,
        flag("print-xml", "print XML document rather than clone the volume"),
    ],
)
def clone(shell: Shell, args: Arguments) -> bool:
    source = VOLUME.find(shell, args)
    with shell.failing("failed to get parent pool"):
        pool = shell.connection.lookup_storage_pool(volume=source)
    xml = _renamed(source.xml(), args.require("newname"))
    if "print-xml" in args:
        shell.out(xml)
        return True
    with shell.failing(f"Failed to clone vol from {source.name}"):
        made = pool.clone_volume(xml, source, create_flags(args))
    shell.extra(f"Vol {made.name} cloned from {source.name}\n")
    return True


def _renamed(xml: str, name: str) -> str:
    from lxml import etree

    root = etree.fromstring(xml.encode())
    named = root.find("name")
    if named is None:
        named = etree.SubElement(root, "name")
    named.text = name
    return str(etree.tostring(root, encoding="unicode"))


# -- sending and fetching

_CHUNK = 256 * 1024


def _range(args: Arguments) -> tuple[int, int]:
    """Offset and length in bytes; a length of 0 is up to the end."""
    return args.number("offset", *ULONG) or 0, args.number("length", *ULONG) or 0


@command(
    "vol-upload",
    group="volume",
    help="upload file contents to a volume",
    description="Write what is in a file into a volume.",
    options=[
        VOLUME.named(),
        data("file", "file"),
        IN_POOL,
        integer("offset", "volume offset to upload to", unwanted_positional=True),
        integer("length", "amount of data to upload", unwanted_positional=True),
        flag("sparse", "preserve sparseness of volume"),
    ],
)
def upload(shell: Shell, args: Arguments) -> bool:
    offset, length = _range(args)
    volume = VOLUME.find(shell, args)
    name, path, sparse = args.require("vol"), args.require("file"), "sparse" in args
    try:
        file = open(path, "rb")  # noqa: SIM115  # closed below, with the words for what fails meanwhile
    except OSError:
        raise CommandError(f"cannot read {path}") from None
    with file:
        with shell.failing(f"cannot upload to volume {name}"):
            stream = volume.upload(offset, length, int(sparse))
        close, send = f"cannot close volume {name}", f"cannot send data to volume {name}"
        with shell.failing(close), stream, shell.failing(send):  # the stream's end is the last thing that can fail
            _send(file, stream, sparse)
    return True


def _send(file: BinaryIO, stream: Stream, sparse: bool) -> None:
    """Copy a file into a stream, which refuses what is too long for it.

    :param sparse: holes are sent as such.
    """
    if not sparse:
        while data := file.read(_CHUNK):
            stream.write(data)
        return
    at, end = 0, os.fstat(file.fileno()).st_size
    for start, stop in [*_extents(file.fileno(), end), (end, end)]:
        if start > at:
            stream.write_hole(start - at)
        file.seek(start)
        for position in range(start, stop, _CHUNK):
            stream.write(file.read(min(stop - position, _CHUNK)))
        at = stop


def _extents(descriptor: int, end: int) -> Sequence[tuple[int, int]]:
    """Where a file has data, below ``end``."""
    found, at = [], 0
    while at < end:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:  # nothing but a hole up to the end
            break
        stop = min(os.lseek(descriptor, start, os.SEEK_HOLE), end)
        if start < stop:
            found.append((start, stop))
        at = stop if stop > at else end
    return found


@command(
    "vol-download",
    group="volume",
    help="download volume contents to a file",
    description="Write what is in a volume into a file.",
    options=[
        VOLUME.named(),
        data("file", "file"),
        IN_POOL,
        integer("offset", "volume offset to download from", unwanted_positional=True),
        integer("length", "amount of data to download", unwanted_positional=True),
        flag("sparse", "preserve sparseness of volume"),
    ],
)
def download(shell: Shell, args: Arguments) -> bool:
    offset, length = _range(args)
    volume = VOLUME.find(shell, args)
    name, path, sparse = args.require("vol"), args.require("file"), "sparse" in args
    made = not os.path.lexists(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (os.O_EXCL if made else 0), 0o666)
    except OSError:
        raise CommandError(f"cannot create {path}") from None
    complete = False
    try:
        with os.fdopen(descriptor, "wb") as file:
            with shell.failing(f"cannot download from volume {name}"):
                stream = volume.download(offset, length, int(sparse))
            close, receive = f"cannot close volume {name}", f"cannot receive data from volume {name}"
            with shell.failing(close), stream, shell.failing(receive):
                _receive(stream, file, sparse)
        complete = True
    finally:
        if made and not complete:
            os.unlink(path)
    return True


def _receive(stream: Stream, file: BinaryIO, sparse: bool) -> None:
    while True:
        found = stream.read_sparse(_CHUNK) if sparse else stream.read(_CHUNK)
        if isinstance(found, int):
            file.seek(found, os.SEEK_CUR)
            continue
        if not found:
            break
        file.write(found)
    file.truncate()  # a hole at the end belongs to it


# -- size and wiping


@command(
    "vol-resize",
    group="volume",
    help="resize a vol",
    description="Change the capacity of a volume that no running guest uses.",
    options=[
        VOLUME.named(),
        data("capacity", "new capacity for the vol, as scaled integer (default bytes)"),
        IN_POOL,
        flag("allocate", "allocate the new capacity, rather than leaving it sparse"),
        flag("delta", "use capacity as a delta to current size, rather than the new size"),
        flag("shrink", "allow the resize to shrink the volume"),
    ],
)
def resize(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import StorageVolResizeFlags

    flags = args.flags(StorageVolResizeFlags, {"allocate": "ALLOCATE", "delta": "DELTA", "shrink": "SHRINK"})
    volume = VOLUME.find(shell, args)
    wanted = args.require("capacity").lstrip(" \t\n\v\f\r")
    if wanted.startswith("-"):  # the operation takes amounts and a direction
        if "shrink" not in args:
            raise CommandError("negative size requires --shrink")
        wanted = wanted[1:]
        flags |= StorageVolResizeFlags.DELTA
    capacity = parse_size(wanted, f"Malformed size {wanted}")
    how = "by" if flags & StorageVolResizeFlags.DELTA else "to"
    with shell.failing(f"Failed to change size of volume '{volume.name}' {how} {wanted}"):
        volume.resize(capacity, flags)
    shell.extra(f"Size of volume '{volume.name}' successfully changed {how} {wanted}\n")
    return True


#: In the order of StorageVolWipeAlgorithm.
_ALGORITHMS = ("zero", "nnsa", "dod", "bsi", "gutmann", "schneier", "pfitzner7", "pfitzner33", "random", "trim")


@command(
    "vol-wipe",
    group="volume",
    help="wipe a vol",
    description="Overwrite what is in a volume so that it cannot be read any more.",
    options=[
        VOLUME.named(),
        IN_POOL,
        string(
            "algorithm", "perform selected wiping algorithm", unwanted_positional=True, completer=among(*_ALGORITHMS)
        ),
    ],
)
def wipe(shell: Shell, args: Arguments) -> bool:
    volume = VOLUME.find(shell, args)
    name, algorithm = args.require("vol"), args.get("algorithm") or "zero"
    if algorithm not in _ALGORITHMS:
        raise CommandError(f"Unsupported algorithm '{algorithm}'")
    with shell.failing(f"Failed to wipe vol {name}"):
        volume.wipe(_ALGORITHMS.index(algorithm))
    shell.extra(f"Vol {name} wiped\n")
    return True
