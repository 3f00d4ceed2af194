"""A snapshot's disks beside the disks of its domain; what a redefinition may change."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, ErrorDomain, InternalError, InvalidArg, XMLDetail
from virtcore.model.domain.disk import SnapshotLocation
from virtcore.model.domain.domain import Domain
from virtcore.model.moment import disks_of, match_disks, target_of
from virtcore.model.snapshot.snapshot import Snapshot, SnapshotDisk, SnapshotState
from virtcore.model.storage.location import is_empty, source_path
from virtcore.model.storage.source import FileSource, StorageType

if TYPE_CHECKING:
    from virtcore.model.domain.disk import Disk

__all__ = ["align_snapshot_disks", "check_redefined_snapshot"]

_PLACE = "/domainsnapshot/disks/disk"
_DOMAIN = ErrorDomain.DOMAIN_SNAPSHOT


def align_snapshot_disks(
    snapshot: Snapshot,
    default: SnapshotLocation,
    *,
    domain: Domain | None = None,
    uniform_internal: bool = False,
    force_default: bool = False,
    is_regular_file: Callable[[str], bool] = os.path.isfile,
) -> None:
    """Lists every disk of the domain, in its order, with how it takes part (``virDomainSnapshotAlignDisks``).

    Disks named by the path of their image are named by their target thereafter. External targets without a file get
    one beside the image, named after the snapshot.

    :param default: how disks take part of which neither the snapshot nor the domain says it.
    :param domain: the domain, where the snapshot does not hold it.
    :param uniform_internal: an internal snapshot comprises all disks, or none.
    :param force_default: what the domain says about disks that are not listed does not count.
    :param is_regular_file: whether a path of the host is a regular file.
    :raises VirtError: a disk that the domain does not have, that is listed twice, or cannot take part so.
    """
    domain = snapshot.domain if isinstance(snapshot.domain, Domain) else domain
    if domain is None:
        raise InternalError("missing domain in snapshot", domain=_DOMAIN)
    disks = disks_of(domain)
    if len(snapshot.disks) > len(disks):
        raise ConfigUnsupported(
            "too many disk snapshot requests for domain", domain=_DOMAIN, path="/domainsnapshot/disks"
        )
    if not disks:
        return
    uniform = uniform_internal and default is SnapshotLocation.INTERNAL
    listed = match_disks(snapshot.disks, disks, _PLACE, _DOMAIN)
    for target, (entry, disk) in listed.items():
        _settle_location(entry, disk, default, uniform)
        path = source_path(entry.source)
        if path is not None and entry.snapshot is not SnapshotLocation.EXTERNAL:
            raise ConfigUnsupported(
                f"file '{path}' for disk '{entry.name}' requires use of external snapshot mode",
                domain=_DOMAIN,
                path=f"{_PLACE}/@snapshot",
            )
        entry.name = target
    aligned = []
    for disk in disks:
        target = target_of(disk)
        if target in listed:
            aligned.append(listed[target][0])
            continue
        location = None if force_default else disk.snapshot
        if is_empty(disk.source):
            location = SnapshotLocation.NO
        aligned.append(SnapshotDisk(name=target, snapshot=location or default, type=StorageType.FILE))
    _name_external_files(snapshot, aligned, disks, is_regular_file)
    snapshot.disks = aligned


def _settle_location(entry: SnapshotDisk, disk: Disk, default: SnapshotLocation, uniform: bool) -> None:
    left_out = disk.snapshot is SnapshotLocation.NO
    if entry.snapshot is None:
        own = disk.snapshot is not None and (not uniform or left_out)
        entry.snapshot = disk.snapshot if own else default
    elif uniform and entry.snapshot is not default and not (entry.snapshot is SnapshotLocation.NO and left_out):
        raise ConfigUnsupported(
            f"disk '{entry.name}' must use snapshot mode '{default}'",
            domain=_DOMAIN,
            path=f"{_PLACE}/@snapshot",
            value=entry.snapshot,
        )


def _name_external_files(
    snapshot: Snapshot, aligned: list[SnapshotDisk], disks: list[Disk], is_regular_file: Callable[[str], bool]
) -> None:
    paths: dict[str, str] = {}
    for entry, disk in zip(aligned, disks, strict=True):
        path = source_path(entry.source)
        if entry.snapshot is SnapshotLocation.EXTERNAL and path is None:
            if entry.type is not StorageType.FILE:
                raise _unnamed(f"for disk '{entry.name}' on a '{entry.type}' device")
            original = source_path(disk.source)
            if original is None:
                raise _unnamed(f"for disk '{entry.name}' without source")
            if not is_regular_file(original):
                raise ConfigUnsupported(
                    f"source for disk '{entry.name}' is not a regular file; "
                    "refusing to generate external snapshot name",
                    domain=_DOMAIN,
                    path=_PLACE,
                )
            if "/" in (snapshot.name or ""):
                raise XMLDetail(f"invalid snapshot name '{snapshot.name}': name can't contain '/'", domain=_DOMAIN)
            folder, slash, file = original.rpartition("/")
            stem = file.rpartition(".")[0] if "." in file else file
            path = f"{folder}{slash}{stem}.{snapshot.name}"
            if path in paths:
                raise _unnamed(f"for disk '{entry.name}': collision with disk '{paths[path]}'")
            entry.source = entry.source or FileSource()
            assert isinstance(entry.source, FileSource)
            entry.source.file = path
        if path is not None:
            paths.setdefault(path, entry.name)


def _unnamed(why: str) -> ConfigUnsupported:
    return ConfigUnsupported(f"cannot generate external snapshot name {why}", domain=_DOMAIN, path=_PLACE)


def check_redefined_snapshot(
    snapshot: Snapshot, domain_uuid: str, other: Snapshot | None = None, *, disk_only: bool = False
) -> None:
    """Refuses a redefinition that does not fit the domain or the snapshot it replaces.

    :param domain_uuid: UUID of the domain the snapshot is to belong to.
    :param other: the snapshot of that name which exists.
    :param disk_only: the caller says that it comprises only disks.
    :raises InvalidArg: it does not fit.
    """
    name = snapshot.name
    disks = snapshot.state is SnapshotState.DISK_SNAPSHOT
    if disk_only and not disks:
        raise InvalidArg(f"disk-only flag for snapshot {name} requires disk-snapshot state", domain=_DOMAIN)
    if isinstance(snapshot.domain, Domain) and snapshot.domain.uuid != domain_uuid:
        raise InvalidArg(f"definition for snapshot {name} must use uuid {domain_uuid}", domain=_DOMAIN)
    if other is None:
        return
    if other.is_online != snapshot.is_online:
        raise InvalidArg(f"cannot change between online and offline snapshot state in snapshot {name}", domain=_DOMAIN)
    if (other.state is SnapshotState.DISK_SNAPSHOT) != disks:
        raise InvalidArg(f"cannot change between disk only and full system in snapshot {name}", domain=_DOMAIN)
