"""Adapters of the Xen suites: configurations of xl and xm both ways, and what libxl is given."""

from __future__ import annotations

import uuid
from typing import Any

from virt_xen.config.xl import format_xl, parse_xl
from virt_xen.config.xm import format_xm, parse_xm
from virt_xen.host import XenHost
from virt_xen.libxl import PlainResources, domain_configuration, format_configuration
from virt_xen.namespace import register
from virt_xen.rules import XenRules
from virtcore.model.arch import Arch
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.domain import Domain
from virtcore.model.domain.rules import DomainContext, ParseFlag
from virtcore.xml import Mode

register()

#: What the reference's generator of UUIDs always returned.
_GENERATED = uuid.UUID("c7a5fdb2-cdaf-9455-926a-d65c16db1809")


def _context(flags: ParseFlag) -> DomainContext:
    context = XenRules().context(flags, arch=Arch.X86_64)
    context.new_uuid = lambda: _GENERATED
    context.random_bits = lambda bits: 0
    return context


def _load(case: Any) -> Domain:
    return load_domain(case.text("xml"), XenRules(), _context(ParseFlag.INACTIVE))


def _document(domain: Domain) -> str:
    return format_domain(domain, Mode.SECURE | Mode.INACTIVE)


def xl_config(case: Any) -> str:
    """xl's configuration of a document, or the document of one."""
    if case.params["direction"] == "xml-to-cfg":
        return format_xl(_load(case))
    host = XenHost(firmware_folder=case.params.get("libxl_firmware_dir", "/LIBXL_FIRMWARE_DIR"))
    return _document(parse_xl(case.text("cfg"), host, _context(ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE)))


def xm_config(case: Any) -> str:
    """xm's configuration of a document, or the document of one."""
    if case.params["direction"] == "xml-to-cfg":
        return format_xm(_load(case))
    return _document(parse_xm(case.text("cfg"), context=_context(ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE)))


class _Host(PlainResources):
    """The host of a case: its ports, and a libxl that wants the same shadow memory for every guest."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.nested = params["nested_hvm"]
        self._port = params["vnc_ports"][0]

    def shadow_memory(self, memory: int, vcpus: int) -> int:
        return 1234


def libxl_config(case: Any) -> str:
    """What libxl is given for a document."""
    return format_configuration(domain_configuration(_load(case), _Host(case.params)))
