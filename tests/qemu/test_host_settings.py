"""Settings of ``qemu.conf`` by which the host limits guests or shields others from them, on real guests."""

from __future__ import annotations

import errno
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from guest_image import guest_xml

import virtcore
from virt_host.cgroup import PIDS, ControlGroup, Mounts
from virt_qemu import core_scheduling
from virt_qemu.core_scheduling import Scope
from virtcore.enums import DomainCreateFlags, DomainModificationImpact
from virtcore.errors import ConfigUnsupported, SystemError, VirtError

PAUSED = DomainCreateFlags.START_PAUSED
LIVE = DomainModificationImpact.LIVE
MAC = "52:54:00:65:43:21"
CHAIN = "libvirt_qemu_FORWARD"

Opened = Callable[[str], virtcore.Connection]


@pytest.fixture
def opened(root: Path) -> Iterator[Opened]:
    """Open a connection with settings."""
    connections = []

    def open_(settings: str) -> virtcore.Connection:
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc" / "qemu.conf").write_text(settings)
        connections.append(virtcore.connect(f"qemu:///embed?root={root}"))
        return connections[-1]

    yield open_
    for connection in connections:
        connection.close()


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


# -- threads


@pytest.mark.skipif(os.geteuid() != 0 or PIDS not in Mounts.detect().controllers(), reason="needs root and cgroup pids")
def test_threads_of_an_emulator_are_limited(opened, boot):
    mounts = Mounts.detect()
    domain = opened("max_threads_per_process = 77\n").create_domain(guest_xml("few", *boot), PAUSED)
    [limit] = [
        path
        for folder in {mounts.folders("/machine")[PIDS]}
        for path in folder.glob("qemu-*-few.libvirt-qemu/pids.max")
    ]
    assert limit.read_text() == "77\n"
    held = limit.with_name("cgroup.procs").read_text().split()
    assert any(b"guest=few" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in held)
    domain.destroy()


def test_threads_of_a_group_are_limited_in_both_versions(tmp_path):
    for mounts in (
        Mounts({PIDS: tmp_path / "first"}),
        Mounts(second=tmp_path / "second", unified=frozenset({PIDS, "cpu"})),
    ):
        group = ControlGroup(mounts, "/machine/guest", [PIDS])
        [folder] = set(mounts.folders("/machine/guest").values())
        folder.mkdir(parents=True)
        group.create()
        group.set_thread_limit(5)
        assert (folder / "pids.max").read_text() == "5"
        handed_down = folder.parents[1] / "cgroup.subtree_control"
        assert not mounts.second or handed_down.read_text() == "+pids"  # what nobody limits is not counted


# -- cores


@pytest.fixture
def marks(monkeypatch) -> list[tuple[int, int, Scope]]:
    """A kernel with core scheduling: what it was asked."""
    asked: list[tuple[int, int, Scope]] = []

    def control(command: int, target: int = 0, scope: Scope = Scope.THREAD, answer: int = 0) -> int:
        if command:
            asked.append((command, target, scope))
        return 0

    monkeypatch.setattr(core_scheduling, "_control", control)
    return asked


CREATE, SHARE = 1, 2


def _qemu(root: Path) -> int:
    [file] = (root / "run" / "qemu").glob("domain-*/pid")
    return int(file.read_text().split()[0])


def test_virtual_cpus_share_cores_with_nobody_else(opened, boot, root, marks):
    xml = guest_xml("cores", *boot).replace("<vcpu>1</vcpu>", "<vcpu current='2'>3</vcpu>")
    assert "current='2'" in xml
    domain = opened('sched_core = "vcpus"\n').create_domain(xml, PAUSED)
    pid = _qemu(root)
    first, *others = marks
    assert first == (CREATE, 0, Scope.THREAD)
    assert len(others) == 2
    assert all(os.path.exists(f"/proc/{pid}/task/{thread}") for _, thread, _ in others)
    assert {(command, scope) for command, _, scope in others} == {(SHARE, Scope.THREAD)}
    marks.clear()
    domain.set_vcpus(3, LIVE)
    assert [command for command, _, _ in marks] == [CREATE, SHARE, SHARE, SHARE]
    domain.destroy()


@pytest.mark.parametrize("wanted", ["emulator", "full"])
def test_whole_guests_share_cores_with_nobody_else(opened, boot, root, marks, wanted, monkeypatch):
    monkeypatch.setattr("virt_qemu.tuning.state.helpers_of", lambda folder: [4242])
    domain = opened(f'sched_core = "{wanted}"\n').create_domain(guest_xml("cores", *boot), PAUSED)
    helpers = [(SHARE, 4242, Scope.PROCESS)] if wanted == "full" else []
    assert marks == [(CREATE, 0, Scope.THREAD), (SHARE, _qemu(root), Scope.PROCESS), *helpers]
    domain.destroy()


def test_a_kernel_without_core_scheduling(opened, monkeypatch):
    monkeypatch.setattr(core_scheduling, "_control", lambda *asked, **more: errno.EINVAL)
    with pytest.raises(ConfigUnsupported, match="SCHED_CORE not supported by kernel"):
        opened('sched_core = "full"\n')
    monkeypatch.setattr(core_scheduling, "_control", lambda *asked, **more: errno.EPERM)
    with pytest.raises(SystemError, match="Unable to set SCHED_CORE: Operation not permitted"):
        core_scheduling.share_cores([1], Scope.THREAD)


def test_the_kernel_is_really_asked():
    """Whatever it says, it says it in numbers that it has."""
    if not core_scheduling.is_supported():
        with pytest.raises(SystemError, match="Unable to set SCHED_CORE: "):
            core_scheduling.share_cores([os.getpid()], Scope.PROCESS)
    else:
        core_scheduling.share_cores([os.getpid()], Scope.PROCESS)


# -- MAC addresses


@pytest.fixture
def own_network() -> Iterator[None]:
    """The filter is the host's: nobody else's bridges are to suffer from the test."""
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.skip("needs root and /dev/net/tun")
    try:
        there = CHAIN in run("ebtables", "-L")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"ebtables does not work here: {error}")
    if there:
        pytest.skip("somebody else's filter of MAC addresses is in force")
    yield
    for words in (("--delete", "FORWARD", "--jump", CHAIN), ("-F", CHAIN), ("-X", CHAIN)):
        subprocess.run(["ebtables", *words], check=False, capture_output=True)


@pytest.fixture
def bridge() -> Iterator[str]:
    name = f"vm{os.getpid()}"[:12]
    run("ip", "link", "add", name, "type", "bridge")
    yield name
    run("ip", "link", "del", name)


def test_bridges_let_only_guests_own_addresses_through(opened, boot, own_network, bridge):
    interface = (
        f"<interface type='bridge'><mac address='{MAC}'/><source bridge='{bridge}'/><model type='virtio'/></interface>"
    )
    connection = opened("mac_filter = 1\n")
    assert f"-j {CHAIN}" in run("ebtables", "-L", "FORWARD")
    domain = connection.create_domain(guest_xml("filtered", *boot, devices=interface), PAUSED)
    tap = domain.xml().partition("<target dev='")[2].partition("'")[0]
    assert f"-s {MAC} -i {tap} -j ACCEPT" in run("ebtables", "-L", CHAIN)
    domain.destroy()
    assert MAC not in run("ebtables", "-L", CHAIN)
    connection.close()
    opened("mac_filter = 1\n")
    assert run("ebtables", "-L", "FORWARD").count(f"-j {CHAIN}") == 1  # opening again changes nothing


def test_a_filter_that_cannot_be_had(opened, monkeypatch, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    program = tmp_path / "ebtables"
    program.write_text("#!/bin/sh\necho 'no such table' >&2\nexit 255\n")
    program.chmod(0o755)
    monkeypatch.setattr("virt_qemu.host_side.mac_filter.tool", lambda name: str(program))
    command = f"ebtables --concurrent -P {CHAIN} DROP"
    with pytest.raises(VirtError, match=f"Failed to run firewall command {command}: no such table"):
        opened("mac_filter = 1\n")


# -- sound


@pytest.mark.parametrize(
    ("settings", "graphics", "driver", "found"),
    [
        ("vnc_allow_host_audio = 1", "<graphics type='vnc'/>", "alsa", "<audio id='1' type='alsa'/>"),
        ("nographics_allow_host_audio = 1", "<graphics type='vnc'/>", "alsa", "<audio id='1' type='none'/>"),
        ("nographics_allow_host_audio = 1", "", "alsa", "<audio id='1' type='alsa'/>"),
        ("vnc_allow_host_audio = 1", "", "alsa", "<audio id='1' type='none'/>"),
        ("vnc_allow_host_audio = 1", "<graphics type='vnc'/>", None, None),
    ],
)
def test_sound_of_the_host(opened, monkeypatch, settings, graphics, driver, found, image_tools):
    if driver is None:
        monkeypatch.delenv("QEMU_AUDIO_DRV", raising=False)
    else:
        monkeypatch.setenv("QEMU_AUDIO_DRV", driver)
    xml = _plain(graphics)
    defined = opened(settings).define_domain(xml).xml()
    assert (found in defined) if found is not None else ("<audio" not in defined)


def test_sound_that_there_is_not(opened, monkeypatch, image_tools):
    monkeypatch.setenv("QEMU_AUDIO_DRV", "noise")
    connection = opened("nographics_allow_host_audio = 1\n")
    with pytest.raises(ConfigUnsupported, match="unknown QEMU_AUDIO_DRV setting noise"):
        connection.define_domain(_plain())
    monkeypatch.setenv("QEMU_AUDIO_DRV", "sdl")
    monkeypatch.setenv("SDL_AUDIODRIVER", "hiss")
    connection.close()
    with pytest.raises(ConfigUnsupported, match="unknown SDL_AUDIODRIVER setting hiss"):
        opened("nographics_allow_host_audio = 1\n").define_domain(_plain())


def _plain(devices: str = "") -> str:
    return (
        f"<domain type='qemu'><name>plain</name><uuid>{uuid.uuid4()}</uuid><memory unit='MiB'>64</memory>"
        f"<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>{devices}</devices></domain>"
    )


def test_confinement_that_cannot_be_had(opened):
    with pytest.raises(ConfigUnsupported, match='Security driver "none" cannot create confined guests'):
        opened("security_require_confined = 1\n")
