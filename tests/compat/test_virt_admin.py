"""The real virt-admin on virtcored, and beside libvirtd: the same words, the same layout."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Admin = Callable[..., str]


@pytest.fixture(scope="session")
def admin() -> Admin:
    """Run virt-admin on a socket; gives both outputs."""
    path = shutil.which("virt-admin")
    if path is None:
        pytest.skip("virt-admin is not installed (Debian: libvirt-clients)")

    def run(where: Path, *arguments: str) -> str:
        done = subprocess.run(
            [path, "-c", f"libvirtd:///system?socket={where}", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
        return done.stdout + done.stderr

    return run


def admin_socket(root: Path) -> Path:
    return root / "run" / "libvirt-admin-sock"


@contextmanager
def connected(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A virsh that stays connected."""
    process = subprocess.Popen(
        ["virsh", "-c", f"test+unix:///default?socket={path}"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


#: What is asked of both; ``SERVER`` is the name that each has for the server of objects.
BESIDE = [
    ("server-list",),
    ("server-threadpool-info", "SERVER"),
    ("server-threadpool-info", "admin"),
    ("server-clients-info", "SERVER"),
    ("server-threadpool-info", "nosuch"),
    ("client-list", "nosuch"),
    ("client-info", "SERVER", "77"),
    ("client-disconnect", "SERVER", "77"),
    ("server-clients-set", "SERVER", "--max-unauth-clients", "6000"),
    ("server-clients-set", "SERVER", "--max-clients", "10"),
    ("server-clients-set", "SERVER", "--max-clients", "100", "--max-unauth-clients", "50"),
    ("server-clients-info", "SERVER"),
    ("server-threadpool-set", "SERVER", "--max-workers", "2"),
    ("server-threadpool-set", "SERVER", "--max-workers", "30", "--priority-workers", "7"),
    ("server-threadpool-info", "SERVER"),
    ("server-update-tls", "SERVER"),
    ("daemon-log-filters", "--filters", "nonsense"),
    ("daemon-log-filters", "--filters", "9:x"),
    ("daemon-log-filters", "--filters", "1:"),
    ("daemon-log-filters", "--filters", "1:qemu 3:remote"),
    ("daemon-log-filters",),
    ("daemon-log-filters", "--filters", ""),
    ("daemon-log-filters",),
    ("daemon-log-outputs", "--outputs", "nonsense"),
    ("daemon-log-outputs", "--outputs", "3:foo"),
    ("daemon-log-outputs", "--outputs", "3:file"),
    ("daemon-log-outputs", "--outputs", "3:stderr:x"),
    ("daemon-log-outputs", "--outputs", "9:stderr"),
    ("daemon-log-outputs", "--outputs", "4:stderr 3:file:FOLDER/other.log"),
    ("daemon-log-outputs",),
    ("daemon-log-outputs", "--outputs", ""),
]


def test_it_prints_what_it_prints_of_libvirtd(admin: Admin, virtcored: Path, libvirtd: Path, tmp_path: Path) -> None:
    def say(where: Path, name: str, command: tuple[str, ...]) -> str:
        words = [word.replace("SERVER", name).replace("FOLDER", str(tmp_path)) for word in command]
        text = re.sub(r" +", " ", admin(where, *words).replace(name, "SERVER"))
        if command == ("server-list",):  # in no order
            text = "\n".join(sorted(re.sub(r"(?m)^ \d ", " ", text).splitlines()))
        # A pool grows with the load of the tests before this one: the workers of the moment are idle, however many.
        text = re.sub(r"nWorkers : (\d+)\nfreeWorkers : \1\n", "idle : all\n", text)
        return re.sub("-+", "-", text).replace(" \n", "\n")

    theirs = libvirtd.with_name("libvirt-admin-sock")
    for command in BESIDE:
        ours = say(admin_socket(virtcored), "virtcored", command)
        expected = say(theirs, "libvirtd", command)
        assert ours == expected, command


def test_clients(admin: Admin, virsh: object, virtcored: Path) -> None:
    where = admin_socket(virtcored)
    with connected(virtcored / "run" / "libvirt-sock-ro") as client:
        number = None
        end = time.monotonic() + 60
        while number is None and time.monotonic() < end:
            number = re.search(r"^ (\d+) +unix ", admin(where, "client-list", "virtcored"), re.MULTILINE)
        assert number is not None
        info = admin(where, "client-info", "virtcored", number[1])
        for line in (
            f"id             : {number[1]}",
            "transport      : unix",
            "readonly       : yes",
            f"unix_user_id   : {os.geteuid()}",
            f"unix_process_id: {client.pid}",
        ):
            assert line in info
        assert f"Client '{number[1]}' disconnected" in admin(where, "client-disconnect", "virtcored", number[1])
        assert number[1] not in re.findall(r"^ (\d+)", admin(where, "client-list", "virtcored"), re.MULTILINE)


def test_it_says_who_it_is(admin: Admin, virtcored: Path) -> None:
    text = admin(admin_socket(virtcored), "version")
    assert "Running against daemon: 11.3.0" in text


def test_other_users_do_not_administrate(virtcored: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    path = admin_socket(virtcored)
    folder = path.parent
    closed = [one for one in path.parents if not one.stat().st_mode & stat.S_IXOTH]
    modes = {one: one.stat().st_mode for one in (path, *closed)}
    code = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.settimeout(60);"
        f"s.connect({str(path)!r}); s.send(b'\\0\\0\\0\\x20'); sys.exit(s.recv(1) != b'')"
    )
    try:
        for one in modes:
            one.chmod(0o777)
        done = subprocess.run(["python3", "-c", code], capture_output=True, text=True, timeout=90, check=False)
    finally:
        for one, mode in modes.items():
            one.chmod(mode & 0o7777)
    assert done.returncode == 0 or "ConnectionResetError" in done.stderr or "BrokenPipe" in done.stderr, done.stderr
    assert folder.is_dir()
    with socket.socket(socket.AF_UNIX) as own:
        own.connect(str(path))
