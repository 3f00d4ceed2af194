"""Real programs beside virtcore: each fixture says why it skips."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

import virtcore
from support import COMPLAINTS, ROOT, SHARED, eventually, has_clients, listens

#: libvirt's release that these tests were written beside; others may differ in what is compared.
KNOWN = (9, 0)

Virsh = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def virsh() -> Virsh:
    """Run the real virsh: ``virsh(uri, "list", "--all")``."""
    path = shutil.which("virsh")
    if path is None:
        pytest.skip("virsh is not installed (Debian: libvirt-clients)")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    found = tuple(int(part) for part in version.split(".")[:2])
    if found < KNOWN:
        pytest.skip(f"virsh {version} is older than {KNOWN[0]}.{KNOWN[1]}")

    def run(uri: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LC_ALL": "C", "LANG": "C"}
        done = subprocess.run(
            [path, "-q", "-c", uri, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"virsh {' '.join(arguments)}: {done.stderr}"
        return done

    return run


def wait_for_socket(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens."""

    def is_there() -> bool:
        assert process.poll() is None, f"the daemon ended with {process.returncode}"
        return listens(path)

    eventually(is_there)


_shared: list[Path] = []
"""The sockets of daemons that tests share."""


@pytest.fixture(autouse=True)
def drivers_forget() -> Iterator[None]:
    """The next test finds nothing that this one left in the test driver of a daemon: no client is there any more."""
    yield
    eventually(lambda: not has_clients(*_shared))


@pytest.fixture(scope="session")
def virtcored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running virtcored; gives its root."""
    root = tmp_path_factory.mktemp("d")
    log = (root / "stderr").open("wb")
    process = subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", str(root)], stderr=log)
    try:
        wait_for_socket(root / "run" / "libvirt-admin-sock", process)  # the last one to listen
        _shared.extend(root / "run" / name for name in ("libvirt-sock", "libvirt-sock-ro"))
        yield root
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            status: int | None = process.wait(60)
        except subprocess.TimeoutExpired:
            status = None
        process.kill()
        log.close()
    text = (root / "stderr").read_text()
    if status != 0 or "Traceback" in text:
        COMPLAINTS.append(f"virtcored ended with {status}: {text}")


@pytest.fixture(scope="session")
def libvirtd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running libvirtd that shares nothing with the system's; gives its socket."""
    with private_libvirtd(tmp_path_factory.mktemp("l")) as socket_path:
        _shared.append(socket_path)
        yield socket_path


@contextmanager
def private_libvirtd(folder: Path, *, inside: Sequence[str] = ()) -> Iterator[Path]:
    """Run a libvirtd that shares nothing with the system's; gives its socket.

    :param inside: a command that runs another one, in namespaces say.
    """
    script = SHARED / "bench" / "libvirtd_private.py"
    if not script.is_file():
        pytest.skip(f"no {script} to run a private libvirtd with")
    if shutil.which("libvirtd", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        pytest.skip("libvirtd is not installed (Debian: libvirt-daemon-system)")
    if os.geteuid() != 0:
        pytest.skip("a private libvirtd needs root for its mount namespace")
    filters = Path("/usr/share/libvirt/nwfilter")  # as Debian's package puts them into libvirt's own folder
    if filters.is_dir():
        shutil.copytree(filters, folder / "etc" / "nwfilter")
    command = [*inside, sys.executable, str(script)]
    # Guests read what tests put into their own folders; files they share with another daemon's guests (the kernel)
    # keep their owner and get no attributes that would outlive a killed daemon.
    as_root = r'user="root"\ngroup="root"\ndynamic_ownership=0\nremember_owner=0'
    started = subprocess.run(
        [*command, "start", "--dir", str(folder), "--qemu-conf", as_root], capture_output=True, text=True, check=False
    )
    if started.returncode != 0:
        pytest.skip(f"the private libvirtd did not start: {started.stderr or started.stdout}")
    try:
        yield folder / "sock" / "libvirt-sock"
    finally:
        subprocess.run([*command, "stop", "--dir", str(folder)], capture_output=True, check=False)


@pytest.fixture(scope="session")
def binding() -> Callable[..., str]:
    """Run a script of this folder with the system's Python and its libvirt binding; gives what it prints."""
    for path in ("/usr/bin/python3", shutil.which("python3") or ""):
        if path and subprocess.run([path, "-c", "import libvirt"], capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("no Python with the real libvirt binding (Debian: python3-libvirt)")

    def run(script: Path, *arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [path, str(script), *arguments], capture_output=True, text=True, timeout=240, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def boot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Kernel and initramfs of a guest that answers on its serial port."""
    place = ROOT / "tests" / "qemu" / "guest_image.py"
    specification = importlib.util.spec_from_file_location("guest_image", place)
    assert specification is not None
    assert specification.loader is not None
    guest_image = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(guest_image)
    reason = guest_image.missing()
    if reason is not None:
        pytest.skip(reason)
    kernel = guest_image.find_kernel()
    initrd = tmp_path_factory.mktemp("i") / "initrd"
    guest_image.write_initramfs(initrd, kernel)
    return kernel, initrd


def heard(where: str, watches: list[tuple[list[str], list[str]]], act: Callable[[], object]) -> None:
    """Watchers (commands of virsh) print these lines of what is done beside them.

    virsh does not say when it has registered: until then, what is done is done again. A connection is held meanwhile:
    the test driver forgets with its last one, which would come between two commands of what is done.
    """
    with virtcore.connect(where):
        _heard(where, watches, act)


def _heard(where: str, watches: list[tuple[list[str], list[str]]], act: Callable[[], object]) -> None:
    watchers = [
        subprocess.Popen(
            ["virsh", "-c", where, *command], stdout=subprocess.PIPE, text=True, env={**os.environ, "LC_ALL": "C"}
        )
        for command, _ in watches
    ]
    lines: list[list[str]] = [[] for _ in watchers]

    def listen(stream: IO[str], into: list[str]) -> None:
        into.extend(line.strip() for line in iter(stream.readline, ""))

    threads = []
    try:
        for watcher, into in zip(watchers, lines, strict=True):
            assert watcher.stdout is not None
            threads.append(threading.Thread(target=listen, args=(watcher.stdout, into)))
            threads[-1].start()
        found: list[list[str]] = []
        wanted = [expected for _, expected in watches]
        end, patience = time.monotonic() + 120, 1.0
        while found != wanted:
            assert time.monotonic() < end, f"heard were {found}"
            act()
            give_up = time.monotonic() + patience
            while found != wanted and time.monotonic() < give_up:
                time.sleep(0.02)
                found = [into[-len(expected) :] for into, expected in zip(lines, wanted, strict=True)]
            patience *= 2
    finally:
        for watcher in watchers:
            watcher.terminate()
            watcher.wait()
        for thread in threads:
            thread.join()
        for watcher in watchers:
            assert watcher.stdout is not None
            watcher.stdout.close()


def uri(driver: str, path: Path) -> str:
    """A URI for a daemon's socket."""
    return f"{driver}?socket={path}"


def normal(text: str) -> str:
    """Output less what differs from run to run."""
    text = re.sub(r"(?m)^(CPU time:\s+).*$", r"\1-", text)
    return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text)
