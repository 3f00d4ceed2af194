"""Definitions on disk: a file per object, whole or not at all, found again without being parsed.

A file is named by its object's UUID, so that no name of an object ever reaches a path. Its first line is a comment with
the index entry: name and the facts that lists need, and a checksum of the rest. Opening reads these lines; a file whose
checksum does not fit (somebody edited it) is looked at afresh, so the index is never out of step with the definitions.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from virtcore.driver.toolkit.disk import DiskWorker, remove_file, sync_folder, write_beside, write_file
from virtcore.driver.toolkit.folders import make_folder
from virtcore.errors import InternalError, SystemError, VirtError

__all__ = ["DefinitionStore", "Fact", "Facts", "IndexEntry", "Marks", "Prepared"]

log = logging.getLogger(__name__)

Fact = int | str | bool | None
#: What is known of an object without parsing its definition. Plain values only.
Facts = Mapping[str, Fact]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEADER = b"<!-- virtcore "
_SUFFIX = ".xml"


class IndexEntry(NamedTuple):
    """An object of the store."""

    uuid: str
    name: str
    facts: Facts


class Prepared(NamedTuple):
    """A file that is written beside the one whose place it may take.

    :ivar done: it is written.
    """

    file: str
    done: asyncio.Future[None]


class DefinitionStore:
    """The definitions (or status files) of one kind of object in one folder.

    The caller holds the folder's :class:`~virtcore.driver.toolkit.lock.StateLock`.

    :param folder: where; created by :meth:`open`.
    :param worker: does the disk work.
    :param describe: makes the index entry of a file that has none that fits; raises ``VirtError`` when the text is no
        definition.
    :param lasting: what it holds outlives the host. Status files say what runs: they need to outlive us, and the system
        keeps what was written; nothing waits for the disk.
    """

    def __init__(
        self, folder: Path, worker: DiskWorker, describe: Callable[[str], IndexEntry], *, lasting: bool = True
    ) -> None:
        self.folder = folder
        self._path = str(folder)  # joined for every change
        self._worker = worker
        self._describe = describe
        self._lasting = lasting
        #: What was prepared and is no object's file yet.
        self._prepared: set[str] = set()

    async def open(self) -> list[IndexEntry]:
        """Create or clean up the folder and return what it holds, ordered by name.

        What cannot be used (damaged, a name that occurs twice) is logged, left where it is, and not returned.

        :raises OSError: the folder cannot be used.
        """
        return await self._worker.run(self._scan)

    async def write(self, uuid: str, name: str, text: str, facts: Facts | None = None) -> None:
        """Write or replace an object's definition; returns when it is durable.

        :raises SystemError: the disk is full, ...; the former definition is intact.
        """
        file = _file(uuid)
        data = _encode(name, text, facts or {})
        complaint = f"cannot write data to file '{self._path}/{file}'"
        work = partial(write_file, self._path, file, data, sync=self._lasting)
        await self._worker.change(work, self._synced, complaint)

    def prepare(self, uuid: str, name: str, text: str, facts: Facts | None = None) -> Prepared:
        """Begin to write what will be an object's file (:meth:`put`), or will not. One at a time of an object."""
        file = _file(uuid)
        data = _encode(name, text, facts or {})
        done = self._worker.begin(partial(write_beside, self._path, _ahead(file), data, sync=self._lasting))
        done.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may ask
        self._prepared.add(file)
        return Prepared(file, done)

    async def put(self, prepared: Prepared) -> None:
        """Let what was prepared be the object's file; returns when it is, and durable.

        :raises SystemError: the disk is full, ...; the former file is intact.
        """
        file = prepared.file
        replace = partial(os.rename, f"{self._path}/{_ahead(file)}", f"{self._path}/{file}")
        complaint = f"cannot write data to file '{self._path}/{file}'"
        try:
            await prepared.done
            if self._synced is None and self._worker.idle:
                replace()  # a moment's work, and nothing that was begun before is still to come
                self._prepared.discard(file)
                return
        except OSError as error:
            raise SystemError(f"{complaint}: {error.strerror}") from error
        await self._worker.change(replace, self._synced, complaint)
        self._prepared.discard(file)

    async def remove(self, uuid: str) -> None:
        """Remove an object's definition, if there is one; returns when that is durable."""
        file = _file(uuid)
        complaint = f"cannot remove config {self._path}/{file}"
        prepared = file in self._prepared
        self._prepared.discard(file)

        def work() -> None:
            if prepared:
                remove_file(self._path, _ahead(file))
            remove_file(self._path, file)

        await self._worker.change(work, self._synced, complaint)

    @property
    def _synced(self) -> str | None:
        """What is brought to disk with each change."""
        return self._path if self._lasting else None

    def read(self, uuid: str) -> str:
        """The text of a definition.

        Reads a file of a few KiB in the calling thread: that it was written by this process or seen by :meth:`open`
        makes it likely to be in memory.

        :raises InternalError: it cannot be read.
        """
        path = f"{self._path}/{_file(uuid)}"
        try:
            with open(path, "rb", buffering=0) as file:
                data = file.read()
        except OSError as error:
            raise InternalError(f"failed to read '{path}': {error.strerror}") from error
        return _body(data).decode()

    def _scan(self) -> list[IndexEntry]:
        make_folder(self.folder)
        entries: dict[str, IndexEntry] = {}
        changed = False
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for file in os.listdir(folder):
                if file.startswith(".") and file.endswith(".tmp"):
                    os.unlink(file, dir_fd=folder)  # a write that was never acknowledged
                    changed = True
                    continue
                uuid = file.removesuffix(_SUFFIX)
                if uuid == file or _UUID.fullmatch(uuid) is None:
                    continue
                entry = self._index(folder, file, uuid)
                if entry is None:
                    continue
                if entry.name in entries:
                    other = entries[entry.name].uuid
                    log.error("%s/%s: name '%s' is taken by %s; ignored", self.folder, file, entry.name, other)
                    continue
                entries[entry.name] = entry
        finally:
            os.close(folder)
        if changed:
            sync_folder(self.folder)
        return [entries[name] for name in sorted(entries)]

    def _index(self, folder: int, file: str, uuid: str) -> IndexEntry | None:
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=folder)
            try:
                data = os.read(descriptor, 1 << 16)
                if len(data) == 1 << 16:
                    while chunk := os.read(descriptor, 1 << 20):
                        data += chunk
            finally:
                os.close(descriptor)
            entry = _decode(uuid, data)
            if entry is not None:
                return entry
            entry = self._describe(_body(data).decode())
        except (OSError, UnicodeDecodeError, VirtError) as error:
            log.error("%s/%s: cannot be used: %s", self.folder, file, error)
            return None
        if entry.uuid != uuid:
            log.error("%s/%s: holds the definition of another UUID, %s; ignored", self.folder, file, entry.uuid)
            return None
        return entry


class Marks:
    """A set of UUIDs on disk, an empty file each (which objects start with the host, for one)."""

    def __init__(self, folder: Path, worker: DiskWorker) -> None:
        self.folder = folder
        self._worker = worker

    async def open(self, known: set[str]) -> set[str]:
        """The marked ones of ``known``; marks of unknown objects are removed."""
        return await self._worker.run(lambda: self._scan(known))

    async def mark(self, uuid: str, marked: bool) -> None:
        """Set or remove the mark of an object; returns when that is durable."""
        file = _checked(uuid)
        work = partial(self._put, file) if marked else partial(remove_file, self.folder, file)
        complaint = f"cannot {'create' if marked else 'remove'} file '{self.folder / file}'"
        await self._worker.change(work, self.folder, complaint)

    def _scan(self, known: set[str]) -> set[str]:
        make_folder(self.folder)
        found = {name for name in os.listdir(self.folder) if _UUID.fullmatch(name)}
        for name in found - known:
            remove_file(self.folder, name)
        return found & known

    def _put(self, file: str) -> None:
        make_folder(self.folder)
        os.close(os.open(self.folder / file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))


def _checked(uuid: str) -> str:
    if _UUID.fullmatch(uuid) is None:
        raise InternalError(f"'{uuid}' is no UUID in canonical form")
    return uuid


def _file(uuid: str) -> str:
    return _checked(uuid) + _SUFFIX


def _ahead(file: str) -> str:
    """Where a file is prepared; what is left there goes with the next opening."""
    return f".{file}.ahead.tmp"


def _encode(name: str, text: str, facts: Facts) -> bytes:
    body = text.encode()
    entry = json.dumps({"crc": zlib.crc32(body), "name": name, "facts": dict(facts)}, separators=(",", ":"))
    # Two hyphens would end the comment; in this JSON they occur within strings only.
    return _HEADER + entry.replace("--", "-\\u002d").encode() + b" -->\n" + body


def _decode(uuid: str, data: bytes) -> IndexEntry | None:
    """The entry in the first line, where there is one that fits the rest."""
    if not data.startswith(_HEADER):
        return None
    head, _, body = data.partition(b"\n")
    try:
        entry = json.loads(head[len(_HEADER) : -len(b" -->")])
        if entry["crc"] != zlib.crc32(body):
            return None
        return IndexEntry(uuid, entry["name"], entry["facts"])
    except (ValueError, KeyError, TypeError):
        return None


def _body(data: bytes) -> bytes:
    return data.partition(b"\n")[2] if data.startswith(_HEADER) else data
