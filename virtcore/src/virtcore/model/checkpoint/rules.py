"""What libvirt's parser fills in and refuses in a checkpoint; its disks beside those of the domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from virtcore.errors import ConfigUnsupported, ErrorDomain, InternalError, InvalidArg, XMLError
from virtcore.model.checkpoint.checkpoint import Checkpoint, CheckpointDisk, CheckpointType
from virtcore.model.definition import DefinitionRules
from virtcore.model.moment import (
    MomentContext,
    complete_nested_domain,
    disks_of,
    match_disks,
    stamp,
    target_of,
)
from virtcore.model.storage.location import is_empty
from virtcore.xml import Stage

__all__ = [
    "CheckpointContext",
    "CheckpointRules",
    "align_checkpoint_disks",
    "assign_bitmap_names",
    "check_redefined_checkpoint",
]

_PLACE = "/domaincheckpoint/disks/disk"
_DOMAIN = ErrorDomain.DOMAIN_CHECKPOINT


@dataclass(slots=True, kw_only=True)
class CheckpointContext(MomentContext):
    """What reading a checkpoint needs to know.

    :param redefine: the document describes a checkpoint that exists.
    """

    redefine: bool = False


def _settle(rules: CheckpointRules, checkpoint: Checkpoint, context: CheckpointContext) -> None:
    if not context.redefine:
        stamp(checkpoint, context)
    elif checkpoint.name is None:
        raise XMLError("a redefined checkpoint must have a name", path="/domaincheckpoint")
    elif checkpoint.creation_time is None:
        raise InternalError("missing creationTime from existing checkpoint", path="/domaincheckpoint")
    if checkpoint.domain is not None:
        complete_nested_domain(checkpoint.domain, context, "/domaincheckpoint/domain")
    for disk in checkpoint.disks:
        disk.type = disk.type or CheckpointType.BITMAP
        disk.size = None


class CheckpointRules(DefinitionRules[Checkpoint, CheckpointContext]):
    """Completion of checkpoints."""

    error_domain: ClassVar[ErrorDomain] = _DOMAIN
    completion = (Stage("settle", _settle),)


def assign_bitmap_names(checkpoint: Checkpoint) -> None:
    """Bitmaps without a name have the checkpoint's."""
    for disk in checkpoint.disks:
        if disk.type is CheckpointType.BITMAP and disk.bitmap is None:
            disk.bitmap = checkpoint.name


def align_checkpoint_disks(checkpoint: Checkpoint) -> None:
    """Lists every disk of the checkpoint's domain, in its order (``virDomainCheckpointAlignDisks``).

    Where none is listed, all that are writable take part.

    :raises VirtError: a disk that the domain does not have, that is listed twice, or has no changes to record.
    """
    if checkpoint.domain is None:
        raise InternalError("missing domain in checkpoint", domain=_DOMAIN)
    disks = disks_of(checkpoint.domain)
    if len(checkpoint.disks) > len(disks):
        raise ConfigUnsupported(
            "too many disk checkpoint requests for domain", domain=_DOMAIN, path="/domaincheckpoint/disks"
        )
    if not disks:
        raise ConfigUnsupported("domain must have at least one disk to perform checkpoints", domain=_DOMAIN)
    default = CheckpointType.NONE if checkpoint.disks else CheckpointType.BITMAP
    listed = match_disks(checkpoint.disks, disks, _PLACE, _DOMAIN)
    for target, (entry, disk) in listed.items():
        if (is_empty(disk.source) or disk.readonly) and entry.type is not CheckpointType.NONE:
            raise ConfigUnsupported(f"disk '{entry.name}' is empty or readonly", domain=_DOMAIN, path=_PLACE)
        entry.name = target
    aligned = []
    for disk in disks:
        target = target_of(disk)
        if target in listed:
            aligned.append(listed[target][0])
        else:
            unchanging = is_empty(disk.source) or disk.readonly
            aligned.append(CheckpointDisk(name=target, type=CheckpointType.NONE if unchanging else default))
    checkpoint.disks = aligned
    assign_bitmap_names(checkpoint)


def check_redefined_checkpoint(checkpoint: Checkpoint, domain_uuid: str) -> None:
    """Refuses a redefinition for another domain, and aligns its disks where it holds its domain.

    :param domain_uuid: UUID of the domain the checkpoint is to belong to.
    :raises VirtError: it does not fit.
    """
    if checkpoint.domain is None:
        assign_bitmap_names(checkpoint)
        return
    if checkpoint.domain.uuid != domain_uuid:
        raise InvalidArg(f"definition for checkpoint {checkpoint.name} must use uuid {domain_uuid}", domain=_DOMAIN)
    align_checkpoint_disks(checkpoint)
