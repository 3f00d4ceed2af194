"""What is opened on the host for a guest, its log, its console streams. Needs no QEMU."""

from __future__ import annotations

import asyncio
import os
import stat
import tty

import pytest

from virt_qemu.console import open_socket, open_terminal
from virt_qemu.guest import state_folder
from virt_qemu.log import GuestLog
from virt_qemu.resources import HostResources, bind_socket, connect_socket
from virtcore.errors import OperationFailed, SystemError


def test_sockets_in_folders_deeper_than_the_kernel_allows(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    path = str(deep / "monitor.sock")
    with bind_socket(path) as listening, connect_socket(path) as ours:
        theirs, _ = listening.accept()
        with theirs:
            theirs.sendall(b"here")
            assert ours.recv(10) == b"here"
    with bind_socket(path):  # the stale one is replaced
        pass
    with pytest.raises(SystemError, match="Unable to bind to UNIX socket path"):
        bind_socket(str(tmp_path / "none" / "socket"))
    (tmp_path / "image").write_text("precious")
    with pytest.raises(SystemError, match="image': Address already in use"):
        bind_socket(str(tmp_path / "image"))
    assert (tmp_path / "image").read_text() == "precious"


def test_descriptors_are_numbered_and_closed(tmp_path):
    out = tmp_path / "out"
    out.write_text("before")
    with HostResources() as resources:
        assert resources.listen(str(tmp_path / "socket")) == 3
        assert resources.output(str(out), append=True) == 4
        assert resources.log(str(tmp_path / "log"), append=False) == 5
        descriptors = list(resources.fds.values())
        os.write(resources.fds[4], b" after")
        assert not resources.is_cdrom(str(out))
    assert out.read_text() == "before after"
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) & 0o077 == 0
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    with HostResources() as resources, pytest.raises(SystemError, match=r"Unable to open file: .*none"):
        resources.output(str(tmp_path / "none" / "x"), append=False)


def test_a_pipe_that_nobody_reads_holds_up_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with HostResources() as resources, pytest.raises(SystemError, match="pipe: No such device or address"):
        resources.output(str(tmp_path / "pipe"), append=True)


def test_the_log_says_what_was_started_and_why_it_ended(tmp_path):
    log = GuestLog(tmp_path, "../a b")
    assert log.path.parent == tmp_path
    descriptor = log.open()
    try:
        log.started(descriptor, "qemu version: 9.0.0", {"LC_ALL": "C"}, ["/bin/qemu", "-S", "-name", "guest=a b"])
        os.write(descriptor, b"char device redirected to /dev/pts/1 (label charserial0)\nqemu: no such disk\n")
    finally:
        os.close(descriptor)
    assert log.output() == "qemu: no such disk"
    log.ended("crashed")
    text = log.path.read_text()
    assert "LC_ALL=C \\\n/bin/qemu \\\n-S \\\n-name 'guest=a b'\n" in text
    assert text.rstrip().endswith("shutting down, reason=crashed")


@pytest.mark.parametrize("name", ["plain", "a/b", "..", "x" * 5000, "ü\n"])
def test_folders_of_guests_are_one_safe_name(tmp_path, name):
    folder = state_folder(tmp_path, 7, name)
    assert folder.parent == tmp_path
    assert folder.name.startswith("domain-7-")
    assert len(folder.name) < 40


def test_a_terminal_carries_bytes_both_ways_and_ends_with_the_guest():
    async def test() -> None:
        guest, host = os.openpty()
        tty.setraw(guest)
        path = os.ttyname(host)
        closed = []
        stream = open_terminal(path, lambda: closed.append(True))
        os.close(host)
        reading = asyncio.create_task(stream.read(100))
        await asyncio.sleep(0.01)
        os.write(guest, b"boot\r\n")
        assert await reading == b"boot\r\n"
        await stream.write(b"\x03 input")
        assert os.read(guest, 100) == b"\x03 input"
        os.close(guest)
        assert await stream.read(100) == b""
        await stream.finish()
        assert closed == [True]
        await stream.abort()
        with pytest.raises(SystemError, match="Unable to open stream for '/nowhere'"):
            open_terminal("/nowhere", lambda: None)

    asyncio.run(test())


def test_aborting_wakes_the_reader(tmp_path):
    async def test() -> None:
        path = str(tmp_path / "socket")
        with bind_socket(path) as listening:
            stream = open_socket(path, lambda: None)
            theirs, _ = listening.accept()
            with theirs:
                reading = asyncio.create_task(stream.read(100))
                await asyncio.sleep(0.01)
                await stream.abort()
                with pytest.raises(OperationFailed, match="aborted"):
                    await reading
                with pytest.raises(OperationFailed):
                    await stream.write(b"x")

    asyncio.run(test())
