"""What snapshots and checkpoints share: both describe a moment of a domain, named, dated, with a parent.

Also here: how the disks they list are found in their domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from virtcore.errors import ConfigUnsupported, VirtError

if TYPE_CHECKING:
    from virtcore.errors import ErrorDomain
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules import DomainContext, DomainRules

__all__ = [
    "Moment",
    "MomentContext",
    "complete_nested_domain",
    "disk_by_name",
    "disks_of",
    "match_disks",
    "stamp",
    "target_of",
]


class Moment(Protocol):
    """A snapshot or a checkpoint."""

    name: str | None
    creation_time: int | None


def _domain_rules() -> DomainRules:
    from virtcore.model.domain.rules import DomainRules

    return DomainRules()


@dataclass(slots=True, kw_only=True)
class MomentContext:
    """What reading a snapshot or checkpoint needs to know about the place it happens in.

    :param domains: the driver's rules, for the domains inside.
    :param domain_context: makes the context of those domains for parse flags; by default what the rules make.
    :param now: seconds since the epoch, for a moment that is new; None: new ones get no time and no name.
    """

    domains: DomainRules = field(default_factory=_domain_rules)
    domain_context: Callable[[], DomainContext] | None = None
    now: Callable[[], int] | None = None


def stamp(moment: Moment, context: MomentContext) -> None:
    """Dates a new moment, and names it by its date where it has no name."""
    if context.now is None:
        return
    moment.creation_time = context.now()
    if moment.name is None:
        moment.name = str(moment.creation_time)


def complete_nested_domain(domain: Domain, context: MomentContext, place: str) -> None:
    """Completes the domain inside a moment: an inactive definition, not validated again.

    :param place: path of the domain's element, for errors.
    """
    from virtcore.model.domain.rules import ParseFlag

    flags = ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE
    make = context.domain_context
    try:
        context.domains.complete(domain, context.domains.context(flags) if make is None else make())
    except VirtError as error:
        if error.path is not None and error.path.startswith("/domain"):
            error.locate(place + error.path.removeprefix("/domain"))
        raise


def disk_by_name(disks: Iterable[Disk], name: str) -> Disk | None:
    """A disk by its target, or by the path of its image where that is unambiguous (``virDomainDiskByName``)."""
    from virtcore.model.storage.location import source_path

    if not name.startswith("/"):
        return next((disk for disk in disks if disk.target is not None and disk.target.dev == name), None)
    found = [disk for disk in disks if source_path(disk.source) == name]
    return found[0] if len(found) == 1 else None


class _Listed(Protocol):
    name: str


T = TypeVar("T", bound=_Listed)


def match_disks(listed: list[T], disks: list[Disk], place: str, domain: ErrorDomain) -> dict[str, tuple[T, Disk]]:
    """The listed disks by target, with the domain's disk each stands for.

    :param place: path of a listed disk's element, for errors.
    :param domain: where errors come from.
    :raises ConfigUnsupported: the domain has no such disk, or it is listed twice.
    """
    found: dict[str, tuple[T, Disk]] = {}
    for entry in listed:
        disk = disk_by_name(disks, entry.name)
        if disk is None:
            raise ConfigUnsupported(
                f"no disk named '{entry.name}'", domain=domain, path=f"{place}/@name", value=entry.name
            )
        target = target_of(disk)
        if target in found:
            raise ConfigUnsupported(
                f"disk '{entry.name}' specified twice", domain=domain, path=f"{place}/@name", value=entry.name
            )
        found[target] = entry, disk
    return found


def target_of(disk: Disk) -> str:
    """The name the guest's disk goes by; a validated domain's disks all have one."""
    return (disk.target.dev if disk.target is not None else None) or ""


def disks_of(domain: Domain) -> list[Disk]:
    """The domain's disks."""
    return domain.devices.disks if domain.devices is not None else []
