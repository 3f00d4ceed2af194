"""The program ``virtcored``, as it begins."""

from __future__ import annotations

import gc

__all__ = ["main"]


def main() -> int:
    """Run the daemon (:mod:`virt_remote.server.daemon`)."""
    # What is loaded stays. Looking through it for garbage, again and again, took a quarter of the time to start; the
    # collector comes back when all is loaded (virt_remote.server.garbage).
    gc.disable()
    from virt_remote.server import daemon

    return daemon.main()
