"""Programs that watch guests and save their disks do on virtcored what they do on libvirtd."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from compat.conftest import uri
from support import eventually, free_port, serves

GUEST = """
<domain type='qemu'><name>served</name><uuid>99999999-0000-1111-2222-777777777777</uuid><memory unit='MiB'>64</memory>
<vcpu>2</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><disk type='file'><driver name='qemu' type='qcow2'/><source file='FOLDER/disk.qcow2'/>
<target dev='vda' bus='virtio'/></disk>
<disk type='file'><driver name='qemu' type='raw'/><source file='FOLDER/disk.raw'/>
<target dev='vdb' bus='virtio'/></disk>
<interface type='user'><mac address='52:54:00:88:00:11'/><model type='virtio'/></interface>
<memballoon model='virtio'/></devices></domain>
"""

HERE = Path(__file__).parent
PATH = f"/usr/sbin:/sbin:{os.environ['PATH']}"
#: Runs a script of the shell's where what it mounts is seen by nobody else.
PRIVATE = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
Virsh = Callable[..., "subprocess.CompletedProcess[str]"]


def needs(name: str, package: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: {package})")
    return found


@contextmanager
def served(virsh: Virsh, where: str, folder: Path, more: str = "", *, runs: bool = True) -> Iterator[None]:
    """A guest with two disks, which is there, and mostly runs, as long as it is looked at."""
    folder.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(folder / "disk.qcow2"), "4M"], check=True)
    (folder / "disk.raw").write_bytes(bytes(range(256)) * 4096)
    (folder / "xml").write_text(GUEST.replace("FOLDER", str(folder)).replace("<memballoon", more + "<memballoon"))
    virsh(where, "define", str(folder / "xml"))
    try:
        if runs:
            virsh(where, "start", "served")
        yield
    finally:
        virsh(where, "destroy", "served", check=False)
        virsh(where, "undefine", "served", "--checkpoints-metadata")


@pytest.fixture
def places(virtcored: Path, libvirtd: Path) -> dict[str, Path]:
    """The sockets of both daemons."""
    return {"theirs": libvirtd, "ours": virtcored / "run" / "libvirt-sock"}


def metrics(exporter: str, where: str) -> str:
    port = free_port()
    address = f"127.0.0.1:{port}"
    process = subprocess.Popen([exporter, f"--web.listen-address={address}", f"--libvirt.uri={where}"])
    try:
        eventually(lambda: serves(port))
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:  # our own
            return str(answer.read().decode())
    finally:
        process.terminate()
        process.wait()


def test_prometheus_exporter(virsh: Virsh, places: dict[str, Path], tmp_path: Path) -> None:
    exporter = needs("prometheus-libvirt-exporter", "prometheus-libvirt-exporter")
    told = {}
    for name, path in places.items():
        where = uri("qemu+unix:///system", path)
        with served(virsh, where, tmp_path / name):
            found = [line for line in metrics(exporter, where).splitlines() if 'domain="served"' in line]
        # Less what is measured.
        told[name] = [re.sub(r" \S+$", "", line).replace(str(tmp_path / name), "") for line in found]
    assert told["ours"] == told["theirs"]
    assert len(told["ours"]) > 10


def test_munin_plugins(virsh: Virsh, places: dict[str, Path], tmp_path: Path) -> None:
    plugins = sorted(Path("/usr/share/munin/plugins").glob("libvirt-*"))
    if not plugins:
        pytest.skip("no plugins of munin (Debian: munin-libvirt-plugins)")
    told = {}
    for name, path in places.items():
        where = uri("qemu+unix:///system", path)
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "uri": where}
        with served(virsh, where, tmp_path / name):
            for plugin in plugins:
                for asked in (["config"], []):
                    done = subprocess.run(
                        [str(plugin), *asked], capture_output=True, text=True, env=environment, check=True, timeout=60
                    )
                    told[name, plugin.name, bool(asked)] = re.sub(
                        r"(?m)(value|warning|critical) [\d.]+$", r"\1", done.stdout
                    )
    for (name, plugin_name, asked_for), text in told.items():
        assert text == told["theirs", plugin_name, asked_for], (name, plugin_name)
        assert text


def test_nbdkit_reads_disks_of_guests(virsh: Virsh, places: dict[str, Path], tmp_path: Path) -> None:
    nbdkit = needs("nbdkit", "nbdkit-plugin-libvirt")
    if subprocess.run([nbdkit, "libvirt", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("nbdkit has no plugin for libvirt (Debian: nbdkit-plugin-libvirt)")
    where = uri("qemu+unix:///system", places["ours"])
    with served(virsh, where, tmp_path / "ours"):
        for disk in ("vdb", str(tmp_path / "ours" / "disk.raw")):
            copy = tmp_path / "copy"
            command = [nbdkit, "-U", "-", "libvirt", f"connect={where}", "domain=served", f"disk={disk}", "--run"]
            subprocess.run([*command, f"qemu-img dd -f raw -O raw bs=1M if=$uri of={copy}"], check=True, timeout=120)
            assert copy.read_bytes() == (tmp_path / "ours" / "disk.raw").read_bytes()


#: virtnbdbackup takes a URI with a transport for remote: the sockets are mounted where libvirt's are, for it alone.
SAVE = """
set -e
mkdir -p /run/libvirt
mount --bind "$1" /run/libvirt
write() { virsh -q -c qemu:///system qemu-monitor-command served --hmp "qemu-io -d $1 \\"write -P $2 $3 $4\\""; }
disk=/machine/peripheral/virtio-disk0/virtio-backend
save() { virtnbdbackup -U qemu:///system -d served -i vda -l "$1" -o saved; }
write $disk 7 0 256k
save full
write $disk 9 1M 128k
save inc
write $disk 5 1M 64k
virtnbdrestore -i saved -o restored
"""


def test_virtnbdbackup(virsh: Virsh, virtcored: Path, tmp_path: Path) -> None:
    needs("virtnbdbackup", "virtnbdbackup")
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root, for a mount namespace")
    where = uri("qemu+unix:///system", virtcored / "run" / "libvirt-sock")
    folder = tmp_path / "ours"
    (tmp_path / "restored").mkdir()
    with served(virsh, where, folder):
        done = subprocess.run(
            [*PRIVATE, SAVE, "sh", str(virtcored / "run")],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        names = virsh(where, "checkpoint-list", "served", "--name").stdout.split()
        assert names == ["virtnbdbackup.0", "virtnbdbackup.1"]
    (image,) = (tmp_path / "restored").glob("*.qcow2")
    reads = ["-c", "read -P 7 0 256k", "-c", "read -P 9 1M 128k", "-c", "read -P 0 2M 2M"]
    told = subprocess.run(
        ["qemu-io", "-f", "qcow2", *reads, str(image)], capture_output=True, text=True, check=True, timeout=60
    )
    assert "failed" not in told.stdout


# -- programs that take too much room to install them each time


def played(playbook: str, facts: dict[str, str], folder: Path) -> dict[str, Any]:
    """What Ansible's modules answered to the tasks of a playbook, less what is measured."""
    out = folder / "answers"
    variables = " ".join(f"{name}='{value}'" for name, value in {**facts, "out": str(out)}.items())
    subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-e", variables, str(HERE / "ansible" / playbook)],
        check=True,
        timeout=300,
        stdout=subprocess.DEVNULL,
        env={"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": str(folder), "ANSIBLE_LOCALHOST_WARNING": "False"},
    )
    answers: dict[str, Any] = json.loads(re.sub(r'("cpuTime": )"\d+"', r"\1null", out.read_text()))
    return answers


@pytest.mark.timeout(600)
@pytest.mark.deep  # 260 MB, and a process for each task
@pytest.mark.parametrize("playbook", ["guest.yml", "services.yml"])
def test_ansible(virsh: Virsh, places: dict[str, Path], tmp_path: Path, playbook: str) -> None:
    needs("ansible-playbook", "ansible")
    driver = "qemu:///system" if playbook == "guest.yml" else "test:///default"
    told = {}
    for name, path in places.items():
        (tmp_path / name).mkdir()
        where = uri(driver.replace(":", "+unix:", 1), path)
        # What the test driver has lasts as long as somebody is connected, and Ansible connects anew for each task.
        holds = subprocess.Popen(["virsh", "-c", where, "event", "--all", "--loop"], stdout=subprocess.DEVNULL)
        try:
            told[name] = played(playbook, {"where": where}, tmp_path / name)
        finally:
            holds.terminate()
            holds.wait()
    assert told["ours"] == told["theirs"]
    assert len(told["ours"]) > 10


#: A display and a session bus of its own, with a daemon's sockets where libvirt's are.
SCREEN = """
set -e
mkdir -p /run/libvirt
mount --bind "$1" /run/libvirt
exec xvfb-run -a -s "-screen 0 1400x1000x24" dbus-run-session -- /usr/bin/python3 "$2" qemu:///system served "$3"
"""


@pytest.mark.timeout(600)
@pytest.mark.deep  # a desktop's libraries, and a minute of looking at windows
@pytest.mark.parametrize("which", ["virtcored", "libvirtd"])
def test_virt_manager(virsh: Virsh, which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The same on both, and its own log has nothing that went wrong beyond what this daemon does not have."""
    for name in ("virt-manager", "xvfb-run", "dbus-run-session", "unshare"):
        needs(name, "virt-manager xvfb xauth at-spi2-core gir1.2-atspi-2.0 dbus")
    if os.geteuid() != 0:
        pytest.skip("needs root, for a mount namespace")
    given = request.getfixturevalue(which)
    path = given / "run" / "libvirt-sock" if which == "virtcored" else given
    where = uri("qemu+unix:///system", path)
    with served(virsh, where, tmp_path / "guest", DESKTOP, runs=False):
        done = subprocess.run(
            [*PRIVATE, SCREEN, "sh", str(path.parent), str(HERE / "virt_manager_session.py"), str(tmp_path / "log")],
            capture_output=True,
            text=True,
            timeout=300,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path), "GSETTINGS_BACKEND": "memory"},
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if "SpiRegistry" not in line] == SEEN
    wrong = [line for line in (tmp_path / "log").read_text().splitlines() if re.search("Error|failed", line)]
    known = "default pool|define storage pool|raise RuntimeError"  # there is no storage behind qemu:// yet
    if which == "libvirtd":
        known += "|interfaceAddresses"  # the kernel of some machines answers it with something it does not expect
    assert not [line for line in wrong if not re.search(known, line)]


DESKTOP = "<graphics type='vnc' port='-1'/><video><model type='vga'/></video><serial type='pty'/>"
SEEN = [
    "listed",
    "host ['Overview', 'Virtual Networks', 'Storage']",
    "state 1",
    "state 3",
    "state 1",
    (
        "hardware ['Overview', 'OS information', 'Performance', 'CPUs', 'Memory', 'Boot Options', 'VirtIO Disk 1', "
        "'VirtIO Disk 2', 'NIC :88:00:11', 'Mouse', 'Keyboard', 'Display VNC', 'Serial 1', 'Video VGA', "
        "'Controller USB 0', 'Controller PCI 0']"
    ),
    "state 5",
]
