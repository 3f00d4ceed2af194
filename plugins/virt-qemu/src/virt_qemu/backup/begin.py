"""How a backup is begun: the disks that take part, what they are copied into, and what begins them at one instant."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from virt_qemu.block.bitmaps import Action, actions_for_backup
from virt_qemu.block.image import BACKED_FORMATS, Image, source_image
from virt_qemu.block.running import NamedNodes, as_json, create_image, disk_images
from virt_qemu.block.tls import tls_credentials
from virt_qemu.block_jobs import BlockJob, ImageDescription, JobDisk
from virt_qemu.blockjobs.state import check_block_job, find_job
from virt_qemu.blockjobs.transitions import without_indexes
from virt_qemu.sealing import secret_object
from virt_qemu.settings.host import certificates, key_secret, verifies
from virtcore.driver.toolkit.configuration.disks import find_disk
from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    InvalidArg,
    NoDomainCheckpoint,
    OperationUnsupported,
)
from virtcore.model.backup import BackupDriver, BackupMode, BackupServer, PullDisk
from virtcore.model.storage.location import source_path, source_type
from virtcore.model.storage.secret import SecretReference
from virtcore.model.storage.source import FileSource, HostTransport, StorageFormat

if TYPE_CHECKING:
    from virt_qemu.backup.state import BackupState
    from virt_qemu.block.nodes import Attaching
    from virt_qemu.guest import Guest
    from virt_qemu.monitor import Monitor
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.backup import Backup, PushDisk
    from virtcore.model.domain.disk import Disk

__all__ = [
    "DiskBackup",
    "add_credentials",
    "export",
    "new_store",
    "open_store",
    "prepare",
    "settle_server",
    "start_server",
]

TLS_ALIAS = "objlibvirt_backup_tls0"
"""Id of the credentials of the server."""


@dataclass(slots=True, kw_only=True)
class DiskBackup:
    """A disk that takes part.

    :ivar entry: what the backup says of it.
    :ivar images: its images.
    :ivar store: what it is copied into, or what keeps what the guest overwrites.
    :ivar below: the image under the store; None where there is none.
    :ivar bitmap: name of the bitmap of what has changed since a checkpoint; None for everything.
    :ivar job: the job on it.
    :ivar actions: what begins it.
    """

    entry: PushDisk | PullDisk
    images: list[Image]
    store: Image
    below: Image | None
    bitmap: str | None
    job: BlockJob
    actions: list[Action]

    @property
    def node(self) -> str:
        """The node the guest uses."""
        return self.images[0].top()


def settle_server(backup: Backup) -> None:
    """Where the server of a pull backup listens.

    :raises OperationUnsupported: nobody says at which port.
    """
    if backup.mode is not BackupMode.PULL:
        return
    if backup.server is None:
        backup.server = BackupServer(transport=HostTransport.TCP, name="localhost")
    if backup.server.transport is HostTransport.TCP and not backup.server.port:
        raise OperationUnsupported("<domainbackup> must specify TCP port for now")


def prepare(state: BackupState, obj: DomainObject, guest: Guest, backup: Backup, known: NamedNodes) -> list[DiskBackup]:
    """Settle what is done with each disk; nothing is done yet.

    :raises VirtError: a disk cannot be backed up so.
    """
    found = [_prepare(state, obj, guest, backup, entry, known) for entry in backup.disks if entry.store is not None]
    if not found:
        raise ConfigUnsupported("no disks selected for backup")
    return found


def _prepare(
    state: BackupState, obj: DomainObject, guest: Guest, backup: Backup, entry: PushDisk | PullDisk, known: NamedNodes
) -> DiskBackup:
    assert obj.live is not None
    disk = find_disk(obj.live, entry.name)
    if disk is None:
        raise InvalidArg(f"no disk named '{entry.name}'")
    check_block_job(disk)
    if find_job(guest, disk=entry.name) is not None:
        raise InternalError(f"disk '{entry.name}' has a blockjob assigned")
    pull = backup.mode is BackupMode.PULL
    format = entry.driver.type if entry.driver is not None else None
    if format is None:
        format = StorageFormat.QCOW2
        entry.driver = BackupDriver(type=format)
    elif format is not StorageFormat.QCOW2 and pull:
        raise ConfigUnsupported(f"pull mode backup for disk '{entry.name}' requires qcow2 driver")
    images = disk_images(guest, disk)
    source = entry.store
    assert source is not None
    entry.index = guest.next_node()
    store = source_image(source, format, entry.index, raw_layers=images[0].raw_layers)
    based = pull or (entry.incremental is not None and format in BACKED_FORMATS)
    below = images[0] if based else None
    store = replace(store, below=below, ends=not based)
    bitmap, actions = None, []
    if entry.incremental is not None:
        if state.checkpoints(obj).tree.get(entry.incremental) is None:
            raise NoDomainCheckpoint(
                f"Checkpoint '{entry.incremental}' for incremental backup of disk '{entry.name}' not found"
            )
        bitmap = (entry.exportbitmap if isinstance(entry, PullDisk) else None) or f"backup-{entry.name}"
        nodes = [image.top() for image in images]
        holder = store.top() if pull else nodes[0]
        actions = actions_for_backup(known.bitmaps, nodes, entry.incremental, holder, bitmap, entry.name)
    name = f"backup-{entry.name}-{images[0].top()}"
    actions.append(_copying(images[0].top(), name, store.top(), bitmap, pull))
    return DiskBackup(
        entry=entry,
        images=images,
        store=store,
        below=below,
        bitmap=bitmap,
        job=_job(disk, name, store, entry.index, None if pull else bitmap),
        actions=actions,
    )


def _copying(node: str, name: str, target: str, bitmap: str | None, pull: bool) -> Action:
    """The job of one disk: pushed, all that the bitmap has or everything; pulled, what the guest overwrites."""
    data: dict[str, object] = {"device": node, "job-id": name, "target": target}
    if not pull and bitmap is not None:
        data |= {"bitmap": bitmap, "sync": "incremental"}
    else:
        data["sync"] = "none" if pull else "full"
    return {"type": "blockdev-backup", "data": data | {"auto-finalize": True, "auto-dismiss": False}}


def _job(disk: Disk, name: str, store: Image, index: int, bitmap: str | None) -> BlockJob:
    source = without_indexes(store.source)
    source.index = index
    assert disk.target is not None
    return BlockJob(
        name=name,
        type="backup",
        state="new",
        disk=JobDisk(target=disk.target.dev or ""),
        bitmap=bitmap,
        store=ImageDescription(type=source_type(source), format=store.format, source=source),
    )


def new_store(disk: DiskBackup) -> str | None:
    """The file that is made for a disk to be copied into, if it is one.

    :raises InvalidArg: there is a file already.
    """
    path = source_path(disk.store.source) if isinstance(disk.store.source, FileSource) else None
    if path is not None and os.path.exists(path):
        raise InvalidArg(f"store '{path}' for backup of '{disk.entry.name}' exists")
    return path


async def open_store(
    attaching: Attaching, monitor: Monitor, disk: DiskBackup, known: NamedNodes, *, reuse: bool
) -> None:
    """Have QEMU open what a disk is copied into, formatted before unless it is to be used as it is."""
    if reuse:
        await attaching.add_image(disk.store)
    else:
        capacity = known.capacity(disk.node)
        await create_image(attaching, monitor, disk.store, capacity, disk.below, known.image(disk.node))


async def add_credentials(state: BackupState, guest: Guest, attaching: Attaching, backup: Backup) -> str | None:
    """Give QEMU the certificates of the server; returns their id, None where clients come without.

    :raises VirtError: they are not there.
    """
    if backup.server is None or not backup.server.tls:
        return None
    secret = key_secret(state.settings, "backup")
    alias = None
    if secret is not None:
        wanted = SecretReference(type="tls", uuid=secret)
        value = (await state.secrets_for(wanted))(wanted)
        alias = f"{TLS_ALIAS}-secret0"
        await attaching.add_object(secret_object(guest.master_key(), alias, value))
    folder, verify = certificates(state.settings, "backup"), verifies(state.settings, "backup")
    await attaching.add_object(tls_credentials(TLS_ALIAS, folder, server=True, verify=verify, password=alias))
    return TLS_ALIAS


async def start_server(monitor: Monitor, server: BackupServer, credentials: str | None) -> None:
    """Have QEMU listen for NBD clients."""
    if server.transport is HostTransport.UNIX:
        address: dict[str, object] = {"type": "unix", "data": {"path": server.socket}}
    else:
        address = {"type": "inet", "data": {"host": server.name, "port": str(server.port)}}
    arguments: dict[str, object] = {"addr": address}
    if credentials is not None:
        arguments["tls-creds"] = credentials
    await monitor.execute("nbd-server-start", as_json(arguments))


async def export(monitor: Monitor, disk: DiskBackup) -> None:
    """Let clients of the server read a disk."""
    assert isinstance(disk.entry, PullDisk)
    node = disk.store.top()
    arguments: dict[str, object] = {
        "type": "nbd",
        "id": f"libvirt-nbd-{node}",
        "node-name": node,
        "writable": False,
        "name": disk.entry.exportname or disk.entry.name,
    }
    if disk.bitmap is not None:
        arguments["bitmaps"] = [disk.bitmap]
    await monitor.execute("block-export-add", as_json(arguments))
