"""Domain documents: read, completed, validated and printed again."""

from __future__ import annotations

from typing import Any

from virtcore.model.arch import Arch
from virtcore.model.domain import DomainFeature, DomainRules, ParseFlag, format_domain, load_domain
from virtcore.xml import Mode


class GenericRules(DomainRules):
    """What the reference outputs were made with: no driver, but individual vCPUs."""

    features = DomainFeature.INDIVIDUAL_VCPUS


def generic(case: Any) -> str:
    """Round trip without a hypervisor driver."""
    live = case.params["live"]
    rules = GenericRules()
    context = rules.context(ParseFlag.NONE if live else ParseFlag.INACTIVE, arch=Arch.X86_64)
    # The reference's random numbers are the lowest bits of this one.
    context.random_bits = lambda bits: 0x0706050403020100 & ((1 << bits) - 1)
    domain = load_domain(case.text("xml"), rules, context)
    return format_domain(domain, Mode.SECURE if live else Mode.SECURE | Mode.INACTIVE)
