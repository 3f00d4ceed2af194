"""Adapter of suite ``cloud-hypervisor-xml``: domain XML through Cloud Hypervisor's rules."""

from __future__ import annotations

from typing import Any

from virt_ch.rules import CHRules
from virtcore.model.arch import Arch
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.rules import ParseFlag
from virtcore.xml import Mode

_TYPES = {"kvm": VirtType.KVM, "mshv": VirtType.HYPERV}


def domain_xml(case: Any) -> str:
    rules = CHRules([_TYPES[name] for name in case.params["hypervisors"]], host=Arch.X86_64)
    live = case.params["live"]
    context = rules.context(ParseFlag.NONE if live else ParseFlag.INACTIVE, arch=Arch.X86_64)
    domain = load_domain(case.text("xml"), rules, context)
    return format_domain(domain, Mode.SECURE if live else Mode.SECURE | Mode.INACTIVE)
