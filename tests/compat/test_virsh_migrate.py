"""Guests that the real virsh moves: between two virtcored, and between virtcored and the real libvirtd, both ways."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat.conftest import Virsh, wait_for_socket
from support import free_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="qemu:///system needs the administrator's rights")


class Host:
    """A virtcored that clients of the network reach, too."""

    def __init__(self, root: Path) -> None:
        self.port = free_port()
        (root / "conf").write_text(
            f'listen_tls = 0\nlisten_tcp = 1\nlisten_addr = "127.0.0.1"\ntcp_port = "{self.port}"\nauth_tcp = "none"\n'
        )
        self.log = root / "stderr"
        command = [sys.executable, "-m", "virt_remote", "--root", str(root), "--config", str(root / "conf"), "--listen"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log)
        self.socket = root / "run" / "libvirt-sock"
        wait_for_socket(root / "run" / "libvirt-admin-sock", self.process)  # the last one to listen
        self.uri = f"qemu+unix:///system?socket={self.socket}"
        self.from_afar = f"qemu+tcp://127.0.0.1:{self.port}/system"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(60) == 0
        finally:
            self.process.kill()
        text = self.log.read_text()
        assert "Traceback" not in text, text


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Host]]:
    made = [Host(tmp_path_factory.mktemp(name)) for name in ("a", "b")]
    yield made[0], made[1]
    for each in made:
        each.stop()


@pytest.fixture
def guest(hosts: tuple[Host, Host], virsh: Virsh, tmp_path: Path) -> Iterator[str]:
    """A running guest of the first host, which libvirt 9.0 would have just so."""
    xml = tmp_path / "guest.xml"
    xml.write_text(
        "<domain type='qemu'><name>mover</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>"
        "<devices><serial type='pty'/><graphics type='vnc'/></devices></domain>"
    )
    virsh(hosts[0].uri, "create", str(xml))
    yield "mover"
    for host in hosts:
        virsh(host.uri, "destroy", "mover", check=False)


def state(virsh: Virsh, uri: str) -> str:
    return virsh(uri, "domstate", "mover", "--reason").stdout.strip()


def names(virsh: Virsh, uri: str) -> list[str]:
    return virsh(uri, "list", "--all", "--name").stdout.split()


@pytest.mark.parametrize(
    "options",
    [
        ["--live", "--verbose"],
        ["--live", "--p2p"],
        ["--live", "--p2p", "--tunnelled"],
        ["--live", "--postcopy", "--postcopy-after-precopy"],
        ["--live", "--parallel", "--parallel-connections", "2"],
        ["--live", "--timeout", "1", "--timeout-suspend", "--bandwidth", "1"],
        ["--live", "--auto-converge", "--compressed", "--change-protection", "--abort-on-error"],
    ],
    ids=lambda options: " ".join(options),
)
def test_between_two_virtcored(hosts: tuple[Host, Host], virsh: Virsh, guest: str, options: list[str]) -> None:
    here, there = hosts
    destination = there.from_afar if "--p2p" in options else there.uri
    virsh(here.uri, "migrate", *options, guest, destination)
    assert state(virsh, there.uri) == "running (migrated)"
    assert names(virsh, here.uri) == []
    told = virsh(there.uri, "domjobinfo", guest, "--completed").stdout
    assert "Operation:        Incoming migration" in told


def test_what_virsh_asks_of_it(hosts: tuple[Host, Host], virsh: Virsh, guest: str) -> None:
    here, there = hosts
    assert virsh(here.uri, "migrate-getspeed", guest).stdout.strip() == "8796093022207"
    virsh(here.uri, "migrate-setspeed", guest, "100")
    assert virsh(here.uri, "migrate-getspeed", guest).stdout.strip() == "100"
    virsh(here.uri, "migrate-setmaxdowntime", guest, "450")
    assert virsh(here.uri, "migrate-getmaxdowntime", guest).stdout.strip() == "450"
    assert "Compression cache: 64.000 MiB" in virsh(here.uri, "migrate-compcache", guest).stdout
    virsh(here.uri, "migrate", "--live", "--persistent", "--dname", "other", guest, there.uri)
    assert names(virsh, there.uri) == ["other"]
    virsh(there.uri, "destroy", "other")
    virsh(there.uri, "migrate", "--offline", "--persistent", "--undefinesource", "other", here.uri)
    assert names(virsh, there.uri) == []
    virsh(here.uri, "undefine", "other")


@pytest.mark.parametrize(
    "options",
    [["--live"], ["--live", "--p2p"], ["--live", "--p2p", "--tunnelled"], ["--live", "--postcopy"],
     ["--live", "--parallel"]],
    ids=lambda options: " ".join(options),
)  # fmt: skip
def test_to_libvirtd_and_back(
    hosts: tuple[Host, Host], libvirtd: Path, virsh: Virsh, guest: str, options: list[str]
) -> None:
    here, other = hosts
    real = f"qemu+unix:///system?socket={libvirtd}"
    virsh(here.uri, "migrate", *options, guest, real)
    assert state(virsh, real) == "running (migrated)"
    assert names(virsh, here.uri) == []
    virsh(real, "migrate", *options, guest, other.from_afar if "--p2p" in options else other.uri)
    assert state(virsh, other.uri) == "running (migrated)"
    assert names(virsh, real) == []
