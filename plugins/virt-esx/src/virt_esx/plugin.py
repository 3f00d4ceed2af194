"""What this distribution adds to every connection: its XML namespace, and VMX as a configuration format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.driver.hooks import hookimpl

if TYPE_CHECKING:
    from virtcore.driver.native import NativeFormat

__all__ = ["virtcore_native_formats", "virtcore_register_namespaces"]


@hookimpl
def virtcore_register_namespaces() -> None:
    """Let every reader of domain documents know ``<vmware:datacenterpath>`` and its sibling."""
    from virt_esx.namespace import register

    register()


@hookimpl
def virtcore_native_formats() -> list[NativeFormat]:
    """``vmware-vmx``, as VMware Desktop reads and writes it."""
    from virtcore.driver.native import NativeFormat

    return [NativeFormat(name="vmware-vmx", to_xml=_to_xml, from_xml=_from_xml)]


def _to_xml(text: str) -> str:
    from virt_esx.vmx import VMXContext, read_vmx
    from virtcore.model.domain.document import format_domain

    return format_domain(read_vmx(text, VMXContext()))


def _from_xml(text: str) -> str:
    from virt_esx.rules import VMwareRules
    from virt_esx.vmx import DESKTOP_HARDWARE_VERSION, VMXContext, write_vmx
    from virtcore.model.domain.document import load_domain

    return write_vmx(load_domain(text, VMwareRules()), VMXContext(), DESKTOP_HARDWARE_VERSION)
