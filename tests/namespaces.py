"""A daemon in a network of its own: nothing that it does to devices, addresses and firewalls is the machine's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import ROOT, eventually, listens

__all__ = ["NetworkBox", "network_box"]

_NEEDED = ("unshare", "nsenter", "ip", "dnsmasq", "iptables", "nft")
#: What a process in a box begins with: /sys shows the box's devices, and still the machine's control groups.
_ENTER = (
    "cd /sys/fs/cgroup && mount -t sysfs sysfs /sys && mount -c --rbind . /sys/fs/cgroup && cd / && "
    'ip link set lo up && exec "$@"'
)


def _missing() -> str | None:
    """Why there can be no box here; None: there can."""
    if os.geteuid() != 0:
        return "networks of one's own need root"
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    for program in _NEEDED:
        if shutil.which(program, path=path) is None:
            return f"{program} is not installed"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], check=False)
    return "namespaces cannot be made here" if tried.returncode else None


class NetworkBox:
    """Namespaces of network and mounts, and a virtcored in them.

    :ivar root: below which the daemon keeps what it has; the programs that it starts may come there.
    :ivar uri: of its connection to QEMU.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = f"qemu+unix:///system?socket={root}/run/libvirt-sock"
        command = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "-", "sleep", "inf"]
        self._init = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._neighbours: list[NetworkBox] = []
        #: Of the daemon.
        self.process: subprocess.Popen[bytes] | None = None
        eventually(lambda: self._entered())

    def _entered(self) -> bool:
        return Path(f"/proc/{self._init.pid}/comm").read_text().strip() == "sleep"

    def inside(self, *command: str) -> list[str]:
        """A command that runs another one in the box."""
        return ["nsenter", "-t", str(self._init.pid), "--net", "--mount", *command]

    def neighbour(self) -> NetworkBox:
        """Another network beside this one, without a daemon; it ends with this one."""
        box = NetworkBox(self.root)
        self._neighbours.append(box)
        return box

    def run(self, *command: str, check: bool = True) -> str:
        """What a program in the box writes."""
        done = subprocess.run(self.inside(*command), capture_output=True, text=True, check=False, timeout=120)
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def start(self, **environment: str) -> None:
        """Start the daemon."""
        with (self.root / "stderr").open("ab") as log:
            self.process = subprocess.Popen(
                self.inside(sys.executable, "-m", "virt_remote", "--root", str(self.root)),
                stderr=log,
                cwd=ROOT,
                # The machine's bus is not the box's: a firewall that somebody has there is none here.
                env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent", **environment},
            )
        socket = self.root / "run" / "libvirt-sock"
        eventually(lambda: self._alive() and listens(socket))

    def _alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.root / "stderr").read_text()
        return True

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon; what it has started goes on."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None
            (self.root / "run" / "libvirt-sock").unlink(missing_ok=True)

    def links(self) -> set[str]:
        """Names of the box's network devices."""
        return set(self.run("ls", "/sys/class/net").split())

    def close(self) -> None:
        """End everything in the box."""
        try:
            self.end()
        finally:
            for box in self._neighbours:
                box.close()
            for pid in self._members():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self._init.wait(60)

    def _members(self) -> list[int]:
        """Who is in the box, its first process last: with the last one its devices go."""
        own = os.readlink(f"/proc/{self._init.pid}/ns/net")
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and os.readlink(entry / "ns/net") == own:
                    found.append(int(entry.name))
            except OSError:
                continue
        return sorted(found, key=lambda pid: pid == self._init.pid)


@contextmanager
def network_box(firewall: str = "iptables") -> Iterator[NetworkBox]:
    """A box with a running daemon; a test is skipped where there can be none.

    :param firewall: the backend that its networks use.
    """
    reason = _missing()
    if reason is not None:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="vcnet") as folder:
        root = Path(folder)
        root.chmod(0o755)  # dnsmasq reads as an ordinary user
        settings = root / "system" / "etc" / "network.conf"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'firewall_backend = "{firewall}"\n')
        box = NetworkBox(root)
        try:
            box.start()
            yield box
        finally:
            box.close()
        log = (root / "stderr").read_text()
        assert "Traceback" not in log, log
