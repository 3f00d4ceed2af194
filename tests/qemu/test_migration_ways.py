"""Guests that move between two hosts: two roots of the driver on this one."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from guest_image import MARKER, guest_xml, idle_xml

import virtcore
from support import eventually
from virtcore.enums import (
    DomainCreateFlags,
    DomainJobOperation,
    DomainJobType,
    DomainMigrateFlags as Flags,
    DomainPausedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainState,
)
from virtcore.errors import (
    ArgumentUnsupported,
    ConfigUnsupported,
    InvalidArg,
    MigrateUnsafe,
    NoDomain,
    OperationAborted,
    OperationInvalid,
    OperationUnsupported,
    VirtError,
)
from virtcore.operations.events import DomainJobCompletedEvent, DomainLifecycleEvent, DomainMigrationIterationEvent


@pytest.fixture
def peer_root(tmp_path: Path, probed: Path) -> Path:
    folder = tmp_path / "peer"
    folder.mkdir()
    if probed.is_dir():
        shutil.copytree(probed, folder / "cache")
    return folder


@pytest.fixture
def peer(peer_root: Path, root: Path) -> Iterator[virtcore.Connection]:
    """Another place on this host; ``root`` kills what is left there, too."""
    with virtcore.connect(f"qemu:///embed?root={peer_root}") as opened:
        yield opened


def running(connection: virtcore.Connection, boot, name: str = "mover", devices: str = "") -> virtcore.Domain:
    """A guest that has booted: its serial port says so."""
    domain = connection.define_domain(guest_xml(name, *boot, devices=f"<serial type='pty'/>{devices}"))
    domain.create(DomainCreateFlags.START_PAUSED)
    with domain.open_console() as console:  # what it says while nobody listens is lost
        domain.resume()
        said = b""
        while MARKER.encode() not in said:
            said += console.read(4096)
    return domain


def answers(domain: virtcore.Domain, word: str) -> bool:
    """Whether the guest's program still reads and writes its serial port."""
    with domain.open_console() as console:
        console.write(f"{word}\n".encode())
        said = b""
        while f"guest says: {word}".encode() not in said:
            said += console.read(4096)
    return True


def test_a_guest_moves_and_goes_on_there(connection, peer, boot):
    here, there, iterations, completed = [], [], [], []
    connection.on_event(lambda event: here.append((event.type.name, event.detail.name)), DomainLifecycleEvent)
    peer.on_event(lambda event: there.append((event.type.name, event.detail.name)), DomainLifecycleEvent)
    connection.on_event(iterations.append, DomainMigrationIterationEvent)
    connection.on_event(completed.append, DomainJobCompletedEvent)
    domain = running(connection, boot)
    moved = domain.migrate(peer, flags=Flags.LIVE)
    assert moved.state() == (DomainState.RUNNING, DomainRunningReason.MIGRATED)
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.MIGRATED)
    assert domain.is_persistent()
    assert not moved.is_persistent()
    assert answers(moved, "still here")
    eventually(lambda: here[-1] == ("STOPPED", "MIGRATED"))
    assert here[-2:] == [("SUSPENDED", "MIGRATED"), ("STOPPED", "MIGRATED")]
    eventually(lambda: len(there) == 2)
    assert there == [("STARTED", "MIGRATED"), ("RESUMED", "MIGRATED")]
    eventually(lambda: completed)
    assert completed[0].params["operation"] == DomainJobOperation.MIGRATION_OUT
    assert [event.iteration for event in iterations] == list(range(1, len(iterations) + 1))
    for side, operation in ((domain, DomainJobOperation.MIGRATION_OUT), (moved, DomainJobOperation.MIGRATION_IN)):
        found = side.job_stats(1)
        assert found.type is DomainJobType.COMPLETED
        assert found.params["operation"] == operation
        assert found.params["memory_total"] > 128 << 20
        assert found.params["time_elapsed"] > found.params["downtime"] > 0
        assert found.params["memory_processed"] == found.params["data_processed"] > 0
    # And back again: nothing of the first journey is left in its way.
    again = moved.migrate(connection, flags=Flags.LIVE)
    assert again.is_persistent()
    assert answers(again, "back again")


@pytest.mark.parametrize(
    ("flags", "parameters"),
    [
        (Flags.LIVE | Flags.PARALLEL, {"parallel.connections": 3}),
        (Flags.LIVE | Flags.PARALLEL, {"compression": ["zlib"], "compression.zlib.level": 2}),
        (Flags.LIVE | Flags.PARALLEL | Flags.COMPRESSED, {"compression": ["zstd"]}),
        (Flags.LIVE | Flags.COMPRESSED, {"compression": ["xbzrle"], "compression.xbzrle.cache": 1 << 22}),
        (Flags.LIVE, {"compression": ["mt"], "compression.mt.level": 1, "compression.mt.threads": 2}),
        (Flags.LIVE | Flags.AUTO_CONVERGE, {"auto_converge.initial": 30, "auto_converge.increment": 20}),
        (Flags.LIVE | Flags.CHANGE_PROTECTION | Flags.ABORT_ON_ERROR, {"bandwidth": 500}),
        (Flags(0), {"listen_address": "127.0.0.1", "migrate_uri": "tcp://127.0.0.1"}),
        (Flags.LIVE, {"migrate_uri": "tcp:127.0.0.1"}),
        (Flags.LIVE, {"migrate_uri": "unix"}),
        (Flags.LIVE | Flags.PARALLEL, {"migrate_uri": "unix"}),
        (Flags.LIVE | Flags.POSTCOPY, {"bandwidth.postcopy": 100}),
    ],
)  # fmt: skip
def test_the_ways_there(connection, peer, tmp_path, flags, parameters):
    if parameters.get("migrate_uri") == "unix":
        parameters = {"migrate_uri": f"unix://{tmp_path}/way.sock"}
    domain = connection.define_domain(idle_xml("mover"))
    domain.create()
    try:
        moved = domain.migrate(peer, parameters, flags)
    except ArgumentUnsupported as error:
        if "'compress' is not supported by QEMU" not in str(error):
            raise
        pytest.skip("QEMU has not got this since version 9.1")
    assert moved.state() == (DomainState.RUNNING, DomainRunningReason.MIGRATED)
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.MIGRATED)
    # Whatever was set for it is set back, so that it can go another way.
    back = moved.migrate(connection, flags=Flags.LIVE)
    assert back.state().state is DomainState.RUNNING


def test_what_stays_where(connection, peer):
    domain = connection.define_domain(idle_xml("mover"))
    domain.create(DomainCreateFlags.START_PAUSED)
    flags = Flags.LIVE | Flags.PERSIST_DEST | Flags.UNDEFINE_SOURCE
    moved = domain.migrate(peer, {"destination_name": "renamed"}, flags)
    assert moved.name == "renamed"
    assert moved.is_persistent()
    assert moved.state() == (DomainState.PAUSED, DomainPausedReason.USER)
    assert "<name>renamed</name>" in moved.xml(2)
    assert connection.list_domains() == []
    with pytest.raises(NoDomain):
        domain.state()
    moved.destroy()
    # A definition alone moves likewise.
    offline = Flags.OFFLINE | Flags.PERSIST_DEST | Flags.UNDEFINE_SOURCE
    back = moved.migrate(connection, {"destination_name": "mover"}, offline)
    assert back.state().state is DomainState.SHUTOFF
    assert back.is_persistent()
    assert peer.list_domains() == []


def test_documents_of_the_callers_own(connection, peer):
    domain = connection.define_domain(idle_xml("mover"))
    domain.create(DomainCreateFlags.START_PAUSED)
    xml = domain.xml(1 | 8)
    persistent = domain.xml(2).replace("<vcpu placement='static'>1<", "<vcpu placement='static'>2<")
    other_log = xml.replace("<description>", "").replace("<memory", "<title>moved</title><memory", 1)
    parameters = {"destination_xml": other_log, "persistent_xml": persistent}
    moved = domain.migrate(peer, parameters, Flags.LIVE | Flags.PERSIST_DEST)
    assert "<title>moved</title>" in moved.xml()
    assert ">2</vcpu>" in moved.xml(2)
    assert ">1</vcpu>" in moved.xml()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("static'>1</vcpu>", "static'>2</vcpu>"), "Target domain vCPU max 2 does not match source 1"),
        (("model='virtio'>", "model='none'>"), "balloon"),
        ((r"machine='pc-q35-[\d.]+'", "machine='pc-q35-6.0'"), "Target domain machine type pc-q35-6.0 does not match"),
    ],
)
def test_another_machine_is_refused(connection, peer, change, message):
    domain = connection.define_domain(idle_xml("mover"))
    domain.create()
    xml = domain.xml(1 | 8)
    changed = re.sub(*change, xml)
    assert changed != xml
    with pytest.raises(ConfigUnsupported, match=message):
        domain.migrate(peer, {"destination_xml": changed}, Flags.LIVE)
    assert domain.state().state is DomainState.RUNNING
    assert peer.list_domains() == []


@pytest.mark.parametrize(
    ("flags", "parameters", "error", "message"),
    [
        (Flags.POSTCOPY, {}, ArgumentUnsupported, "post-copy migration is not supported with non-live or paused"),
        (Flags.LIVE | Flags.ZEROCOPY, {}, OperationInvalid, "zero-copy is only available for parallel migration"),
        (Flags.OFFLINE, {}, OperationInvalid, "offline migration must be specified with the persistent flag set"),
        (Flags.OFFLINE | Flags.PERSIST_DEST | Flags.NON_SHARED_DISK, {}, OperationInvalid,
         "offline migration cannot handle non-shared storage"),
        (Flags.LIVE, {"migrate_disks": ["vda"]}, OperationUnsupported, "requires use of 'VIR_MIGRATE_NON_SHARED_DISK'"),
        (Flags.LIVE | Flags.NON_SHARED_DISK, {"migrate_disks": ["vdx"]}, InvalidArg, "disk target vdx not found"),
        (Flags.LIVE, {"compression": ["zlib"]}, InvalidArg, "'zlib' is only supported with parallel migration"),
        (Flags.LIVE | Flags.PARALLEL, {"compression": ["xbzrle"]}, InvalidArg, "isn't supported with parallel"),
        (Flags.LIVE, {"compression": ["lz4"]}, InvalidArg, "Unsupported compression method 'lz4'"),
        (Flags.LIVE, {"parallel.connections": 2}, InvalidArg, "Turn parallel migration on to tune it"),
        (Flags.LIVE, {"auto_converge.initial": 2}, InvalidArg, "Turn auto convergence on to tune it"),
        (Flags.LIVE, {"compression.mt.level": 2}, InvalidArg, "Turn multithread compression on to tune it"),
        (Flags.LIVE, {"migrate_uri": "fish://there"}, ArgumentUnsupported, "unsupported scheme fish in migration URI"),
        (Flags.LIVE | Flags.TLS, {}, VirtError, "Unable to access|No such file|credentials|certificate"),
    ],
)  # fmt: skip
def test_what_is_refused(connection, peer, flags, parameters, error, message):
    domain = connection.define_domain(idle_xml("mover"))
    domain.create()
    with pytest.raises(error, match=message):
        domain.migrate(peer, parameters, flags)
    assert domain.state().state is DomainState.RUNNING
    assert peer.list_domains() == []
    assert domain.job_stats().type is DomainJobType.NONE


def test_a_guest_does_not_move_to_where_it_is(connection):
    domain = connection.define_domain(idle_xml("mover"))
    domain.create()
    for params in ({}, {"destination_name": "other"}):
        with pytest.raises(VirtError, match="Attempt to migrate guest to the same host"):
            domain.migrate(connection, params, Flags.LIVE)
    assert domain.state().state is DomainState.RUNNING
    assert [known.name for known in connection.list_domains()] == ["mover"]


def test_disks_of_this_host_alone_are_unsafe(connection, peer, tmp_path):
    image = tmp_path / "disk.raw"
    image.write_bytes(b"\0" * (1 << 20))
    disk = f"<disk type='file'><source file='{image}'/><target dev='vda' bus='virtio'/></disk>"
    domain = connection.define_domain(idle_xml("mover", disk))
    domain.create()
    with pytest.raises(MigrateUnsafe) as caught:
        domain.migrate(peer, flags=Flags.LIVE)
    assert str(caught.value) == "Unsafe migration: Migration without shared storage is unsafe"
    moved = domain.migrate(peer, flags=Flags.LIVE | Flags.UNSAFE)
    assert moved.state().state is DomainState.RUNNING


def test_it_can_be_aborted(connection, peer, boot):
    domain = running(connection, boot)
    failures: list[VirtError] = []

    def migrate() -> None:
        try:
            domain.migrate(peer, {"bandwidth": 1}, Flags.LIVE)
        except VirtError as error:
            failures.append(error)

    moving = threading.Thread(target=migrate)
    moving.start()
    eventually(lambda: domain.job_stats().params.get("memory_processed", 0) > 0)
    stats = domain.job_stats()
    assert stats.type is DomainJobType.UNBOUNDED
    assert stats.params["memory_remaining"] > 0
    with pytest.raises(OperationInvalid, match="migration statistics are available only on the source host"):
        peer.lookup_domain(name="mover").job_stats()
    with pytest.raises(OperationInvalid, match="cannot abort incoming migration; use virDomainDestroy instead"):
        peer.lookup_domain(name="mover").abort_job()
    domain.abort_job()
    moving.join(150)
    [failure] = failures
    assert isinstance(failure, OperationAborted)
    assert domain.state().state is DomainState.RUNNING
    assert domain.job_stats(1).type is DomainJobType.CANCELLED
    eventually(lambda: peer.list_domains() == [])
    assert answers(domain, "it stayed")


def test_settings_of_running_guests(connection, peer):
    domain = connection.define_domain(idle_xml("mover"))
    unlimited = 8796093022207
    assert domain.migrate_max_speed() == unlimited
    with pytest.raises(OperationInvalid, match="domain is not running"):
        domain.migrate_set_max_speed(10, 1)
    domain.create()
    assert domain.migrate_max_downtime() == 300
    domain.migrate_set_max_downtime(123)
    assert domain.migrate_max_downtime() == 123
    domain.migrate_set_max_speed(77)
    assert domain.migrate_max_speed() == 77
    domain.migrate_set_max_speed(33, 1)
    assert domain.migrate_max_speed(1) == 33
    domain.migrate_set_compression_cache(1 << 22)
    assert domain.migrate_compression_cache() == 1 << 22
    with pytest.raises(OperationInvalid, match="post-copy can only be started while outgoing migration is in progress"):
        domain.migrate_start_post_copy()
    with pytest.raises(VirtError, match="bandwidth must be less than 8796093022208"):
        domain.migrate_set_max_speed(unlimited + 1)
