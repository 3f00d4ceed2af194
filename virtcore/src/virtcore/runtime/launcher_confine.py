"""What a new process gives up before it becomes a program: rights, limits, the sight of the host's devices.

Loaded by :mod:`virtcore.runtime.launcher_helper` as a module of its own when the first such program is started, and run
between fork and exec. A confinement is a marshalled tuple

    (identity, keeps capabilities, limits, devices)

where identity is ``(uid, gid, groups)`` or None, limits are ``(resource, value)`` pairs (-1: none) and devices None or
``(folder, nodes, links, mounts)``: an empty folder, ``(path, mode, device, uid, gid)`` of every device file, ``(path,
target)`` of every link, all below ``/dev``, and the mount points below ``/dev`` that stay.
"""

from __future__ import annotations

import ctypes
import os
import resource

TYPE_CHECKING = False  # typing itself would cost milliseconds
if TYPE_CHECKING:
    from typing import TypeAlias

    Identity: TypeAlias = tuple[int, int, tuple[int, ...]]
    Node: TypeAlias = tuple[bytes, int, int, int, int]
    Devices: TypeAlias = tuple[bytes, tuple[Node, ...], tuple[tuple[bytes, bytes], ...], tuple[bytes, ...]]
    Confinement: TypeAlias = tuple[Identity | None, bool, tuple[tuple[int, int], ...], Devices | None]

_libc = ctypes.CDLL(None, use_errno=True)

_NEW_MOUNTS = 0x00020000
_BIND, _MOVE, _RECURSIVE, _SLAVE, _NO_SUID, _STRICT_TIME = 0x1000, 0x2000, 0x4000, 0x80000, 2, 1 << 24
_DROP_BOUND, _CAPABILITIES_VERSION = 24, 0x20080522
_DEV = b"/dev"


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _mount(source: bytes, target: bytes, kind: bytes | None, flags: int, options: bytes | None = None) -> None:
    _checked(_libc.mount(source, target, kind, ctypes.c_ulong(flags), options))


def _parent(folder: bytes, path: bytes) -> bytes:
    """Where a path below /dev is in the folder that becomes it; its folders are made."""
    place = folder + path[len(_DEV) :]
    os.makedirs(os.path.dirname(place), exist_ok=True)
    return place


def hide_devices(devices: Devices) -> None:
    """Give the process a /dev of its own."""
    folder, nodes, links, mounts = devices
    _checked(_libc.unshare(_NEW_MOUNTS))
    _mount(b"", b"/", None, _RECURSIVE | _SLAVE)
    _mount(b"devfs", folder, b"tmpfs", _NO_SUID | _STRICT_TIME, b"mode=755,size=65536")
    mask = os.umask(0)
    for path, mode, device, uid, gid in nodes:
        place = _parent(folder, path)
        os.mknod(place, mode, device)
        os.chown(place, uid, gid)
    for path, target in links:
        os.symlink(target, _parent(folder, path))
    for path in mounts:
        place = _parent(folder, path)
        if os.path.isdir(path):
            os.makedirs(place, exist_ok=True)
        else:
            os.close(os.open(place, os.O_CREAT | os.O_CLOEXEC))
        _mount(path, place, None, _BIND | _RECURSIVE)
    os.umask(mask)
    _mount(folder, _DEV, None, _MOVE)


def drop_capabilities() -> None:
    """Lose every capability for good, as root too."""
    number = 0
    while not _libc.prctl(_DROP_BOUND, number, 0, 0, 0):
        number += 1
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()))


def confine(confinement: Confinement) -> None:
    """Give up what is to be given up."""
    identity, keeps_capabilities, limits, devices = confinement
    if devices is not None:
        hide_devices(devices)
    for kind, value in limits:
        resource.setrlimit(kind, (value, value))
    if identity is not None:
        uid, gid, groups = identity
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        if not keeps_capabilities and not uid:
            drop_capabilities()
        os.setresuid(uid, uid, uid)
    elif not keeps_capabilities:
        drop_capabilities()
