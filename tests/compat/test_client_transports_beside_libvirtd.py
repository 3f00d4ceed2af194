"""Our client by TLS against the real libvirtd, whose TLS is GnuTLS's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import virtcore
from compat.conftest import wait_for_socket
from support import SHARED, eventually, free_port, serves
from virtcore.errors import RPC


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A private libvirtd that listens for TLS; gives the folder of certificates and the port."""
    script = SHARED / "bench" / "libvirtd_private.py"
    if not script.is_file() or os.geteuid() != 0 or shutil.which("openssl") is None:
        pytest.skip("a private libvirtd with TLS needs root, openssl and the script that starts it")
    if shutil.which("libvirtd", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        pytest.skip("libvirtd is not installed (Debian: libvirt-daemon-system)")
    folder, pki = tmp_path_factory.mktemp("l"), tmp_path_factory.mktemp("p")
    made = ["-keyout", f"{pki}/cakey.pem", "-out", f"{pki}/cacert.pem", "-subj", "/CN=authority", "-days", "2"]
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *made, "-addext", "keyUsage=critical,keyCertSign")
    for name, more in (("server", "subjectAltName=DNS:localhost"), ("client", "extendedKeyUsage=clientAuth")):
        key = ["-keyout", f"{pki}/{name}key.pem", "-subj", "/CN=localhost", "-out", f"{pki}/{name}.csr"]
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", *key)
        (pki / "ext").write_text(f"basicConstraints=CA:FALSE\n{more}\n")
        signer = ["-CA", f"{pki}/cacert.pem", "-CAkey", f"{pki}/cakey.pem", "-CAcreateserial", "-days", "2"]
        out = ["-extfile", f"{pki}/ext", "-out", f"{pki}/{name}cert.pem"]
        openssl("x509", "-req", "-in", f"{pki}/{name}.csr", *signer, *out)
    port = free_port()
    for action in ("start", "stop"):  # it writes the files that are changed here
        done = subprocess.run(
            [sys.executable, str(script), action, "--dir", str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"the private libvirtd did not {action}: {done.stderr or done.stdout}")
    settings = folder / "etc" / "libvirtd.conf"
    files = f'ca_file="{pki}/cacert.pem"\ncert_file="{pki}/servercert.pem"\nkey_file="{pki}/serverkey.pem"\n'
    place = f'listen_addr="127.0.0.1"\ntls_port="{port}"\n'
    settings.write_text(settings.read_text().replace("listen_tls=0", "listen_tls=1") + files + place)
    inner = folder / "inner.sh"
    inner.write_text(inner.read_text().replace(" --config", " --listen --config"))
    process = subprocess.Popen(["sh", str(folder / "run.sh")], stderr=subprocess.DEVNULL)
    try:
        wait_for_socket(folder / "sock" / "libvirt-sock", process)
        eventually(lambda: serves(port))  # it listens there a little later
        yield pki, port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()


def test_tls(listening: tuple[Path, int], tmp_path: Path) -> None:
    pki, port = listening
    uri = f"test+tls://localhost:{port}/default?pkipath="
    with virtcore.connect(uri + str(pki)) as connection:
        assert connection.is_encrypted()
        assert connection.is_secure()
        (domain,) = connection.list_domains()
        with connection.events() as events:
            domain.suspend()
            assert events.get(60) is not None
    shutil.copy(pki / "cacert.pem", tmp_path)
    with pytest.raises(RPC, match="server verification"):
        virtcore.connect(uri + str(tmp_path))
