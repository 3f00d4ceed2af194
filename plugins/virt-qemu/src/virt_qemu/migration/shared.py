"""Whether other hosts see the same files."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

__all__ = ["is_cluster_file", "is_shared_file"]

#: File systems of which every client sees at once what another has written.
_CLUSTER = frozenset({"ceph", "fuse.ceph", "gfs2", "ocfs2"})
_SHARED = _CLUSTER | {
    "acfs", "afs", "beegfs", "cifs", "fuse.glusterfs", "fuse.quobyte", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs",
}  # fmt: skip
_MOUNTS = Path("/proc/self/mountinfo")


def _kind(path: str) -> str:
    """The type of the file system that a file is on, or will be."""
    while True:
        try:
            device = os.stat(path).st_dev
            break
        except FileNotFoundError:
            path = os.path.dirname(path) or "/"
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in _MOUNTS.read_text(errors="surrogateescape").splitlines():
        words = line.split()
        if words[2] == wanted:
            return words[words.index("-") + 1]
    return ""


def is_shared_file(path: str, folders: Collection[str] = ()) -> bool:
    """Whether other hosts may see a file.

    :param folders: those that they do, whatever the file system is (``shared_filesystems`` of qemu.conf).
    :raises OSError: it cannot be looked at.
    """
    real = os.path.realpath(path)
    if any(os.path.commonpath((real, os.path.realpath(folder))) == os.path.realpath(folder) for folder in folders):
        return True
    return _kind(real) in _SHARED


def is_cluster_file(path: str) -> bool:
    """Whether what is written on one host is seen at once on the others.

    :raises OSError: it cannot be looked at.
    """
    return _kind(path) in _CLUSTER
