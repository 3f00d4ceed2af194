"""Programs in other languages, and daemons that watch guests, see on virtcored what they see on libvirtd."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compat.conftest import uri

HERE = Path(__file__).parent
PATHS = {"test": "/default", "qemu": "/system"}

Session = Callable[[str, str], str]


def program(interpreter: str, probe: tuple[str, ...], script: str, package: str) -> Session:
    """How to run a script with a binding that is there."""
    found = shutil.which(interpreter, path="/usr/bin:/bin")
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/dev/null"}
    if found is None or subprocess.run([found, *probe], capture_output=True, env=environment, check=False).returncode:
        pytest.skip(f"no such binding (Debian: {package})")

    def run(driver: str, where: str) -> str:
        done = subprocess.run(
            [found, str(HERE / script), driver, where],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


LANGUAGES = {
    "perl": ("perl", ("-MSys::Virt", "-e1"), "perl_session.pl", "libsys-virt-perl"),
    "ruby": ("ruby", ("-rlibvirt", "-e1"), "ruby_session.rb", "ruby-libvirt"),
    "glib": (
        "python3",
        ("-c", "import gi; gi.require_version('LibvirtGObject', '1.0'); from gi.repository import LibvirtGObject"),
        "glib_session.py",
        "gir1.2-libvirt-glib-1.0",
    ),
}


@pytest.mark.parametrize("driver", ["test", "qemu"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_sees_the_same(virtcored: Path, libvirtd: Path, language: str, driver: str) -> None:
    run = program(*LANGUAGES[language])
    theirs = run(driver, uri(f"{driver}+unix://{PATHS[driver]}", libvirtd))
    ours = run(driver, uri(f"{driver}+unix://{PATHS[driver]}", virtcored / "run" / "libvirt-sock"))
    assert ours == theirs
    assert len(theirs.splitlines()) > 2


@pytest.mark.deep  # the compiler takes 450 MB
def test_a_client_in_go(virtcored: Path, libvirtd: Path, tmp_path: Path) -> None:
    """go-libvirt speaks the protocol by itself; Terraform's provider and others are built on it."""
    go, library = shutil.which("go"), Path("/usr/share/gocode/src/github.com/digitalocean/go-libvirt")
    if go is None or not library.is_dir():
        pytest.skip("no Go with go-libvirt (Debian: golang-go golang-github-digitalocean-go-libvirt-dev)")
    session = tmp_path / "session"
    environment = {"PATH": "/usr/bin:/bin", "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "HOME": str(tmp_path)}
    command = [go, "build", "-o", str(session), str(HERE / "go_session.go")]
    subprocess.run(command, check=True, env=environment, timeout=300)
    for driver, path in PATHS.items():
        theirs, ours = (
            subprocess.run(
                [session, f"{driver}://{path}", socket], capture_output=True, text=True, timeout=60, check=False
            ).stdout
            for socket in (libvirtd, virtcored / "run" / "libvirt-sock")
        )
        assert ours == theirs
        assert "gone:1.0]" in theirs


#: Calls over D-Bus, in order; GUEST is the path of the guest that the first one made.
CALLS = (
    ("QEMU", "Connect.DomainDefineXML", "DOCUMENT"),
    ("GUEST", "Domain.Create", "0"),
    ("GUEST", "Domain.GetState", "0"),
    ("GUEST", "Domain.GetXMLDesc", "2"),
    ("GUEST", "Domain.Suspend"),
    ("GUEST", "Domain.Resume"),
    ("QEMU", "Connect.ListDomains", "0"),
    ("QEMU", "Connect.NodeGetMemoryStats", "-1", "0"),
    ("GUEST", "Domain.Destroy", "0"),
    ("GUEST", "Domain.Undefine", "0"),
    ("QEMU", "Connect.DomainLookupByName", "nope"),
)

UUID = "99999999-0000-1111-2222-333333333333"
DOCUMENT = (
    f"<domain type='qemu'><name>bus</name><uuid>{UUID}</uuid><memory>65536</memory>"
    "<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"
)

#: libvirt-dbus opens libvirt's own places only: the daemon's sockets are mounted there, for it alone.
SERVE = """
set -e
mkdir -p /run/libvirt
mount --bind "$1" /run/libvirt
exec dbus-run-session -- sh -c 'libvirt-dbus --session & trap "kill $!" EXIT; sh "$1"' sh "$2"
"""


def test_libvirt_dbus(virtcored: Path, libvirtd: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root, for a mount namespace")
    for name, package in (("libvirt-dbus", "libvirt-dbus"), ("gdbus", "libglib2.0-bin"), ("dbus-run-session", "dbus")):
        if shutil.which(name, path=f"/usr/sbin:{os.environ['PATH']}") is None:
            pytest.skip(f"{name} is not installed (Debian: {package})")
    guest = f"QEMU/domain/_{UUID.replace('-', '_')}"
    lines = ["gdbus wait --session --timeout 60 org.libvirt"]
    for target, method, *arguments in CALLS:
        path = guest if target == "GUEST" else target
        words = [f"'{DOCUMENT.replace(chr(39), chr(34))}'" if word == "DOCUMENT" else word for word in arguments]
        call = f"gdbus call --session -d org.libvirt -o /org/libvirt/{path} -m org.libvirt.{method} --"
        lines.append(f"echo '{method}'; {' '.join((call, *words))} 2>&1")
    script = tmp_path / "calls"
    script.write_text("\n".join(lines))
    told = []
    for folder in (libvirtd.parent, virtcored / "run"):
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", SERVE, "sh", str(folder), str(script)],
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            check=False,
        )
        told.append(done.stdout)
    assert "Domain not found: no domain with matching name 'nope'" in told[0]
    assert plain(told[1]) == plain(told[0])


def plain(told: str) -> list[str]:
    """Less what is measured, and what 11.3 shows that 9.0 did not."""
    return [line for line in told.splitlines() if "'free'" not in line]


COLLECTD = """
Interval 1
BaseDir "FOLDER"
PIDFile "FOLDER/pid"
PluginDir "/usr/lib/collectd"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  File "FOLDER/log"
</Plugin>
LoadPlugin csv
<Plugin csv>
  DataDir "FOLDER/csv"
</Plugin>
LoadPlugin virt
<Plugin virt>
  Connection "WHERE"
  HostnameFormat name
  ExtraStats "cpu_util disk_err domain_state job_stats_background memory pcpu vcpu vcpupin"
  ExtraStats "disk_physical disk_allocation disk_capacity"
</Plugin>
"""

WATCHED = """
<domain type='qemu'><name>watched</name><memory unit='MiB'>64</memory><vcpu>2</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><disk type='file'><driver name='qemu' type='qcow2'/><source file='FOLDER/disk'/>
<target dev='vda' bus='virtio'/></disk>
<interface type='user'><mac address='52:54:00:88:00:09'/><model type='virtio'/></interface>
<memballoon model='virtio'/></devices></domain>
"""


@contextmanager
def watched(where: str, folder: Path) -> Iterator[Path]:
    """A guest that collectd watches; gives the folder of the values that it finds."""
    folder.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(folder / "disk"), "4M"], check=True)
    (folder / "conf").write_text(COLLECTD.replace("FOLDER", str(folder)).replace("WHERE", where))
    (folder / "xml").write_text(WATCHED.replace("FOLDER", str(folder)))
    subprocess.run(["virsh", "-q", "-c", where, "create", str(folder / "xml")], check=True)
    try:
        daemon = subprocess.Popen(["collectd", "-f", "-C", str(folder / "conf")], stderr=subprocess.DEVNULL)
        try:
            yield folder / "csv" / "watched" / "virt"
        finally:
            daemon.terminate()
            daemon.wait(60)
    finally:
        subprocess.run(["virsh", "-q", "-c", where, "destroy", "watched"], check=True)


def values(found: Path) -> set[str]:
    return {path.name[: -len("-2026-01-01")] for path in found.iterdir()} if found.is_dir() else set()


def test_collectd_watches_guests(virtcored: Path, libvirtd: Path, tmp_path: Path) -> None:
    if shutil.which("collectd", path=f"/usr/sbin:{os.environ['PATH']}") is None:
        pytest.skip("collectd is not installed (Debian: collectd-core)")
    here = uri("qemu+unix:///system", virtcored / "run" / "libvirt-sock")
    with (
        watched(uri("qemu+unix:///system", libvirtd), tmp_path / "theirs") as theirs,
        watched(here, tmp_path / "ours") as ours,
    ):
        before: set[str] = set()
        end = time.monotonic() + 120
        while not before or not before == values(theirs) == values(ours):  # nor does more come
            assert time.monotonic() < end, values(theirs) ^ values(ours)
            before = values(theirs)
            time.sleep(1.5)
    assert "failed" not in (tmp_path / "ours" / "log").read_text()
