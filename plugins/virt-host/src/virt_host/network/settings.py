"""``network.conf``: what the administrator chooses for a host's networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from virtcore.runtime.conf import ConfFile
from virtcore.runtime.settings import read_text

__all__ = ["NetworkSettings", "load"]


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The settings, each with its default."""

    firewall_backend: str | None = field(
        default=None,
        metadata={"doc": "which of the host's firewalls networks use: nftables or iptables; the first that is there"},
    )


def load(path: Path) -> NetworkSettings:
    """Read a file; without one everything is as by default.

    :raises VirtError: it cannot be read, or makes no sense.
    """
    text = read_text(path)
    if text is None:
        return NetworkSettings()
    return NetworkSettings(firewall_backend=ConfFile.parse(text, str(path)).string("firewall_backend"))
