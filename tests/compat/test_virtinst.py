"""virt-install, virt-clone, virt-xml and virt-xml-validate on virtcored: guests that are nobody's but theirs."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.conftest import uri

Program = Callable[..., str]

QUIET = ("--osinfo", "generic", "--noautoconsole", "--graphics", "none")
UP = b"VIRTCORE-GUEST-UP"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Run one of virtinst's programs; gives both outputs."""
    if shutil.which("virt-install") is None:
        pytest.skip("virt-install is not installed (Debian: virtinst)")
    environment = {**os.environ, "LC_ALL": "C", "HOME": str(tmp_path_factory.mktemp("home"))}

    def run(name: str, *arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            [name, *arguments], capture_output=True, text=True, timeout=240, env=environment, check=False
        )
        told = done.stdout + done.stderr
        assert (done.returncode != 0) is fails, f"{name} {' '.join(arguments)}: {told}"
        return told

    return run


@pytest.fixture
def held(virtcored: Path) -> Iterator[str]:
    """The test driver, whose guests stay while somebody is connected."""
    where = uri("test+unix:///default", virtcored / "run" / "libvirt-sock")
    holder = subprocess.Popen(["virsh", "-q", "-c", where], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b"uri\n")
        holder.stdin.flush()
        assert holder.stdout.readline()
        yield where
    finally:
        holder.kill()
        holder.communicate()


@pytest.fixture
def qemu(virsh: Any, virtcored: Path) -> Iterator[str]:
    """QEMU's driver; guests that are left go with the test."""
    where = uri("qemu+unix:///system", virtcored / "run" / "libvirt-sock")
    before = set(virsh(where, "list", "--all", "--name").stdout.split())
    yield where
    for name in set(virsh(where, "list", "--all", "--name").stdout.split()) - before:
        virsh(where, f"destroy {name} ; undefine {name} --nvram --managed-save", check=False)
    for name in virsh(where, "pool-list", "--all", "--name").stdout.split():
        virsh(where, f"pool-destroy {name} ; pool-undefine {name}", check=False)


def test_storage_of_the_test_driver(program: Program, virsh: Any, held: str) -> None:
    """A guest with a volume of its own, its clone, and what is added to it and taken away again."""
    assert "Domain creation completed" in program(
        "virt-install", "--connect", held, "--name", "one", "--memory", "160", "--import", "--disk", "size=1", *QUIET
    )
    program(
        *("virt-install", "--connect", held, "--name", "two", "--memory", "160", "--pxe", "--transient"),
        *("--disk", "pool=default-pool,size=1,format=raw", "--network", "network=default", *QUIET),
    )
    assert "two.img" in virsh(held, "vol-list", "default-pool").stdout
    assert "must be shutoff" in program(
        *("virt-clone", "--connect", held, "-o", "one", "-n", "clone", "--auto-clone"), fails=True
    )
    virsh(held, "destroy", "one")
    program("virt-clone", "--connect", held, "-o", "one", "-n", "clone", "--auto-clone")
    assert "clone.qcow2" in virsh(held, "domblklist", "clone").stdout
    program("virt-xml", "--connect", held, "clone", "--edit", "--memory", "512,maxmemory=1024")
    program("virt-xml", "--connect", held, "clone", "--add-device", "--disk", "size=1")
    assert len(virsh(held, "domblklist", "clone").stdout.split()) == 4
    program("virt-xml", "--connect", held, "clone", "--remove-device", "--disk", "2")
    described = virsh(held, "dumpxml", "clone").stdout
    assert described.count("<disk ") == 1
    assert "<memory unit='KiB'>1048576</memory>" in described
    assert "<currentMemory unit='KiB'>524288</currentMemory>" in described


def test_storage_of_guests(program: Program, virsh: Any, qemu: str, tmp_path: Path) -> None:
    """Images that virt-install and virt-clone have made, in pools that they have made."""
    install = ("virt-install", "--connect", qemu, "--virt-type", "qemu", "--memory", "64", "--import", *QUIET)
    made, folder = tmp_path / "made", tmp_path / "pool"
    made.mkdir()
    program(*install, "--network", "none", "--name", "one", "--disk", f"path={made}/one.qcow2,size=1,sparse=yes")
    assert "one.qcow2" in virsh(qemu, "vol-list", "made").stdout
    assert (made / "one.qcow2").read_bytes()[:4] == b"QFI\xfb"
    virsh(qemu, "pool-create-as", "images", "dir", "--target", str(folder), "--build")
    program(*install, "--network", "none", "--name", "two", "--disk", "pool=images,size=1,format=raw")
    assert (folder / "two.img").stat().st_size == 1 << 30
    virsh(qemu, "vol-create-as", "images", "three.qcow2", "16M", "--format", "qcow2")
    program(*install, "--network", "none", "--name", "three", "--disk", "vol=images/three.qcow2")
    for name in ("one", "two", "three"):
        virsh(qemu, "destroy", name)
    program("virt-clone", "--connect", qemu, "-o", "one", "-n", "clone", "--auto-clone")
    clone = virsh(qemu, "domblklist", "clone").stdout
    assert f"{made}/clone.qcow2" in clone
    virsh(qemu, "start", "clone")
    virsh(qemu, "destroy", "clone")
    virsh(qemu, "undefine", "clone", "--remove-all-storage")
    assert sorted(path.name for path in made.iterdir()) == ["one.qcow2"]


def wait_for(path: Path) -> socket.socket:
    """Connect to a guest's serial port."""
    end = time.monotonic() + 60
    while True:
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(120)
        try:
            channel.connect(str(path))
            return channel
        except OSError:
            channel.close()
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_guest_from_installing_to_powering_off(
    program: Program, virsh: Any, qemu: str, boot: tuple[Path, Path], tmp_path: Path
) -> None:
    kernel, initrd = boot
    disk, port = tmp_path / "disk.qcow2", tmp_path / "serial"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "16M"], check=True)
    program(
        *("virt-install", "--connect", qemu, "--virt-type", "qemu", "--name", "installed", "--memory", "160"),
        *("--import", "--disk", f"path={disk},bus=virtio"),
        *("--network", "user,model=virtio", "--serial", f"unix,mode=bind,path={port}", "--rng", "/dev/urandom"),
        "--boot",
        f"kernel={kernel},initrd={initrd},kernel_args='console=ttyS0 quiet panic=-1 8250.nr_uarts=1'",
        *QUIET,
    )
    change = ("virt-xml", "--connect", qemu, "installed")
    with wait_for(port) as serial:
        program(*change, "--edit", "--metadata", "title=changed,description=while it runs")
        program(*change, "--edit", "--memory", "192", "--define")
        program(*change, "--edit", "--vcpus", "2", "--define")
        program(*change, "--add-device", "--network", "user,mac=52:54:00:12:34:56")
        serial.sendall(b"hello\n")  # it may have said that it is up while nobody listened
        seen = b""
        while UP not in seen and b"guest says: hello" not in seen:
            seen += serial.recv(4096)
        serial.sendall(b"poweroff\n")
        while serial.recv(4096):
            pass
    end = time.monotonic() + 60
    while virsh(qemu, "domstate", "installed").stdout.strip() != "shut off":
        assert time.monotonic() < end
        time.sleep(0.05)
    described = virsh(qemu, "dumpxml", "installed").stdout
    for wanted in (
        "<title>changed</title>",
        "<memory unit='KiB'>196608</memory>",
        "<vcpu placement='static'>2</vcpu>",
        "<mac address='52:54:00:12:34:56'/>",
        f"<kernel>{kernel}</kernel>",
    ):
        assert wanted in described
    program(*change, "--remove-device", "--network", "mac=52:54:00:12:34:56")
    program(*change, "--edit", "target=vda", "--disk", "cache=none")
    program(*change, "--add-device", "--watchdog", "i6300esb", "--start")
    assert "model='i6300esb'" in virsh(qemu, "dumpxml", "installed").stdout
    virsh(qemu, "destroy", "installed")
    assert "cache='none'" in virsh(qemu, "dumpxml", "installed").stdout


def test_kinds_of_installing(program: Program, virsh: Any, qemu: str, boot: tuple[Path, Path]) -> None:
    kernel, initrd = boot
    install = ("virt-install", "--connect", qemu, "--virt-type", "qemu", "--disk", "none", "--network", "user", *QUIET)
    firmware = ("--boot", "uefi") if Path("/usr/share/OVMF/OVMF_CODE_4M.fd").exists() else ()
    kinds = {
        "transient": ("--install", f"kernel={kernel},initrd={initrd}", "--transient"),
        "cloud-init": ("--import", "--cloud-init"),
        "network": ("--pxe",),
        "firmware": ("--import", "--tpm", "none", "--machine", "q35", *firmware),
        "rich": (
            *("--import", "--tpm", "none", "--machine", "q35", "--video", "virtio", "--sound", "ich9"),
            *("--iothreads", "2", "--events", "on_reboot=destroy", "--input", "tablet", "--watchdog", "i6300esb"),
            *(
                "--channel",
                "unix,target.type=virtio,name=org.qemu.guest_agent.0",
                "--controller",
                "usb,model=qemu-xhci",
            ),
            *("--vcpus", "2,maxvcpus=4,sockets=4", "--memballoon", "virtio,autodeflate=on", "--controller", "scsi"),
        ),
    }
    for name, arguments in kinds.items():
        program(*install, "--name", name, "--memory", "160", *arguments)
        assert virsh(qemu, "domstate", name).stdout.strip() == "running"
        virsh(qemu, "destroy", name)
    defined = set(virsh(qemu, "list", "--all", "--name").stdout.split())
    assert defined >= set(kinds) - {"transient"}
    assert "transient" not in defined
    program("virt-clone", "--connect", qemu, "-o", "rich", "-n", "rich-clone", "--auto-clone")
    theirs, ours = (virsh(qemu, "dumpxml", name).stdout for name in ("rich", "rich-clone"))
    personal = re.compile(r"<(name|uuid)>.*|<mac .*|<metadata>(?s:.*)</metadata>")
    assert personal.sub("", theirs) == personal.sub("", ours)


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_it_asks_both_daemons_for_the_same_guest(
    program: Program, virtcored: Path, libvirtd: Path, machine: str
) -> None:
    """What virt-install makes of the capabilities of either."""
    made = []
    for where in (libvirtd, virtcored / "run" / "libvirt-sock"):
        text = program(
            *("virt-install", "--connect", uri("qemu+unix:///system", where), "--virt-type", "qemu", "--print-xml"),
            *("--name", "printed", "--memory", "512", "--disk", "none", "--import", "--network", "user"),
            *("--osinfo", "debian11", "--machine", machine, "--tpm", "none", "--boot", "firmware=efi"),
        )
        made.append(re.sub(r"<uuid>.*|<mac .*", "", text))
    assert made[0] == made[1]


def test_documents_are_what_libvirt_has_schemas_for(program: Program, virsh: Any, held: str, tmp_path: Path) -> None:
    if shutil.which("xmllint") is None:
        pytest.skip("xmllint is not installed (Debian: libxml2-utils)")
    for number, (schema, command) in enumerate(
        (
            ("domain", ("dumpxml", "test")),
            ("network", ("net-dumpxml", "default")),
            ("storagepool", ("pool-dumpxml", "default-pool")),
            ("nodedev", ("nodedev-dumpxml", "computer")),
            ("interface", ("iface-dumpxml", "eth1")),
            ("capability", ("capabilities",)),
        )
    ):
        path = tmp_path / f"{number}.xml"
        # The schemas are those of 9.0, which had no clusters of processors.
        path.write_text(re.sub(r" cluster(s|_id)='\d+'", "", virsh(held, *command).stdout))
        assert "validates" in program("virt-xml-validate", str(path), schema)
