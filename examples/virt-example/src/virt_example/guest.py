"""What runs as a guest: waits for a signal, ends quietly on SIGTERM."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Live until asked to go."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
