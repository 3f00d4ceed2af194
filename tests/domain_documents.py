"""Small domain documents for tests, and loading them without a driver."""

from __future__ import annotations

from virtcore.model.arch import Arch
from virtcore.model.domain import Domain, DomainFeature, DomainRules, ParseFlag, load_domain

UUID = "c7a5fdbd-edaf-9455-926a-d65c16db1809"


class CapableRules(DomainRules):
    """No driver, but one that could do everything the generic stages know of."""

    features = (
        DomainFeature.WIDE_SCSI
        | DomainFeature.MEMORY_HOTPLUG
        | DomainFeature.OFFLINE_VCPUPIN
        | DomainFeature.INDIVIDUAL_VCPUS
        | DomainFeature.USER_ALIAS
        | DomainFeature.FW_AUTOSELECT
        | DomainFeature.NET_MODEL_STRING
    )


def document(*parts: str, os: str = "<os><type arch='x86_64'>hvm</type></os>", type: str = "kvm", **given: str) -> str:
    """A domain with the least that it needs, and what is given.

    :param given: texts that replace the elements a domain usually has (``memory``, ``vcpu``, ``name``).
    """
    usual = {
        "name": "<name>guest</name>",
        "uuid": f"<uuid>{UUID}</uuid>",
        "memory": "<memory>1048576</memory>",
        "vcpu": "<vcpu>4</vcpu>",
    }
    return f"<domain type='{type}'>{''.join({**usual, **given}.values())}{os}{''.join(parts)}</domain>"


def load(source: str, flags: ParseFlag = ParseFlag.INACTIVE, rules: DomainRules | None = None) -> Domain:
    """A domain as a driver that can do everything would load it."""
    rules = rules or CapableRules()
    return load_domain(source, rules, rules.context(flags, arch=Arch.X86_64))
