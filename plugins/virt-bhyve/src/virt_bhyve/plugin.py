"""What this distribution adds to every connection: its XML namespace and its native configuration format."""

from __future__ import annotations

from virtcore.driver import NativeFormat, hookimpl

__all__ = ["virtcore_native_formats", "virtcore_register_namespaces"]


@hookimpl
def virtcore_register_namespaces() -> None:
    """Let every reader of domain documents know ``<bhyve:commandline>``."""
    from virt_bhyve.namespace import register

    register()


@hookimpl
def virtcore_native_formats() -> list[NativeFormat]:
    """Command lines of loader and bhyve: ``bhyve-argv``."""
    return [NativeFormat(name="bhyve-argv", to_xml=_to_xml, from_xml=_from_xml)]


def _to_xml(text: str) -> str:
    from virt_bhyve.native import parse_command_lines
    from virtcore.model.domain.document import format_domain

    return format_domain(parse_command_lines(text))


def _from_xml(text: str) -> str:
    from virt_bhyve.native import format_command_lines

    return format_command_lines(text)
