"""Disks that need more than an image: limits, reservations, changes that are thrown away."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import guest_image
import pytest
from guest_image import MARKER, guest_xml, idle_xml, write_qcow2

import virtcore
from support import eventually
from virt_host.tools import find_tool
from virt_qemu.disks.throttling import joining_limits
from virtcore.enums import ConnectDomainEventDiskChangeReason as Reason, DomainCreateFlags
from virtcore.errors import OperationUnsupported, VirtError
from virtcore.model.domain import Domain
from virtcore.operations.events import DomainDiskChangeEvent
from virtcore.xml import parse

PAUSED = DomainCreateFlags.START_PAUSED


def disk(path: Path, rest: str = "", *, format: str = "qcow2", bus: str = "virtio") -> str:
    return f"""<disk type='file'><driver name='qemu' type='{format}'/><source file='{path}'/>
      <target dev='vda' bus='{bus}'/>{rest}</disk>"""


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_changes_of_a_transient_disk_are_thrown_away(connection, boot, tmp_path, tmp_path_factory):
    initrd = tmp_path_factory.mktemp("disk") / "initrd"
    guest_image.write_initramfs(initrd, boot[0], ["virtio_pci", "virtio_blk"])
    image, log = tmp_path / "image", tmp_path / "log"
    image.write_bytes(b"as it was".ljust(1 << 20, b"\0"))
    serial = f"<serial type='unix'><source mode='bind' path='{tmp_path}/sock'/><log file='{log}'/></serial>"
    devices = disk(image, "<transient/>", format="raw") + serial
    domain = connection.define_domain(guest_xml("passing", boot[0], initrd, devices=devices))
    domain.create()
    overlay = Path(f"{image}.TRANSIENT-passing")
    assert f"<source file='{overlay}'" in domain.xml()
    eventually(lambda: MARKER in log.read_text(errors="replace"))
    with domain.open_console() as stream:
        stream.write(b"run echo changed > /dev/vda; /bin/busybox sync; echo written$((1+1))\n")
        eventually(lambda: "written2" in log.read_text(errors="replace"))
    domain.destroy()
    assert image.read_bytes()[:9] == b"as it was"
    assert not overlay.exists()
    overlay.touch()
    with pytest.raises(OperationUnsupported, match=r"Overlay file '.*' for transient disk 'vda' already exists"):
        domain.create()
    assert overlay.exists(), "it is not ours"


def test_throughput_is_limited(connection, boot, tmp_path, root):
    image = tmp_path / "image"
    write_qcow2(image, 16)
    limits = "<iotune><total_bytes_sec>1048576</total_bytes_sec><read_iops_sec>20</read_iops_sec></iotune>"
    domain = connection.create_domain(guest_xml("slow", *boot, devices=disk(image, limits)), PAUSED)
    domain.destroy()
    bad = limits.replace("1048576", "999999999999999999")
    with pytest.raises(VirtError):
        connection.create_domain(guest_xml("slow", *boot, devices=disk(image, bad)), PAUSED)
    assert not list((root / "run" / "qemu").glob("domain-*"))


def test_limits_as_qemu_is_told_them():
    xml = disk(
        Path("/x"),
        "<iotune><total_bytes_sec>5</total_bytes_sec><total_bytes_sec_max>9</total_bytes_sec_max>"
        "<total_bytes_sec_max_length>3</total_bytes_sec_max_length><size_iops_sec>4096</size_iops_sec>"
        "<group_name>all</group_name></iotune><alias name='virtio-disk0'/>",
    )
    [parsed] = parse(f"<domain type='qemu'><name>x</name><devices>{xml}</devices></domain>", Domain).devices.disks
    parsed.alias = "virtio-disk0"
    told = {name: value for name, value in joining_limits(parsed).items() if not name.endswith("_max") or value}
    assert told == {
        "id": "/machine/peripheral/virtio-disk0/virtio-backend",
        "bps": 5,
        "bps_rd": 0,
        "bps_wr": 0,
        "iops": 0,
        "iops_rd": 0,
        "iops_wr": 0,
        "bps_max": 9,
        "bps_max_length": 3,
        "iops_size": 4096,
        "group": "all",
    }


@pytest.mark.skipif(find_tool("qemu-pr-helper") is None or os.geteuid() != 0, reason="needs root and qemu-pr-helper")
def test_the_helper_for_reservations_runs_with_the_guest(boot, tmp_path, probed):
    image, root = tmp_path / "image", Path(tempfile.mkdtemp(prefix="vc-"))  # paths of sockets have to be short
    shutil.copytree(probed, root / "cache")
    image.write_bytes(bytes(1 << 20))
    made = subprocess.run(["losetup", "--show", "-f", image], capture_output=True, text=True, check=False)
    loop = made.stdout.strip()
    if not loop:
        pytest.skip("there is no free loop device")
    try:
        device = f"""<disk type='block' device='lun'><driver name='qemu' type='raw'/>
          <source dev='{loop}'><reservations managed='yes'/></source><target dev='sda' bus='scsi'/></disk>
          <controller type='scsi' model='virtio-scsi'/>"""
        with virtcore.connect(f"qemu:///embed?root={root}") as connection:
            # A loop device takes no SCSI commands: QEMU says so, once it has reached the helper.
            with pytest.raises(VirtError, match=r"scsi-block|SG_IO|SCSI"):
                connection.create_domain(guest_xml("reserved", *boot, devices=device), PAUSED)
            assert "pr-manager-helper" in (root / "log" / "qemu" / "reserved.log").read_text()
            assert (root / "log" / "qemu" / "reserved-pr-helper0.log").exists(), "it was started"
            assert not list((root / "run" / "qemu").glob("domain-*"))
    finally:
        shutil.rmtree(root)
        subprocess.run(["losetup", "-d", loop], check=True)


def test_images_that_a_guest_can_do_without(connection, tmp_path):
    """``startupPolicy``: what is missing is left out, and told; the definition keeps it."""

    def missing(policy: str, target: str, device: str) -> str:
        rest = "<readonly/>" if device == "cdrom" else ""
        return f"""<disk type='file' device='{device}'><source file='{tmp_path}/{target}' startupPolicy='{policy}'/>
          <target dev='{target}' bus='sata'/>{rest}</disk>"""

    told = []
    there = tmp_path / "there"
    write_qcow2(there, 1)
    devices = [disk(there), missing("optional", "sda", "disk"), missing("optional", "sdb", "cdrom")]
    domain = connection.define_domain(idle_xml("less", *devices))
    connection.on_event(told.append, DomainDiskChangeEvent)
    domain.create(PAUSED)
    eventually(lambda: len(told) == 2)
    assert [(event.old_source_path, event.new_source_path, event.alias, event.reason) for event in told] == [
        (f"{tmp_path}/sdb", None, "sata0-0-1", Reason.CHANGE_MISSING_ON_START),
        (f"{tmp_path}/sda", None, "sata0-0-0", Reason.DROP_MISSING_ON_START),
    ]
    live = parse(domain.xml(), Domain)
    assert [(each.target.dev, each.source is None) for each in live.devices.disks] == [("vda", False), ("sdb", True)]
    domain.destroy()
    assert len(parse(domain.xml(), Domain).devices.disks) == 3
    (tmp_path / "sda").touch()
    domain.create(PAUSED)
    assert len(parse(domain.xml(), Domain).devices.disks) == 3
    domain.destroy()
    for policy in ("mandatory", "requisite"):
        other = connection.define_domain(idle_xml("more", missing(policy, "sdc", "cdrom")))
        with pytest.raises(VirtError, match=f"Cannot access storage file '{tmp_path}/sdc'"):
            other.create()
        other.undefine()
