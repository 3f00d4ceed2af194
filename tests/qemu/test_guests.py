"""Real guests under TCG: their life, their consoles, their events."""

from __future__ import annotations

import queue
import re
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import islice

import pytest
from guest_image import MARKER, guest_xml, idle_xml, write_qcow2

import virtcore
from support import eventually
from virtcore.driver.hooks import hookimpl, manager
from virtcore.enums import (
    DomainCreateFlags,
    DomainEventStoppedDetailType,
    DomainEventType,
    DomainPausedReason,
    DomainShutoffReason,
    DomainState,
)
from virtcore.errors import InternalError, OperationFailed, OperationInvalid
from virtcore.operations.events import DomainLifecycleEvent


def read_until(stream, text: str, limit: float = 150.0) -> str:
    got = ""
    end = time.monotonic() + limit
    while text not in got:
        got += stream.read(deadline=max(end - time.monotonic(), 0.1)).decode(errors="replace")
    return got


def test_life_of_a_guest(connection, boot, tmp_path):
    disk = tmp_path / "a,b=c.qcow2"
    write_qcow2(disk, 16)
    devices = f"""<disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <serial type='pty'/>"""
    events = []
    connection.on_event(events.append, DomainLifecycleEvent)
    domain = connection.define_domain(guest_xml("life", *boot, devices=devices))
    assert domain.state().state == DomainState.SHUTOFF
    domain.create(DomainCreateFlags.START_PAUSED)
    assert domain.state() == (DomainState.PAUSED, DomainPausedReason.USER)
    with pytest.raises(OperationInvalid, match="domain is already running"):
        domain.create()
    live = domain.xml()
    assert re.search(r"<console type='pty' tty='/dev/pts/\d+'>", live)
    assert "<alias name='virtio-disk0'/>" in live
    assert f"<source file='{disk}' index='1'/>" in live
    assert f"<domain type='qemu' id='{domain.id}'>" in live
    stream = domain.open_console()
    with pytest.raises(OperationFailed, match="Active console session exists for this domain"):
        domain.open_console()
    domain.resume()
    assert domain.state().state == DomainState.RUNNING
    read_until(stream, MARKER)
    stream.write(b"hello\n")
    read_until(stream, "guest says: hello")
    assert domain.info().cpu_time > 0
    domain.suspend()
    assert domain.state() == (DomainState.PAUSED, DomainPausedReason.USER)
    domain.suspend()
    domain.resume()
    [row] = connection.domain_stats([domain])
    assert row.params["block.0.path"] == str(disk)
    assert row.params["block.0.capacity"] == 16 << 20
    assert row.params["vcpu.0.time"] > 0
    domain.reset()
    read_until(stream, MARKER)
    stream.write(b"poweroff\n")
    eventually(lambda: not domain.is_active())
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.SHUTDOWN)
    while stream.read(deadline=60):
        pass  # the rest of what it printed, then the end
    domain.undefine()
    assert connection.list_domains() == []
    eventually(lambda: len(events) >= 9)
    types = [event.type for event in events]
    assert types == [
        DomainEventType.DEFINED,
        DomainEventType.STARTED,
        DomainEventType.SUSPENDED,
        DomainEventType.RESUMED,
        DomainEventType.SUSPENDED,
        DomainEventType.RESUMED,
        DomainEventType.SHUTDOWN,
        DomainEventType.STOPPED,
        DomainEventType.UNDEFINED,
    ]


def test_power_button_and_reboot(connection, boot, tmp_path):
    serial = tmp_path / "serial"
    domain = connection.create_domain(
        guest_xml("button", *boot, devices=f"<serial type='file'><source path='{serial}'/></serial>")
    )
    eventually(lambda: MARKER in serial.read_text(errors="replace"))
    domain.reboot()  # once: it listens before it says that it is up
    eventually(lambda: serial.read_text(errors="replace").count(MARKER) == 2)
    assert domain.state().state == DomainState.RUNNING
    domain.shutdown()
    eventually(lambda: connection.list_domains() == [])  # transient: gone with its end


def test_serial_on_unix_socket_and_log_file(connection, boot, tmp_path, root):
    path, log = tmp_path / "serial,sock", tmp_path / "log"
    devices = f"""<serial type='unix'><source mode='bind' path='{path}'/><log file='{log}'/></serial>"""
    domain = connection.define_domain(guest_xml("unix", *boot, devices=devices))
    domain.create()
    with domain.open_console() as stream:
        eventually(lambda: MARKER in log.read_text(errors="replace"))
        stream.write(b"over the socket\n")
        eventually(lambda: "guest says: over the socket" in log.read_text(errors="replace"))
    domain.destroy()
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.DESTROYED)
    written = (root / "log" / "qemu" / "unix.log").read_text()
    assert "starting up libvirt version: 11.3.0, qemu version: " in written
    assert "-name guest=unix,debug-threads=on" in written
    assert "shutting down, reason=destroyed" in written
    with pytest.raises(OperationInvalid, match="domain is not running"):
        domain.destroy()


def test_two_connections_share_the_guests(root, boot):
    uri = f"qemu:///embed?root={root}"
    with virtcore.connect(uri) as first, virtcore.connect(uri) as second:
        domain = first.define_domain(guest_xml("shared", *boot))
        other = second.lookup_domain(name="shared")
        other.create(DomainCreateFlags.START_PAUSED)
        assert domain.is_active()
        domain.destroy()
        assert not other.is_active()


def test_autostart_once_per_uptime(root, boot):
    uri, marker = f"qemu:///embed?root={root}", root / "run" / "qemu" / "autostarted"
    with virtcore.connect(uri) as connection:
        connection.define_domain(guest_xml("always", *boot)).set_autostart(True)
        connection.define_domain(guest_xml("once", *boot)).set_autostart_once(True)
        connection.define_domain(guest_xml("gone", *boot)).set_autostart_once(True)
        connection.lookup_domain("gone").undefine()
        assert not connection.define_domain(guest_xml("gone", *boot)).autostart_once()
    for started in ({"always", "once"}, {"always"}):
        eventually(marker.exists)
        marker.unlink()  # as if the host had booted
        with virtcore.connect(uri) as connection:
            eventually(marker.exists)
            assert {domain.name for domain in connection.list_domains() if domain.is_active()} == started
            assert not connection.lookup_domain("once").autostart_once()
            for name in started:
                connection.lookup_domain(name).destroy()
    with virtcore.connect(uri) as connection:
        time.sleep(0.3)
        assert not connection.lookup_domain(name="always").is_active()


def test_capabilities_name_what_is_installed(connection, boot):
    document = connection.capabilities()
    assert "<arch name='x86_64'>" in document
    assert "<emulator>" in document
    domain = connection.domain_capabilities(machine="q35")
    assert "<machine>pc-q35-" in domain
    assert connection.type() == "QEMU"
    assert connection.version() > 6_002_000
    assert connection.node_info().cpus >= 1


def test_plugins_are_told_and_may_refuse(connection, boot):
    told = []

    class Plugin:
        @hookimpl
        def virtcore_domain_transition(self, driver, domain, operation, sub_operation, xml):
            told.append((driver, domain.name, operation, sub_operation))
            assert "<domain" in xml
            if domain.name == "refused":
                raise OperationFailed("not today")

    plugin = Plugin()
    manager().register(plugin)
    try:
        refused = connection.define_domain(guest_xml("refused", *boot))
        with pytest.raises(OperationFailed, match="not today"):
            refused.create()
        assert not refused.is_active()
        told.clear()
        domain = connection.define_domain(guest_xml("hooked", *boot))
        domain.create(DomainCreateFlags.START_PAUSED)
        domain.destroy()
    finally:
        manager().unregister(plugin)
    assert told == [
        ("qemu", "hooked", operation, step)
        for operation, step in (
            ("prepare", "begin"),
            ("start", "begin"),
            ("started", "begin"),
            ("stopped", "end"),
            ("release", "end"),
        )
    ]


def test_words_of_the_user(connection, boot, root):
    xml = guest_xml("words", *boot).replace(
        "<domain type='qemu'>", "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
    )
    extra = """<qemu:commandline><qemu:arg value='-global'/><qemu:arg value='virtio-balloon.page-per-vq=off'/>
      <qemu:env name='A_B' value='c d'/></qemu:commandline>
      <qemu:capabilities><qemu:add capability='PLACE'/></qemu:capabilities></domain>"""
    domain = connection.define_domain(xml.replace("</domain>", extra.replace("PLACE", "blockdev-set-active")))
    assert "<qemu:arg value='virtio-balloon.page-per-vq=off'/>" in domain.xml()
    domain.create(DomainCreateFlags.START_PAUSED)
    written = (root / "log" / "qemu" / "words.log").read_text()
    assert "-global virtio-balloon.page-per-vq=off" in written
    assert "A_B='c d'" in written
    domain.destroy()
    other = xml.replace("words", "other").replace("</domain>", extra.replace("PLACE", "flying"))
    domain = connection.define_domain(other)
    with pytest.raises(InternalError, match="invalid qemu namespace capability 'flying'"):
        domain.create()


def test_what_ends_with_its_connection(root):
    uri = f"qemu:///embed?root={root}"
    flags = DomainCreateFlags.START_AUTODESTROY
    with virtcore.connect(uri) as watching:
        told: queue.Queue[DomainLifecycleEvent] = queue.Queue()
        watching.on_event(told.put, DomainLifecycleEvent)
        with virtcore.connect(uri) as owning:
            defined = owning.define_domain(idle_xml("defined"))
            defined.create(flags)
            owning.create_domain(idle_xml("transient"), flags | DomainCreateFlags.START_PAUSED)
            saved = owning.define_domain(idle_xml("saved"))
            saved.create()
            saved.managed_save()
            saved.create(flags)  # from the image
            other = owning.define_domain(idle_xml("other"))
            other.create(flags)
            other.destroy()
            other.create()
            refused = pytest.raises(OperationInvalid, match="domain is marked for auto destroy")
            with virtcore.connect(f"qemu:///embed?root={root}/peer") as peer, refused:
                defined.migrate(peer)
        names = {domain.name for domain in watching.list_domains() if domain.is_active()}
        assert names == {"other"}
        assert [domain.name for domain in watching.list_domains() if not domain.is_persistent()] == []
        assert watching.lookup_domain("defined").state() == (DomainState.SHUTOFF, DomainShutoffReason.DESTROYED)
        watching.lookup_domain("other").destroy()
    destroyed = (DomainEventType.STOPPED, DomainEventStoppedDetailType.DESTROYED)
    events = iter(partial(told.get, timeout=150), None)
    gone = islice((each.domain.name for each in events if (each.type, each.detail) == destroyed), 5)
    assert sorted(gone) == ["defined", "other", "other", "saved", "transient"]


def test_what_ends_with_its_connection_ends_with_its_process(root, guests_of):
    work = (
        "import os, signal, sys, virtcore\n"
        "connection = virtcore.connect(sys.argv[1])\n"
        "connection.define_domain(sys.argv[2]).create(2)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    uri = f"qemu:///embed?root={root}"
    ended = subprocess.run([sys.executable, "-c", work, uri, idle_xml("lost")], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    eventually(lambda: not guests_of())
    with virtcore.connect(uri) as connection:
        assert not connection.lookup_domain("lost").is_active()
