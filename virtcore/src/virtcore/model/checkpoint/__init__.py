"""``<domaincheckpoint>``; names resolve on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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

_MODULES: dict[str, tuple[str, ...]] = {
    "checkpoint": (
        "Checkpoint",
        "CheckpointDisk",
        "CheckpointType",
    ),
    "document": (
        "format_checkpoint",
        "load_checkpoint",
    ),
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
    "Domain": "virtcore.model.domain.domain",
}

_WHERE = _ELSEWHERE | {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}

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


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value
