"""A ``/dev`` of each guest's own: the devices that every QEMU may open, and the guest's."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from virt_qemu.host_side.order import devices_of
from virt_qemu.isolation.claims import device_files
from virtcore.errors import SystemError, VirtError
from virtcore.runtime.launcher import Devices, Node

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.host_side.host import HostSide
    from virtcore.model.domain import Domain

__all__ = [
    "add_device",
    "allow_devices",
    "deny_devices",
    "device_paths",
    "paths_of",
    "private_devices",
    "remove_device",
]

log = logging.getLogger(__name__)

_DEV = "/dev/"
_LINKS = 8
"""Symbolic links that are followed from one to the next at most."""
_STANDARD = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}


def device_paths(side: HostSide, domain: Domain, without: object = None) -> Iterator[str]:
    """Device files of the host that a guest's devices are.

    :param without: a device that goes.
    """
    for device in devices_of(domain):
        if device is not without:
            yield from paths_of(side, device)
    assert domain.devices is not None
    for rng in domain.devices.rngs:
        if rng is not without:
            yield from paths_of(side, rng)
    for graphics in domain.devices.graphics:
        node = getattr(graphics, "rendernode", None) or getattr(getattr(graphics, "gl", None), "rendernode", None)
        if isinstance(node, str):
            yield node


def paths_of(side: HostSide, device: object) -> Iterator[str]:
    """Device files of the host that a device is."""
    for path in device_files(side, device):
        if path.startswith(_DEV):
            yield path


def allow_devices(guest: Guest, paths: Iterable[str]) -> None:
    """Let a running guest's control group open device files, where it does not let it open all.

    :raises SystemError: the kernel refuses it.
    """
    if guest.group is not None and guest.group.guards_devices:
        for path in paths:
            guest.group.allow_device(path)


def deny_devices(guest: Guest, side: HostSide, device: object, domain: Domain) -> None:
    """Let it open the files of a device that has gone no more, unless others of its devices need them. Never raises.

    :param domain: what the guest is, with or without the device.
    """
    if guest.group is None or not guest.group.guards_devices:
        return
    for path in set(paths_of(side, device)) - set(side.open_devices(domain, without=device)):
        try:
            guest.group.deny_device(path)
        except VirtError as error:
            log.warning("a guest can still open '%s': %s", path, error)


def _find(path: str, links: dict[str, str]) -> str | None:
    """The device file a path leads to; links on the way are noted."""
    for _ in range(_LINKS):
        if not os.path.islink(path):
            return path if os.path.exists(path) else None
        target = os.readlink(path)
        links[path] = target
        path = os.path.normpath(os.path.join(os.path.dirname(path), target))
        if not path.startswith(_DEV):
            return None
    return None


def _mounts() -> list[str]:
    """Mount points below ``/dev``, without those within others."""
    found: list[str] = []
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        points = sorted({line.split()[1] for line in mounts if line.split()[1].startswith(_DEV)})
    for point in points:
        if not any(point.startswith(f"{outer}/") for outer in found):
            found.append(point)
    return found


def private_devices(folder: str, every: Sequence[str], paths: Iterable[str]) -> Devices:
    """What a guest's ``/dev`` has.

    :param folder: an empty folder.
    :param every: what every guest may open, where the host has it.
    :param paths: what this one may.
    """
    links = dict(_STANDARD)
    nodes: dict[str, Node] = {}
    mounts = _mounts()
    for path in (*every, *paths):
        device = _find(path, links)
        if device is None or any(device.startswith(f"{mount}/") for mount in mounts):
            continue
        facts = os.stat(device)
        if stat.S_ISCHR(facts.st_mode) or stat.S_ISBLK(facts.st_mode):
            nodes[device] = Node(device, facts.st_mode, facts.st_rdev, facts.st_uid, facts.st_gid)
    return Devices(folder=folder, nodes=list(nodes.values()), links=links, mounts=mounts)


def add_device(pid: int, path: str) -> None:
    """Let a running guest see a device file; one that it sees already stays.

    :param pid: of its QEMU.
    :raises SystemError: it cannot be made.
    """
    links: dict[str, str] = {}
    device = _find(path, links)
    if device is None:
        return
    root = f"/proc/{pid}/root"
    try:
        facts = os.stat(device)
        for link, target in links.items():
            os.makedirs(os.path.dirname(root + link), exist_ok=True)
            if not os.path.lexists(root + link):
                os.symlink(target, root + link)
        if os.path.lexists(root + device):
            return
        os.makedirs(os.path.dirname(root + device), exist_ok=True)
        os.mknod(root + device, facts.st_mode, facts.st_rdev)
        os.chmod(root + device, stat.S_IMODE(facts.st_mode))
        os.chown(root + device, facts.st_uid, facts.st_gid)
    except OSError as error:
        raise SystemError(f"Unable to create device {path}: {error.strerror}") from None


def remove_device(pid: int, path: str, every: Sequence[str]) -> None:
    """Let a running guest not see a device file any more.

    :param every: what every guest may open stays.
    """
    if path in every or not path.startswith(_DEV):
        return
    try:
        os.unlink(f"/proc/{pid}/root{path}")
    except FileNotFoundError:
        pass
