"""Commands on checkpoints of domains."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, flag
from virt_shell.domains import DOMAIN
from virt_shell.moments import MomentKind, attributes, element
from virt_shell.shell import Shell
from virtcore._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtcore.api.sync import Domain

CHECKPOINT = MomentKind(
    module=__name__,
    noun="checkpoint",
    root="domaincheckpoint",
    missing="NoDomainCheckpoint",
    current=False,
    filters=("leaves", "no-leaves"),
)

_QUIESCE = flag("quiesce", "quiesce guest's file systems")


def _disk(spec: str) -> str:
    """``<disk>`` of ``disk[,checkpoint=type][,bitmap=name]``."""
    found = attributes(spec, ("checkpoint", "bitmap"), named=True)
    values = {"name": found["name"], "checkpoint": found.get("checkpoint"), "bitmap": found.get("bitmap")}
    return element("disk", values) + "/>"


def _save(domain: Domain, checkpoint: Any, xml: str, args: Arguments, shell: Shell) -> None:
    changed = CHECKPOINT.make(domain, xml, CHECKPOINT.flags("Create", ["redefine"]))
    if changed.name == checkpoint.name:
        shell.extra(f"Checkpoint {checkpoint.name} edited.\n")
        return
    with shell.failing(f"Failed to clean up {changed.name}"):
        changed.delete(CHECKPOINT.flags("Delete", ["metadata"]))
    raise CommandError(f"Cannot rename checkpoint {checkpoint.name} to {changed.name}")


CHECKPOINT.creating(
    [
        flag("redefine", "redefine metadata for existing checkpoint"),
        flag("redefine-validate", "validate the redefined checkpoint"),
        _QUIESCE,
    ]
)
CHECKPOINT.creating_from_arguments([_QUIESCE], "disk attributes: disk[,checkpoint=type][,bitmap=name]", _disk, None)
CHECKPOINT.deleting([CHECKPOINT.named("checkpoint name")])
CHECKPOINT.dumping(
    [
        flag("security-info", "include security sensitive information in XML dump"),
        flag("no-domain", "exclude <domain> from XML"),
        flag("size", "include backup size estimate in XML dump"),
    ]
)
CHECKPOINT.editing([CHECKPOINT.named("checkpoint name")], _save)
CHECKPOINT.listing([], state=False)
CHECKPOINT.telling_parent([CHECKPOINT.named("find parent of checkpoint name")])


def _info(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    checkpoint = CHECKPOINT.find(domain, args)
    shell.out(f"{'Name:':<15} {checkpoint.name}\n")
    shell.out(f"{'Domain:':<15} {domain.name}\n")
    shell.out(f"{'Parent:':<15} {CHECKPOINT.parent(checkpoint) or '-'}\n")
    CHECKPOINT.print_family(shell, checkpoint)
    return True


CHECKPOINT.declare(
    "info",
    _info,
    "checkpoint information",
    "Print the basic facts of a checkpoint.",
    [DOMAIN, CHECKPOINT.named("checkpoint name")],
)
