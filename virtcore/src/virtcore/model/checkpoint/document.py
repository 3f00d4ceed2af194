"""From a checkpoint document to a complete :class:`Checkpoint`, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ErrorDomain, VirtError
from virtcore.model.definition import claim_errors
from virtcore.xml import Mode

if TYPE_CHECKING:
    from virtcore.model.checkpoint.checkpoint import Checkpoint
    from virtcore.model.checkpoint.rules import CheckpointContext, CheckpointRules

__all__ = ["format_checkpoint", "load_checkpoint"]


def load_checkpoint(
    source: str | bytes, rules: CheckpointRules | None = None, context: CheckpointContext | None = None
) -> Checkpoint:
    """Reads a checkpoint document, always by its schema, and completes it.

    :param rules: the driver's; by default of no driver in particular.
    :param context: by default a request for a new checkpoint, which gets no time and no name.
    :raises VirtError: as libvirt's schema or parser refuses.
    """
    from virtcore.model.checkpoint.checkpoint import Checkpoint
    from virtcore.model.checkpoint.rules import CheckpointContext, CheckpointRules
    from virtcore.xml import load

    context = context or CheckpointContext()
    try:
        return load(
            source,
            Checkpoint,
            rules or CheckpointRules(),
            context,
            mode=Mode.INACTIVE | (Mode.REDEFINE if context.redefine else Mode.NONE),
            validate=True,
            name="(domain_checkpoint)",
        )
    except VirtError as error:
        claim_errors(error, ErrorDomain.DOMAIN_CHECKPOINT)
        raise


def format_checkpoint(checkpoint: Checkpoint, *, secure: bool = True, domain: bool = True, size: bool = False) -> str:
    """The checkpoint's document, as libvirt prints it.

    :param secure: print secrets (``VIR_DOMAIN_CHECKPOINT_XML_SECURE``).
    :param domain: print the domain inside; not with ``VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN``.
    :param size: print how much has changed (``VIR_DOMAIN_CHECKPOINT_XML_SIZE``).
    """
    from copy import copy

    from virtcore.xml import format

    shown = copy(checkpoint)
    if not domain:
        shown.domain = None
    if not size:
        shown.disks = [copy(disk) for disk in checkpoint.disks]
        for disk in shown.disks:
            disk.size = None
    return format(shown, Mode.INACTIVE | (Mode.SECURE if secure else Mode.NONE))
