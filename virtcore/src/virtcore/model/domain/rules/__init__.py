"""Completion and validation of domains: named stages in libvirt's order, with hooks for drivers.

:mod:`.domain_rules` has the stages and :class:`DomainRules`, :mod:`.context` what they need to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

if TYPE_CHECKING:
    from virtcore.model.domain.rules.context import DomainContext, DomainFeature, ParseFlag
    from virtcore.model.domain.rules.domain_rules import DomainRules

__all__ = ["DomainContext", "DomainFeature", "DomainRules", "ParseFlag"]

_MODULES = {
    "context": ("DomainContext", "DomainFeature", "ParseFlag"),
    "domain_rules": ("DomainRules",),
}


__getattr__, __dir__ = lazy(__name__, _MODULES)
