"""Guests and definitions when the process that manages them ends, at any instant."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path

import pytest
from guest_image import idle_xml

import virtcore
from support import eventually
from virt_qemu.host import QemuState
from virtcore.enums import DomainEventType, DomainRunningReason, DomainShutoffReason, DomainState
from virtcore.errors import ResourceBusy
from virtcore.operations.events import DomainLifecycleEvent

_START = """
import sys, os, virtcore
connection = virtcore.connect(sys.argv[1])
domain = connection.define_domain(open(sys.argv[2]).read())
domain.create()
print(domain.id, flush=True)
{after}
"""


def run_starter(root: Path, xml: Path, after: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _START.format(after=after), f"qemu:///embed?root={root}", str(xml)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("after", ["connection.close()", "os.kill(os.getpid(), 9)"], ids=["closed", "killed"])
def test_guests_are_found_again_with_their_events(root, tmp_path, guests_of, after):
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("kept", "<serial type='pty'/>"))
    done = run_starter(root, xml, after)
    assert done.stdout.strip() == "1", done.stderr
    [pid] = guests_of()
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.lookup_domain(name="kept")
        assert domain.state().state == DomainState.RUNNING
        assert connection.lookup_domain(id=1).name == "kept"
        assert "<alias name='serial0'/>" in domain.xml()
        events = []
        connection.on_event(events.append, DomainLifecycleEvent)
        domain.suspend()
        domain.resume()
        with domain.open_console():
            pass
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not domain.is_active())
        assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.CRASHED)
        eventually(lambda: DomainEventType.STOPPED in [event.type for event in events])
        domain.create()
        assert domain.id == 2
        domain.destroy()
    assert guests_of() == []


def test_a_guest_that_ended_while_nobody_looked(root, tmp_path, guests_of):
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("lost"))
    run_starter(root, xml, "os.kill(os.getpid(), 9)")
    [pid] = guests_of()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: guests_of() == [])
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.lookup_domain(name="lost")
        assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.CRASHED)
        assert list((root / "run" / "qemu").glob("domain-*")) == []


def test_another_process_is_refused_and_told_who_holds_the_root(root, connection):
    code = f"import virtcore; virtcore.connect('qemu:///embed?root={root}')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert ResourceBusy.__name__ in done.stderr
    assert f"is in use by process {os.getpid()}" in done.stderr


_LOOP = """
import sys, virtcore
connection = virtcore.connect(sys.argv[1])
xml = open(sys.argv[2]).read()
print("go", flush=True)
while True:
    domain = connection.define_domain(xml)
    domain.create(1)
    domain.destroy()
    domain.undefine()
"""


def kill_at_random(root: Path, xml: Path, rounds: int, seed: int, guests_of) -> None:
    """Kill a process that defines, starts, ends and undefines in a loop; whatever it left has to be whole."""
    chance = random.Random(seed)
    uri = f"qemu:///embed?root={root}"
    for number in range(rounds):
        worker = subprocess.Popen([sys.executable, "-c", _LOOP, uri, str(xml)], stdout=subprocess.PIPE)
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.35))
        worker.kill()
        worker.wait()
        worker.stdout.close()
        with virtcore.connect(uri) as connection:
            domains = {domain.name: domain for domain in connection.list_domains()}
            active = [domain for domain in domains.values() if domain.is_active()]
            eventually(lambda: len(guests_of()) == len(active))  # noqa: B023  # called before the next round
            for domain in active:
                assert domain.state().state in (DomainState.PAUSED, DomainState.RUNNING)
                domain.destroy()
            for domain in connection.list_domains():
                domain.xml()
                domain.undefine()
        assert guests_of() == [], f"round {number}: a guest without an owner"
        assert list((root / "run" / "qemu").glob("domain-*")) == []


def test_killed_at_random_points(root, tmp_path, guests_of):
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("mortal"))
    kill_at_random(root, xml, 12, 1, guests_of)


@pytest.mark.deep
@pytest.mark.timeout(1800)
def test_killed_at_random_points_many_times(root, tmp_path, guests_of):
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("mortal"))
    kill_at_random(root, xml, 400, time.time_ns(), guests_of)


def test_the_users_session_keeps_its_own_folders(tmp_path, monkeypatch, probed):
    for variable, folder in (
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_DATA_HOME", "data"),
        ("XDG_STATE_HOME", "state"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_RUNTIME_DIR", "run"),
    ):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    with virtcore.connect("qemu:///session") as connection:
        domain = connection.define_domain(idle_xml("mine"))
        domain.create(1)
        assert domain.state().state == DomainState.PAUSED
        domain.destroy()
        domain.undefine()
        assert connection.uri() == "qemu:///session"
    assert (tmp_path / "state" / "virtcore" / "log" / "qemu" / "mine.log").is_file()
    assert list((tmp_path / "run" / "virtcore" / "qemu").glob("domain-*")) == []


def test_a_guest_whose_status_is_damaged_is_left_alone(root, tmp_path, guests_of):
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("damaged"))
    run_starter(root, xml, "os.kill(os.getpid(), 9)")
    [status] = (root / "run" / "qemu" / "status").glob("*.xml")
    status.write_text("<domain/>")
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        assert not connection.lookup_domain(name="damaged").is_active()
    assert len(guests_of()) == 1


def test_a_stopped_guest_does_not_keep_others_from_being_found(root, tmp_path, guests_of, monkeypatch):
    monkeypatch.setattr(QemuState, "reattach_wait", 0.5)
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("frozen"))
    run_starter(root, xml, "os.kill(os.getpid(), 9)")
    [pid] = guests_of()
    os.kill(pid, signal.SIGSTOP)
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.lookup_domain(name="frozen")
        assert domain.state().state == DomainState.RUNNING
        assert connection.domain_stats()[0].params["state.state"] == DomainState.RUNNING
        domain.destroy()
        assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.DESTROYED)
    assert guests_of() == []


def _status_of(root: Path) -> Path:
    [status] = (root / "run" / "qemu" / "status").glob("*.xml")
    return status


def test_the_status_is_libvirts_and_read_back(root, tmp_path, guests_of):
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("told", "<serial type='pty'/>"))
    run_starter(root, xml, "os.kill(os.getpid(), 9)")
    [pid] = guests_of()
    text = _status_of(root).read_text().partition("\n")[2]
    told, taint, rest = text.partition("  <taint flag='high-privileges'/>\n")  # where the tests run as root
    assert bool(taint) is (os.geteuid() == 0)
    assert (told + rest).startswith(
        f"<domstatus state='running' reason='booted' pid='{pid}'>\n  <monitor path='{root}/run/"
    )
    for part in ("<vcpu id='0' pid='", "<flag name='", "<job type='none' async='none'/>", "<device alias='balloon0'/>"):
        assert part in text
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.lookup_domain(name="told")
        domain.suspend()
        eventually(lambda: "state='paused' reason='user'" in _status_of(root).read_text())
        again = _status_of(root).read_text().partition("\n")[2]
        # As libvirt does not, the reader takes no notice of what a controller that there is not has.
        text = text.replace(">\n        <alias name='usb'/>\n      </controller>", "/>")
        assert again == text.replace("state='running' reason='booted'", "state='paused' reason='user'")
        domain.destroy()


def test_a_status_that_somebody_edited_is_used(root, tmp_path, guests_of):
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("edited"))
    run_starter(root, xml, "os.kill(os.getpid(), 9)")
    status = _status_of(root)
    status.write_text(status.read_text().replace("reason='booted'", "reason='unpaused'"))
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.lookup_domain(name="edited")
        assert domain.state() == (DomainState.RUNNING, DomainRunningReason.UNPAUSED)
        domain.suspend()
        domain.destroy()
    assert guests_of() == []


def test_a_status_of_an_older_version_is_read(root, tmp_path, guests_of):
    """Which was the bare domain, below the same index entry."""
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("older"))
    run_starter(root, xml, "os.kill(os.getpid(), 9)")
    status = _status_of(root)
    head, _, body = status.read_text().partition("\n")
    domain = textwrap.dedent("  <domain" + body.partition("  <domain")[2].partition("</domstatus>")[0])
    index = json.loads(head.removeprefix("<!-- virtcore ").removesuffix(" -->"))
    index["crc"] = zlib.crc32(domain.encode())
    status.write_text(f"<!-- virtcore {json.dumps(index)} -->\n{domain}")
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        found = connection.lookup_domain(name="older")
        assert found.state().state == DomainState.RUNNING
        found.suspend()
        eventually(lambda: "<domstatus state='paused'" in status.read_text())
        found.destroy()
    assert guests_of() == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("state='running'", "state='flying'"), ("reason='booted'", "reason='bored'"), ("</domstatus>", "")],
)
def test_a_status_that_says_what_cannot_be_is_left_alone(root, tmp_path, guests_of, old, new):
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("spoilt"))
    run_starter(root, xml, "os.kill(os.getpid(), 9)")
    status = _status_of(root)
    status.write_text(status.read_text().replace(old, new))
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        assert not connection.lookup_domain(name="spoilt").is_active()
    assert len(guests_of()) == 1
    assert status.exists()
