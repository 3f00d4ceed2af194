"""What this distribution adds to every connection: its XML namespace, and containers' configuration files."""

from __future__ import annotations

from virtcore.driver import NativeFormat, hookimpl

__all__ = ["virtcore_native_formats", "virtcore_register_namespaces"]


@hookimpl
def virtcore_register_namespaces() -> None:
    """Let every reader of domain documents know ``<lxc:namespace>``."""
    from virt_lxc.namespace import register

    register()


@hookimpl
def virtcore_native_formats() -> list[NativeFormat]:
    """``lxc-tools``: configuration files of the LXC tools. Nothing writes them."""
    return [NativeFormat(name="lxc-tools", to_xml=_to_xml)]


def _to_xml(text: str) -> str:
    from virt_lxc.config import read_config
    from virtcore.model.domain.document import format_domain

    return format_domain(read_config(text))
