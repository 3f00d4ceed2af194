"""Adapters of suites ``lxc-domain-xml`` and ``lxc-conf2xml``: containers' documents and configuration files."""

from __future__ import annotations

import uuid
from typing import Any

from virt_lxc.config import read_config
from virt_lxc.namespace import register
from virt_lxc.rules import LXCRules
from virtcore.model.arch import Arch
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.rules import ParseFlag
from virtcore.xml import Mode

register()


def domain_xml(case: Any) -> str:
    """Round trip of a document."""
    live = case.params["live"]
    rules = LXCRules(host=Arch.X86_64)
    context = rules.context(ParseFlag.NONE if live else ParseFlag.INACTIVE, arch=Arch.X86_64)
    domain = load_domain(case.text("xml"), rules, context)
    return format_domain(domain, Mode.SECURE if live else Mode.SECURE | Mode.INACTIVE)


def conf2xml(case: Any) -> str:
    given = uuid.UUID(case.params["uuid"])
    return format_domain(read_config(case.text("config"), LXCRules(host=Arch.X86_64), new_uuid=lambda: given))
