"""Backups of real guests, pushed and pulled: read back with QEMU's own tools and compared with what the guest wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
from block_guest import (
    KIB,
    MIB,
    bitmaps_in,
    check,
    content,
    disk_xml,
    execute,
    expected,
    guest_writes,
    make_image,
    run,
    write,
)
from guest_image import idle_xml

import virtcore
from support import eventually, free_port
from virt_qemu.monitor import Monitor
from virtcore.enums import (
    ConnectDomainEventBlockJobStatus as Status,
    DomainBackupBeginFlags,
    DomainBlockJobType as Kind,
    DomainCreateFlags,
    DomainGetJobStatsFlags,
    DomainJobOperation,
    DomainJobType,
    DomainSnapshotCreateFlags,
)
from virtcore.errors import (
    CheckpointInconsistent,
    ConfigUnsupported,
    InternalError,
    InvalidArg,
    NoDomainBackup,
    NoDomainCheckpoint,
    OperationUnsupported,
)
from virtcore.operations.events import DomainBlockJob2Event, DomainJobCompletedEvent

SIZE = 4 * MIB
FIRST = (1, 0, 64 * KIB)
REUSE = DomainBackupBeginFlags.REUSE_EXTERNAL


pytestmark = pytest.mark.usefixtures("image_tools")


@pytest.fixture
def image(tmp_path):
    base = make_image(tmp_path / "base.qcow2", SIZE)
    write(base, *FIRST)
    return make_image(tmp_path / "disk.qcow2", base=base)


@pytest.fixture
def guest(connection, image, tmp_path):
    other = make_image(tmp_path / "other.raw", MIB, format="raw")
    write(other, 5, 0, 64 * KIB, "raw")
    devices = disk_xml(image), disk_xml(other, "vdb", format="raw")
    domain = connection.define_domain(idle_xml("saved", *devices))
    domain.create(DomainCreateFlags.START_PAUSED)
    return domain


def point(name: str) -> str:
    disks = "<disks><disk name='vda' checkpoint='bitmap'/><disk name='vdb' checkpoint='no'/></disks>"
    return f"<domaincheckpoint><name>{name}</name>{disks}</domaincheckpoint>"


def push(target, *, since: str = "", disks: str = "", format: str = "qcow2") -> str:
    incremental = f"<incremental>{since}</incremental>" if since else ""
    disk = f"<disk name='vda' type='file'><target file='{target}'/><driver type='{format}'/></disk>"
    return f"<domainbackup>{incremental}<disks>{disk}{disks or _NOT_VDB}</disks></domainbackup>"


_NOT_VDB = "<disk name='vdb' backup='no'/>"


def pull(server: str, *, since: str = "", disks: str = "<disk name='vda'/>" + _NOT_VDB) -> str:
    incremental = f"<incremental>{since}</incremental>" if since else ""
    return f"<domainbackup mode='pull'>{incremental}<server {server}/><disks>{disks}</disks></domainbackup>"


def has_backup(domain) -> bool:
    try:
        domain.backup_xml()
    except NoDomainBackup:
        return False
    return True


def done(domain) -> None:
    eventually(lambda: not has_backup(domain))


def nodes(domain) -> set[str]:
    return {row["node-name"] for row in execute(domain, "query-named-block-nodes")}


def test_pushed_in_full(connection, guest, image, tmp_path):
    events, jobs = [], []
    connection.on_event(jobs.append, DomainJobCompletedEvent)
    connection.on_event(events.append, DomainBlockJob2Event)
    guest_writes(guest, 2, MIB, 64 * KIB)
    before = nodes(guest)
    vdb = f"<disk name='vdb' type='file'><target file='{tmp_path}/vdb.raw'/><driver type='raw'/></disk>"
    guest.backup_begin(push(tmp_path / "vda.qcow2", disks=vdb))
    done(guest)
    guest_writes(guest, 3, 2 * MIB, 64 * KIB)
    assert content(tmp_path / "vda.qcow2") == expected(SIZE, FIRST, (2, MIB, 64 * KIB))
    assert content(tmp_path / "vdb.raw", "raw") == expected(MIB, (5, 0, 64 * KIB))
    check(tmp_path / "vda.qcow2")
    assert "backing-filename" not in run("qemu-img", "info", "--output=json", tmp_path / "vda.qcow2")
    assert nodes(guest) == before
    eventually(lambda: jobs)
    params = dict(jobs[0].params.items())
    assert params["operation"] == DomainJobOperation.BACKUP
    assert params["success"] is True
    assert params["disk_total"] == params["disk_processed"] == SIZE + MIB
    stats = guest.job_stats(1)
    assert stats.type == DomainJobType.COMPLETED
    eventually(lambda: len(events) == 2)
    assert {(event.disk, event.type, event.status) for event in events} == {
        (disk, Kind.BACKUP, Status.COMPLETED) for disk in ("vda", "vdb")
    }


def test_a_chain_of_incremental_backups_is_restored(guest, image, tmp_path):
    """Full, then two increments, each on a checkpoint; at the end every state is there to be read."""
    wrote = [FIRST]
    hashes = []
    since = ""
    for number in range(3):
        wrote.append((10 + number, number * MIB, 96 * KIB))
        guest_writes(guest, *wrote[-1])
        hashes.append(expected(SIZE, *wrote))
        target = tmp_path / f"backup{number}.qcow2"
        guest.backup_begin(push(target, since=since), point(f"c{number}"))
        done(guest)
        since = f"c{number}"
    assert [each.name for each in guest.list_checkpoints()] == ["c0", "c1", "c2"]
    guest_writes(guest, 99, 3 * MIB, 64 * KIB)
    for number in (1, 2):
        # An increment holds what has changed, and names the disk itself as what is below.
        run(
            "qemu-img",
            "rebase",
            "-u",
            "-b",
            tmp_path / f"backup{number - 1}.qcow2",
            "-F",
            "qcow2",
            tmp_path / f"backup{number}.qcow2",
        )
        told = json.loads(run("qemu-img", "map", "--output=json", tmp_path / f"backup{number}.qcow2"))
        own = sum(row["length"] for row in told if row["depth"] == 0)
        assert own == 128 * KIB  # 96 KiB in clusters of 64
    assert [content(tmp_path / f"backup{number}.qcow2") for number in range(3)] == hashes
    guest.destroy()
    assert bitmaps_in(image).keys() == {"c0", "c1", "c2"}
    check(image)


def test_increments_go_on_over_a_snapshot(guest, image, tmp_path):
    """A snapshot's file records on for the checkpoint; what it has recorded comes back when it is merged away."""
    guest.create_checkpoint(point("before"))
    first, second = (7, MIB, 64 * KIB), (8, 2 * MIB, 64 * KIB)
    guest_writes(guest, *first)
    over = f"<disk name='vda'><source file='{tmp_path}/over.qcow2'/></disk>"
    document = f"<domainsnapshot><disks>{over}<disk name='vdb' snapshot='no'/></disks></domainsnapshot>"
    snapshot = guest.create_snapshot(document, DomainSnapshotCreateFlags.DISK_ONLY)
    guest_writes(guest, *second)

    def changed(name: str) -> list[tuple[int, int]]:
        guest.backup_begin(push(tmp_path / name, since="before"))
        done(guest)
        told = json.loads(run("qemu-img", "map", "-U", "--output=json", tmp_path / name))
        return [(row["start"], row["length"]) for row in told if row["depth"] == 0]

    both = [(MIB, 64 * KIB), (2 * MIB, 64 * KIB)]
    assert changed("above.qcow2") == both
    snapshot.delete()
    assert changed("merged.qcow2") == both
    guest.destroy()
    assert bitmaps_in(image) == {"before": []}
    check(image)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_pulled(connection, guest, tmp_path, kind):
    if kind == "unix":
        server, uri = f"transport='unix' socket='{tmp_path}/nbd.sock'", f"nbd+unix:///%s?socket={tmp_path}/nbd.sock"
    else:
        port = free_port()
        server, uri = f"name='127.0.0.1' port='{port}'", f"nbd://127.0.0.1:{port}/%s"
    jobs = []
    connection.on_event(jobs.append, DomainJobCompletedEvent)
    before = nodes(guest)
    guest.backup_begin(pull(server, disks="<disk name='vda' exportname='first'/><disk name='vdb'/>"))
    guest_writes(guest, 2, MIB, 64 * KIB)  # is not in the backup
    guest_writes(guest, 2, 0, 64 * KIB)
    shown = guest.backup_xml()
    assert "<domainbackup mode='pull'>" in shown
    assert re.search(
        r"<disk name='vda' backup='yes' type='file' backupmode='full' exportname='first' index='\d+'>", shown
    )
    assert "exportname='vdb'" in shown
    [scratch] = re.findall(r"<scratch file='(.*?disk.qcow2.*?)'", shown)
    assert run("qemu-img", "info", "-U", scratch)
    for name, size, wrote in (("first", SIZE, FIRST), ("vdb", MIB, (5, 0, 64 * KIB))):
        copy = tmp_path / f"{name}.raw"
        run("qemu-img", "convert", "-f", "raw", "-O", "raw", uri % name, copy)
        assert content(copy, "raw") == expected(size, wrote)
    assert guest.job_stats().params["operation"] == DomainJobOperation.BACKUP
    guest.abort_job()
    done(guest)
    assert not list(tmp_path.glob("disk.qcow2.*"))
    assert nodes(guest) == before
    eventually(lambda: jobs)
    assert dict(jobs[0].params.items())["success"] is True  # that is how a pull ends
    guest.backup_begin(pull(server))  # nothing is in the way
    guest.abort_job()
    done(guest)


def test_pulled_increment_exports_what_has_changed(guest, tmp_path):
    server = f"transport='unix' socket='{tmp_path}/nbd.sock'"
    guest.create_checkpoint(point("c0"))
    guest_writes(guest, 7, 2 * MIB, 128 * KIB)
    guest.backup_begin(pull(server, since="c0"), point("c1"))
    guest_writes(guest, 8, 3 * MIB, 64 * KIB)
    assert "exportbitmap='backup-vda'" in guest.backup_xml()
    place = f"driver=nbd,export=vda,server.type=unix,server.path={tmp_path}/nbd.sock"
    options = f"{place},x-dirty-bitmap=qemu:dirty-bitmap:backup-vda"
    told = json.loads(run("qemu-img", "map", "--output=json", "--image-opts", options))
    dirty = [(row["start"], row["length"]) for row in told if not row["data"]]
    assert dirty == [(2 * MIB, 128 * KIB)]
    copy = tmp_path / "copy.raw"
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", f"nbd+unix:///vda?socket={tmp_path}/nbd.sock", copy)
    assert content(copy, "raw") == expected(SIZE, FIRST, (7, 2 * MIB, 128 * KIB))
    guest.abort_job()
    done(guest)
    assert [each.name for each in guest.list_checkpoints()] == ["c0", "c1"]


def test_into_images_that_are_there(guest, tmp_path):
    target = make_image(tmp_path / "mine.qcow2", SIZE)
    guest.backup_begin(push(target), flags=REUSE)
    done(guest)
    assert content(target) == expected(SIZE, FIRST)


def test_called_off_while_it_is_pushed(connection, tmp_path, monkeypatch):
    large = tmp_path / "large.raw"
    large.write_bytes(os.urandom(8 * MIB))
    domain = connection.define_domain(idle_xml("large", disk_xml(large, format="raw")))
    domain.create(DomainCreateFlags.START_PAUSED)
    target = tmp_path / "slow.qcow2"
    xml = f"<domainbackup><disks><disk name='vda' type='file'><target file='{target}'/></disk></disks></domainbackup>"
    real = Monitor.execute

    async def slowly(monitor, command, arguments=None, **options):
        """Nothing in the document keeps a disk from having it all before the next call."""
        for action in (arguments or {}).get("actions", ()):
            if action["type"] == "blockdev-backup":
                action["data"]["speed"] = KIB
        return await real(monitor, command, arguments, **options)

    monkeypatch.setattr(Monitor, "execute", slowly)
    domain.backup_begin(xml)
    domain.abort_job()
    done(domain)
    assert domain.job_stats(1).type == DomainJobType.CANCELLED
    assert domain.block_job_info("vda") is None
    assert not target.exists()
    domain.backup_begin(xml)
    assert domain.block_job_info("vda").type == Kind.BACKUP
    domain.block_job_set_speed("vda", 0)
    done(domain)
    assert content(target) == content(large, "raw")


@pytest.mark.parametrize(
    ("xml", "error", "message"),
    [
        (lambda t: push(t / "other.raw"), InvalidArg, "store '{t}/other.raw' for backup of 'vda' exists"),
        (
            lambda t: push(t / "x", since="c9"),
            NoDomainCheckpoint,
            "Checkpoint 'c9' for incremental backup of disk 'vda' not found",
        ),
        (
            lambda t: push(t / "x", since="broken"),
            CheckpointInconsistent,
            "missing or broken bitmap 'broken' for disk 'vda'",
        ),
        (lambda t: pull("name='localhost'"), OperationUnsupported, "<domainbackup> must specify TCP port for now"),
        (lambda t: pull(f"transport='unix' socket='{t}/none/s'"), InternalError, "Failed to bind socket to"),
        (
            lambda t: pull(
                "name='localhost' port='1'", disks=_NOT_VDB + "<disk name='vda'><driver type='raw'/></disk>"
            ),
            ConfigUnsupported,
            "pull mode backup for disk 'vda' requires qcow2 driver",
        ),
        (
            lambda t: pull("name='localhost' port='1'", disks=_NOT_VDB + "<disk name='vda' backup='no'/>"),
            ConfigUnsupported,
            "no disks selected for backup",
        ),
    ],
)
def test_refused_and_nothing_left(guest, tmp_path, xml, error, message):
    guest.create_checkpoint(point("broken"))
    execute(guest, "block-dirty-bitmap-remove", {"node": "libvirt-2-format", "name": "broken"})
    before, files = nodes(guest), set(tmp_path.iterdir())
    with pytest.raises(error, match=re.escape(message.replace("{t}", str(tmp_path)))):
        guest.backup_begin(xml(tmp_path), point("new"))
    assert nodes(guest) == before
    assert set(tmp_path.iterdir()) == files
    assert [each.name for each in guest.list_checkpoints()] == ["broken"]
    assert not has_backup(guest)
    assert guest.job_stats().type == DomainJobType.NONE
    guest.backup_begin(push(tmp_path / "after.qcow2"))
    done(guest)


def test_not_of_a_guest_that_is_off(connection, image):
    domain = connection.define_domain(idle_xml("off", disk_xml(image)))
    with pytest.raises(OperationUnsupported, match="cannot perform disk backup for inactive domain"):
        domain.backup_begin("<domainbackup/>")
    assert not has_backup(domain)
    assert domain.job_stats(DomainGetJobStatsFlags.COMPLETED).type == DomainJobType.NONE


def test_destroy_ends_a_backup_and_removes_its_scratch(guest, tmp_path, guests_of):
    guest.backup_begin(pull(f"transport='unix' socket='{tmp_path}/nbd.sock'"))
    assert list(tmp_path.glob("disk.qcow2.*"))
    guest.destroy()
    assert guests_of() == []
    eventually(lambda: not list(tmp_path.glob("disk.qcow2.*")))
    guest.create(DomainCreateFlags.START_PAUSED)
    assert not has_backup(guest)


def certificates(folder) -> None:
    """A certificate authority, and certificates of a server and of a client, as QEMU looks for them."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir()
    now = datetime.datetime.now(datetime.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])

    def make(name: str, issuer=None, authority_key=None):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer is not None else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(here, critical=False)
            .sign(authority_key or key, hashes.SHA256())
        )
        return certificate, key

    authority, authority_key = make("authority")
    (folder / "ca-cert.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    for name in ("server", "client"):
        certificate, key = make(name, authority, authority_key)
        (folder / f"{name}-cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        (folder / f"{name}-key.pem").write_bytes(text)


def test_pulled_by_clients_with_certificates(root, image, tmp_path):
    certificates(tmp_path / "pki")
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "qemu.conf").write_text(f'backup_tls_x509_cert_dir = "{tmp_path}/pki"\n')
    port = free_port()
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.define_domain(idle_xml("sealed", disk_xml(image)))
        domain.create(DomainCreateFlags.START_PAUSED)
        domain.backup_begin(pull(f"tls='yes' name='127.0.0.1' port='{port}'", disks="<disk name='vda'/>"))
        place = f"driver=nbd,export=vda,server.type=inet,server.host=127.0.0.1,server.port={port}"
        refused = subprocess.run(["qemu-img", "info", "--image-opts", place], capture_output=True, check=False)
        assert refused.returncode != 0
        key = f"tls-creds-x509,id=t,endpoint=client,dir={tmp_path}/pki"
        copy = tmp_path / "copy.raw"
        run("qemu-img", "convert", "--object", key, "--image-opts", f"{place},tls-creds=t", "-O", "raw", copy)
        assert content(copy, "raw") == expected(SIZE, FIRST)
        domain.abort_job()
        done(domain)
        assert "objlibvirt_backup_tls0" not in str(execute(domain, "qom-list", {"path": "/objects"}))
        domain.destroy()
