"""Guests as another user: what they run as, what is theirs meanwhile, what they see of the host's devices."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from guest_image import guest_xml, write_qcow2

import virtcore
from support import eventually
from virt_host.cgroup import Mounts
from virt_host.cgroup.devices import are_guarded
from virt_qemu.isolation import ownership
from virt_qemu.isolation.ownership import Claim, give_back, take
from virtcore.enums import (
    DomainBlockCopyFlags,
    DomainBlockJobAbortFlags,
    DomainCreateFlags,
    DomainJobType,
    DomainSnapshotCreateFlags as SnapshotCreateFlags,
)
from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg, OperationInvalid, SystemError, VirtError
from virtcore.types import TypedParameters

PAUSED = DomainCreateFlags.START_PAUSED
REMEMBERED = "trusted.libvirt.security.dac"
COUNT = "trusted.libvirt.security.ref_dac"


def _keeps_attributes() -> bool:
    with tempfile.NamedTemporaryFile() as file:
        try:
            os.setxattr(file.name, "trusted.virtcore.test", b"1")
        except OSError:
            return False
    return True


pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not _keeps_attributes(), reason="the file system keeps no extended attributes"),
]


@pytest.fixture
def place(probed: Path) -> Iterator[Path]:
    """A folder that everybody can pass through, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="vc-"))
    folder.chmod(0o755)
    (folder / "etc").mkdir()
    if probed.is_dir():
        shutil.copytree(probed, folder / "cache")
    yield folder
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(folder) in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            pass
    shutil.rmtree(folder)


@pytest.fixture
def nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


@pytest.fixture
def opened(place: Path) -> Iterator[Callable[[str], virtcore.Connection]]:
    """Open a connection with settings."""
    connections = []

    def open_(settings: str) -> virtcore.Connection:
        (place / "etc" / "qemu.conf").write_text(settings)
        connections.append(virtcore.connect(f"qemu:///embed?root={place}"))
        return connections[-1]

    yield open_
    for connection in connections:
        connection.close()


@pytest.fixture
def files(place: Path, boot: tuple[Path, Path]) -> tuple[Path, Path]:
    """Kernel and initramfs where the guest's user can get at them."""
    copies = (place / "kernel", place / "initrd")
    for source, copy in zip(boot, copies, strict=True):
        shutil.copy(source, copy)
        copy.chmod(0o600)
    return copies


def owner(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_uid, facts.st_gid


def pid_of(place: Path) -> int:
    [file] = (place / "run" / "qemu").glob("domain-*/pid")
    return int(file.read_text().split()[0])


def status_of(pid: int, name: str) -> list[str]:
    line = next(row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith(f"{name}:"))
    return line.split()[1:]


def test_it_runs_as_the_user_and_files_come_back(opened, files, place, nobody):
    disk, cdrom = place / "disk.qcow2", place / "cd.iso"
    write_qcow2(disk, 16)
    cdrom.write_bytes(bytes(2048 * 16))
    os.chown(disk, 12, 34)
    devices = f"""<disk type='file'><driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda'/></disk>
      <disk type='file' device='cdrom'><source file='{cdrom}'/><target dev='sda' bus='sata'/><readonly/></disk>
      <graphics type='vnc' autoport='yes'/>"""
    connection = opened('user = "nobody"\nnamespaces = [ "mount" ]\nmax_files = 4321\nmax_core = 0\n')
    domain = connection.define_domain(guest_xml("own", *files, devices=devices))
    domain.create(PAUSED)
    pid = pid_of(place)
    assert status_of(pid, "Uid") == [str(nobody.pw_uid)] * 4
    assert status_of(pid, "Gid") == [str(nobody.pw_gid)] * 4
    assert status_of(pid, "CapEff") == ["0000000000000000"]
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert "Max open files            4321                 4321" in limits
    assert "Max core file size        0                    0" in limits
    mine = (nobody.pw_uid, nobody.pw_gid)
    assert [owner(path) for path in (disk, cdrom, *files)] == [mine] * 4
    assert os.getxattr(disk, REMEMBERED) == b"+12:+34"
    assert REMEMBERED not in os.listxattr(cdrom), "others may read it too"
    label = f"<label>+{mine[0]}:+{mine[1]}</label>"
    assert f"<seclabel type='dynamic' model='dac' relabel='yes'>\n    {label}" in domain.xml()
    assert "seclabel" not in domain.xml(virtcore.enums.DomainXMLFlags.INACTIVE)
    domain.destroy()
    assert owner(disk) == (12, 34)
    assert [owner(path) for path in files] == [(0, 0)] * 2
    assert [os.listxattr(path) for path in (disk, *files)] == [[]] * 3


def test_devices_of_its_own(opened, files, place):
    connection = opened('user = "nobody"\nnamespaces = [ "mount" ]\n')
    domain = connection.create_domain(guest_xml("hidden", *files, devices="<serial type='pty'/>"), PAUSED)
    pid = pid_of(place)
    seen = {path.name for path in Path(f"/proc/{pid}/root/dev").iterdir()}
    assert {"null", "zero", "urandom", "ptmx", "pts", "fd"} <= seen
    assert not seen & {"mem", "kmsg", "vda", "sda", "loop0"}
    assert os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    assert Path("/dev/kmsg").exists(), "ours is as it was"
    if shutil.which("losetup") is None:
        return
    image = place / "image"
    image.write_bytes(bytes(1 << 20))
    loop = subprocess.run(
        ["losetup", "--show", "-f", image], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not loop:
        return
    try:
        domain.attach_device(
            f"<disk type='block'><driver name='qemu' type='raw'/><source dev='{loop}'/><target dev='vdb'/></disk>"
        )
        assert Path(f"/proc/{pid}/root{loop}").is_block_device()
        xml = domain.xml()
        disk = "<disk" + next(part for part in xml.split("<disk") if "vdb" in part).partition("</disk>")[0] + "</disk>"
        assert owner(Path(loop)) == owner(Path(f"/proc/{pid}/root{loop}"))
        assert owner(Path(loop))[0] == pwd.getpwnam("nobody").pw_uid
        domain.detach_device(disk)
    finally:
        domain.destroy()
        subprocess.run(["losetup", "-d", loop], check=True)
    assert owner(Path(loop))[0] == 0


def test_images_that_come_later(opened, files, place, nobody):
    disk, overlay = place / "disk.qcow2", place / "overlay.qcow2"
    write_qcow2(disk, 16)
    (place / "closed").mkdir(mode=0o755)
    overlay = place / "closed" / "overlay.qcow2"  # where only we can make files
    device = f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda'/></disk>"
    domain = opened('user = "nobody"\nnamespaces = [ "mount" ]\n').create_domain(
        guest_xml("later", *files, devices=device), PAUSED
    )
    snapshot = f"<domainsnapshot><disks><disk name='vda'><source file='{overlay}'/></disk></disks></domainsnapshot>"
    domain.create_snapshot(snapshot, SnapshotCreateFlags.DISK_ONLY | SnapshotCreateFlags.NO_METADATA)
    assert owner(overlay) == (nobody.pw_uid, nobody.pw_gid)
    assert f"<source file='{overlay}'" in domain.xml()
    domain.destroy()
    assert owner(overlay) == owner(disk) == (0, 0)


def test_an_image_that_another_disk_has_stays_the_guests(opened, files, place, nobody):
    image = place / "image"
    image.write_bytes(bytes(1 << 20))
    disk = f"<disk type='file'><driver type='raw'/><source file='{image}'/><target dev='vda' bus='virtio'/></disk>"
    domain = opened('user = "nobody"\n').create_domain(guest_xml("twice", *files, devices=disk), PAUSED)
    with pytest.raises(InternalError, match='Failed to get "write" lock'):
        domain.attach_device(disk.replace("vda", "vdb"))
    assert owner(image) == (nobody.pw_uid, nobody.pw_gid)
    domain.destroy()
    assert owner(image) == (0, 0)


@pytest.mark.skipif(not Path("/usr/share/OVMF/OVMF_CODE_4M.fd").exists(), reason="OVMF is not installed")
def test_variables_and_a_tpm_of_another_user(opened, files, place, nobody):
    tpm = "<tpm model='tpm-crb'><backend type='emulator'/></tpm>" if shutil.which("swtpm_setup") else ""
    xml = guest_xml("efi", *files, devices=tpm).replace("<os>", "<os firmware='efi'>")
    domain = opened('user = "nobody"\n').define_domain(xml)
    domain.create(PAUSED)
    variables = place / "lib" / "qemu" / "nvram" / "efi_VARS.fd"
    assert owner(variables) == (nobody.pw_uid, nobody.pw_gid)
    if tpm:
        [state] = (place / "lib" / "qemu" / "swtpm").glob("*/tpm2")
        [pid_file] = (place / "run" / "qemu").glob("domain-*/tpm0-swtpm.pid")
        user = int(status_of(int(pid_file.read_text().split()[0]), "Uid")[0])
        assert owner(state)[0] == user
        assert pwd.getpwuid(user).pw_name in ("swtpm", "tss", "root")
    domain.destroy()
    assert owner(variables) == (0, 0)


def test_a_label_of_its_own(opened, files, place):
    connection = opened('user = "nobody"\n')
    static = "<seclabel type='static' model='dac' relabel='yes'><label>+777:+778</label></seclabel>"
    domain = connection.create_domain(guest_xml("static", *files).replace("</devices>", f"</devices>{static}"), PAUSED)
    assert status_of(pid_of(place), "Uid")[0] == "777"
    assert owner(files[0]) == (777, 778)
    domain.destroy()
    assert owner(files[0]) == (0, 0)
    with pytest.raises(InvalidArg, match="Failed to parse user 'nobodyatall'"):
        connection.create_domain(
            guest_xml("static", *files).replace("</devices>", f"</devices>{static.replace('+777', 'nobodyatall')}")
        )


def test_models_that_there_are(opened, files, place, nobody):
    connection = opened('user = "nobody"\n')
    own = f"+{nobody.pw_uid}:+{nobody.pw_gid}"
    assert f"<model>dac</model>\n      <doi>0</doi>\n      <baselabel type='kvm'>{own}</baselabel>" in (
        connection.capabilities()
    )
    socket = place / "socket"
    channel = f"<channel type='unix'><source mode='bind' path='{socket}'/><target type='virtio' name='to'/></channel>"
    domain = connection.create_domain(guest_xml("labelled", *files, devices=channel), PAUSED)
    assert (owner(socket), socket.stat().st_mode & 0o777) == ((nobody.pw_uid, nobody.pw_gid), 0o775)
    assert [label.label for label in domain.security_labels()] == ["", own]
    # What this host has given it is not told to others.
    assert "<seclabel type='dynamic' model='dac' relabel='yes'>" in domain.xml()
    assert "<seclabel" not in domain.xml(virtcore.enums.DomainXMLFlags.MIGRATABLE)
    domain.destroy()
    missing = f"<disk type='file'><driver type='qcow2'/><source file='{place}/no'/><target dev='vda'/></disk>"
    said = f"Cannot access storage file '{place}/no' (as uid:{nobody.pw_uid}, gid:{nobody.pw_gid}): No such file"
    with pytest.raises(SystemError, match=re.escape(said)):
        connection.create_domain(guest_xml("no", *files, devices=missing), PAUSED)
    label = "<seclabel type='dynamic' model='selinux' relabel='yes'/>"
    with pytest.raises(ConfigUnsupported, match="Unable to find security driver for model selinux"):
        connection.create_domain(guest_xml("no", *files).replace("</devices>", f"</devices>{label}"), PAUSED)


def test_programs_beside_a_guest_are_its_users(opened, files, place, nobody):
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed")
    connection = opened('user = "nobody"\nnamespaces = [ "mount" ]\n')
    domain = connection.create_domain(guest_xml("bus", *files, devices="<graphics type='dbus'/>"), PAUSED)
    bus = place / "run" / "qemu" / "dbus" / f"{domain.id}-bus"
    assert owner(bus) == owner(bus / "bus") == (nobody.pw_uid, nobody.pw_gid)
    [pid_file] = (place / "run" / "qemu").glob("domain-*/dbus.pid")
    assert status_of(int(pid_file.read_text().split()[0]), "Uid")[0] == str(nobody.pw_uid)
    domain.destroy()
    assert not bus.exists()


def test_guests_that_say_nothing_have_no_label(opened, files, place, nobody):
    connection = opened('user = "nobody"\nsecurity_default_confined = 0\n')
    domain = connection.create_domain(guest_xml("bare", *files), PAUSED)
    assert "<seclabel" not in domain.xml()
    # It is asked of the process then.
    assert [label.label for label in domain.security_labels()] == ["", f"+{nobody.pw_uid}:+{nobody.pw_gid}"]
    assert status_of(pid_of(place), "Uid")[0] == str(nobody.pw_uid)  # who runs it, and has its files, is another matter
    assert owner(files[0]) == (nobody.pw_uid, nobody.pw_gid)
    domain.destroy()
    label = "<seclabel type='dynamic' model='dac'/>"
    domain = connection.create_domain(guest_xml("bare", *files).replace("</devices>", f"</devices>{label}"), PAUSED)
    assert f"<label>+{nobody.pw_uid}:+{nobody.pw_gid}</label>" in domain.xml()
    domain.destroy()


def test_devices_in_groups_of_the_second_version(opened, files, entropy, place, monkeypatch):
    found = Mounts.detect()
    if found.second is None or not are_guarded(found.second):
        pytest.skip("this machine has no control groups of the second version, or its kernel guards no devices")
    only = Mounts(second=found.second, unified=frozenset({"cpuacct"}))
    monkeypatch.setattr("virt_qemu.tuning.state.Mounts", SimpleNamespace(detect=lambda: only))
    rng = f"<rng model='virtio'><backend model='random'>{entropy}</backend></rng>"
    domain = opened("").create_domain(guest_xml("second", *files, devices=rng), PAUSED)
    [group] = (found.second / "machine").glob("qemu-*-second.libvirt-qemu")
    assert str(pid_of(place)) in (group / "cgroup.procs").read_text().split()
    tries = "for file in /dev/null /dev/urandom $1 /dev/kmsg; do ( : < $file ) 2>/dev/null && echo yes || echo no; done"
    child = ["sh", "-c", f"echo $$ > {group}/cgroup.procs; {tries}", "sh", str(entropy)]
    assert subprocess.run(child, check=True, capture_output=True, text=True).stdout.split() == [
        "yes", "yes", "yes", "no"
    ]  # fmt: skip
    domain.destroy()
    eventually(lambda: not group.exists())


def test_disks_that_are_not_relabelled(opened, files, place, nobody):
    disk = place / "disk"
    disk.write_bytes(bytes(1 << 20))
    disk.chmod(0o666)
    source = f"<source file='{disk}'><seclabel model='dac' relabel='no'/></source>"
    device = f"<disk type='file'>{source}<target dev='vda'/></disk>"
    domain = opened('user = "nobody"\n').create_domain(guest_xml("stays", *files, devices=device), PAUSED)
    assert owner(disk) == (0, 0)
    domain.destroy()


def allowed(pid: int) -> list[str]:
    """Devices that the control group of a process lets it open."""
    rows = (line.split(":") for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    where = next((path for _, controllers, path in rows if "devices" in controllers.split(",")), None)
    mount = Mounts.detect().first.get("devices")
    if where is None or mount is None:
        pytest.skip("this machine has no control group of devices of the first version")
    return (mount / where.lstrip("/") / "devices.list").read_text().splitlines()


@pytest.fixture
def entropy() -> Iterator[str]:
    """A device file of the host that no guest has, though everybody may read it."""
    path = f"/dev/virtcore-test-{os.getpid()}"
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(10, 200))
    os.chmod(path, 0o666)
    yield path
    os.unlink(path)


def test_a_guest_may_open_its_own_devices_only(opened, files, entropy, place):
    connection = opened('user = "nobody"\nnamespaces = [ "mount" ]\n')
    rng = f"<rng model='virtio'><backend model='random'>{entropy}</backend></rng>"
    domain = connection.create_domain(guest_xml("first", *files, devices=rng), PAUSED)
    assert "c 10:200 rw" in allowed(pid_of(place))
    domain.destroy()
    domain = connection.create_domain(guest_xml("later", *files), PAUSED)
    found = allowed(pid_of(place))
    assert {"c 1:3 rw", "c 5:2 rw", "c 136:* rw"} <= set(found)
    assert not {"a *:* rwm", "c 10:200 rw"} & set(found)
    domain.attach_device(rng)
    assert allowed(pid_of(place)) == [*found, "c 10:200 rw"]
    with pytest.raises(VirtError):
        domain.attach_device(rng.replace(entropy, "/dev/virtcore-not-there"))
    assert allowed(pid_of(place)) == [*found, "c 10:200 rw"]
    domain.destroy()


def test_what_a_failed_start_took_is_given_back(opened, files, place):
    connection = opened('user = "nobody"\n')
    broken = guest_xml("broken", *files).replace(
        "<domain type='qemu'>", "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
    )
    broken = broken.replace("</devices>", "</devices><qemu:commandline><qemu:arg value='-none'/></qemu:commandline>")
    with pytest.raises(VirtError, match="invalid option"):
        connection.create_domain(broken)
    assert [owner(path) for path in files] == [(0, 0)] * 2
    assert not list((place / "run" / "qemu").glob("domain-*"))


def test_files_come_back_after_a_crash(opened, files, place, nobody):
    connection = opened('user = "nobody"\n')
    connection.create_domain(guest_xml("orphan", *files), PAUSED)
    connection.close()
    os.kill(pid_of(place), signal.SIGKILL)
    assert owner(files[0])[0] == nobody.pw_uid
    opened('user = "nobody"\n').close()
    eventually(lambda: owner(files[0]) == (0, 0))


def test_a_user_that_is_not_there(opened):
    with pytest.raises(InvalidArg, match="Failed to parse user 'nobodyatall'"):
        opened('user = "nobodyatall"\n')


# -------------------------------------------------------------------------------- files and their owners


def test_two_guests_share_a_file(tmp_path):
    first, second, shared = tmp_path / "1", tmp_path / "2", tmp_path / "shared"
    for path in (first, second):
        path.mkdir()
    shared.touch()
    os.chown(shared, 5, 6)
    take(first, [Claim(str(shared), 100, 101)], remember=True)
    take(second, [Claim(str(shared), 100, 101)], remember=True)
    assert os.getxattr(shared, COUNT) == b"2"
    with pytest.raises(OperationInvalid, match=r"Setting different DAC user or group on .* which is already in use"):
        take(tmp_path, [Claim(str(shared), 200, 201)], remember=True)
    give_back(first)
    give_back(first)
    assert owner(shared) == (100, 101), "the other still has it"
    give_back(second)
    assert owner(shared) == (5, 6)
    assert os.listxattr(shared) == []


def test_of_several_either_all_or_none(tmp_path, monkeypatch):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.touch()
    bad.touch()
    real = os.chown

    def chown(path, uid, gid):
        if str(path) == str(bad) and uid:
            raise OSError(5, "Input/output error")
        real(path, uid, gid)

    monkeypatch.setattr(ownership.os, "chown", chown)
    with pytest.raises(SystemError, match=f"unable to set user and group to '7:8' on '{bad}': Input/output error"):
        take(tmp_path, [Claim(str(good), 7, 8), Claim(str(bad), 7, 8)], remember=True)
    assert owner(good) == owner(bad) == (0, 0)
    assert os.listxattr(good) == os.listxattr(bad) == []


def test_what_was_noted_before_the_host_went_down_is_void(tmp_path):
    file = tmp_path / "file"
    file.touch()
    os.setxattr(file, REMEMBERED, b"+1:+2")
    os.setxattr(file, COUNT, b"3")
    os.setxattr(file, "trusted.libvirt.security.timestamp_dac", b"17")
    take(tmp_path, [Claim(str(file), 7, 8)], remember=True)
    assert os.getxattr(file, COUNT) == b"1"
    give_back(tmp_path)
    assert owner(file) == (0, 0)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_images_of_block_jobs_and_backups_are_the_guests_as_long_as_it_uses_them(opened, files, place, nobody):
    from block_guest import check, make_image

    base = make_image(place / "base.qcow2")
    top = make_image(place / "top.qcow2", base=base)
    disk = f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{top}'/><target dev='vda'/></disk>"
    connection = opened('user = "nobody"\nnamespaces = [ "mount" ]\n')
    domain = connection.define_domain(guest_xml("blocks", *files, devices=disk))
    domain.create(PAUSED)
    mine = (nobody.pw_uid, nobody.pw_gid)
    copy, pushed = place / "copy.qcow2", place / "pushed.qcow2"
    xml = f"<disk><source file='{copy}'/></disk>"
    domain.block_copy("vda", xml, TypedParameters(), DomainBlockCopyFlags.TRANSIENT_JOB)
    eventually(lambda: "ready='yes'" in domain.xml())
    assert owner(copy) == mine
    domain.block_job_abort("vda", DomainBlockJobAbortFlags.PIVOT)
    assert [owner(path) for path in (copy, top, base)] == [mine, (0, 0), mine], "others may read what is below"
    target = f"<disk name='vda' type='file'><target file='{pushed}'/></disk>"
    domain.backup_begin(f"<domainbackup><disks>{target}</disks></domainbackup>")
    eventually(lambda: domain.job_stats(1).type == DomainJobType.COMPLETED)
    check(pushed)
    assert owner(pushed) == (0, 0)
    overlay = place / "overlay.qcow2"
    source = f"<disk name='vda' snapshot='external'><source file='{overlay}'/></disk>"
    domain.create_snapshot(f"<domainsnapshot><disks>{source}</disks></domainsnapshot>", 16)  # of the disks only
    assert owner(overlay) == mine
    domain.block_commit("vda", flags=4)
    eventually(lambda: "ready='yes'" in domain.xml())
    domain.block_job_abort("vda", DomainBlockJobAbortFlags.PIVOT)
    assert owner(overlay) == (0, 0)
    domain.destroy()
    assert owner(base) == mine, "others may read what was below"
