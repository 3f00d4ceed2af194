"""What this distribution adds to every connection: its XML namespace."""

from __future__ import annotations

from virtcore.driver.hooks import hookimpl

__all__ = ["virtcore_register_namespaces"]


@hookimpl
def virtcore_register_namespaces() -> None:
    """Let every reader of domain documents know ``<qemu:commandline>`` and its siblings."""
    from virt_qemu.namespace import register

    register()
