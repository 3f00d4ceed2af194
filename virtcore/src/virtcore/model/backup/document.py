"""From a backup document to a complete :class:`Backup`, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ErrorDomain, VirtError
from virtcore.model.definition import claim_errors
from virtcore.xml import Mode

if TYPE_CHECKING:
    from virtcore.model.backup.backup import Backup
    from virtcore.model.backup.rules import BackupRules

__all__ = ["format_backup", "load_backup"]


def load_backup(source: str | bytes, rules: BackupRules | None = None, *, internal: bool = False) -> Backup:
    """Reads a backup document, by its schema unless it is internal, and completes it.

    :param rules: the driver's; by default of no driver in particular.
    :param internal: the document is part of the driver's status file.
    :raises VirtError: as libvirt's schema or parser refuses.
    """
    from virtcore.model.backup.backup import Backup
    from virtcore.model.backup.rules import BackupContext, BackupRules
    from virtcore.xml import load

    try:
        return load(
            source,
            Backup,
            rules or BackupRules(),
            BackupContext(internal=internal),
            mode=Mode.LIVE | (Mode.STATUS if internal else Mode.NONE),
            validate=not internal,
            name="(domain_backup)",
        )
    except VirtError as error:
        claim_errors(error, ErrorDomain.DOMAIN)
        raise


def format_backup(backup: Backup, *, internal: bool = False) -> str:
    """The backup's document, as libvirt prints it.

    :param internal: with what only the driver's status file has.
    """
    from virtcore.xml import format

    return format(backup, Mode.LIVE | (Mode.STATUS if internal else Mode.NONE))
