"""The real virsh on virtcored: storage and devices of the test driver print what they print on the real libvirtd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import virtcore
from compat.conftest import heard, normal, uri

UUID = "41111111-2222-4333-8444-555555555555"
_WWNS = "<wwnn>2000000012340000</wwnn><wwpn>1000000012340000</wwpn>"
_ADAPTER = f"<capability type='scsi_host'><capability type='fc_host'>{_WWNS}</capability></capability>"

FILES = {
    "pool": f"<pool type='dir'><name>other</name><uuid>{UUID}</uuid><target><path>/other//</path></target></pool>",
    "same": "<pool type='dir'><name>same</name><target><path>/other</path></target></pool>",
    "netfs": "<source><host name='server'/></source>",
    "wrong": "<sauce/>",
    "disk": "<volume><name>disk</name><capacity unit='M'>5</capacity><allocation>4096</allocation></volume>",
    "qcow2": (
        "<volume><name>two</name><key>k</key><capacity unit='G'>1</capacity><target><path>/x</path>"
        "<format type='qcow2'/></target></volume>"
    ),
    "big": "<volume><name>big</name><capacity unit='T'>1</capacity></volume>",
    "nothing": "<volume><name>nothing</name></volume>",
    "adapter": f"<device>{_ADAPTER}</device>",
    "nowhere": f"<device><parent>nowhere</parent>{_ADAPTER}</device>",
    "computer": f"<device><parent>computer</parent>{_ADAPTER}</device>",
    "fc": (
        "<pool type='scsi'><name>fc</name><source><adapter type='fc_host' wwnn='2000000012340001' "
        f"wwpn='1000000012340001'/></source><uuid>{UUID}</uuid><target><path>/dev/disk</path></target></pool>"
    ),
}

#: Commands in order; each is given to both daemons and has to print and return the same.
WALK = """\
pool-list --all --details
pool-info default-pool
pool-dumpxml default-pool
pool-uuid default-pool
pool-name dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566
vol-list default-pool
find-storage-pool-sources logical
find-storage-pool-sources netfs {netfs}
find-storage-pool-sources netfs {wrong}
find-storage-pool-sources netfs
find-storage-pool-sources dir
find-storage-pool-sources nonsense
find-storage-pool-sources-as netfs host
pool-define {pool}
pool-define {same}
pool-create {same}
pool-list --all
pool-list --inactive --type dir --persistent
pool-list --type fs
pool-dumpxml other
pool-build other
pool-start other
pool-start other
pool-build other
pool-delete other
pool-undefine other
pool-refresh other
pool-autostart other
pool-list --autostart
vol-create other {disk}
vol-create other {disk}
vol-create other {qcow2}
vol-create other {big}
vol-create other {nothing}
vol-create other {disk} --prealloc-metadata
vol-create-as other third 7M --allocation 1M --format raw
vol-list other --details
vol-dumpxml disk other
vol-dumpxml two other
vol-info two other
vol-info --bytes /other/disk
vol-key disk other
vol-path disk other
vol-name /other/disk
vol-pool /other/disk
vol-name /other/nope
vol-dumpxml nope other
vol-clone disk copy --pool other
vol-dumpxml copy other
vol-create-from other {disk} two other
pool-info other --bytes
vol-delete two other
vol-delete two other
pool-info other --bytes
pool-destroy other
pool-destroy other
pool-refresh other
vol-list other
vol-info disk other
pool-dumpxml other
pool-start other
vol-list other
pool-destroy other
pool-undefine other
pool-dumpxml other
pool-create {pool}
pool-info other
pool-autostart other
pool-create {pool}
pool-destroy other
pool-info other
nodedev-dumpxml computer
nodedev-dumpxml scsi_host1
nodedev-dumpxml nope
nodedev-create {adapter}
nodedev-dumpxml scsi_host12
nodedev-destroy scsi_host12
nodedev-destroy scsi_host12
nodedev-create {nowhere}
nodedev-create {computer}
pool-create {fc}
nodedev-dumpxml scsi_host12
pool-dumpxml fc
pool-destroy fc
nodedev-dumpxml scsi_host12
"""


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("documents")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return {name: str(folder / name) for name in FILES}


def test_the_walk_is_the_same(virsh: Any, virtcored: Path, libvirtd: Path, documents: dict[str, str]) -> None:
    mine = uri("test+unix:///default", virtcored / "run" / "libvirt-sock")
    theirs = uri("test+unix:///default", libvirtd)
    differences = []
    # The test driver forgets everything with its last connection.
    with virtcore.connect(mine), virtcore.connect(theirs):
        for line in WALK.splitlines():
            arguments = line.format(**documents).split()
            results = [virsh(where, *arguments, check=False) for where in (theirs, mine)]
            texts = [normal(f"{done.returncode}\n{done.stdout}{done.stderr}") for done in results]
            if texts[0] != texts[1]:
                differences.append(f"$ virsh {line}\n-- libvirtd\n{texts[0]}\n-- virtcored\n{texts[1]}")
    assert not differences, "\n".join(differences)


def test_what_only_ours_has(virsh: Any, virtcored: Path, tmp_path: Path, documents: dict[str, str]) -> None:
    where = uri("test+unix:///default", virtcored / "run" / "libvirt-sock")
    given, got = tmp_path / "given", tmp_path / "got"
    given.write_bytes(b"content" * 100_000)
    with virtcore.connect(where):
        virsh(where, "vol-create", "default-pool", documents["disk"])
        virsh(where, "vol-upload", "disk", str(given), "default-pool")
        virsh(where, "vol-download", "disk", str(got), "default-pool", "--length", "700000")
        assert got.read_bytes() == given.read_bytes()
        virsh(where, "vol-download", "disk", str(got), "default-pool", "--sparse")
        assert got.stat().st_size == 5 << 20
        assert got.read_bytes().rstrip(b"\0") == given.read_bytes()
        virsh(where, "vol-wipe", "disk", "default-pool")
        virsh(where, "vol-download", "disk", str(got), "default-pool")
        assert not got.read_bytes().strip(b"\0")
        virsh(where, "vol-resize", "disk", "6M", "default-pool")
        assert "6291456" in virsh(where, "vol-dumpxml", "disk", "default-pool").stdout
        assert "<pool type='dir' supported='yes'>" in virsh(where, "pool-capabilities").stdout
        assert virsh(where, "nodedev-list", "--cap", "fc_host").stdout.split() == [
            "scsi_host1",
            "scsi_host11",
            "scsi_host2",
        ]


def test_events(virsh: Any, virtcored: Path, documents: dict[str, str]) -> None:
    where = uri("test+unix:///default", virtcored / "run" / "libvirt-sock")

    def act() -> None:
        virsh(where, "pool-create", documents["fc"])
        virsh(where, "pool-refresh", "fc")
        virsh(where, "pool-destroy", "fc")

    watches: dict[tuple[str, str], list[str]] = {
        ("pool-event", "lifecycle"): [
            "event 'lifecycle' for storage pool fc: Started",
            "event 'lifecycle' for storage pool fc: Stopped",
        ],
        ("pool-event", "refresh"): ["event 'refresh' for storage pool fc"],
        ("nodedev-event", "lifecycle"): [
            "event 'lifecycle' for node device scsi_host12: Created",
            "event 'lifecycle' for node device scsi_host12: Deleted",
        ],
    }
    commands = [([command, "--event", kind, "--loop"], lines) for (command, kind), lines in watches.items()]
    heard(where, commands, act)
