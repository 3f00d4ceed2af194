"""The real virsh over TCP and TLS, with SASL and certificates, on virtcored."""

from __future__ import annotations

import grp
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority
from compat.conftest import wait_for_socket
from support import eventually, free_port


class Served:
    """A virtcored that listens."""

    def __init__(self, root: Path, tcp: int, tls: int) -> None:
        self.root = root
        self.tcp = tcp
        self.tls = tls

    @property
    def log(self) -> str:
        return (self.root / "log" / "virtcored.log").read_text()


@contextmanager
def served(root: Path, conf: str, *users: tuple[str, str]) -> Iterator[Served]:
    """A virtcored with settings and users."""
    tcp, tls = free_port(), free_port()
    (root / "etc").mkdir(parents=True, exist_ok=True)
    (root / "etc" / "virtcored.conf").write_text(
        f'listen_addr = "127.0.0.1"\ntcp_port = "{tcp}"\ntls_port = "{tls}"\nlog_level = 1\n{conf}\n'
    )
    for user, password in users:
        command = [sys.executable, "-m", "virt_remote.server.users", "--root", str(root), "--digest", user]
        subprocess.run(command, input=password + "\n", text=True, check=True)
    with (root / "stderr").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", str(root), "--listen"], stderr=log)
    try:
        wait_for_socket(root / "run" / "libvirt-admin-sock", process)
        yield Served(root, tcp, tls)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in (root / "stderr").read_text()


def auth_file(folder: Path, user: str, password: str) -> Path:
    path = folder / f"auth-{user}-{len(password)}"
    path.write_text(
        f"[credentials-test]\nauthname={user}\nusername={user}\npassword={password}\n"
        "[auth-libvirt-localhost]\ncredentials=test\n[auth-libvirt-127.0.0.1]\ncredentials=test\n"
    )
    return path


PASSWORD = "a very secret password"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def test_tcp_with_sasl(virsh: Any, tmp_path: Path) -> None:
    with served(tmp_path / "r", "listen_tls = 0\nlisten_tcp = 1", ("fred", PASSWORD)) as daemon:
        where = f"test+tcp://127.0.0.1:{daemon.tcp}/default?authfile="
        good = auth_file(tmp_path, "fred", PASSWORD)
        assert "test" in virsh(f"{where}{good}", "list", "--name").stdout
        assert "<domain" in virsh(f"{where}{good}", "dumpxml", "test").stdout, "what follows is encrypted"
        for wrong in (auth_file(tmp_path, "fred", "wrong"), auth_file(tmp_path, "eve", PASSWORD)):
            refused = virsh(f"{where}{wrong}", "list", check=False)
            assert refused.returncode != 0
            assert "authentication failed" in refused.stderr
        assert PASSWORD not in daemon.log
        assert "user fred" in daemon.log


def test_tls_with_certificates(virsh: Any, tmp_path: Path, authority: Authority) -> None:
    root = tmp_path / "r"
    authority.server(root / "etc" / "pki")
    mine = authority.client(tmp_path / "mine")
    other = authority.client(tmp_path / "other", "/C=GB/O=Example/CN=stranger")
    expired = authority.client(tmp_path / "expired", days=-1)
    foreign = Authority(tmp_path / "foreign-ca").client(tmp_path / "foreign")
    (foreign / "cacert.pem").write_bytes(authority.certificate.read_bytes())
    with served(root, 'tls_allowed_dn_list = [ "C=GB,O=Example,CN=lap*" ]') as daemon:
        where = f"test+tls://localhost:{daemon.tls}/default?pkipath="
        assert "test" in virsh(f"{where}{mine}", "list", "--name").stdout
        assert "Client's Distinguished Name" not in daemon.log
        for refused in (other, expired, foreign):
            assert virsh(f"{where}{refused}&no_sanity=1", "list", check=False).returncode != 0
        assert "(tls_allowed_dn_list): C=GB,O=Example,CN=stranger" in daemon.log
        assert "test" in virsh(f"{where}{mine}", "list", "--name").stdout, "the daemon goes on"


def test_tls_with_sasl(virsh: Any, tmp_path: Path, authority: Authority) -> None:
    root = tmp_path / "r"
    authority.server(root / "etc" / "pki")
    mine = authority.client(tmp_path / "mine")
    conf = 'auth_tls = "sasl"\nsasl_allowed_username_list = [ "fre*" ]'
    with served(root, conf, ("fred", PASSWORD), ("eve", PASSWORD)) as daemon:
        where = f"test+tls://localhost:{daemon.tls}/default?pkipath={mine}&authfile="
        good = auth_file(tmp_path, "fred", PASSWORD)
        for mechanism in ("", "&auth=sasl.SCRAM-SHA-256", "&auth=sasl.PLAIN", "&auth=sasl.DIGEST-MD5"):
            done = virsh(f"{where}{good}{mechanism}", "list", "--name", check=False)
            assert done.returncode == 0, (mechanism, done.stderr, daemon.log)
        assert virsh(f"{where}{auth_file(tmp_path, 'eve', PASSWORD)}", "list", check=False).returncode != 0
        assert virsh(f"{where}{auth_file(tmp_path, 'fred', 'no')}", "list", check=False).returncode != 0
        assert PASSWORD not in daemon.log


def test_a_policy(virsh: Any, tmp_path: Path) -> None:
    root = tmp_path / "r"
    (root / "etc").mkdir(parents=True)
    policy = root / "etc" / "access.toml"
    policy.write_text('default = "deny"\n[[rule]]\nallow = ["connect:*", "domain:getattr", "domain:read"]\n')
    with served(root, 'listen_tls = 0\naccess_drivers = [ "policy" ]') as daemon:
        where = f"test+unix:///default?socket={root / 'run' / 'libvirt-sock'}"
        assert "test" in virsh(where, "list", "--name").stdout
        assert "<domain" in virsh(where, "dumpxml", "test").stdout
        for command in (["dumpxml", "--security-info", "test"], ["destroy", "test"], ["suspend", "test"]):
            refused = virsh(where, *command, check=False)
            assert "error: access denied" in refused.stderr, command
        policy.write_text('[[rule]]\ndeny = ["domain:getattr"]\n')
        os.kill(int((root / "run" / "virtcored.pid").read_text()), signal.SIGHUP)
        eventually(lambda: "were read anew" in daemon.log)
        assert virsh(where, "list", "--name").stdout.strip() == "", "what may not be seen is not listed"
        assert virsh(where, "dominfo", "test", check=False).stderr.strip() == "error: failed to get domain 'test'"


def test_groups_and_modes(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a socket to a group")
    group = next(one for one in grp.getgrall() if one.gr_gid not in (0, os.getegid()))
    conf = (
        f'listen_tls = 0\nunix_sock_group = "{group.gr_name}"\nunix_sock_rw_perms = "0770"\nunix_sock_ro_perms = "0774"'
    )
    with served(tmp_path / "r", conf) as daemon:
        for name, mode in (("libvirt-sock", 0o770), ("libvirt-sock-ro", 0o774)):
            facts = (daemon.root / "run" / name).stat()
            assert (stat.S_IMODE(facts.st_mode), facts.st_gid) == (mode, group.gr_gid)
