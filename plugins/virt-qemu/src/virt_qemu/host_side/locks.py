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

from virt_qemu.command.disks import disk_path
from virtcore.errors import InternalError, ResourceBusy, SystemError
from virtcore.model.domain.disk import Disk
from virtcore.model.domain.lease import Lease

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["LockSpace", "Resource", "resource_of", "resources_of"]

#: Names of locks: a hash.
_LOCKS = "?" * 64


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
    found = (resource_of(device) for device in (*devices.leases, *devices.disks))
    return [resource for resource in found if resource is not None]


def resource_of(device: object) -> Resource | None:
    """What a running guest with a device has for itself by that; None where it is nothing.

    :raises InternalError: a lease cannot be had here.
    """
    if isinstance(device, Lease):
        if device.offset:
            raise InternalError("Offset must be zero for this lock manager")
        return Resource(device.key or "", f"lease:{device.path}:{device.key}")
    if isinstance(device, Disk) and not device.readonly:
        path = disk_path(device.source)
        if path is not None:
            return Resource(path, f"file:{os.path.realpath(path)}", bool(device.shareable))
    return None


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

    def acquire(self, uuid: str, resources: list[Resource]) -> None:
        """Lock resources for a guest, all or none; what it has already stays.

        :raises ResourceBusy: another guest has one.
        """
        with self._alone():
            new = []
            for resource in resources:
                shared, holders = _holders(self._path(resource))
                if uuid in holders:
                    continue
                if holders and not (shared and resource.shared):
                    raise ResourceBusy(f"Lockspace resource '{resource.name}' is locked")
                new.append((resource, [*holders, uuid]))
            for resource, holders in new:
                _write(self._path(resource), resource.shared, holders)

    def release(self, uuid: str, resource: Resource | None = None) -> None:
        """Let go of a resource that a guest has; of all by default, whatever its devices have become meanwhile."""
        with self._alone():
            paths = [self._path(resource)] if resource is not None else list(self._folder.glob(_LOCKS))
            for path in paths:
                shared, holders = _holders(path)
                if uuid in holders:
                    _write(path, shared, [one for one in holders if one != uuid])


def _holders(path: Path) -> tuple[bool, list[str]]:
    """Whether a lock is held with others, and by whom."""
    try:
        shared, uuids = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return False, []
    return bool(shared), list(uuids)


def _write(path: Path, shared: bool, uuids: list[str]) -> None:
    if not uuids:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps([shared, uuids]))
    temporary.rename(path)
