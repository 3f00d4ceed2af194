"""Configuration files of the LXC tools, old (``lxc.network.type``) and since version 3 (``lxc.net.0.type``), as
domains. No container is needed for it."""

from __future__ import annotations

from virt_lxc.config.read import read_config

__all__ = ["read_config"]
