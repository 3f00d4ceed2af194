"""``<domaincheckpoint>``; names resolve on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

if TYPE_CHECKING:
    from virtcore.model.checkpoint.checkpoint import (
        Checkpoint as Checkpoint,
        CheckpointDisk as CheckpointDisk,
        CheckpointType as CheckpointType,
    )
    from virtcore.model.checkpoint.document import (
        format_checkpoint as format_checkpoint,
        load_checkpoint as load_checkpoint,
    )
    from virtcore.model.checkpoint.rules import (
        CheckpointContext as CheckpointContext,
        CheckpointRules as CheckpointRules,
        align_checkpoint_disks as align_checkpoint_disks,
        assign_bitmap_names as assign_bitmap_names,
        check_redefined_checkpoint as check_redefined_checkpoint,
    )

_MODULES = {
    "checkpoint": ("Checkpoint", "CheckpointDisk", "CheckpointType"),
    "document": ("format_checkpoint", "load_checkpoint"),
    "rules": (
        "CheckpointContext",
        "CheckpointRules",
        "align_checkpoint_disks",
        "assign_bitmap_names",
        "check_redefined_checkpoint",
    ),
}
# Names of other packages that annotations of this one use.
_ELSEWHERE = {
    "virtcore.model.domain.domain": ("Domain",),
}


__all__ = [
    "Checkpoint",
    "CheckpointContext",
    "CheckpointDisk",
    "CheckpointRules",
    "CheckpointType",
    "align_checkpoint_disks",
    "assign_bitmap_names",
    "check_redefined_checkpoint",
    "format_checkpoint",
    "load_checkpoint",
]


__getattr__, __dir__ = lazy(__name__, _MODULES, _ELSEWHERE)
