"""Folders of the host that the guest shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from virt_qemu.command.address import place, virtio
from virt_qemu.command.line import Builder, option_words
from virtcore.model.domain.filesystem import AccessMode, DirectorySource, FilesystemDriverType, Multidevs, WritePolicy

if TYPE_CHECKING:
    from virtcore.model.domain.filesystem import Filesystem

__all__ = ["add_filesystem", "add_filesystems", "virtiofs_socket"]

_SECURITY = {AccessMode.PASSTHROUGH: "passthrough", AccessMode.MAPPED: "mapped", AccessMode.SQUASH: "none"}


def virtiofs_socket(state_folder: str, share: Filesystem) -> str:
    """Where the program that serves a share listens.

    :param state_folder: the guest's own folder.
    """
    if isinstance(share.source, DirectorySource) and share.source.socket is not None:
        return share.source.socket
    return f"{state_folder}/{share.alias}-fs.sock"


def add_filesystems(builder: Builder, boot: Mapping[int, int]) -> None:
    """Shared folders.

    :param boot: id of a device -> its place in the boot order.
    """
    devices = builder.domain.devices
    assert devices is not None
    for share in devices.filesystems:
        add_filesystem(builder, share, boot)


def add_filesystem(builder: Builder, share: Filesystem, boot: Mapping[int, int]) -> None:
    """A shared folder; see :func:`add_filesystems`."""
    kind = share.driver.type if share.driver is not None else None
    folder = share.source.dir if isinstance(share.source, DirectorySource) else None
    if kind is FilesystemDriverType.VIRTIOFS:
        path = virtiofs_socket(builder.state_folder, share)
        builder.options("-chardev", "socket", {"id": f"chr-vu-{share.alias}", "path": path})
        builder.device(
            virtio("vhost-user-fs", share, None, share.driver)
            | {
                "id": share.alias,
                "chardev": f"chr-vu-{share.alias}",
                "queue-size": share.driver.queue or None if share.driver is not None else None,
                "tag": share.target,
                "bootindex": boot.get(id(share)),
            }
            | place(builder, share)
        )
    elif kind is FilesystemDriverType.MTP:
        builder.device(
            {
                "driver": "usb-mtp",
                "id": share.alias,
                "rootdir": folder,
                "desc": share.target,
                "readonly": share.readonly,
            }
            | place(builder, share)
        )
    else:
        _add_9p(builder, share, folder)


def _add_9p(builder: Builder, share: Filesystem, folder: str | None) -> None:
    driver = share.driver
    kind = "handle" if driver is not None and driver.type is FilesystemDriverType.HANDLE else "local"
    local = kind == "local"
    mode = share.accessmode or AccessMode.PASSTHROUGH
    multidevs = share.multidevs if share.multidevs is not Multidevs.DEFAULT else None
    words = option_words(
        kind,
        {
            "security_model": _SECURITY[mode] if local else None,
            "multidevs": str(multidevs) if multidevs is not None else None,
            "fmode": f"{share.fmode:04o}" if share.fmode else None,
            "dmode": f"{share.dmode:04o}" if share.dmode else None,
            "writeout": "immediate" if driver is not None and driver.wrpolicy is WritePolicy.IMMEDIATE else None,
            "id": f"fsdev-{share.alias}",
            "path": folder,
        },
    )
    builder.add("-fsdev", f"{words},readonly" if share.readonly else words)
    builder.device(
        virtio("virtio-9p", share, str(share.model) if share.model is not None else None, driver)
        | {"id": share.alias, "fsdev": f"fsdev-{share.alias}", "mount_tag": share.target}
        | place(builder, share)
    )
