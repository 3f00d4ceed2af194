"""Images on servers that are reached encrypted: what the settings say, and what the guest's QEMU has."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from block_guest import KIB, execute, guest_writes, make_image, run
from guest_image import idle_xml

import virtcore
from certificates import Authority
from support import eventually, free_port
from virtcore.enums import DomainCreateFlags
from virtcore.errors import ConfigUnsupported, InternalError, NoSecret


def _disk(port: int, target: str = "vda", tls: str = "") -> str:
    bus = "scsi" if target.startswith("sd") else "virtio"  # from which a guest without a system lets disks go
    source = f"<source protocol='nbd' name='x'{tls}><host name='127.0.0.1' port='{port}'/></source>"
    return (
        f"<disk type='network' device='disk'><driver name='qemu' type='raw'/>{source}"
        f"<target dev='{target}' bus='{bus}'/></disk>"
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """Certificates as QEMU looks for them; the client's key is locked."""
    authority, folder = Authority(tmp_path / "authority"), tmp_path / "pki"
    for end in ("server", "client"):
        authority.issue(folder / f"{end}-cert.pem", folder / f"{end}-key.pem", f"/C=GB/O=Example/CN={end}")
    shutil.copy(authority.certificate, folder / "ca-cert.pem")
    locked = folder / "client-key.pem"
    how = "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:open sesame"
    run("openssl", "pkcs8", *how, "-in", locked, "-out", f"{locked}.new")
    Path(f"{locked}.new").replace(locked)
    return folder


@pytest.fixture
def server(pki: Path, tmp_path: Path) -> Iterator[int]:
    """An NBD server that lets in whoever has a certificate; its port."""
    image = make_image(tmp_path / "served.img", format="raw")
    port = free_port()
    key = f"tls-creds-x509,id=t,endpoint=server,verify-peer=on,dir={pki}"
    command = ["qemu-nbd", "--object", key, "--tls-creds", "t", "-x", "x", "-f", "raw", "-t", "-e", "4"]
    process = subprocess.Popen([*command, "-b", "127.0.0.1", "-p", str(port), str(image)])
    try:
        eventually(lambda: _listens(port))
        yield port
    finally:
        process.kill()
        process.wait()


def test_by_the_hosts_settings(root: Path, pki: Path, server: int) -> None:
    """Where nothing is said, images are reached as qemu.conf says; the secret of the locked key is the host's."""
    uuid = "7a3a1ab5-6b79-4f5d-9b2e-3f0f0a3c1d11"
    (root / "etc").mkdir(exist_ok=True)
    settings = f'nbd_tls = 1\nnbd_tls_x509_cert_dir = "{pki}"\nnbd_tls_x509_secret_uuid = "{uuid}"\n'
    (root / "etc" / "qemu.conf").write_text(settings)
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.define_domain(
            idle_xml("sealed", "<controller type='scsi' model='virtio-scsi'/>", _disk(server))
        )
        with pytest.raises(NoSecret):
            domain.create(DomainCreateFlags.START_PAUSED)
        told = f"<secret private='yes'><uuid>{uuid}</uuid><usage type='tls'><name>nbd</name></usage></secret>"
        connection.define_secret(told).set_value(b"open sesame")
        domain.create(DomainCreateFlags.START_PAUSED)
        guest_writes(domain, 7, 0, 4 * KIB)
        assert "<source protocol='nbd' name='x' tls='yes' index='1'>" in domain.xml()
        assert "tls=" not in domain.xml(8) + domain.xml(2)  # for an older peer, and the definition

        objects = str(execute(domain, "qom-list", {"path": "/objects"}))
        assert "'objlibvirt-1-storage_tls0'" in objects
        assert "'libvirt-1-storage-secret0'" in objects
        with pytest.raises(InternalError, match=r"unable to execute QEMU command 'blockdev-add'.*"):
            domain.attach_device(_disk(server, "sda", " tls='no'"))  # the server wants it
        domain.attach_device(_disk(server, "sda"))
        assert "'objlibvirt-3-storage_tls0'" in str(execute(domain, "qom-list", {"path": "/objects"}))
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:  # whoever finds the guest knows its objects
        domain = connection.lookup_domain("sealed")
        domain.detach_device(_disk(server, "sda"))
        eventually(lambda: "sda" not in domain.xml())
        assert str(execute(domain, "qom-list", {"path": "/objects"})) == objects
        domain.destroy()


def test_of_what_cannot_have_it(connection: virtcore.Connection) -> None:
    source = "<source protocol='iscsi' name='iqn.x/1' tls='yes'><host name='127.0.0.1' port='3260'/></source>"
    disk = f"<disk type='network'><driver name='qemu' type='raw'/>{source}<target dev='vda' bus='virtio'/></disk>"
    domain = connection.define_domain(idle_xml("open", disk))
    with pytest.raises(ConfigUnsupported, match="TLS transport is not supported for disk protocol 'iscsi'"):
        domain.create()
