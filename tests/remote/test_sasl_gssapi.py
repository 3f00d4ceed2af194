"""SASL's mechanism GSSAPI, with a Kerberos of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import virtcore
from support import free_port
from virt_remote.sasl import SaslError, client_mechanism, server_mechanism, usable_mechanisms
from virt_remote.sasl_gssapi import is_available
from virtcore.errors import AuthFailed

TOOLS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")


class Realm:
    """A realm TEST with a user fred, who has a ticket, and the keys of libvirt/localhost."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        (folder / "krb5.conf").write_text(
            f"[libdefaults]\n default_realm = TEST\n rdns = false\n dns_canonicalize_hostname = false\n"
            f" dns_lookup_kdc = false\n[realms]\n TEST = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
            "[domain_realm]\n localhost = TEST\n"
        )
        (folder / "kdc.conf").write_text(
            f"[kdcdefaults]\n kdc_ports = {port}\n kdc_tcp_ports = {port}\n[realms]\n TEST = {{\n"
            f"  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n  max_life = 1h\n }}\n"
        )
        self.keytab = folder / "krb5.tab"
        self.environment = {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5CCNAME": f"FILE:{folder}/tickets",
        }
        self.run("kdb5_util", "create", "-s", "-P", "master", "-r", "TEST")
        self.run("kadmin.local", "addprinc", "-pw", "secret", "fred")
        self.run("kadmin.local", "addprinc", "-randkey", "libvirt/localhost")
        self.run("kadmin.local", "ktadd", "-k", str(self.keytab), "libvirt/localhost")
        self.server = subprocess.Popen(["krb5kdc", "-n"], env={**os.environ, **self.environment})
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        self.run("kinit", "fred", text="secret\n")

    def run(self, *words: str, text: str = "") -> None:
        environment = {**os.environ, **self.environment}
        done = subprocess.run(words, env=environment, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    if not is_available():
        pytest.skip("the library is not installed (pip install virt-remote[gssapi])")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if any(shutil.which(tool) is None for tool in TOOLS):
        pytest.skip("no Kerberos is installed (Debian: krb5-kdc krb5-admin-server krb5-user)")
    found = Realm(tmp_path_factory.mktemp("krb5"))
    try:
        yield found
    finally:
        found.server.kill()
        found.server.wait()


@pytest.fixture(autouse=True)
def ticket(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in realm.environment.items():
        monkeypatch.setenv(name, value)


def exchange(realm: Realm, ssf: int) -> tuple[Any, Any]:
    client = client_mechanism("GSSAPI", "", "", "localhost", ssf)
    server = server_mechanism("GSSAPI", None, ssf, realm.keytab)  # type: ignore[arg-type]
    said = client.start()
    for _ in range(10):
        answer = server.step(said)
        if server.complete:
            break
        said = client.step(answer)
    assert client.complete
    assert server.complete
    return client, server


@pytest.mark.parametrize("ssf", [0, 1, 56, 112])
def test_both_ends_agree_on_who_and_on_protection(realm: Realm, ssf: int) -> None:
    client, server = exchange(realm, ssf)
    assert server.user == "fred@TEST"
    assert client.layer.ssf == server.layer.ssf == 256
    for text in (b"a", b"x" * 200_000, b""):
        sealed = client.layer.wrap(text)
        assert text == b"" or text not in sealed
        got = b"".join(server.layer.unwrap(sealed[at : at + 7000]) for at in range(0, len(sealed), 7000))
        assert got == text
    sealed = bytearray(server.layer.wrap(b"of value"))
    sealed[-1] ^= 1
    with pytest.raises(SaslError):
        client.layer.unwrap(bytes(sealed))


def test_what_is_no_message_is_refused(realm: Realm) -> None:
    for nonsense in (b"nonsense", b"\x60\x82" + b"\0" * 40, b"\xff" * 5000):
        with pytest.raises(SaslError):
            server_mechanism("GSSAPI", None, 112, realm.keytab).step(nonsense)  # type: ignore[arg-type]
    client = client_mechanism("GSSAPI", "", "", "localhost", 112)
    server = server_mechanism("GSSAPI", None, 112, realm.keytab)  # type: ignore[arg-type]
    answer = server.step(client.start())
    while answer is not None and not client._context.complete:  # type: ignore[attr-defined]
        answer = server.step(client.step(answer))
    choice = client._context.wrap(b"\x01\0\0\0", False).message  # type: ignore[attr-defined]  # no protection, please
    with pytest.raises(SaslError, match="no protection that was offered"):
        server.step(choice)


def test_without_a_ticket_nobody_gets_in(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", "FILE:/nonexistent/tickets")
    with pytest.raises(SaslError):
        client_mechanism("GSSAPI", "", "", "localhost", 0).start()
    assert usable_mechanisms(encrypted=False, ssf=112, kerberos=True) == ["GSSAPI", "DIGEST-MD5"]
    assert usable_mechanisms(encrypted=False, ssf=112) == ["DIGEST-MD5"]


def test_clients_come_by_tcp(realm: Realm, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    conf = (
        f'listen_tls = 0\nlisten_tcp = 1\nlisten_addr = "127.0.0.1"\ntcp_port = "{port}"\n'
        f'sasl_keytab_file = "{realm.keytab}"\nsasl_allowed_username_list = ["fred@TEST"]\n'
    )
    uri = f"test+tcp://localhost:{port}/default"
    with serve(conf, "--listen"):
        with virtcore.connect(uri) as connection:
            assert connection.is_encrypted()
            assert [domain.name for domain in connection.list_domains()] == ["test"]
            assert connection.session.driver_name == "RemoteDriver"  # the layer goes with it into the core loop
            assert len(connection.capabilities()) > 1000
        virsh = shutil.which("virsh")
        modules = list(Path("/usr/lib").glob("*/sasl2/libgssapiv2.so"))
        if virsh is not None and modules:
            done = subprocess.run([virsh, "-c", uri, "list", "--name"], capture_output=True, text=True, check=False)
            assert done.stdout.split() == ["test"], done.stderr
        monkeypatch.setenv("KRB5CCNAME", "FILE:/nonexistent/tickets")
        with pytest.raises(AuthFailed):
            virtcore.connect(f"{uri}?auth=sasl.gssapi")
