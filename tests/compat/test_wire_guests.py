"""A real guest under QEMU (TCG), across the wire: real virsh on virtcored, our client on virtcored and on libvirtd."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import virtcore
from compat.conftest import uri, wait_for_socket
from virtcore.enums import DomainCreateFlags
from virtcore.errors import NoDomain
from virtcore.operations.events import DomainLifecycleEvent, Event

GUEST = """\
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>160</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 8250.nr_uarts=1</cmdline>
  </os>
  <devices>
    <serial type='pty'/>
    <console type='pty'/>
  </devices>
</domain>
"""

BOOT = 150.0
"""Seconds a guest may take to boot on a busy machine without KVM."""


@contextmanager
def running(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A virtcored of the test's own, ended by SIGTERM if it runs still."""
    process = subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", str(root)])
    try:
        wait_for_socket(root / "run" / "libvirt-sock", process)
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def wait_until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def read_until(stream: Any, wanted: bytes) -> bytes:
    found = b""
    end = time.monotonic() + BOOT
    while wanted not in found and time.monotonic() < end:
        found += stream.read(4096)
    return found


def kinds(seen: list[Event]) -> list[str]:
    """Kinds of lifecycle events, less those that come or not as QEMU's events race: libvirt tells that the processors
    begin to run, and that a guest which is killed shuts down, when QEMU said so in time."""
    names = [event.type.name for event in seen if isinstance(event, DomainLifecycleEvent)]
    before = [None, *names]
    return [
        name
        for name, last in zip(names, before, strict=False)
        if name != "SHUTDOWN" and (name != "RESUMED" or last == "SUSPENDED")
    ]


def document(boot: tuple[Path, Path], name: str) -> str:
    kernel, initrd = boot
    return GUEST.format(name=name, kernel=kernel, initrd=initrd)


@pytest.mark.parametrize("which", ["virtcored", "libvirtd"])
def test_our_client_runs_a_guest(which: str, boot: tuple[Path, Path], request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(which)
    if which == "virtcored":
        where = uri("qemu+unix:///session", folder / "run" / "libvirt-sock")
    else:
        where = uri("qemu+unix:///system", folder)
    with virtcore.connect(where) as connection:
        seen: list[Event] = []
        subscription = connection.on_event(seen.append, DomainLifecycleEvent)
        domain = connection.define_domain(document(boot, f"ours-{which}"))
        try:
            domain.create(DomainCreateFlags.START_PAUSED)
            with domain.open_console() as console:  # what it says while nobody listens is lost
                domain.resume()
                assert b"VIRTCORE-GUEST-UP" in read_until(console, b"VIRTCORE-GUEST-UP")
                console.write(b"hello\n")
                assert b"guest says: hello" in read_until(console, b"guest says: hello")
            assert domain.state().state == 1
            assert domain.info().cpu_time > 0
            assert f"<name>ours-{which}</name>" in domain.xml()
            domain.suspend()
            assert domain.state().state == 3
            domain.resume()
            domain.destroy()
            assert not domain.is_active()
            with virtcore.connect(where) as other:
                other.lookup_domain(domain.name).create(DomainCreateFlags.START_AUTODESTROY)
                assert domain.is_active()
            wait_until(lambda: not domain.is_active())
        finally:
            if domain.is_active():
                domain.destroy()
            domain.undefine()
            wait_until(lambda: "UNDEFINED" in kinds(seen))
            subscription.cancel()
        once, again = (
            ["DEFINED", "STARTED", *["SUSPENDED", "RESUMED"] * 2, "STOPPED"],
            ["STARTED", "STOPPED", "UNDEFINED"],
        )
        assert kinds(seen) == once + again
        with pytest.raises(NoDomain):
            connection.lookup_domain(f"ours-{which}")


def test_guests_outlive_the_daemon(boot: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("r")
    where = uri("qemu+unix:///session", root / "run" / "libvirt-sock")
    with running(root), virtcore.connect(where) as connection:
        domain = connection.define_domain(document(boot, "outlives"))
        domain.create()
        number = domain.id
    with running(root) as again, virtcore.connect(where) as connection:
        domain = connection.lookup_domain("outlives")
        assert (domain.is_active(), domain.id) == (True, number)
        again.kill()  # without a word
        again.wait()
    with running(root), virtcore.connect(where) as connection:
        domain = connection.lookup_domain("outlives")
        assert domain.state().state == 1
        domain.destroy()
        domain.undefine()


def test_virsh_runs_a_guest(virsh: Any, virtcored: Path, boot: tuple[Path, Path], tmp_path: Path) -> None:
    where = uri("qemu+unix:///session", virtcored / "run" / "libvirt-sock")
    (tmp_path / "guest.xml").write_text(document(boot, "theirs"))
    assert virsh(where, "define", str(tmp_path / "guest.xml")).stdout == ""
    try:
        virsh(where, "start", "theirs")
        assert virsh(where, "list", "--name").stdout.split() == ["theirs"]
        assert virsh(where, "domstate", "theirs", "--reason").stdout.strip() == "running (booted)"
        assert "<domain type='qemu' id='" in virsh(where, "dumpxml", "theirs").stdout
        assert virsh(where, "ttyconsole", "theirs").stdout.startswith("/dev/pts/")
        virsh(where, "suspend", "theirs")
        virsh(where, "resume", "theirs")
        virsh(where, "destroy", "theirs")
        assert virsh(where, "domstate", "theirs").stdout.strip() == "shut off"
        # A client that is killed says nothing.
        client = subprocess.Popen(["virsh", "-c", where], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        with client:
            assert client.stdin is not None
            client.stdin.write(b"start theirs --autodestroy\n")
            client.stdin.flush()
            wait_until(lambda: virsh(where, "domstate", "theirs").stdout.strip() == "running")
            client.kill()
        wait_until(lambda: virsh(where, "domstate", "theirs").stdout.strip() == "shut off")
    finally:
        virsh(where, "destroy", "theirs", check=False)
        virsh(where, "undefine", "theirs")
    assert virsh(where, "list", "--all", "--name").stdout.split() == []
