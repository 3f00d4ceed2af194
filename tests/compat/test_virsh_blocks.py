"""Disks of running guests: the real virsh on virtcored beside the real libvirtd, command by command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.conftest import Virsh

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="qemu:///system needs the administrator's rights"),
    pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed"),
]

XML = """<domain type='qemu'><name>blocks</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><controller type='usb' model='none'/><memballoon model='none'/>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{folder}/top.qcow2'/>
<target dev='vda' bus='virtio'/></disk>
</devices></domain>"""

#: What is done, in this order; the state each leaves is that of the next.
STEPS = [
    "domblklist blocks --details",
    "domblkinfo blocks vda",
    "domblkstat blocks vda",
    "blkdeviotune blocks vda --total-iops-sec 5000",
    "blkdeviotune blocks vda",
    "blockjob blocks vda",
    "blockcommit blocks vda",
    "blockcommit blocks vda --active --base {folder}/none",
    "blockpull blocks vda --base {folder}/none",
    "blockresize blocks vda 5M",
    "blockresize blocks vdz 5M",
    "checkpoint-create-as blocks first",
    "checkpoint-create-as blocks second",
    "checkpoint-list blocks --tree",
    "checkpoint-dumpxml blocks second --no-domain",
    "checkpoint-dumpxml blocks first --no-domain --size",
    "checkpoint-delete blocks second",
    "checkpoint-list blocks --name",
    "backup-dumpxml blocks",
    "backup-begin blocks {folder}/pull.xml",
    "backup-dumpxml blocks",
    "blockjob blocks vda --info",
    "blockpull blocks vda",
    "domjobabort blocks",
    "checkpoint-delete blocks first",
    "blockcopy blocks vda {folder}/copy.qcow2 --wait --finish --transient-job",
    "blockcopy blocks vda {folder}/again.qcow2",
    "blockcopy blocks vda {folder}/pivot.qcow2 --wait --pivot --transient-job --shallow",
    "domblklist blocks",
    "dumpxml blocks --xpath //disk",
    "dumpxml blocks --inactive --xpath //disk",
    "blockcommit blocks vda --active --pivot --wait --shallow",
    "dumpxml blocks --xpath //disk",
    "blockpull blocks vda --wait",
    "dumpxml blocks --xpath //disk",
    "domblkthreshold blocks vda[1] 4096",
    "domblkerror blocks",
    "blockjob blocks vda --abort",
]


def prepare(folder: Path) -> None:
    for name, below in (("base", None), ("middle", "base"), ("top", "middle")):
        backing = ["-b", f"{folder}/{below}.qcow2", "-F", "qcow2"] if below else []
        size = [] if below else ["4M"]
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", *backing, f"{folder}/{name}.qcow2", *size], check=True
        )
    (folder / "guest.xml").write_text(XML.format(folder=folder))
    server = f"<server transport='unix' socket='{folder}/nbd'/>"
    disk = f"<disk name='vda' type='file'><scratch file='{folder}/scratch'/></disk>"
    (folder / "pull.xml").write_text(f"<domainbackup mode='pull'>{server}<disks>{disk}</disks></domainbackup>")


def settled(text: str, folder: Path) -> str:
    """What depends on the place and the time is left out."""
    text = text.replace(str(folder), "DIR")
    text = re.sub(r"<creationTime>\d+</creationTime>", "<creationTime/>", text)
    text = re.sub(r"(?m)^(Allocation|Physical): +\d+$", r"\1", text)
    text = re.sub(r"(?m)^(vda (?:rd|wr|flush|errs)\w* ?\w*) \d+$", r"\1", text)
    return re.sub(r"(?m)[\r\[].*?%\].*?(?=\r|$)|Block \w+: \[.*?\]", "", text).strip()


def walk(virsh: Virsh, uri: str, folder: Path) -> list[str]:
    prepare(folder)
    virsh(uri, "define", f"{folder}/guest.xml")
    virsh(uri, "start", "blocks", "--paused")
    told = []
    try:
        for step in STEPS:
            done = virsh(uri, *step.format(folder=folder).split(), check=False)
            told.append(f"$ {step}\n{settled(done.stdout + done.stderr, folder)}")
    finally:
        virsh(uri, "destroy", "blocks", check=False)
        virsh(uri, "undefine", "blocks", "--checkpoints-metadata", check=False)
    return told


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    import tempfile

    made = tuple(Path(tempfile.mkdtemp(prefix="vb-", dir="/var/tmp")) for _ in range(2))
    for folder in made:
        folder.chmod(0o777)
    yield made  # type: ignore[misc]
    for folder in made:
        shutil.rmtree(folder)


def test_the_walk_is_the_same(virsh: Any, virtcored: Path, libvirtd: Path, folders: tuple[Path, Path]) -> None:
    ours = walk(virsh, f"qemu+unix:///system?socket={virtcored}/run/libvirt-sock", folders[0])
    theirs = walk(virsh, f"qemu+unix:///system?socket={libvirtd}", folders[1])
    different = [f"{mine}\n-- libvirtd:\n{other}" for mine, other in zip(ours, theirs, strict=True) if mine != other]
    assert not different, "\n\n".join(different)
