"""Locks that keep two guests from one image, and the leases that guests ask for (``lock_manager = "lockd"``).

A file a resource in a folder: who has it, alone or with others. QEMU's own locks hold as well; these are held only
while a guest runs, and told before QEMU fails.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virtcore.errors import InternalError, ResourceBusy, SystemError
from virtcore.model.storage.source import BlockSource, FileSource

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["LockSpace", "Resource", "resources_of"]


class Resource(NamedTuple):
    """What is locked.

    :ivar name: as messages have it.
    :ivar key: what it is, whatever way leads to it.
    :ivar shared: several guests may have it, all of them so.
    """

    name: str
    key: str
    shared: bool = False


def resources_of(domain: Domain) -> list[Resource]:
    """What a running guest has for itself.

    :raises InternalError: a lease cannot be had here.
    """
    devices = domain.devices
    assert devices is not None
    found = []
    for lease in devices.leases:
        if lease.offset:
            raise InternalError("Offset must be zero for this lock manager")
        found.append(Resource(lease.key or "", f"lease:{lease.path}:{lease.key}"))
    for disk in devices.disks:
        source = disk.source
        path = source.file if isinstance(source, FileSource) else None
        path = source.dev if isinstance(source, BlockSource) else path
        if path is not None and not disk.readonly:
            found.append(Resource(path, f"file:{os.path.realpath(path)}", bool(disk.shareable)))
    return found


class LockSpace:
    """The locks of one root.

    :param folder: where they are; forgotten when the host goes down.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SystemError(f"Unable to create directory {self._folder}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for an instant only
            yield
        finally:
            os.close(descriptor)

    def _path(self, resource: Resource) -> Path:
        return self._folder / hashlib.sha256(os.fsencode(resource.key)).hexdigest()

    def _holders(self, resource: Resource) -> tuple[bool, list[str]]:
        try:
            shared, uuids = json.loads(self._path(resource).read_text())
        except (FileNotFoundError, ValueError):
            return False, []
        return bool(shared), list(uuids)

    def _write(self, resource: Resource, shared: bool, uuids: list[str]) -> None:
        path = self._path(resource)
        if not uuids:
            path.unlink(missing_ok=True)
            return
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps([shared, uuids]))
        temporary.rename(path)

    def acquire(self, uuid: str, resources: list[Resource]) -> None:
        """Lock resources for a guest, all or none; what it has already stays.

        :raises ResourceBusy: another guest has one.
        """
        with self._alone():
            new = []
            for resource in resources:
                shared, holders = self._holders(resource)
                if uuid in holders:
                    continue
                if holders and not (shared and resource.shared):
                    raise ResourceBusy(f"Lockspace resource '{resource.name}' is locked")
                new.append((resource, [*holders, uuid]))
            for resource, holders in new:
                self._write(resource, resource.shared, holders)

    def release(self, uuid: str, resources: list[Resource]) -> None:
        """Let go of what a guest has."""
        with self._alone():
            for resource in resources:
                shared, holders = self._holders(resource)
                if uuid in holders:
                    self._write(resource, shared, [one for one in holders if one != uuid])
