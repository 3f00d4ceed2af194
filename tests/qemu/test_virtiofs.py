"""Shared folders: virtiofsd is started before the guest and stopped after it, and the guest sees the files."""

from __future__ import annotations

import os
from pathlib import Path

import guest_image
import pytest
from guest_image import MARKER, guest_xml

from support import eventually
from virt_qemu.host_side.filesystems import virtiofsd_command
from virt_qemu.rules import QemuRules
from virtcore.enums import DomainCreateFlags, DomainDeviceModifyFlags as Modify
from virtcore.errors import OperationFailed, OperationUnsupported, VirtError
from virtcore.model.domain.document import load_domain

PAUSED = DomainCreateFlags.START_PAUSED
SHARED = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"

needs_virtiofsd = pytest.mark.skipif(
    os.geteuid() != 0 or not list(Path("/usr/share/qemu/vhost-user").glob("*virtiofsd*")),
    reason="needs root and virtiofsd",
)


def share(folder: Path, rest: str = "") -> str:
    return f"""<filesystem type='mount'><driver type='virtiofs'/>{rest}
      <source dir='{folder}'/><target dir='tag'/></filesystem>"""


def shared_guest(name: str, boot: tuple[Path, Path], devices: str) -> str:
    return guest_xml(name, *boot, devices=devices).replace("<vcpu>", f"{SHARED}<vcpu>")


def virtiofsd_of(root: Path) -> int:
    [pid_file] = (root / "run" / "qemu").glob("domain-*/fs0-virtiofsd.pid")
    return int(pid_file.read_text().split()[0])


@needs_virtiofsd
def test_the_guest_sees_the_files(connection, boot, root, tmp_path, tmp_path_factory):
    initrd = tmp_path_factory.mktemp("virtiofs") / "initrd"
    guest_image.write_initramfs(initrd, boot[0], ["virtio_pci", "virtiofs"])
    folder, serial = tmp_path / "shared folder", tmp_path / "serial"
    folder.mkdir()
    (folder / "hello").write_text("from the host\n")
    devices = share(folder) + f"<serial type='file'><source path='{serial}'/></serial>"
    devices = devices.replace("type='file'", "type='unix'").replace("<source path", "<source mode='bind' path")
    devices = devices.replace("</serial>", f"<log file='{serial}.log'/></serial>")
    domain = connection.create_domain(shared_guest("shares", (boot[0], initrd), devices))
    log = Path(f"{serial}.log")
    pid = virtiofsd_of(root)
    eventually(lambda: MARKER in log.read_text(errors="replace"))
    with domain.open_console() as stream:
        stream.write(b"run /bin/busybox mount -t virtiofs tag /mnt && /bin/busybox cat /mnt/hello\n")
        eventually(lambda: log.read_text(errors="replace").count("from the host") >= 1)
        stream.write(b"run echo from the guest > /mnt/back\n")
        eventually(lambda: (folder / "back").exists() and "guest" in (folder / "back").read_text())
    domain.destroy()
    eventually(lambda: not Path(f"/proc/{pid}").exists())


@needs_virtiofsd
def test_what_a_failed_start_began_is_ended(connection, boot, root, tmp_path):
    with pytest.raises(OperationFailed, match=r"the virtiofs export directory '/none' does not exist"):
        connection.create_domain(shared_guest("none", boot, share(Path("/none"))), PAUSED)
    fake = tmp_path / "virtiofsd"
    fake.write_text("#!/bin/sh\necho cannot serve >&2\nexit 3\n")
    fake.chmod(0o755)
    with pytest.raises(VirtError):
        connection.create_domain(shared_guest("dies", boot, share(tmp_path, f"<binary path='{fake}'/>")), PAUSED)
    assert "cannot serve" in (root / "log" / "qemu" / "dies-fs0-virtiofsd.log").read_text()
    assert not list((root / "run" / "qemu").glob("domain-*"))
    with pytest.raises(OperationFailed, match="Unable to find '/none' binary"):
        connection.create_domain(shared_guest("no", boot, share(tmp_path, "<binary path='/none'/>")), PAUSED)


@needs_virtiofsd
def test_9p(connection, boot, tmp_path):
    device = f"<filesystem type='mount'><source dir='{tmp_path}'/><target dir='tag'/></filesystem>"
    domain = connection.create_domain(guest_xml("nine", *boot, devices=device), PAUSED)
    domain.destroy()
    with pytest.raises(VirtError, match="Unable to access '/none'"):
        connection.create_domain(guest_xml("nine", *boot, devices=device.replace(str(tmp_path), "/none")), PAUSED)


def test_options_of_virtiofsd():
    binary = """<binary path='/x' xattr='on'><cache mode='always'/><sandbox mode='chroot'/>
      <lock posix='on' flock='off'/><thread_pool size='16'/><openfiles max='1024'/></binary>"""
    domain = load_domain(
        shared_guest("options", (Path("/k"), Path("/i")), share(Path("/a,b"), binary)),
        QemuRules(lambda arch: "/usr/bin/qemu", lambda path: None),
    )
    [filesystem] = domain.devices.filesystems
    filesystem.readonly = True
    assert virtiofsd_command("/x", filesystem, 3, debug=True) == [
        "/x",
        "--fd=3",
        "-o",
        "source=/a,,b,cache=always,sandbox=chroot,xattr,no_flock,posix_lock",
        "--thread-pool-size=16",
        "--rlimit-nofile=1024",
        "--readonly",
        "-d",
    ]


@needs_virtiofsd
def test_a_folder_joins_a_running_guest(connection, boot, root, tmp_path):
    domain = connection.create_domain(shared_guest("joins", boot, ""), PAUSED)
    before = domain.xml()
    with pytest.raises(OperationFailed, match=r"the virtiofs export directory '/none' does not exist"):
        domain.attach_device(share(Path("/none")), Modify.LIVE)
    domain.attach_device(share(tmp_path), Modify.LIVE)
    pid = virtiofsd_of(root)
    plain = f"<filesystem type='mount'><source dir='{tmp_path}'/><target dir='other'/></filesystem>"
    with pytest.raises(OperationUnsupported, match="only virtiofs filesystems can be hotplugged"):
        domain.attach_device(plain, Modify.LIVE)
    assert domain.xml() != before
    domain.destroy()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
