"""From a domain document to a complete, valid :class:`Domain`, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from virtcore.model.domain.rules.context import DomainContext, ParseFlag
from virtcore.xml import Mode

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules.domain_rules import DomainRules

__all__ = ["domain_mode", "format_domain", "load_domain", "reading_mode"]

#: Interfaces in virtual networks are shown as those, not as what they are connected to now.
_OWN_NAMES = Mode.INACTIVE | Mode.ACTUAL_NET | Mode.MIGRATABLE


@lru_cache
def reading_mode(flags: ParseFlag) -> Mode:
    """The engine's input mode for parse flags."""
    mode = Mode.INACTIVE if ParseFlag.INACTIVE in flags else Mode.LIVE
    for flag, bit in (
        (ParseFlag.STATUS, Mode.STATUS),
        (ParseFlag.ACTUAL_NET, Mode.ACTUAL_NET),
        (ParseFlag.PCI_ORIG_STATES, Mode.PCI_ORIG_STATES),
        (ParseFlag.VOLUME_TRANSLATED, Mode.VOLUME_TRANSLATED),
    ):
        if flag in flags:
            mode |= bit
    return mode


def load_domain(source: str | bytes, rules: DomainRules, context: DomainContext | None = None) -> Domain:
    """Reads a domain document, completes and validates it.

    Un-namespaced content that libvirt does not know is dropped, or refused when the flags ask for schema
    validation.

    :param rules: the driver's; plain :class:`DomainRules` for no driver in particular.
    :param context: by default an inactive definition on a host of this machine's architecture.
    :raises VirtError: the document is malformed, or refused by libvirt's parser, by completion or by validation.
    """
    from virtcore.model.domain.domain import Domain
    from virtcore.xml import load

    context = context or rules.context()
    return load(
        source,
        Domain,
        rules,
        context,
        mode=reading_mode(context.flags),
        validate=context.has(ParseFlag.VALIDATE_SCHEMA),
    )


def domain_mode(domain: Domain, mode: Mode = Mode.NONE) -> Mode:
    """The mode a domain is printed in: one without id is not running, whatever was asked for."""
    return mode | Mode.INACTIVE if domain.id is None else mode


def format_domain(domain: Domain, mode: Mode = Mode.SECURE) -> str:
    """The domain's document, as libvirt prints it.

    :param mode: what it is for; secrets are printed unless ``SECURE`` is left out.
    """
    from virtcore.xml import format

    mode = domain_mode(domain, mode)
    if not mode & _OWN_NAMES and domain.devices is not None and any(one.actual for one in domain.devices.interfaces):
        from virtcore.model.domain.interface.shown import with_connections

        domain = with_connections(domain)
    return format(domain, mode)
