"""From a snapshot document to a complete :class:`Snapshot`, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ErrorDomain, VirtError
from virtcore.model.definition import claim_errors
from virtcore.xml import Mode

if TYPE_CHECKING:
    from virtcore.model.snapshot.rules import SnapshotContext, SnapshotRules
    from virtcore.model.snapshot.snapshot import Snapshot

__all__ = ["format_snapshot", "load_snapshot"]


def load_snapshot(
    source: str | bytes, rules: SnapshotRules | None = None, context: SnapshotContext | None = None
) -> Snapshot:
    """Reads a snapshot document and completes it.

    :param rules: the driver's; by default of no driver in particular.
    :param context: by default a request for a new snapshot, which gets no time and no name.
    :raises VirtError: as libvirt's parser refuses.
    """
    from virtcore.model.snapshot.rules import SnapshotContext, SnapshotParse, SnapshotRules
    from virtcore.model.snapshot.snapshot import Snapshot
    from virtcore.xml import load

    context = context or SnapshotContext()
    mode = Mode.INACTIVE
    if SnapshotParse.REDEFINE in context.flags:
        mode |= Mode.REDEFINE
    if SnapshotParse.INTERNAL in context.flags:
        mode |= Mode.METADATA
    try:
        return load(
            source,
            Snapshot,
            rules or SnapshotRules(),
            context,
            mode=mode,
            validate=SnapshotParse.VALIDATE in context.flags,
            name="(domain_snapshot)",
        )
    except VirtError as error:
        claim_errors(error, ErrorDomain.DOMAIN_SNAPSHOT)
        raise


def format_snapshot(
    snapshot: Snapshot, *, domain_uuid: str | None = None, secure: bool = True, current: bool | None = None
) -> str:
    """The snapshot's document, as libvirt prints it.

    :param domain_uuid: UUID of its domain, printed where the snapshot does not hold the domain itself.
    :param secure: print secrets (``VIR_DOMAIN_SNAPSHOT_XML_SECURE``).
    :param current: for the driver's own file: whether it is the current one; None for everybody else.
    """
    from copy import copy

    from virtcore.model.snapshot.snapshot import DomainIdentity
    from virtcore.xml import format

    shown = copy(snapshot)
    if shown.domain is None and domain_uuid is not None:
        shown.domain = DomainIdentity(uuid=domain_uuid)
    shown.active = None if current is None else int(current)
    return format(shown, Mode.INACTIVE | (Mode.SECURE if secure else Mode.NONE))
