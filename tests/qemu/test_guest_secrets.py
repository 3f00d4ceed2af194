"""Guests that need what the host's secrets have: disks, TPMs, certificates; and where values must not be found."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from block_guest import KIB, MIB, disk_xml, execute, guest_writes, make_image, make_luks_image, run
from guest_image import idle_xml

import virtcore
from certificates import Authority
from support import eventually
from virtcore.enums import (
    DomainBlockCopyFlags as Copy,
    DomainBlockJobAbortFlags as Abort,
    DomainCreateFlags,
    DomainDeviceModifyFlags as Modify,
    DomainSnapshotCreateFlags as SnapshotFlags,
)
from virtcore.errors import InvalidArg, NoSecret, VirtError
from virtcore.types import TypedParameters

WORD = "correct-horse-battery"
PAUSED = DomainCreateFlags.START_PAUSED
PORTS = "".join(f"<controller type='pci' index='{at}' model='pcie-root-port'/>" for at in range(1, 5))


@pytest.fixture(autouse=True)
def nothing_shows(tmp_path, caplog):
    """What the guest needed is in no file that is not for it, in no log and in no process list."""
    caplog.set_level("DEBUG")
    yield
    said = (record.getMessage() for when in ("setup", "call") for record in caplog.get_records(when))
    assert not any(WORD in text for text in said)
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_symlink() and WORD.encode() in path.read_bytes():
            raise AssertionError(f"{path} has it")


def define_secret(connection, usage: str, value: str = WORD) -> virtcore.Secret:
    secret = connection.define_secret(f"<secret private='yes'>{usage}</secret>")
    secret.set_value(value.encode())
    return secret


def volume(path: object) -> str:
    return f"<usage type='volume'><volume>{path}</volume></usage>"


def encrypted(disk: str, key: str) -> str:
    encryption = f"<encryption format='luks'><secret type='passphrase' {key}/></encryption>"
    return disk.replace("/><target", f">{encryption}</source><target")


def command_lines(folder: Path) -> bytes:
    """Those of every process that has to do with a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue  # it has ended
    return b"\n".join(line for line in found if os.fsencode(folder) in line)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory) -> Path:
    return make_luks_image(tmp_path_factory.mktemp("sealed") / "luks.img", "luks", WORD)


def test_disks_that_come_and_go(connection, root, tmp_path, sealed):
    image = Path(shutil.copy(sealed, tmp_path))
    secret = define_secret(connection, volume(image))
    disk = encrypted(disk_xml(image, "vdb", format="raw"), f"usage='{image}'")
    domain = connection.create_domain(idle_xml("luks", PORTS), PAUSED)
    uuid = domain.uuid
    domain.attach_device(disk, Modify.LIVE)
    guest_writes(domain, 5, 0, 4 * KIB, "virtio-disk1")
    assert WORD.encode() not in command_lines(root)
    assert WORD not in domain.xml(1)
    [key] = (root / "run" / "qemu").glob("domain-*/master-key.aes")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    connection.close()

    with virtcore.connect(f"qemu:///embed?root={root}") as again:
        domain = again.lookup_domain(uuid=uuid)
        assert f"<secret type='passphrase' usage='{image}'/>" in domain.xml()
        other = make_luks_image(tmp_path / "other.qcow2", "qcow2", WORD)
        domain.attach_device(encrypted(disk_xml(other, "vdc"), f"uuid='{secret.uuid}'"), Modify.LIVE)
        guest_writes(domain, 6, 0, 4 * KIB, "virtio-disk2")
        domain.destroy()
    word = "--object", f"secret,id=k,data={WORD}"
    for path, driver, option, pattern in ((image, "luks", "key-secret", 5), (other, "qcow2", "encrypt.key-secret", 6)):
        opened = f"driver={driver},file.filename={path},{option}=k"
        assert "failed" not in run("qemu-io", *word, "--image-opts", opened, "-c", f"read -P {pattern} 0 4k")


def test_copies_and_overlays_are_encrypted_as_well(connection, tmp_path):
    base = make_image(tmp_path / "base.qcow2", MIB)
    target = make_luks_image(tmp_path / "copy.qcow2", "qcow2", WORD)
    overlay = make_luks_image(tmp_path / "overlay.qcow2", "qcow2", WORD)
    secret = define_secret(connection, volume(target))
    encryption = f"<encryption format='luks'><secret type='passphrase' uuid='{secret.uuid}'/></encryption>"
    domain = connection.create_domain(idle_xml("copied", disk_xml(base)), PAUSED)
    guest_writes(domain, 7, 0, 4 * KIB)
    copy = f"<disk type='file'><driver type='qcow2'/><source file='{target}'>{encryption}</source></disk>"
    domain.block_copy("vda", copy, TypedParameters(), Copy.TRANSIENT_JOB | Copy.REUSE_EXT)
    eventually(lambda: "ready='yes'" in domain.xml())
    domain.block_job_abort("vda", Abort.PIVOT)
    assert encryption.replace("<", "").split(">")[0] in domain.xml().replace("<", "")
    snapshot = (
        f"<domainsnapshot><disks><disk name='vda'><driver type='qcow2'/><source file='{overlay}'>{encryption}</source>"
        "</disk></disks></domainsnapshot>"
    )
    subprocess.run(
        ["qemu-img", "rebase", "-u", "--object", f"secret,id=k,data={WORD}", "--image-opts",
         f"driver=qcow2,file.filename={overlay},encrypt.key-secret=k", "-F", "qcow2", "-b", str(target)], check=True,
    )  # fmt: skip
    domain.create_snapshot(snapshot, SnapshotFlags.DISK_ONLY | SnapshotFlags.REUSE_EXT)
    guest_writes(domain, 8, 4 * KIB, 4 * KIB)
    layers = [row["encrypted"] for row in execute(domain, "query-named-block-nodes") if row["drv"] == "qcow2"]
    assert layers == [True, True]
    domain.destroy()


@pytest.mark.parametrize(
    ("usage", "key", "error", "message"),
    [
        (
            "<usage type='ceph'><name>it</name></usage>",
            "uuid",
            InvalidArg,
            "is of type 'ceph' not expected 'volume' type",
        ),
        ("<usage type='volume'><volume>/it</volume></usage>", "usage='other'", NoSecret, "matching usage 'other'"),
        (None, "uuid", NoSecret, "does not have a value"),
        (
            "<usage type='volume'><volume>/it</volume></usage>",
            "wrong",
            VirtError,
            "Invalid password, cannot unlock any keyslot",
        ),
    ],
)
def test_what_does_not_fit_keeps_the_guest_from_starting(connection, root, sealed, usage, key, error, message):
    if usage is None:
        secret = connection.define_secret("<secret/>")
    else:
        secret = define_secret(connection, usage, WORD if key != "wrong" else "another-word")
    disk = encrypted(disk_xml(sealed, format="raw"), key if "=" in key else f"uuid='{secret.uuid}'")
    domain = connection.define_domain(idle_xml("refused", disk))
    with pytest.raises(error, match=message):
        domain.create(PAUSED)
    assert not domain.is_active()
    assert not list((root / "run" / "qemu").glob("domain-*"))


@pytest.mark.skipif(shutil.which("swtpm") is None, reason="swtpm is not installed")
def test_a_tpms_state(connection, root):
    secret = define_secret(connection, "<usage type='vtpm'><name>it</name></usage>")
    tpm = f"<tpm model='tpm-crb'><backend type='emulator'><encryption secret='{secret.uuid}'/></backend></tpm>"
    domain = connection.create_domain(idle_xml("tpm", tpm), PAUSED)
    assert WORD.encode() not in command_lines(root)
    assert f"<encryption secret='{secret.uuid}'/>" in domain.xml()
    domain.destroy()


def test_the_key_of_a_certificate(root, tmp_path):
    pki = tmp_path / "pki"
    authority = Authority(pki, "Test CA")
    plain = tmp_path / "plain.pem"
    authority.issue(pki / "server-cert.pem", plain, "/CN=localhost")
    done = subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", str(plain), "-out", str(pki / "server-key.pem"), "-passout", "stdin"],
        input=WORD, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plain.unlink()
    pki.joinpath("ca-cert.pem").write_bytes(authority.certificate.read_bytes())
    with virtcore.connect(f"secret:///embed?root={root}") as secrets:
        secret = define_secret(secrets, "<usage type='tls'><name>vnc</name></usage>")
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc" / "qemu.conf").write_text(
            f'vnc_tls = 1\nvnc_tls_x509_cert_dir = "{pki}"\nvnc_tls_x509_secret_uuid = "{secret.uuid}"\n'
        )
    display = "<graphics type='vnc' autoport='yes' listen='127.0.0.1'/><video><model type='vga'/></video>"
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.create_domain(idle_xml("vnc", display), PAUSED)
        assert execute(domain, "query-vnc")["auth"] == "vencrypt+x509+none"
        assert WORD.encode() not in command_lines(root)
        domain.destroy()
        connection.lookup_secret(uuid=secret.uuid).set_value(b"not the one")
        with pytest.raises(VirtError, match=r"server-key\.pem"):
            connection.create_domain(idle_xml("vnc", display), PAUSED)


@pytest.mark.parametrize(
    ("protocol", "usage", "auth", "option"),
    [
        ("iscsi", "<usage type='iscsi'><target>it</target></usage>", "chap", "password-secret"),
        ("rbd", "<usage type='ceph'><name>it</name></usage>", "ceph", "key-secret"),
        ("https", "<usage type='iscsi'><target>it</target></usage>", "", "password-secret"),
    ],
)
def test_servers_of_images_are_told_by_reference(connection, root, protocol, usage, auth, option):
    secret = define_secret(connection, usage)
    kind = "ceph" if protocol == "rbd" else "iscsi"
    attribute = f" type='{auth}'" if auth else ""
    name = {"iscsi": "iqn.2026-11.example:it/0", "rbd": "pool/it", "https": "it.iso"}[protocol]
    disk = (
        f"<disk type='network' device='disk'><driver type='raw'/><source protocol='{protocol}' name='{name}'>"
        f"<host name='127.0.0.1' port='1'/><auth{attribute} username='me'>"
        f"<secret type='{kind}' uuid='{secret.uuid}'/></auth></source><target dev='vda' bus='virtio'/></disk>"
    )
    with pytest.raises(VirtError):  # nobody listens there
        connection.create_domain(idle_xml("remote", disk), PAUSED)
    log = (root / "log" / "qemu" / "remote.log").read_text()
    assert f'"{option}":"libvirt-1-storage-auth-secret0"' in log
    assert '"qom-type":"secret","id":"libvirt-1-storage-auth-secret0"' in log
