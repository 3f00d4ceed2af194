"""A bus of D-Bus that belongs to one test."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import eventually, listens


@contextmanager
def private_bus(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a bus, as its address and its daemon."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed")
    address = f"unix:path={folder / 'bus'}"
    config = folder / "bus.conf"
    config.write_text(
        f"<busconfig><type>session</type><listen>{address}</listen><policy context='default'>"
        "<allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/><allow own='*'/></policy></busconfig>"
    )
    daemon = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork"])
    try:
        eventually(lambda: listens(folder / "bus"))
        yield address, daemon
    finally:
        daemon.kill()
        daemon.communicate()
