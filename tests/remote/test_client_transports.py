"""The ways to a daemon: TLS, SASL, ssh by program and by library, a program of one's own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import virtcore
from certificates import Authority
from support import eventually, free_port, listens, serves
from virt_remote.client.reach import program_link
from virtcore.driver.base import Credential
from virtcore.errors import RPC, AuthFailed, InvalidArg, SystemError, VirtError


class Daemon(NamedTuple):
    root: Path
    pki: Path
    tls: int
    tcp: int

    @property
    def socket(self) -> Path:
        return self.root / "run" / "libvirt-sock"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server's certificate and a client's."""
    folder = tmp_path_factory.mktemp("pki")
    authority = Authority(folder / "ca")
    authority.issue(folder / "servercert.pem", folder / "serverkey.pem", "/CN=localhost", names="DNS:localhost")
    return authority.client(folder)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, pki: Path) -> Iterator[Daemon]:
    """A virtcored that listens for TLS and for TCP with SASL."""
    root = tmp_path_factory.mktemp("d")
    found = Daemon(root, pki, free_port(), free_port())
    (root / "etc").mkdir()
    (root / "etc" / "virtcored.conf").write_text(
        f'listen_tls = 1\nlisten_tcp = 1\ntls_port = "{found.tls}"\ntcp_port = "{found.tcp}"\n'
        f'listen_addr = "localhost"\nca_file = "{pki}/cacert.pem"\ncert_file = "{pki}/servercert.pem"\n'
        f'key_file = "{pki}/serverkey.pem"\nauth_tcp = "sasl"\n'
    )
    subprocess.run(
        [sys.executable, "-m", "virt_remote.server.users", "--root", str(root), "--digest", "fred"],
        input=b"sesame\nsesame\n",
        check=True,
        capture_output=True,
    )
    with (root / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "virt_remote", "--root", str(root), "--listen"], stderr=log, stdout=log
        )
    try:
        eventually(lambda: process.poll() is not None or listens(root / "run" / "libvirt-admin-sock"))  # as the last
        assert process.poll() is None, (root / "log.txt").read_text()
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()


def names(uri: str, **options: object) -> list[str]:
    with virtcore.connect(uri, deadline=100, **options) as connection:  # type: ignore[arg-type]
        assert connection.is_secure() is (not uri.startswith("test+ext"))
        return [domain.name for domain in connection.list_domains()]


# -- TLS


def test_tls_with_a_folder_of_certificates(daemon: Daemon) -> None:
    uri = f"test+tls://localhost:{daemon.tls}/default?pkipath={daemon.pki}"
    with virtcore.connect(uri) as connection:
        assert connection.is_encrypted()
    assert names(uri) == ["test"]
    assert names(uri + "&tls_priority=NORMAL:-VERS-TLS1.3") == ["test"]
    assert names(uri + "&tls_priority=@LIBVIRT,SYSTEM") == ["test"]


def test_tls_trusts_only_whom_the_authority_vouches_for(daemon: Daemon, tmp_path: Path) -> None:
    here = f"test+tls://localhost:{daemon.tls}/default?pkipath="
    elsewhere = f"test+tls://127.0.0.1:{daemon.tls}/default?pkipath={daemon.pki}"
    with pytest.raises(RPC, match=r"owner does not match the hostname 127\.0\.0\.1"):
        virtcore.connect(elsewhere)
    assert names(elsewhere + "&no_verify=1") == ["test"]
    # Without a certificate of ours the daemon shuts the door after the handshake.
    shutil.copy(daemon.pki / "cacert.pem", tmp_path)
    with pytest.raises(VirtError, match=r"server verification \(of our certificate or IP address\) failed"):
        virtcore.connect(here + str(tmp_path))
    shutil.copy(Authority(tmp_path / "other", "somebody else").certificate, tmp_path)
    with pytest.raises(RPC, match="The certificate hasn't got a known issuer"):
        virtcore.connect(here + str(tmp_path))
    with pytest.raises(SystemError, match=r"Cannot read CA certificate '/nowhere/cacert\.pem': No such file"):
        virtcore.connect(here + "/nowhere")
    for priority in ("NORMAL:-VERS-ODD", "NORMAL:!VERS-ALL", "NO-SUCH-CIPHER"):
        with pytest.raises(RPC, match=f"Failed to set TLS session priority to {priority}"):
            virtcore.connect(f"{here}{daemon.pki}&tls_priority={priority}")


# -- SASL


@pytest.mark.parametrize("auth", ["", "&auth=sasl", "&auth=sasl.DIGEST-MD5"])
def test_sasl_protects_plain_tcp(daemon: Daemon, tmp_path: Path, auth: str) -> None:
    file = tmp_path / "auth.conf"
    file.write_text("[credentials-it]\nusername=fred\npassword=sesame\n[auth-libvirt-localhost]\ncredentials=it\n")
    uri = f"test+tcp://localhost:{daemon.tcp}/default?authfile={file}{auth}"
    with virtcore.connect(uri) as connection:
        assert connection.is_encrypted()
        (domain,) = connection.list_domains()
        events = connection.events()  # the core loop goes on under the same layer
        domain.suspend()
        domain.resume()
        assert events.get(60) is not None
        assert "<name>test</name>" in domain.xml()
    file.write_text(file.read_text().replace("sesame", "wrong"))
    with pytest.raises(AuthFailed) as failed:
        virtcore.connect(uri)
    assert "wrong" not in str(failed.value)


def test_the_user_is_asked_once_for_both(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    asked: list[list[Credential]] = []

    def answer(wanted: list[Credential]) -> list[str]:
        asked.append(wanted)
        return ["fred", "sesame"]

    uri = f"test+tcp://localhost:{daemon.tcp}/default"
    assert names(uri, auth=answer) == ["test"]
    assert [[(one.type, one.prompt) for one in wanted] for wanted in asked] == [
        [(2, "Please enter your authentication name"), (5, "Please enter your password")]
    ]
    with pytest.raises(AuthFailed, match="No authentication callback available"):
        virtcore.connect(uri)
    with pytest.raises(AuthFailed, match="Failed to collect auth credentials"):
        virtcore.connect(uri, auth=lambda wanted: None)
    with pytest.raises(AuthFailed, match="requested authentication type polkit rejected"):
        virtcore.connect(uri + "?auth=polkit", auth=answer)
    with pytest.raises(AuthFailed, match="SASL mechanism NTLM not supported by server"):
        virtcore.connect(uri + "?auth=sasl.NTLM", auth=answer)
    with pytest.raises(AuthFailed, match="unknown authentication type x509"):
        virtcore.connect(uri + "?auth=x509", auth=answer)


# -- ssh


class Sshd(NamedTuple):
    folder: Path
    port: int
    user: str

    def uri(self, transport: str, daemon: Daemon, more: str = "") -> str:
        who = f"{self.user}@127.0.0.1:{self.port}"
        return f"test+{transport}://{who}/default?socket={daemon.socket}&keyfile={self.folder}/key{more}"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real sshd that lets this user in with one key; programs there are those of this environment."""
    program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    folder = tmp_path_factory.mktemp("s")
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "key.pub", folder / "authorized")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\n"
        f"AllowStreamLocalForwarding yes\nSetEnv PATH={Path(sys.executable).parent}:/usr/bin:/bin\n"
    )
    process = subprocess.Popen([program, "-D", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: process.poll() is not None or serves(port))
        assert process.poll() is None
        yield Sshd(folder, port, pwd.getpwuid(os.getuid()).pw_name)
    finally:
        process.kill()
        process.wait()


def test_the_program_ssh(daemon: Daemon, sshd: Sshd, tmp_path: Path) -> None:
    relayed = sshd.uri("ssh", daemon, "&no_verify=1&no_tty=1&proxy=netcat&netcat=no-such-nc")
    assert names(relayed) == ["test"]
    # The helper finds the socket by the URI that it is given.
    helped = sshd.uri("ssh", daemon, "&no_verify=1&no_tty=1&proxy=native&name=test:///default%3Fsocket=")
    assert names(helped + str(daemon.socket)) == ["test"]


def test_the_program_ssh_tells_what_is_missing(daemon: Daemon, sshd: Sshd) -> None:
    missing = sshd.uri("ssh", daemon, "&no_verify=1&no_tty=1").replace("libvirt-sock", "no-such-sock")
    with pytest.raises(SystemError, match=r"reading data: Failed to connect socket to .*: No such file"):
        virtcore.connect(missing)
    with pytest.raises(SystemError, match=r"End of file while reading data: .*Permission denied"):
        virtcore.connect(sshd.uri("ssh", daemon, "&no_verify=1&no_tty=1").replace("/key", "/host"))
    with pytest.raises(SystemError, match="Cannot run '/no/such/ssh': No such file"):
        virtcore.connect(sshd.uri("ssh", daemon, "&command=/no/such/ssh"))
    with pytest.raises(InvalidArg, match="'-oProxyCommand=x' is not the name of a host"):
        virtcore.connect("test+ssh://-oProxyCommand=x/default")


def test_the_program_ssh_forwards_where_nothing_else_is(
    daemon: Daemon, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bare(address: object) -> str:
        return "echo 'nc is not found on the far side' >&2; exit 127"

    monkeypatch.setattr("virt_remote.client.far_side.script", bare)
    uri = sshd.uri("ssh", daemon, "&no_verify=1&no_tty=1")
    assert names(uri) == ["test"]
    with pytest.raises(SystemError, match=r"nc is not found .*; forwarding of the socket '.*/no-such-sock': .+"):
        virtcore.connect(uri.replace("libvirt-sock", "no-such-sock"))


@pytest.mark.parametrize("transport", ["libssh", "libssh2"])
def test_the_library(daemon: Daemon, sshd: Sshd, tmp_path: Path, transport: str) -> None:
    known = tmp_path / "known_hosts"
    uri = sshd.uri(transport, daemon, f"&known_hosts={known}&sshauth=privkey")
    with pytest.raises(AuthFailed, match="No authentication callback available"):
        virtcore.connect(uri)
    assert not known.exists()
    questions: list[str] = []

    def yes(wanted: list[Credential]) -> list[str]:
        questions.extend(one.prompt for one in wanted)
        return ["yes"] * len(wanted)

    assert names(uri, auth=yes) == ["test"]
    assert len(questions) == 1
    assert questions[0].startswith("Accept SSH host key with hash 'SHA256:")
    assert names(uri) == ["test"]  # the host is known by now
    row = known.read_text().split()
    known.write_text(f"{row[0]} {row[1]} {(sshd.folder / 'key.pub').read_text().split()[1]}\n")
    with pytest.raises(AuthFailed, match="HOST KEY VERIFICATION FAILED"):
        virtcore.connect(uri)
    assert names(uri + "&known_hosts_verify=ignore") == ["test"]


def test_the_library_tells_all_that_it_tried(daemon: Daemon, sshd: Sshd) -> None:
    uri = sshd.uri("libssh", daemon, "&known_hosts_verify=ignore&sshauth=privkey")
    with pytest.raises(SystemError, match=r"cannot reach the daemon on '127\.0\.0\.1'") as failed:
        virtcore.connect(uri.replace("libvirt-sock", "no-such-sock") + "&proxy=auto")
    for what in ("virt-ssh-helper: ", "forwarding of the socket ", "nc: ", "a relay in python3: "):
        assert what in str(failed.value)
    with pytest.raises(AuthFailed, match="were rejected by the server"):
        virtcore.connect(uri.replace("/key&", "/host&"))
    with pytest.raises(InvalidArg, match="Invalid authentication method: 'magic'"):
        virtcore.connect(uri.replace("sshauth=privkey", "sshauth=magic"))


def test_netcat_and_the_relay_over_the_library(daemon: Daemon, sshd: Sshd) -> None:
    uri = sshd.uri("libssh", daemon, "&known_hosts_verify=ignore&sshauth=privkey&netcat=no-such-nc")
    assert names(uri) == ["test"]


def test_only_the_request_for_a_channel_is_added_to() -> None:
    """Another thread may end its channel in the moment in which ours opens one to the socket."""
    from paramiko import Message, Transport
    from paramiko.common import cMSG_CHANNEL_EOF, cMSG_CHANNEL_OPEN

    from virt_remote.client.ssh_library import _open_streamlocal

    sent: list[bytes] = []

    class Wire(Transport):
        def __init__(self) -> None:
            pass  # no socket, no thread

        def _send_user_message(self, data: Message) -> None:
            sent.append(data.asbytes())

        def open_channel(self, kind: str, *_: object, **__: object) -> None:  # type: ignore[override]
            for first in (cMSG_CHANNEL_EOF, cMSG_CHANNEL_OPEN):
                message = Message()
                message.add_byte(first)
                self._send_user_message(message)

    wire = Wire()
    _open_streamlocal(wire, "/run/it", 1)
    assert sent == [cMSG_CHANNEL_EOF, cMSG_CHANNEL_OPEN + b"\0\0\0\7/run/it" + bytes(8)]


# -- a program of one's own


def test_a_program_of_ones_own(daemon: Daemon, tmp_path: Path) -> None:
    from virt_remote.client.far_side import RELAY

    program = tmp_path / "connect"
    (tmp_path / "relay.py").write_text(RELAY)
    program.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path}/relay.py {daemon.socket}\n")
    program.chmod(0o755)
    assert names(f"test+ext:///default?command={program}") == ["test"]
    program.write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    with pytest.raises(SystemError, match="End of file while reading data: it is broken: Input/output error"):
        virtcore.connect(f"test+ext:///default?command={program}")
    with pytest.raises(InvalidArg, match="for 'ext' transport, command is required"):
        virtcore.connect("test+ext:///default")


def test_what_a_program_leaves_behind_may_go_on_to_complain(tmp_path: Path) -> None:
    program, words = tmp_path / "connect", tmp_path / "words"
    os.mkfifo(words)
    program.write_text(f"#!/bin/sh\n(read word <{words}; echo $word >&2) &\nexec cat\n")
    program.chmod(0o755)
    link = program_link([str(program)])
    link.close()
    for thread in threading.enumerate():
        if thread.name == "virt-remote-end":
            thread.join(60)
    words.write_text("late\n")
    eventually(lambda: "reading data: late" in str(link.end_of_file()))


def test_the_helper_for_clients_over_ssh(daemon: Daemon, tmp_path: Path) -> None:
    """What sshd would run: it carries bytes between its standard streams and the socket."""
    helper = tmp_path / "helper"
    uri = f"test:///default?socket={daemon.socket}"
    helper.write_text(f"#!/bin/sh\nexec {sys.executable} -m virt_remote.ssh_helper '{uri}'\n")
    helper.chmod(0o755)
    assert names(f"test+ext:///default?command={helper}") == ["test"]
    done = subprocess.run(
        [sys.executable, "-m", "virt_remote.ssh_helper", "test:///default?socket=/no/such"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Failed to connect socket to '/no/such': No such file or directory" in done.stderr
