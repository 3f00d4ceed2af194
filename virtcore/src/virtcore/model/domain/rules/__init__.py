"""Completion and validation of domains: named stages in libvirt's order, with hooks for drivers.

:mod:`.domain_rules` has the stages and :class:`DomainRules`, :mod:`.context` what they need to know.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.domain.rules.context import DomainContext, DomainFeature, ParseFlag
    from virtcore.model.domain.rules.domain_rules import DomainRules

__all__ = ["DomainContext", "DomainFeature", "DomainRules", "ParseFlag"]

_MODULE_OF = {
    "DomainContext": "context",
    "DomainFeature": "context",
    "DomainRules": "domain_rules",
    "ParseFlag": "context",
}


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
