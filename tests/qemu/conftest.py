"""Roots, images and guests for the tests of the QEMU driver."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import virtcore
from virt_host.cgroup import CONTROLLERS, PIDS, ControlGroup, Mounts
from virt_qemu.agent import channel
from virt_qemu.host import QemuState
from virt_qemu.tuning.groups import group_name

sys.path.insert(0, str(Path(__file__).parent))

import agent_image  # they stand beside this file, which is no package
import guest_image
from scripted_qemu import Scripted


@pytest.fixture(scope="session")
def kernel() -> Path:
    """The kernel of real guests; the test is skipped where the host has not got what they need."""
    reason = guest_image.missing()
    if reason is not None:
        pytest.skip(reason)
    found = guest_image.find_kernel()
    assert found is not None
    return found


@pytest.fixture(scope="session")
def image_tools() -> None:
    """The test is skipped where QEMU or the programs for its images are not installed."""
    for program in ("qemu-system-x86_64", "qemu-img", "qemu-io"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="session")
def boot(kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Kernel and initramfs of a real guest."""
    initrd = tmp_path_factory.mktemp("guest") / "initrd"
    guest_image.write_initramfs(initrd, kernel)
    return kernel, initrd


@pytest.fixture(scope="session")
def agent_boot(kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Kernel and initramfs of a real guest with an agent in it; as :func:`boot`."""
    reason = agent_image.missing()
    if reason is not None:
        pytest.skip(reason)
    initrd = tmp_path_factory.mktemp("agent") / "initrd"
    agent_image.write_initramfs(initrd, kernel)
    return kernel, initrd


def _guests_below(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command and b"guest=" in command:
            found.append(int(entry.name))
    return found


@pytest.fixture(scope="session")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capability cache that is filled once for all tests."""
    folder = tmp_path_factory.mktemp("probed")
    if shutil.which("qemu-system-x86_64") is not None:
        with virtcore.connect(f"qemu:///embed?root={folder}") as connection:
            connection.version()
    return folder / "cache"


@pytest.fixture(autouse=True)
def guests_have_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests under TCG on a loaded machine are waited for longer than users would: opening waits until all that runs is
    reached again, and agents may take their time."""
    monkeypatch.setattr(QemuState, "reattach_wait", 60.0)
    monkeypatch.setattr(channel, "_USUAL", 100)


@pytest.fixture
def root(tmp_path: Path, probed: Path) -> Iterator[Path]:
    """A root of its own for the driver; guests that a test leaves behind are killed."""
    folder = tmp_path / "root"
    folder.mkdir()
    if probed.is_dir():
        shutil.copytree(probed, folder / "cache")
    yield folder
    for pid in _guests_below(tmp_path):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    _remove_groups(folder)


def _remove_groups(folder: Path) -> None:
    """Remove the control groups of guests that were killed after their driver had let go of them."""
    mounts = Mounts.detect()
    begin = group_name(0, "", str(folder / "run/qemu")).removesuffix("-0.libvirt-qemu")
    for machine in set(mounts.folders("/machine").values()):
        for left in machine.glob(f"{begin}-*"):
            ControlGroup(mounts, f"/machine/{left.name}", [*CONTROLLERS, PIDS]).remove()


@pytest.fixture
def connection(root: Path) -> Iterator[virtcore.Connection]:
    """An embedded connection."""
    with virtcore.connect(f"qemu:///embed?root={root}") as opened:
        yield opened


@pytest.fixture
def guests_of(root: Path) -> Callable[[], list[int]]:
    """Process numbers of the QEMUs that run below the root."""
    return lambda: _guests_below(root)


@pytest.fixture
def fake_emulator(tmp_path: Path) -> Callable[[str], Path]:
    """Make an emulator that answers probes as QEMU does; with a guest it does what ``body`` says (Python)."""
    real = shutil.which("qemu-system-x86_64")
    if real is None:
        pytest.skip("qemu-system-x86_64 is not installed")

    def make(body: str) -> Path:
        path = tmp_path / "fake-qemu"
        path.write_text(
            f"#!{sys.executable} -IS\n"
            "import os, sys, time, json, socket\n"
            "argv = sys.argv\n"
            f"if any('none,accel' in word for word in argv): os.execv({real!r}, [{real!r}, *argv[1:]])\n"
            f"{body}\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make


@pytest.fixture
def scripted(tmp_path: Path) -> Scripted:
    """What the QEMU of :func:`scripted_guest` is to do."""
    return Scripted(tmp_path)


@pytest.fixture
def scripted_guest(
    connection: virtcore.Connection, fake_emulator: Callable[[str], Path], scripted: Scripted
) -> virtcore.Domain:
    """A running guest whose QEMU is made up."""
    domain = connection.define_domain(
        f"""<domain type='qemu'><name>fake</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
        <os><type arch='x86_64' machine='pc'>hvm</type></os>
        <devices><emulator>{fake_emulator(scripted.body)}</emulator><memballoon model='none'/>
        <controller type='scsi' index='0' model='virtio-scsi'/><controller type='virtio-serial' index='0'/>
        </devices></domain>"""
    )
    domain.create()
    scripted.commands()
    return domain
