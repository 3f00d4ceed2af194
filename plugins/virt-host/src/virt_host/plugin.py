"""What this distribution adds to every connection: its XML namespaces."""

from __future__ import annotations

from virtcore.driver.hooks import hookimpl

__all__ = ["virtcore_register_namespaces"]


@hookimpl
def virtcore_register_namespaces() -> None:
    """Let readers of storage pool documents know ``<fs:mount_opts>`` and ``<rbd:config_opts>``, readers of network
    documents ``<dnsmasq:options>``.
    """
    from virt_host.network import namespace as network
    from virt_host.storage import namespace as storage

    network.register()
    storage.register()
