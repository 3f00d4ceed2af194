"""What this distribution adds to every connection: its XML namespaces."""

from __future__ import annotations

from virtcore.driver.hooks import hookimpl

__all__ = ["virtcore_register_namespaces"]


@hookimpl
def virtcore_register_namespaces() -> None:
    """Let every reader of storage pool documents know ``<fs:mount_opts>`` and ``<rbd:config_opts>``."""
    from virt_host.storage.namespace import register

    register()
