"""What a container's configuration mounts: its root, and ``lxc.mount.entry`` lines."""

from __future__ import annotations

from virt_lxc.config.settings import LXCSettings, parse_size, split
from virtcore.errors import InternalError
from virtcore.model.domain.filesystem import (
    AccessMode,
    DirectorySource,
    Filesystem,
    FilesystemBlockSource,
    FilesystemSource,
    FilesystemType,
    RAMSource,
)

__all__ = ["read_mounts"]

# What libvirt mounts in every container itself.
_BASIC = frozenset(
    {
        "/proc",
        "/proc/sys",
        "/proc/sys/net/ipv4",
        "/proc/sys/net/ipv6",
        "/sys",
        "/sys/kernel/security",
        "/sys/fs/selinux",
    }
)
_DEVICES = "/dev/"


def read_mounts(settings: LXCSettings, root: str) -> list[Filesystem]:
    """The root file system, then the mounts.

    :raises VirtError: a line is malformed, or a tmpfs has no size.
    """
    mounts = [_filesystem(FilesystemBlockSource(dev=root) if root.startswith(_DEVICES) else _directory(root), "/")]
    for name, line in settings.each("lxc.mount.entry"):
        if name == "lxc.mount.entry":
            mount = _mount(line)
            if mount is not None:
                mounts.append(mount)
    return mounts


def _directory(path: str) -> DirectorySource:
    return DirectorySource(dir=path)


def _filesystem(source: FilesystemSource, target: str, *, readonly: bool = False) -> Filesystem:
    kinds = {FilesystemBlockSource: FilesystemType.BLOCK, RAMSource: FilesystemType.RAM}
    return Filesystem(
        type=kinds.get(type(source), FilesystemType.MOUNT),
        accessmode=AccessMode.PASSTHROUGH,
        source=source,
        target=target,
        readonly=readonly,
    )


def _mount(line: str) -> Filesystem | None:
    """A mount; None for those that every container has."""
    words = split(line)
    if len(words) < 4:
        raise InternalError(
            f"invalid lxc.mount.entry: '{line}'", value=line, advice="it has source, target, type and options"
        )
    source, target, kind, *rest = words
    options = rest[0].split(",")
    if not target.startswith("/"):
        target = f"/{target}"
    if target in _BASIC:
        return None
    device: str | None = source
    size = 0
    if kind == "tmpfs":
        device = None
        size = _tmpfs_size(options)
    found: FilesystemSource
    if source.startswith(_DEVICES):
        found = FilesystemBlockSource(dev=device)
    elif kind == "tmpfs":
        found = RAMSource(usage=size // 1024)
    else:
        found = DirectorySource(dir=source)
    return _filesystem(found, target, readonly="ro" in options)


def _tmpfs_size(options: list[str]) -> int:
    for option in options:
        if option.startswith("size="):
            return parse_size(option.removeprefix("size="))
    raise InternalError("missing tmpfs size, set the size option")
