"""Disks that go with a guest to another host, and what is encrypted on the way."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from guest_image import idle_xml
from test_migration_ways import peer, peer_root  # noqa: F401  # fixtures

import virtcore
from virt_qemu.migration import address
from virtcore.enums import DomainCreateFlags, DomainJobType, DomainMigrateFlags as Flags, DomainState
from virtcore.errors import NoSecret, NoStoragePool, OperationUnsupported, VirtError

MIB = 1 << 20


def image(path: Path, form: str, size: int = 4, content: bytes = b"", backing: Path | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    command = ["qemu-img", "create", "-q", "-f", form]
    if backing is not None:
        command += ["-b", str(backing), "-F", "qcow2"]
    subprocess.run([*command, str(path), f"{size}M"], check=True)
    if content:
        raw = path.with_suffix(".content")
        raw.write_bytes(content)
        subprocess.run(["qemu-io", "-f", form, "-c", f"write -s {raw} 0 {len(content)}", str(path)], check=True,
                       capture_output=True)  # fmt: skip
        raw.unlink()
    return path


def content(path: Path, form: str, size: int) -> str:
    """A digest of the first bytes of an image, as a guest sees them."""
    out = path.with_suffix(".out")
    subprocess.run(["qemu-img", "convert", "-U", "-f", form, "-O", "raw", str(path), str(out)], check=True)
    with out.open("rb") as file:
        digest = hashlib.sha256(file.read(size)).hexdigest()
    out.unlink()
    return digest


def writable(path: Path, form: str) -> bool:
    """Whether nobody has the lock of an image."""
    command = ["qemu-io", "-f", form, "-c", "write 0 512", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "lock" in done.stderr
    return done.returncode == 0


def disk(path: Path, form: str, target: str = "vda", more: str = "") -> str:
    return (
        f"<disk type='file'><driver name='qemu' type='{form}'/><source file='{path}'/>"
        f"<target dev='{target}' bus='virtio'/>{more}</disk>"
    )


def moved_xml(domain: virtcore.Domain, *paths: tuple[Path, Path]) -> str:
    xml = domain.xml(1 | 8)
    for here, there in paths:
        assert str(here) in xml
        xml = xml.replace(str(here), str(there))
    return xml


def test_ports_that_somebody_else_took_meanwhile(connection, peer, tmp_path, monkeypatch):  # noqa: F811
    """What was free is not any more when QEMU listens there, neither for the guest nor for its disks."""
    seen, is_free = set(), address._is_free

    def was_free(port: int) -> bool:
        if port in seen:
            return is_free(port)
        seen.add(port)
        return True

    monkeypatch.setattr(address, "_is_free", was_free)
    here, there = (image(tmp_path / place / "disk", "raw", 1) for place in ("here", "there"))
    domain = connection.define_domain(idle_xml("mover", disk(here, "raw")))
    domain.create()
    parameters = {"destination_xml": moved_xml(domain, (here, there)), "migrate_uri": "tcp://127.0.0.1"}
    with ExitStack() as stack:
        for port in range(49152, 49155):
            taken = stack.enter_context(socket.socket())
            with suppress(OSError):  # it is somebody else's, then
                taken.bind(("0.0.0.0", port))
                taken.listen()
        moved = domain.migrate(peer, parameters, Flags.LIVE | Flags.NON_SHARED_DISK)
    assert moved.state().state is DomainState.RUNNING
    assert {49152, 49153} <= seen


@pytest.mark.parametrize("form", ["raw", "qcow2"])
@pytest.mark.parametrize("by", ["port", "socket"])
def test_disks_are_copied(connection, peer, tmp_path, form, by):  # noqa: F811
    data = os.urandom(MIB)
    here = image(tmp_path / "here" / "disk", form, content=data)
    there = image(tmp_path / "there" / "disk", form)
    domain = connection.define_domain(idle_xml("mover", disk(here, form)))
    domain.create()
    parameters = {"destination_xml": moved_xml(domain, (here, there)), "listen_address": "127.0.0.1"}
    if by == "socket":
        parameters["disks_uri"] = f"unix://{tmp_path}/nbd.sock"
        parameters["migrate_uri"] = f"unix://{tmp_path}/guest.sock"
        del parameters["listen_address"]
    else:
        parameters["migrate_uri"] = "tcp://127.0.0.1"
    moved = domain.migrate(peer, parameters, Flags.LIVE | Flags.NON_SHARED_DISK)
    assert moved.state().state is DomainState.RUNNING
    found = domain.job_stats(1).params
    assert found["disk_total"] >= MIB
    assert found["disk_remaining"] == 0
    assert content(there, form, MIB) == hashlib.sha256(data).hexdigest()
    # The source has let its image go, the destination holds its own.
    assert writable(here, form)
    assert not writable(there, form)
    moved.destroy()


def test_only_the_disks_that_are_named(connection, peer, tmp_path):  # noqa: F811
    first = image(tmp_path / "here" / "first", "raw", content=b"1" * MIB)
    second = image(tmp_path / "here" / "second", "raw", content=b"2" * MIB)
    new = image(tmp_path / "there" / "second", "raw")
    domain = connection.define_domain(idle_xml("mover", disk(first, "raw") + disk(second, "raw", "vdb")))
    domain.create()
    parameters = {
        "destination_xml": moved_xml(domain, (second, new)),
        "migrate_disks": ["vdb"],
        "migrate_uri": "tcp://127.0.0.1",
    }
    with pytest.raises(VirtError, match="Unsafe migration"):
        domain.migrate(peer, parameters, Flags.LIVE | Flags.NON_SHARED_DISK)
    assert domain.state().state is DomainState.RUNNING
    moved = domain.migrate(peer, parameters, Flags.LIVE | Flags.NON_SHARED_DISK | Flags.UNSAFE)
    assert new.read_bytes()[:MIB] == b"2" * MIB
    assert moved.state().state is DomainState.RUNNING


def test_what_differs_from_an_image_that_both_have(connection, peer, tmp_path):  # noqa: F811
    base = image(tmp_path / "base", "qcow2", content=b"b" * MIB)
    here = image(tmp_path / "here" / "disk", "qcow2", content=b"h" * 65536, backing=base)
    there = image(tmp_path / "there" / "disk", "qcow2", backing=base)
    domain = connection.define_domain(idle_xml("mover", disk(here, "qcow2")))
    domain.create()
    parameters = {"destination_xml": moved_xml(domain, (here, there)), "migrate_uri": "tcp://127.0.0.1"}
    flags = Flags.LIVE | Flags.NON_SHARED_INC | Flags.NON_SHARED_SYNCHRONOUS_WRITES
    moved = domain.migrate(peer, parameters, flags)
    moved.destroy()
    assert content(there, "qcow2", MIB) == hashlib.sha256(b"h" * 65536 + b"b" * (MIB - 65536)).hexdigest()
    assert there.stat().st_size < MIB  # what both have was not copied
    domain.create()
    there.unlink()
    with pytest.raises(
        OperationUnsupported, match=r"pre-creation of storage target .* for incremental storage migration"
    ):
        domain.migrate(peer, parameters, flags)
    assert domain.state().state is DomainState.RUNNING


def test_images_that_are_not_there_are_made_in_pools(connection, peer, tmp_path):  # noqa: F811
    here = image(tmp_path / "here" / "disk", "qcow2", content=b"p" * MIB)
    folder = tmp_path / "pool"
    folder.mkdir()
    there = folder / "disk"
    domain = connection.define_domain(idle_xml("mover", disk(here, "qcow2")))
    domain.create()
    parameters = {"destination_xml": moved_xml(domain, (here, there)), "migrate_uri": "tcp://127.0.0.1"}
    with pytest.raises(NoStoragePool):
        domain.migrate(peer, parameters, Flags.LIVE | Flags.NON_SHARED_DISK)
    assert domain.state().state is DomainState.RUNNING
    pool = peer.create_storage_pool(f"<pool type='dir'><name>p</name><target><path>{folder}</path></target></pool>")
    moved = domain.migrate(peer, parameters, Flags.LIVE | Flags.NON_SHARED_DISK)
    moved.destroy()
    assert content(there, "qcow2", MIB) == hashlib.sha256(b"p" * MIB).hexdigest()
    # A volume by name, of pools that both have.
    pool.lookup_volume("disk").delete()
    mine = f"<pool type='dir'><name>p</name><target><path>{here.parent}</path></target></pool>"
    connection.create_storage_pool(mine)
    domain.undefine()
    volume = disk(here, "qcow2").replace("type='file'", "type='volume'")
    volume = volume.replace(f"file='{here}'", "pool='p' volume='disk'")
    domain = connection.define_domain(idle_xml("mover", volume))
    domain.create()
    moved = domain.migrate(peer, {"migrate_uri": "tcp://127.0.0.1"}, Flags.LIVE | Flags.NON_SHARED_DISK)
    assert "<source pool='p' volume='disk'" in moved.xml()
    moved.destroy()
    assert content(there, "qcow2", MIB) == hashlib.sha256(b"p" * MIB).hexdigest()


def test_a_copy_that_cannot_be_written_leaves_the_guest_here(connection, peer, tmp_path):  # noqa: F811
    here = image(tmp_path / "here" / "disk", "raw", content=b"x" * MIB)
    there = image(tmp_path / "there" / "disk", "raw", size=2)  # too small
    domain = connection.define_domain(idle_xml("mover", disk(here, "raw")))
    domain.create()
    parameters = {"destination_xml": moved_xml(domain, (here, there)), "migrate_uri": "tcp://127.0.0.1"}
    with pytest.raises(VirtError):
        domain.migrate(peer, parameters, Flags.LIVE | Flags.NON_SHARED_DISK)
    assert domain.state().state is DomainState.RUNNING
    assert domain.job_stats().type is DomainJobType.NONE
    assert peer.list_domains() == []
    image(there, "raw")
    moved = domain.migrate(peer, parameters, Flags.LIVE | Flags.NON_SHARED_DISK)
    assert moved.state().state is DomainState.RUNNING
    assert there.read_bytes()[:MIB] == b"x" * MIB


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    """Certificates of a host called 127.0.0.1, as QEMU wants them."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path / "pki"
    folder.mkdir()

    def run(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ca", "-keyout", "ca-key.pem",
        "-out", "ca-cert.pem")  # fmt: skip
    for who in ("server", "client"):
        run("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", f"{who}-key.pem", "-out", "r")
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:host.example\nbasicConstraints=CA:FALSE\n")
        run("x509", "-req", "-in", "r", "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
            "-extfile", "ext", "-out", f"{who}-cert.pem")  # fmt: skip
    return folder


def test_keys_that_a_secret_opens(root, peer_root, tmp_path, certified):  # noqa: F811
    for who in ("server", "client"):
        key = certified / f"{who}-key.pem"
        how = ("-topk8", "-v2", "aes-256-cbc", "-passout", "pass:open sesame")
        subprocess.run(["openssl", "pkcs8", *how, "-in", key, "-out", certified / "locked"], check=True)
        (certified / "locked").replace(key)
    uuid = "7a3a1ab5-6b79-4f5d-9b2e-3f0f0a3c1d11"
    for each in (root, peer_root):
        (each / "etc").mkdir()
        settings = f'migrate_tls_x509_cert_dir = "{certified}"\nmigrate_tls_x509_secret_uuid = "{uuid}"\n'
        settings += f'default_tls_x509_secret_uuid = "{uuid}"\n'  # for displays, which have no TLS
        (each / "etc" / "qemu.conf").write_text(settings)
    with (
        virtcore.connect(f"qemu:///embed?root={root}") as connection,
        virtcore.connect(f"qemu:///embed?root={peer_root}") as other,
    ):
        domain = connection.create_domain(idle_xml("mover"), DomainCreateFlags.START_PAUSED)
        to = {"migrate_uri": "tcp://127.0.0.1"}
        with pytest.raises(NoSecret):
            domain.migrate(other, to, Flags.LIVE | Flags.TLS)
        told = f"<secret private='yes'><uuid>{uuid}</uuid><usage type='tls'><name>migration</name></usage></secret>"
        for each in (connection, other):
            each.define_secret(told).set_value(b"open sesame")
        moved = domain.migrate(other, to, Flags.LIVE | Flags.TLS)
        assert moved.state().state is DomainState.PAUSED
        objects = moved.qemu_monitor_command('{"execute": "qom-list", "arguments": {"path": "/objects"}}')
        assert "libvirt_migrate" not in objects
        moved.destroy()


def test_encrypted_on_the_way(root, peer_root, tmp_path, certified):  # noqa: F811
    for each in (root, peer_root):
        (each / "etc").mkdir()
        (each / "etc" / "qemu.conf").write_text(f'migrate_tls_x509_cert_dir = "{certified}"\nmigrate_tls_force = 1\n')
    here = image(tmp_path / "here" / "disk", "raw", content=b"t" * MIB)
    there = image(tmp_path / "there" / "disk", "raw")
    with (
        virtcore.connect(f"qemu:///embed?root={root}") as connection,
        virtcore.connect(f"qemu:///embed?root={peer_root}") as other,
    ):
        domain = connection.define_domain(idle_xml("mover", disk(here, "raw")))
        domain.create()
        parameters = {"destination_xml": moved_xml(domain, (here, there)), "migrate_uri": "tcp://127.0.0.1"}
        with pytest.raises(VirtError, match="allows migration only with VIR_MIGRATE_TLS flag"):
            domain.migrate(other, parameters, Flags.LIVE | Flags.NON_SHARED_DISK)
        with pytest.raises(VirtError):
            domain.migrate(
                other, parameters | {"tls.destination": "wrong.example"}, Flags.LIVE | Flags.TLS | Flags.UNSAFE
            )
        assert domain.state().state is DomainState.RUNNING
        assert other.list_domains() == []
        moved = domain.migrate(other, parameters, Flags.LIVE | Flags.TLS | Flags.NON_SHARED_DISK)
        assert moved.state().state is DomainState.RUNNING
        assert there.read_bytes()[:MIB] == b"t" * MIB
        back = moved.migrate(
            connection, {"migrate_uri": "tcp://127.0.0.1"}, Flags.LIVE | Flags.TLS | Flags.PARALLEL | Flags.UNSAFE
        )
        assert back.state().state is DomainState.RUNNING
        back.destroy()
