"""What this distribution adds to every connection: its XML namespace and its native configuration formats."""

from __future__ import annotations

from virtcore.driver import NativeFormat, hookimpl

__all__ = ["virtcore_native_formats", "virtcore_register_namespaces"]


@hookimpl
def virtcore_register_namespaces() -> None:
    """Let every reader of domain documents know ``<xen:commandline>``."""
    from virt_xen.namespace import register

    register()


@hookimpl
def virtcore_native_formats() -> list[NativeFormat]:
    """Configurations of Xen's tools: ``xen-xl``, ``xen-xm``."""
    return [
        NativeFormat(name="xen-xl", to_xml=_from_xl, from_xml=_to_xl),
        NativeFormat(name="xen-xm", to_xml=_from_xm, from_xml=_to_xm),
    ]


def _from_xl(text: str) -> str:
    from virt_xen.config.xl import parse_xl
    from virtcore.model.domain.document import format_domain

    return format_domain(parse_xl(text))


def _from_xm(text: str) -> str:
    from virt_xen.config.xm import parse_xm
    from virtcore.model.domain.document import format_domain

    return format_domain(parse_xm(text))


def _to_xl(xml: str) -> str:
    from virt_xen.config.xl import format_xl
    from virt_xen.rules import XenRules
    from virtcore.model.domain.document import load_domain

    return format_xl(load_domain(xml, XenRules()))


def _to_xm(xml: str) -> str:
    from virt_xen.config.xm import format_xm
    from virt_xen.rules import XenRules
    from virtcore.model.domain.document import load_domain

    return format_xm(load_domain(xml, XenRules()))
