"""The program virtcored: its folder, sockets, signals."""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import virtcore
from support import eventually, listens
from virtcore.errors import OperationDenied, VirtError


@contextmanager
def daemon(root: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running virtcored, ended if it has not ended itself."""
    with (root.parent / f"{root.name}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", str(root), *arguments], stderr=log)
    try:
        admin = root / "run" / "libvirt-admin-sock"  # the last one to listen
        eventually(lambda: process.poll() is not None or listens(admin))
        yield process
    finally:
        process.kill()
        process.wait()


def end(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def where(root: Path, name: str = "libvirt-sock") -> str:
    return f"test+unix:///default?socket={root / 'run' / name}"


def test_everything_lies_below_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with daemon(root) as process:
        run = root / "run"
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in run.iterdir() if path.is_socket()}
        assert modes == {"libvirt-sock": 0o700, "libvirt-sock-ro": 0o777, "libvirt-admin-sock": 0o700}
        log = root / "log" / "virtcored.log"
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        assert f"serving below {root}" in log.read_text()
        assert (run / "virtcored.pid").read_text() == f"{process.pid}\n"
        with virtcore.connect(where(root)) as connection:
            assert connection.type() == "TEST"
            connection.define_domain(
                "<domain type='test'><name>seen</name><memory>1</memory><os><type>hvm</type></os></domain>"
            )
            with virtcore.connect(where(root)) as other:
                assert {domain.name for domain in other.list_domains()} == {"test", "seen"}, "all clients share it"
        with virtcore.connect(where(root)) as connection:
            assert [domain.name for domain in connection.list_domains()] == ["test"], "the last client took it along"
        with virtcore.connect(where(root, "libvirt-sock-ro")) as connection, pytest.raises(OperationDenied):
            connection.lookup_domain("test").destroy()
        assert end(process) == 0
        assert not any(path.is_socket() for path in run.iterdir())


def test_one_daemon_a_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with daemon(root) as first:
        second = subprocess.run(
            [sys.executable, "-m", "virt_remote", "--root", str(root)], capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert f"served by process {first.pid} already" in second.stderr
        first.kill()
        first.wait()
    with daemon(root) as after_a_kill, virtcore.connect(where(root)) as connection:
        assert after_a_kill.poll() is None
        assert connection.type() == "TEST"


def test_a_root_too_long_for_sockets(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "virt_remote", "--root", str(tmp_path / ("x" * 100))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "is too long" in done.stderr


def test_clients_are_told_of_the_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with daemon(root) as process:
        connection = virtcore.connect(where(root))
        assert connection.is_alive()
        assert end(process) == 0
        assert "are left" not in (root / "log" / "virtcored.log").read_text()
        with pytest.raises(VirtError):
            connection.hostname()
        assert not connection.is_alive()
        connection.close()


def test_it_connects_to_no_other_daemon(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with daemon(root) as process:
        for name in ("test+tcp://localhost/default", "remote:///", "test+unix:///default"):
            with pytest.raises(VirtError, match="no connection driver available for"):
                virtcore.connect(f"{where(root)}&name={name}")
        assert end(process) == 0


def test_a_client_that_never_reads_delays_nobody(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with daemon(root) as process:
        version = struct.pack(">IIIiiIi", 28, 0x20008086, 1, 157, 0, 9, 0)
        opening = struct.pack(">IIIiiIi", 36 + 16, 0x20008086, 1, 1, 0, 8, 0)
        opening += struct.pack(">II", 1, 12) + b"test:///default"[:12] + struct.pack(">I", 0)
        with socket.socket(socket.AF_UNIX) as deaf, virtcore.connect(where(root)) as connection:
            deaf.connect(str(root / "run" / "libvirt-sock"))
            deaf.sendall(opening)
            deaf.settimeout(0.5)
            with pytest.raises(TimeoutError):  # the daemon stops reading, as nobody takes its replies
                deaf.sendall(version * 1_000_000)
            began = time.monotonic()
            for _ in range(200):
                connection.lib_version()
            assert time.monotonic() - began < 30, "as long as the one that reads nothing stays, so do they"
        assert end(process) == 0


def test_garbage_and_clients_that_go(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with daemon(root) as process:
        path = str(root / "run" / "libvirt-sock")
        for data in (b"", b"\0", b"GET / HTTP/1.0\r\n\r\n", os.urandom(4000), struct.pack(">I", 33554436) + bytes(100)):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.settimeout(60)
                try:
                    client.sendall(data)
                except OSError:
                    pass  # it hung up on us already
        with virtcore.connect(where(root)) as connection:
            assert connection.type() == "TEST"
        assert end(process) == 0
