"""Monitors that hang, refuse, lie or break off at each stage of a guest's life; QEMUs that are killed at any time."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import sys
import threading
import time
from pathlib import Path

import pytest

import virtcore
from support import eventually
from virt_qemu.host import QemuState
from virtcore.enums import DomainCreateFlags, DomainShutoffReason, DomainState
from virtcore.errors import VirtError

#: What a start says to QEMU, beside what only asks for what nobody needs to be right.
START = ("qmp_capabilities", "query-chardev", "query-cpus-fast", "qom-list", "cont")


class Faulty:
    """An emulator whose monitor can be spoilt."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.program = folder / "qemu"
        source = (Path(__file__).parent / "faulty_qemu.py").read_text()
        self.program.write_text(source.replace("#!/usr/bin/env python3", f"#!{sys.executable} -I", 1))
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        self._faults, self._said = folder / "faults", folder / "said"

    def spoil(self, *commands: str, what: str = "hang") -> None:
        """Have commands go wrong; none: all is well again."""
        self._faults.write_text("".join(f"{name} {what}\n" for name in commands))

    def said(self) -> list[str]:
        """Commands so far."""
        return self._said.read_text().split() if self._said.exists() else []

    def xml(self, name: str = "spoilt") -> str:
        return (
            f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory>"
            "<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>"
            f"<devices><emulator>{self.program}</emulator><memballoon model='virtio'/></devices></domain>"
        )


@pytest.fixture
def faulty(tmp_path: Path) -> Faulty:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    return Faulty(tmp_path / "faulty")


def is_clean(root: Path, guests_of) -> bool:
    return guests_of() == [] and list((root / "run" / "qemu").glob("domain-*")) == []


def nothing_left(root: Path, guests_of) -> None:
    """No QEMU, no folder, no status of a guest."""
    eventually(lambda: is_clean(root, guests_of))
    eventually(lambda: not list((root / "run" / "qemu" / "status").glob("*.xml")))


@pytest.mark.parametrize("what", ["hang", "fail", "lie", "die", "close"])
def test_each_step_of_a_start(connection, root, faulty, guests_of, monkeypatch, what):
    domain = connection.define_domain(faulty.xml())
    domain.create()
    commands = list(dict.fromkeys(faulty.said()))
    assert set(START) <= set(commands)
    domain.destroy()
    failed, patience = [], QemuState.start_limit
    if what == "hang":
        monkeypatch.setattr(QemuState, "start_limit", 0.7)
    for command in commands:
        faulty.spoil(command, what=what)
        try:
            domain.create()
        except VirtError:
            failed.append(command)
            assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.FAILED), command
            nothing_left(root, guests_of)
        else:
            # Not to be answered as expected is no harm to some; the guest runs then, and can be ended.
            assert domain.state().state in (DomainState.RUNNING, DomainState.SHUTOFF), command
            if domain.is_active():
                domain.destroy()
            nothing_left(root, guests_of)
    assert "qmp_capabilities" in failed or what == "lie"
    if what != "lie":
        assert {"query-chardev", "query-cpus-fast", "cont"} <= set(failed), failed
    faulty.spoil()
    monkeypatch.setattr(QemuState, "start_limit", patience)
    domain.create()
    assert domain.state().state is DomainState.RUNNING
    domain.destroy()
    nothing_left(root, guests_of)


@pytest.mark.parametrize("what", ["fail", "die", "close"])
@pytest.mark.parametrize(("call", "command"), [("suspend", "stop"), ("resume", "cont"), ("reset", "system_reset")])
def test_a_running_guests_monitor(connection, root, faulty, guests_of, what, call, command):
    domain = connection.define_domain(faulty.xml())
    domain.create(DomainCreateFlags.START_PAUSED if call == "resume" else 0)
    before = domain.state()
    faulty.spoil(command, what=what)
    with pytest.raises(VirtError):
        getattr(domain, call)()
    faulty.spoil()
    if what == "die":
        eventually(lambda: not domain.is_active())
        assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.CRASHED)
    else:
        assert domain.state() == before
        domain.destroy()
    nothing_left(root, guests_of)


@pytest.mark.parametrize("what", ["hang", "fail", "lie", "close", "die"])
def test_a_guest_that_is_found_again(root, faulty, guests_of, monkeypatch, what):
    uri = f"qemu:///embed?root={root}"
    with virtcore.connect(uri) as connection:
        connection.define_domain(faulty.xml()).create()
    monkeypatch.setattr(QemuState, "reattach_wait", 0.5)
    for command in ("query-status", "query-cpus-fast"):
        faulty.spoil(command, what=what)
        if what == "hang":
            monkeypatch.setattr(QemuState, "start_limit", 1.0)
        with virtcore.connect(uri) as connection:
            domain = connection.lookup_domain(name="spoilt")
            if what == "die":
                eventually(lambda: not domain.is_active())  # noqa: B023
                faulty.spoil()
                domain.create()
                continue
            assert domain.is_active()
            faulty.spoil()

            def reset() -> bool:
                try:
                    domain.reset()  # noqa: B023
                except VirtError:
                    return False
                return True

            eventually(reset)
            assert domain.state().state is DomainState.RUNNING
    # One that does not answer can be ended nevertheless.
    faulty.spoil("*")
    with virtcore.connect(uri) as connection:
        domain = connection.lookup_domain(name="spoilt")
        began = time.monotonic()
        domain.destroy()
        assert time.monotonic() - began < 25
    nothing_left(root, guests_of)


def test_killed_while_it_starts_or_ends(connection, root, faulty, guests_of):
    chance = random.Random(7)
    domain = connection.define_domain(faulty.xml().replace(str(faulty.program), "/usr/bin/qemu-system-x86_64"))

    def kill(delay: float, over: threading.Event) -> None:
        while not (found := guests_of()) and not over.is_set():
            time.sleep(0.002)
        time.sleep(delay)
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    for number in range(12):
        over = threading.Event()
        killer = threading.Thread(target=kill, args=(chance.uniform(0, 0.25), over))
        killer.start()
        try:
            domain.create()
            if number % 2:
                domain.destroy()
        except VirtError:
            pass
        over.set()
        killer.join()
        eventually(lambda: not domain.is_active())
        nothing_left(root, guests_of)
    domain.create()
    assert domain.state().state is DomainState.RUNNING
