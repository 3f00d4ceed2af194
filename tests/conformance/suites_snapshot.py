"""Snapshots, checkpoints and backups: read, completed, laid beside their domain and printed again."""

from __future__ import annotations

from typing import Any

from virtcore.model.arch import Arch
from virtcore.model.backup import align_backup_disks, format_backup, load_backup
from virtcore.model.checkpoint import (
    CheckpointContext,
    CheckpointDisk,
    CheckpointRules,
    CheckpointType,
    format_checkpoint,
    load_checkpoint,
)
from virtcore.model.domain import (
    Devices,
    Disk,
    DiskDriver,
    DiskTarget,
    Domain,
    DomainContext,
    DomainFeature,
    DomainRules,
    ParseFlag,
    VirtType,
)
from virtcore.model.snapshot import (
    SnapshotContext,
    SnapshotParse,
    SnapshotRules,
    SnapshotState,
    format_snapshot,
    load_snapshot,
)
from virtcore.model.storage import FileSource, StorageFormat, StorageType


class _Domains(DomainRules):
    """Rules of the domains inside: no driver's, but individual vCPUs."""

    features = DomainFeature.INDIVIDUAL_VCPUS


class _Snapshots(SnapshotRules):
    save_cookies = True


def _domain_context() -> DomainContext:
    return _Domains().context(ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE, arch=Arch.X86_64, security_model="none")


def _moment(case: Any) -> dict[str, Any]:
    time = case.params["creation_time"]
    now = None if time is None else lambda: time
    return {"domains": _Domains(), "domain_context": _domain_context, "now": now}


def snapshot(case: Any) -> str:
    """A snapshot as the driver's own file, or as users see it."""
    wanted = case.params["flags"]
    flags = SnapshotParse.NONE
    for name in ("internal", "redefine"):
        if name in wanted:
            flags |= SnapshotParse[name.upper()]
    found = load_snapshot(case.text("xml"), _Snapshots(), SnapshotContext(flags=flags, **_moment(case)))
    current = bool(found.active) if SnapshotParse.INTERNAL in flags else None
    if "running" in wanted:
        found.state = SnapshotState.RUNNING
    return format_snapshot(found, domain_uuid=case.params["uuid"], current=current)


def checkpoint(case: Any) -> str:
    """A checkpoint; parent, bitmap and size of the changes are a driver's to say."""
    wanted = case.params["flags"]
    context = CheckpointContext(redefine="redefine" in wanted, **_moment(case))
    found = load_checkpoint(case.text("xml"), CheckpointRules(), context)
    if "parent" in wanted:
        found.parent = case.params["parent"]
    if "vda-bitmap" in wanted:
        if not found.disks:
            found.disks = [CheckpointDisk(name="vda", type=CheckpointType.BITMAP)]
        found.disks[0].bitmap = found.name
    if "size" in wanted:
        found.disks[0].size = case.params["size"]
    return format_checkpoint(found, size=True)


def backup(case: Any) -> str:
    """A backup of a domain that has the disks it lists, and one more."""
    params = case.params
    found = load_backup(case.text("xml"), internal=params["internal"])
    domain = Domain(type=VirtType.QEMU, name="fake", devices=Devices())
    for target in (*(disk.name for disk in found.disks), params["extra_domain_disk"]):
        domain.devices.disks.append(  # type: ignore[union-attr]
            Disk(
                type=StorageType.FILE,
                driver=DiskDriver(type=StorageFormat(params["domain_disk_format"])),
                source=FileSource(file=params["domain_disk_source"].format(target=target)),
                target=DiskTarget(dev=target),
            )
        )
    align_backup_disks(found, domain, params["default_suffix"])
    return format_backup(found, internal=params["internal"])
