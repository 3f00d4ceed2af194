"""What goes wrong: missing files, an emulator that ends, hangs, is killed or stopped."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from guest_image import guest_xml
from scripted_qemu import GREET

import virtcore
from support import eventually
from virt_qemu.host import QemuState
from virtcore.enums import DomainCreateFlags, DomainShutoffReason, DomainState
from virtcore.errors import InternalError, OperationTimeout, SystemError, VirtError


def with_emulator(xml: str, path) -> str:
    return xml.replace("<devices>", f"<devices><emulator>{path}</emulator>", 1)


def test_missing_emulator(connection, boot):
    with pytest.raises(SystemError, match=r"Cannot check QEMU binary /nowhere/qemu: No such file or directory"):
        connection.define_domain(with_emulator(guest_xml("x", *boot), "/nowhere/qemu"))
    assert connection.list_domains() == []


def test_an_emulator_that_is_none(connection, boot):
    with pytest.raises(InternalError, match="Failed to probe QEMU binary with QMP"):
        connection.define_domain(with_emulator(guest_xml("x", *boot), "/bin/true"))


def test_missing_kernel_is_told_in_qemus_words(connection, boot, tmp_path, guests_of, root):
    domain = connection.define_domain(guest_xml("nokernel", tmp_path / "none", boot[1]))
    with pytest.raises(InternalError, match=r"process exited while connecting to monitor: .*none"):
        domain.create()
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.FAILED)
    assert guests_of() == []
    assert list((root / "run" / "qemu").glob("domain-*")) == []


def test_missing_disk(connection, boot, tmp_path):
    disk = f"<disk type='file'><source file='{tmp_path}/no,ne=1'/><target dev='vda'/></disk>"
    domain = connection.define_domain(guest_xml("nodisk", *boot, devices=disk))
    with pytest.raises(SystemError, match=r"Cannot access storage file '.*no,ne=1': No such file or directory"):
        domain.create()


def test_an_emulator_that_ends_at_start(connection, boot, fake_emulator):
    fake = fake_emulator("sys.exit('fake-qemu: this is why')")
    domain = connection.define_domain(with_emulator(guest_xml("ends", *boot), fake))
    with pytest.raises(InternalError) as caught:
        domain.create()
    assert str(caught.value) == ("internal error: process exited while connecting to monitor: fake-qemu: this is why")


@pytest.mark.parametrize("greets", [False, True], ids=["silent", "greets"])
def test_a_hanging_monitor_fails_the_start_at_its_own_limit(
    connection, boot, fake_emulator, guests_of, monkeypatch, greets
):
    monkeypatch.setattr(QemuState, "start_limit", 0.5)
    fake = fake_emulator((GREET if greets else "") + "\ntime.sleep(600)")
    domain = connection.define_domain(with_emulator(guest_xml("hangs", *boot), fake))
    began = time.monotonic()
    with pytest.raises(OperationTimeout):
        domain.create()
    assert time.monotonic() - began < 40
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.FAILED)
    assert guests_of() == []


def test_destroy_ends_a_start_that_hangs(connection, boot, fake_emulator, guests_of):
    fake = fake_emulator(GREET + "\ntime.sleep(600)")
    domain = connection.define_domain(with_emulator(guest_xml("hangs", *boot), fake))
    errors: list[VirtError] = []

    def start() -> None:
        try:
            domain.create()
        except VirtError as error:
            errors.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    eventually(guests_of)
    domain.destroy()
    starting.join(150)
    assert len(errors) == 1
    assert not domain.is_active()
    eventually(lambda: guests_of() == [])


def test_killed_while_running(connection, boot, guests_of):
    domain = connection.define_domain(guest_xml("victim", *boot))
    domain.create()
    [pid] = guests_of()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not domain.is_active())
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.CRASHED)
    domain.create()
    domain.destroy()


def test_a_stopped_guest_holds_up_nobody(connection, boot, guests_of):
    first = connection.define_domain(guest_xml("stopped", *boot))
    first.create(DomainCreateFlags.START_PAUSED)
    [pid] = guests_of()
    others = [connection.define_domain(guest_xml(f"other{number}", *boot)) for number in range(2)]
    for other in others:
        other.create(DomainCreateFlags.START_PAUSED)
    connection.domain_stats()
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            began = time.monotonic()
            rows = connection.domain_stats()
            assert time.monotonic() - began < 15
            assert len(rows) == 3
            assert all("block.count" in row.params for row in rows)
        began = time.monotonic()
        others[0].resume()
        others[0].xml()
        first.info()
        first.xml()
        assert time.monotonic() - began < 15
        began = time.monotonic()
        first.destroy()
        assert time.monotonic() - began < 15
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
    for other in others:
        other.destroy()


@pytest.mark.parametrize("name", ["a/b", "..", "../../etc/passwd", "x" * 10_000, "-drive file=x", "a,b=c;$(x)"])
def test_hostile_names_stay_names(connection, boot, root, name):
    xml = guest_xml("PLACE", *boot).replace("PLACE", name)
    try:
        domain = connection.define_domain(xml)
    except VirtError:
        assert connection.list_domains() == []
        return
    domain.create(DomainCreateFlags.START_PAUSED)
    assert connection.lookup_domain(name=name).is_active()
    domain.destroy()
    domain.undefine()
    escaped = [path for path in root.parent.rglob("*") if root not in path.parents and path != root]
    assert escaped == []


def test_wrong_uris():
    with pytest.raises(InternalError, match="unexpected QEMU URI path '/nowhere', try qemu:///"):
        virtcore.connect("qemu:///nowhere")


def test_a_log_that_cannot_be_written(connection, boot, root, guests_of):
    domain = connection.define_domain(guest_xml("unlogged", *boot))
    log = root / "log" / "qemu" / "unlogged.log"
    log.mkdir(parents=True)
    with pytest.raises(SystemError, match=r"failed to create logfile .*unlogged\.log: Is a directory"):
        domain.create()
    assert guests_of() == []
    log.rmdir()
    domain.create(DomainCreateFlags.START_PAUSED)
    log.unlink()
    log.mkdir()
    domain.destroy()
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.DESTROYED)
