"""The real virsh on virtcored: what it prints is what it prints on the real libvirtd."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import pytest

import virtcore
from compat.conftest import heard, normal, uri

GUEST = """\
<domain type='test'>
  <name>walk</name>
  <uuid>0d4f1b7a-4b8a-4d8e-9d0e-0123456789ab</uuid>
  <title>A walk</title>
  <memory unit='MiB'>64</memory>
  <vcpu>2</vcpu>
  <os><type>hvm</type></os>
  <devices><console type='pty'/></devices>
</domain>
"""

#: Commands in order; each is given to both daemons and has to print and return the same.
WALK = [
    "list --all",
    "hostname",
    "nodeinfo",
    "sysinfo",
    "domstate test --reason",
    "dominfo test",
    "domid test",
    "domuuid test",
    "vcpucount test",
    "memtune test",
    "domcontrol test",
    "dumpxml test",
    "dumpxml --inactive test",
    "define {guest}",
    "define --validate {broken}",
    "list --all --title",
    "list --inactive --name",
    "domstate walk",
    "dumpxml walk",
    "start walk",
    "start walk",
    "domstats --state walk",
    "suspend walk",
    "domstate walk --reason",
    "resume walk",
    "reboot walk",
    "autostart walk",
    "dominfo walk",
    "autostart --disable walk",
    "undefine walk",
    "define {guest}",
    "shutdown walk",
    "start walk --paused",
    "list --state-paused",
    "destroy walk",
    "domstate walk --reason",
    "undefine walk",
    "dominfo walk",
    "create {guest}",
    "list --transient",
    "destroy walk",
    "domname 00000000-0000-0000-0000-000000000000",
    "metadata test http://nowhere.example",
]

#: Where 11.3 differs from 9.0, and where its sources say so.
EXPLAINED = {
    "define --validate {broken}": "virxml.c, virXMLParseHelper: a text has no file name, so 'at line 1', not a name",
}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "guest.xml").write_text(GUEST)
    (folder / "broken.xml").write_text("<domain type='test'><name>broken</name>")
    return {"guest": str(folder / "guest.xml"), "broken": str(folder / "broken.xml")}


def test_the_walk_is_the_same(virsh: Any, virtcored: Path, libvirtd: Path, documents: dict[str, str]) -> None:
    mine = uri("test+unix:///default", virtcored / "run" / "libvirt-sock")
    theirs = uri("test+unix:///default", libvirtd)
    differences = []
    # The test driver forgets everything with its last connection.
    with virtcore.connect(mine), virtcore.connect(theirs):
        for line in WALK:
            arguments = line.format(**documents).split()
            results = [virsh(where, *arguments, check=False) for where in (theirs, mine)]
            texts = [normal(f"{done.returncode}\n{done.stdout}{done.stderr}") for done in results]
            if texts[0] != texts[1] and line not in EXPLAINED:
                differences.append(f"$ virsh {line}\n-- libvirtd\n{texts[0]}\n-- virtcored\n{texts[1]}")
    assert not differences, "\n".join(differences)


def test_readonly(virsh: Any, virtcored: Path) -> None:
    where = uri("test+unix:///default", virtcored / "run" / "libvirt-sock-ro")
    assert "test" in virsh(where, "list").stdout
    refused = virsh(where, "suspend", "test", check=False)
    assert refused.returncode == 1
    assert "operation forbidden: read only access prevents virDomainSuspend" in refused.stderr


def test_what_is_not_there_yet_says_so(virsh: Any, virtcored: Path) -> None:
    where = uri("test+unix:///default", virtcored / "run" / "libvirt-sock")
    refused = virsh(where, "migrate-getspeed", "test", check=False)
    assert "this function is not supported by the connection driver: virDomainMigrateGetMaxSpeed" in refused.stderr
    nowhere = virsh(uri("xen+unix:///system", virtcored / "run" / "libvirt-sock"), "list", check=False)
    assert "no connection driver available for" in nowhere.stderr


def test_events(virsh: Any, virtcored: Path) -> None:
    where = uri("test+unix:///default", virtcored / "run" / "libvirt-sock")

    def act() -> None:
        for command in ("suspend", "resume", "destroy", "start"):
            virsh(where, command, "test")

    lines = [
        "event 'lifecycle' for domain 'test': Suspended Paused",
        "event 'lifecycle' for domain 'test': Resumed Unpaused",
        "event 'lifecycle' for domain 'test': Stopped Destroyed",
        "event 'lifecycle' for domain 'test': Started Booted",
    ]
    heard(where, [(["event", "--all", "--loop"], lines)], act)


def read_until(fd: int, wanted: bytes, seconds: float = 60) -> bytes:
    found = b""
    end = time.monotonic() + seconds
    while wanted not in found and time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                found += os.read(fd, 65536)
            except OSError:  # the far side of the terminal closed
                break
    return found


def wait_for_raw_mode(fd: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while termios.tcgetattr(fd)[3] & termios.ECHO and time.monotonic() < end:
        time.sleep(0.01)


def test_a_console(virtcored: Path, virsh: Any) -> None:
    where = uri("test+unix:///default", virtcored / "run" / "libvirt-sock")
    ours, theirs = pty.openpty()
    console = subprocess.Popen(
        ["virsh", "-c", where, "console", "test"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    os.close(theirs)
    try:
        assert b"Escape character" in read_until(ours, b"Escape character is ^]")
        wait_for_raw_mode(ours)  # what is typed before is thrown away
        os.write(ours, b"marco")
        assert b"marco" in read_until(ours, b"marco"), "the test driver's console echoes"
        os.write(ours, b"\x1d")
        assert console.wait(60) == 0
    finally:
        console.kill()
        console.wait()
        os.close(ours)
