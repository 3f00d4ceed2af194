"""Whatever fails on the way, a guest runs on exactly one side, and that side has its disks."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from guest_image import guest_xml
from test_migration_disks import writable
from test_migration_ways import answers, peer, peer_root, running  # noqa: F401  # fixtures among them

import virtcore
from support import eventually
from virtcore.enums import (
    DomainJobType,
    DomainMigrateFlags as Flags,
    DomainPausedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainState,
)
from virtcore.errors import InternalError, NoDomain, OperationInvalid, VirtError
from virtcore.operations.parameters import MIGRATION
from virtcore.types import TypedParameters, TypedValue

#: What keeps a guest's memory from being sent before the test has done what it is about: MiB/s.
SLOW = {"bandwidth": 1}


class Wire:
    """What carries a migration between two QEMUs, and can be cut."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._pairs: list[socket.socket] = []
        self.target: int | None = None
        self.carried = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            self._pairs += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                self.carried += len(data)
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        for each in self._pairs:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._pairs.clear()

    def close(self) -> None:
        self._listening.close()
        self.cut()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


class Phases:
    """A migration whose phases the test calls itself."""

    def __init__(
        self, domain: virtcore.Domain, there: virtcore.Connection, flags: int = 0, **parameters: TypedValue
    ) -> None:
        self.domain = domain
        self.there = there
        self.flags = Flags.LIVE | Flags.UNSAFE | Flags.CHANGE_PROTECTION | flags
        self.parameters: dict[str, TypedValue] = {"migrate_uri": "tcp://127.0.0.1", **parameters}
        self.cookie = b""

    def _params(self, **more: TypedValue) -> TypedParameters:
        return MIGRATION.typed({**self.parameters, **more})

    def begin(self) -> None:
        begun = self.domain._call("domain_migrate_begin", (self._params(), self.flags), None)
        self.cookie, self.parameters["destination_xml"] = begun.cookie, begun.xml

    def prepare(self) -> None:
        flags = self.flags & ~Flags.CHANGE_PROTECTION
        prepared = self.there._call("connection_migrate_prepare", (self._params(), self.cookie, flags), None)
        self.cookie = prepared.cookie
        self.parameters["migrate_uri"] = prepared.uri or self.parameters["migrate_uri"]

    def perform(self) -> None:
        arguments = (None, self._params(), self.cookie, self.flags)
        self.cookie = self.domain._call("domain_migrate_perform", arguments, None)

    def performing(self) -> threading.Thread:
        """Begin to perform in a thread; what it fails with is :attr:`failure`."""
        self.failure: VirtError | None = None

        def perform() -> None:
            try:
                self.perform()
            except VirtError as error:
                self.failure = error

        thread = threading.Thread(target=perform, daemon=True)
        thread.start()
        eventually(lambda: self.domain.job_stats().params.get("memory_processed") not in (None, 0))
        return thread

    def finish(self, cancelled: bool = False) -> virtcore.Domain:
        flags = self.flags & ~Flags.CHANGE_PROTECTION
        cookie, self.cookie = self.cookie, b""
        arguments = (self._params(destination_name=self.domain.name), cookie, flags, cancelled)
        finished = self.there._call("connection_migrate_finish", arguments, None)
        self.cookie = finished.cookie
        return self.there.lookup_domain(name=finished.domain.name)

    def confirm(self, cancelled: bool = False) -> None:
        self.domain._call("domain_migrate_confirm", (self._params(), self.cookie, self.flags, cancelled), None)


def filled(
    connection: virtcore.Connection, folder: Path, image: Path | None = None, mebibytes: int = 16
) -> virtcore.Domain:
    """A running guest without system whose memory takes its time to be sent: it was filled with noise."""
    noise = folder / "noise"
    noise.write_bytes(os.urandom(mebibytes << 20))
    disk = with_disk(image) if image is not None else ""
    domain = connection.define_domain(f"""
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>mover</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>{disk}</devices>
  <qemu:commandline>
    <qemu:arg value='-device'/>
    <qemu:arg value='loader,file={noise},addr=0x2000000,force-raw=on'/>
  </qemu:commandline>
</domain>""")
    domain.create()
    return domain


def nowhere(connection: virtcore.Connection, name: str = "mover") -> bool:
    try:
        return not connection.lookup_domain(name=name).is_active()
    except NoDomain:
        return True


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    image = tmp_path / "shared.raw"
    image.write_bytes(b"\0" * (1 << 20))
    return image


def with_disk(image: Path) -> str:
    return (
        f"<disk type='file'><driver name='qemu' type='raw' cache='none'/><source file='{image}'/>"
        "<target dev='vda' bus='virtio'/></disk>"
    )


def pid_of(folder: Path) -> int:
    """The QEMU of the only guest below a root."""
    [file] = (folder / "run" / "qemu").glob("domain-*/pid")
    return int(file.read_text().split()[0])


# -- QEMU, the network or the destination fails


def test_the_sources_qemu_is_killed_on_the_way(connection, peer, disk, root, tmp_path):  # noqa: F811
    domain = filled(connection, tmp_path, disk)
    phases = Phases(domain, peer, **SLOW)
    phases.begin()
    phases.prepare()
    thread = phases.performing()
    os.kill(pid_of(root), signal.SIGKILL)
    thread.join(150)
    assert phases.failure is not None
    assert "domain is not running" in str(phases.failure)
    with pytest.raises(VirtError):
        phases.finish(cancelled=True)
    crashed = (DomainState.SHUTOFF, DomainShutoffReason.CRASHED)
    eventually(lambda: domain.state() == crashed)  # its monitor is gone a moment before it is
    eventually(lambda: nowhere(peer))  # its own QEMU may have ended a moment ago
    assert writable(disk, "raw")
    domain.create()
    assert domain.migrate(peer, flags=Flags.LIVE | Flags.UNSAFE).state().state is DomainState.RUNNING


@pytest.mark.parametrize("when", ["prepared", "performing", "performed"])
def test_the_destinations_qemu_is_killed(connection, peer, peer_root, disk, tmp_path, when):  # noqa: F811
    domain = filled(connection, tmp_path, disk)
    phases = Phases(domain, peer, **(SLOW if when == "performing" else {}))
    phases.begin()
    phases.prepare()
    if when == "performed":
        phases.perform()
    thread = phases.performing() if when == "performing" else None
    os.kill(pid_of(peer_root), signal.SIGKILL)
    eventually(lambda: nowhere(peer))
    if when == "prepared":
        with pytest.raises(VirtError):
            phases.perform()
    elif thread is not None:
        thread.join(150)
        assert phases.failure is not None
    with pytest.raises(VirtError, match="QEMU unexpectedly closed the monitor"):
        phases.finish(cancelled=when != "performed")
    if when == "performed":
        assert domain.state() == (DomainState.PAUSED, DomainPausedReason.MIGRATION)
        phases.confirm(cancelled=True)
    stopped = DomainRunningReason.MIGRATION_CANCELED if when == "performed" else DomainRunningReason.BOOTED
    assert domain.state() == (DomainState.RUNNING, stopped)
    assert not writable(disk, "raw")
    moved = domain.migrate(peer, flags=Flags.LIVE | Flags.UNSAFE)
    assert moved.state().state is DomainState.RUNNING


def test_the_network_is_cut(connection, peer, disk, wire, tmp_path):  # noqa: F811
    domain = filled(connection, tmp_path, disk)
    phases = Phases(domain, peer, **SLOW)
    phases.begin()
    phases.prepare()
    wire.target = int(str(phases.parameters["migrate_uri"]).rpartition(":")[2])
    phases.parameters["migrate_uri"] = f"tcp://127.0.0.1:{wire.port}"
    thread = phases.performing()
    eventually(lambda: wire.carried)
    wire.cut()
    thread.join(150)
    assert phases.failure is not None
    assert "job 'migration out' failed" in str(phases.failure)
    with pytest.raises(VirtError):
        phases.finish(cancelled=True)
    assert nowhere(peer)
    assert domain.state().state is DomainState.RUNNING
    assert not writable(disk, "raw")


def test_the_destination_cannot_have_it(connection, peer, boot, tmp_path):  # noqa: F811
    image = tmp_path / "here.raw"
    image.write_bytes(b"\0" * (1 << 20))
    domain = filled(connection, tmp_path, image)
    xml = domain.xml(1 | 8).replace(str(image), str(tmp_path / "missing.raw"))
    with pytest.raises(VirtError, match="Cannot access storage file"):
        domain.migrate(peer, {"destination_xml": xml}, Flags.LIVE | Flags.UNSAFE)
    assert domain.state().state is DomainState.RUNNING
    assert peer.list_domains() == []
    # Nor one that it runs already.
    other = peer.create_domain(guest_xml("mover", *boot))
    with pytest.raises(VirtError):
        domain.migrate(peer, flags=Flags.LIVE | Flags.UNSAFE)
    assert domain.state().state is DomainState.RUNNING
    assert other.state().state is DomainState.RUNNING


def test_a_destination_that_cannot_answer_keeps_nothing(connection, peer, tmp_path, monkeypatch):  # noqa: F811
    domain = filled(connection, tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise InternalError("no cookie today")

    monkeypatch.setattr("virt_qemu.migration.destination.cookie_of", refuse)
    with pytest.raises(InternalError, match="no cookie today"):
        domain.migrate(peer, flags=Flags.LIVE)
    assert nowhere(peer)
    assert domain.state().state is DomainState.RUNNING
    monkeypatch.undo()
    assert domain.migrate(peer, flags=Flags.LIVE).state().state is DomainState.RUNNING


def test_destroying_it_on_either_side_ends_the_migration(connection, peer, disk, tmp_path):  # noqa: F811
    domain = filled(connection, tmp_path, disk)
    phases = Phases(domain, peer, **SLOW)
    phases.begin()
    phases.prepare()
    thread = phases.performing()
    peer.lookup_domain(name="mover").destroy()
    thread.join(150)
    assert phases.failure is not None
    assert domain.state().state is DomainState.RUNNING
    phases = Phases(domain, peer, **SLOW)
    phases.begin()
    phases.prepare()
    thread = phases.performing()
    domain.destroy()
    thread.join(150)
    assert phases.failure is not None
    assert not domain.is_active()
    with pytest.raises(VirtError):
        phases.finish(cancelled=True)
    eventually(lambda: nowhere(peer))  # its QEMU ends by itself, without the other one
    assert writable(disk, "raw")


def test_a_guest_is_protected_between_the_phases(connection, peer, tmp_path):  # noqa: F811
    domain = filled(connection, tmp_path)
    phases = Phases(domain, peer)
    phases.begin()
    with pytest.raises(OperationInvalid, match="another migration job is already running for domain 'mover'"):
        Phases(domain, peer).begin()
    assert domain.job_stats().type is DomainJobType.UNBOUNDED
    phases.prepare()
    phases.perform()
    with pytest.raises(OperationInvalid, match="is not being migrated"):
        Phases(peer.lookup_domain(name="mover"), connection).confirm()
    moved = phases.finish()
    phases.confirm()
    assert moved.state().state is DomainState.RUNNING
    assert not domain.is_active()


def test_a_phase_that_goes_on_is_nobody_elses(connection, peer, tmp_path):  # noqa: F811
    domain = filled(connection, tmp_path)
    phases = Phases(domain, peer, **SLOW)
    phases.begin()
    phases.prepare()
    thread = phases.performing()
    for meanwhile in (phases.confirm, phases.perform):
        with pytest.raises(OperationInvalid, match="of domain mover is being actively monitored by another thread"):
            meanwhile()
    assert domain.job_stats().type is DomainJobType.UNBOUNDED
    domain.abort_job()
    thread.join(150)
    assert phases.failure is not None
    with pytest.raises(VirtError):
        phases.finish(cancelled=True)
    assert nowhere(peer)
    assert domain.state().state is DomainState.RUNNING


def test_whoever_led_it_has_gone(connection, root, peer, peer_root, tmp_path):  # noqa: F811
    """Each connection takes with it what it had begun; whoever else is connected sees it."""
    domain = filled(connection, tmp_path)
    with (
        virtcore.connect(f"qemu:///embed?root={root}") as here,
        virtcore.connect(f"qemu:///embed?root={peer_root}") as there,
    ):
        phases = Phases(here.lookup_domain(name="mover"), there)
        phases.begin()
        phases.prepare()
        assert not nowhere(peer)
    assert nowhere(peer)
    assert domain.job_stats().type is DomainJobType.NONE
    assert domain.state().state is DomainState.RUNNING
    assert domain.migrate(peer, flags=Flags.LIVE).state().state is DomainState.RUNNING


# -- behind the guest


def test_what_failed_behind_a_guest_goes_on(connection, peer, wire, tmp_path):  # noqa: F811
    # What such a guest needs is there before: one that waits for memory may hold up its QEMU, monitor and all.
    domain = filled(connection, tmp_path, mebibytes=31)
    flags = Flags.POSTCOPY
    phases = Phases(domain, peer, flags, **{"bandwidth": 2, "bandwidth.postcopy": 1})
    phases.begin()
    phases.prepare()
    wire.target = int(str(phases.parameters["migrate_uri"]).rpartition(":")[2])
    phases.parameters["migrate_uri"] = f"tcp://127.0.0.1:{wire.port}"
    thread = phases.performing()
    domain.migrate_start_post_copy()
    thread.join(150)
    assert phases.failure is None
    assert domain.state() == (DomainState.PAUSED, DomainPausedReason.POSTCOPY)
    with pytest.raises(OperationInvalid, match="cannot abort migration in post-copy mode"):
        domain.abort_job()
    failures: list[VirtError] = []

    def finish() -> None:
        try:
            phases.finish()
        except VirtError as error:
            failures.append(error)

    finishing = threading.Thread(target=finish, daemon=True)
    finishing.start()
    moved = peer.lookup_domain(name="mover")
    eventually(lambda: moved.state() == (DomainState.RUNNING, DomainRunningReason.POSTCOPY))
    wire.cut()
    finishing.join(150)
    assert "failed in post-copy phase" in str(failures[0])
    phases.confirm(cancelled=True)
    eventually(lambda: domain.state() == (DomainState.PAUSED, DomainPausedReason.POSTCOPY_FAILED))
    assert moved.state() == (DomainState.RUNNING, DomainRunningReason.POSTCOPY_FAILED)
    resume = Flags.LIVE | flags | Flags.POSTCOPY_RESUME
    again: list[virtcore.Domain] = []

    def resumed() -> bool:
        try:
            again.append(domain.migrate(peer, {"migrate_uri": "tcp://127.0.0.1"}, resume))
        except OperationInvalid as error:  # until both QEMUs have noticed
            if "QEMU reports migration is still running" not in str(error):
                raise
        return bool(again)

    eventually(resumed)
    [whole] = again
    assert whole.state() == (DomainState.RUNNING, DomainRunningReason.MIGRATED)
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.MIGRATED)


# -- the daemon is killed


class Daemon:
    """A host: a virtcored below a root of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def folder(self) -> Path:
        """Where its driver keeps what belongs to guests."""
        return self.root / "system"

    def start(self) -> None:
        log = (self.root / "stderr").open("ab")
        self.process = subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", str(self.root)], stderr=log)
        log.close()
        path = self.root / "run" / "libvirt-sock"

        def listens() -> bool:
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(path)) == 0

        eventually(listens)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def connect(self) -> virtcore.Connection:
        return virtcore.connect(f"qemu+unix:///system?socket={self.root}/run/libvirt-sock")


@pytest.fixture
def daemons(tmp_path: Path, probed: Path, root: Path) -> Iterator[tuple[Daemon, Daemon]]:
    pytest.importorskip("virt_remote")
    if os.geteuid() != 0:
        pytest.skip("qemu:///system needs the administrator's rights")
    made = []
    for name in ("a", "b"):
        place = tmp_path / name
        (place / "system").mkdir(parents=True)
        shutil.copytree(probed, place / "system" / "cache")
        made.append(Daemon(place))
    yield made[0], made[1]
    for each in made:
        each.kill()
        text = (each.root / "stderr").read_text()
        assert "Traceback" not in text, text


def begun(here: virtcore.Connection, there: virtcore.Connection, image: Path, **parameters: TypedValue) -> Phases:
    return Phases(filled(here, image.parent, image), there, 0, **parameters)


UPTO = ("begin", "prepare", "perform", "finish")


@pytest.mark.parametrize("last", UPTO)
def test_the_sources_daemon_is_killed_after_a_phase(daemons, disk, last):
    source, destination = daemons
    there = destination.connect()
    phases = begun(source.connect(), there, disk)
    for each in UPTO[: UPTO.index(last) + 1]:
        getattr(phases, each)()
    source.restart()
    with source.connect() as here:
        domain = here.lookup_domain(name="mover")
        if last in ("begin", "prepare"):
            assert domain.state().state is DomainState.RUNNING
            assert domain.job_stats().type is DomainJobType.NONE
        else:
            # Only the destination knows: it is left as it is, and does not write to its disk.
            eventually(lambda: domain.state() == (DomainState.PAUSED, DomainPausedReason.MIGRATION))
        if last == "perform":
            assert phases.finish().state().state is DomainState.RUNNING
        there.close()
        with destination.connect() as look:
            if last in ("begin", "prepare"):
                eventually(lambda: nowhere(look))
                domain.suspend()
                domain.resume()
                assert not writable(disk, "raw")
            else:
                assert look.lookup_domain(name="mover").state().state is DomainState.RUNNING
                domain.destroy()
                assert look.lookup_domain(name="mover").state().state is DomainState.RUNNING
                assert not writable(disk, "raw")


def test_the_sources_daemon_is_killed_on_the_way(daemons, disk):
    source, destination = daemons
    there = destination.connect()
    phases = begun(source.connect(), there, disk, **SLOW)
    phases.begin()
    phases.prepare()
    thread = phases.performing()
    source.restart()
    thread.join(150)
    assert phases.failure is not None
    with source.connect() as here:
        domain = here.lookup_domain(name="mover")
        eventually(lambda: domain.state().state is DomainState.RUNNING)
        eventually(lambda: domain.job_stats().type is DomainJobType.NONE)
        there.close()
        with destination.connect() as look:
            eventually(lambda: nowhere(look))
            assert not writable(disk, "raw")
            moved = domain.migrate(look, {"migrate_uri": "tcp://127.0.0.1"}, Flags.LIVE | Flags.UNSAFE)
            assert moved.state().state is DomainState.RUNNING


@pytest.mark.parametrize("last", ["prepare", "performing", "perform", "finish"])
def test_the_destinations_daemon_is_killed(daemons, disk, last):
    source, destination = daemons
    with source.connect() as here:
        phases = begun(here, destination.connect(), disk, **(SLOW if last == "performing" else {}))
        phases.begin()
        phases.prepare()
        thread = phases.performing() if last == "performing" else None
        if last in ("perform", "finish"):
            phases.perform()
        if last == "finish":
            phases.finish()
        destination.restart()
        domain = phases.domain
        with destination.connect() as look:
            if last == "finish":
                phases.confirm()
                assert not domain.is_active()
                moved = look.lookup_domain(name="mover")
                assert moved.state().state is DomainState.RUNNING
                moved.suspend()
                moved.resume()
                assert not writable(disk, "raw")
                return
            eventually(lambda: nowhere(look))
            phases.there = look
            if last == "prepare":
                with pytest.raises(VirtError):
                    phases.perform()
            elif thread is not None:
                thread.join(150)
                assert phases.failure is not None
            with pytest.raises(VirtError):
                phases.finish(cancelled=last != "perform")
            if last == "perform":
                phases.confirm(cancelled=True)
            assert domain.state().state is DomainState.RUNNING
            assert not writable(disk, "raw")
            moved = domain.migrate(look, {"migrate_uri": "tcp://127.0.0.1"}, Flags.LIVE | Flags.UNSAFE)
            assert moved.state().state is DomainState.RUNNING


@pytest.mark.parametrize("who", ["source", "destination"])
def test_a_daemon_is_killed_while_it_asks_a_peer(daemons, disk, who):
    source, destination = daemons
    uri = f"qemu+unix:///system?socket={destination.root}/run/libvirt-sock"
    failures: list[VirtError] = []
    with source.connect() as here:
        domain = filled(here, disk.parent, disk)

        def migrate() -> None:
            params = MIGRATION.typed({"migrate_uri": "tcp://127.0.0.1", **SLOW})
            flags = Flags.LIVE | Flags.UNSAFE | Flags.PEER2PEER
            try:
                domain._call("domain_migrate_perform", (uri, params, b"", flags), None)
            except VirtError as error:
                failures.append(error)

        thread = threading.Thread(target=migrate, daemon=True)
        thread.start()
        eventually(lambda: failures or domain.job_stats().params.get("memory_processed") not in (None, 0))
        assert failures == []
        (source if who == "source" else destination).restart()
        thread.join(150)
        assert failures
    with source.connect() as here, destination.connect() as there:
        domain = here.lookup_domain(name="mover")
        eventually(lambda: domain.state().state is DomainState.RUNNING)
        eventually(lambda: nowhere(there))
        eventually(lambda: domain.job_stats().type is DomainJobType.NONE)
        assert not writable(disk, "raw")
        moved = domain.migrate(there, {"migrate_uri": "tcp://127.0.0.1"}, Flags.LIVE | Flags.UNSAFE)
        assert moved.state().state is DomainState.RUNNING
