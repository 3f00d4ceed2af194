"""Kinds of pools that need programs or devices of the host: with real ones where this machine has them, else with
programs that answer as those do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from host_storage import figures, run, volume
from support import ROOT
from virt_host.nodedev.kernel_device import HostFiles
from virt_host.storage import units
from virt_host.storage.kinds.disk import partition_path, read_layout
from virt_host.storage.kinds.iscsi import set_in_records
from virt_host.storage.service import HostStorage
from virt_host.tools import find_tool
from virtcore.driver.hooks import manager
from virtcore.driver.toolkit.pool_backend import PoolBackend, VolumeObject
from virtcore.driver.toolkit.pools import PoolObject
from virtcore.enums import StoragePoolBuildFlags as Build
from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    InvalidArg,
    NoSupport,
    OperationFailed,
    VirtError,
    XMLError,
)
from virtcore.model.storage import StoragePoolType
from virtcore.types import StoragePoolRef

MIB = 1 << 20
Programs = Callable[[str, str], Path]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Make a program: a script, before which its arguments are noted in ``done``; gives the folder of both."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/done\n{script}\n')
        path.chmod(0o755)
        return folder

    return make


def done(folder: Path) -> list[str]:
    """What programs were run with since the last time."""
    file = folder / "done"
    found = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return found


def missing(*names: str) -> list[str]:
    return [name for name in names if find_tool(name) is None]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices and mounts")
@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        ("fs", ("losetup", "mkfs.ext4", "blkid", "mount")),
        ("disk", ("losetup", "parted", "blkid")),
        ("logical", ("losetup", "vgcreate", "pvs", "blkid")),
    ],
)
def test_pools_on_a_loop_device(kind: str, needed: tuple[str, ...], tmp_path: Path) -> None:
    if lacking := missing(*needed):
        pytest.skip(f"not installed: {', '.join(lacking)} (Debian: mount, e2fsprogs, util-linux, parted, lvm2)")
    root = tmp_path / f"virtcore{os.getpid()}"
    root.mkdir()
    for probe in (["losetup", "--find"], ["unshare", "--mount", "--propagation", "private", "true"]):
        tried = subprocess.run(probe, capture_output=True, text=True, check=False)
        if tried.returncode:
            pytest.skip(f"no loop devices or mounts here: {tried.stderr.strip()}")
    if kind == "disk" and " /dev devtmpfs " not in Path("/proc/mounts").read_text():
        pytest.skip("the kernel makes no device files of partitions here")
    script = ROOT / "tests" / "mounted_pools.py"
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, str(script), kind, str(root)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=ROOT / "tests")
    finally:  # should it have been killed
        left = subprocess.run(["losetup", "-j", str(root / "device")], capture_output=True, text=True, check=False)
        for line in left.stdout.splitlines():
            subprocess.run(["losetup", "--detach", line.split(":")[0]], check=False)
    assert ended.returncode == 0, ended.stderr


def test_file_systems_of_servers(tmp_path: Path, programs: Programs) -> None:
    programs("showmount", 'echo "/first  *"; echo "/with blank 10.0.0.0/8,::1"')
    programs("gluster", "echo '<cliOutput><volume><name>vol</name></volume></cliOutput>'")
    folder = programs("mount", "echo 'mount.nfs: nobody there' >&2; exit 32")

    async def test(storage: HostStorage) -> None:
        with pytest.raises(InvalidArg, match="hostname must be specified for netfs sources"):
            await storage.connection_find_storage_pool_sources("netfs")
        where = "<source><host name='h'/></source>"
        found = await storage.connection_find_storage_pool_sources("netfs", where)
        assert re.findall("path='(.*?)'", found) == ["/first", "/with blank", "vol"]
        assert re.findall("type='(.*?)'", found) == ["nfs", "nfs", "glusterfs"]
        assert done(folder) == [
            "showmount --no-headers --exports h",
            "gluster --xml --log-file=/dev/null volume info all --remote-host=h",
        ]
        programs("showmount", "exit 1")
        programs("gluster", "exit 1")
        with pytest.raises(OperationFailed, match="no storage pools were found on host 'h'"):
            await storage.connection_find_storage_pool_sources("netfs", where)
        source = "<host name='h'/><dir path='/first'/><format type='nfs'/>"
        xml = (
            f"<pool type='netfs'><name>n</name><source>{source}</source><target><path>{tmp_path}</path></target></pool>"
        )
        pool = await storage.connection_define_storage_pool(xml)
        assert not storage.storage_pool_is_active(pool)
        done(folder)
        with pytest.raises(InternalError, match=r"unexpected exit status 32: mount\.nfs: nobody there"):
            await storage.storage_pool_create(pool)
        assert done(folder) == [f"mount -o nodev,nosuid,noexec -t nfs h:/first {tmp_path}"]
        with pytest.raises(OperationFailed, match="Storage source conflict with pool: 'n'"):
            await storage.connection_define_storage_pool(xml.replace("<name>n<", "<name>m<"))

    run(tmp_path / "state", test)


# ------------------------------------------------------------------------------------------------------------- disks

PRINTED = """\
Model: Loopback device (loopback)
Disk /dev/loop0: 67108864B
Sector size (logical/physical): 512B/512B
Partition Table: msdos
Disk Flags:

Number  Start      End        Size       Type      File system  Flags
        32256B     1048575B   1016320B             Free Space
 1      1048576B   5242879B   4194304B   primary   ext4         boot
 2      5242880B   67108863B  61865984B  extended               lba
 5      6291456B   10485759B  4194304B   logical
        10485760B  67108863B  56623104B            Free Space
"""


def test_what_parted_prints() -> None:
    layout = read_layout(PRINTED, "BIOS cylinder,head,sector geometry: 8,255,63.  Each cylinder is 8225kB.")
    assert layout.cylinder == 255 * 63 * 512
    assert [(one.number, one.kind) for one in layout.partitions] == [(1, "primary"), (2, "extended"), (5, "logical")]
    assert layout.partitions[0][1:3] == (1 << 20, 5 << 20)
    assert [(one.start, one.kind) for one in layout.free] == [(32256, "primary"), (10485760, "logical")]
    assert partition_path("/dev/sda", 1) == "/dev/sda1"
    assert partition_path("/dev/loop0", 1) == "/dev/loop0p1"
    assert partition_path("/dev/mapper/mpatha", 1, separated=True) == "/dev/mapper/mpathap1"


def test_a_disk_that_is_not_there(tmp_path: Path) -> None:
    xml = (
        "<pool type='disk'><name>d</name><source><device path='/dev/nowhere'/><format type='gpt'/></source>"
        "<target><path>/dev</path></target></pool>"
    )

    async def test(storage: HostStorage) -> None:
        pool = await storage.connection_define_storage_pool(xml)
        with pytest.raises(InvalidArg, match="device path '/dev/nowhere' doesn't exist"):
            await storage.storage_pool_create(pool)
        with pytest.raises(VirtError, match="Failed to create filesystem probe for device /dev/nowhere"):
            await storage.storage_pool_build(pool)

    run(tmp_path, test)


# ------------------------------------------------------------------------------------------------------ volume groups

LVS = """
  root##u1#/dev/sda(0)#linear#1#1048576#4194304#1048576#-wi-a-----
  two##u2#/dev/sda(5),/dev/sdb(0)#striped#2#2097152#4194304#2097152#-wi-a-----
  snap#root#u3#/dev/sda(9)#linear#1#1048576#4194304#1048576#swi-a-s---
  thin##u4##thin#0#1048576#4194304#1048576#Vwi-a-tz--
  pool##u5#pool_tdata(0)#thin-pool#1#1048576#4194304#1048576#twi-aotz--
  off##u6#/dev/sda(20)#linear#1#1048576#4194304#1048576#-wi-------
"""


def test_a_volume_group(tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    from virt_host.storage.kinds import logical

    devices = tmp_path / "vg"
    devices.mkdir()
    for name in ("root", "two", "snap", "thin", "new"):
        (devices / name).write_bytes(bytes(MIB))
    monkeypatch.setattr(logical, "pool_path", lambda pool: str(devices))  # which would be below /dev
    programs("vgscan", "exit 5")
    programs("pvs", "echo '  /dev/sda vg'; echo '  /dev/sdb vg'; echo '  /dev/sdc  '")
    programs("vgs", "echo '  10000000:4000000'")
    (tmp_path / "rows").write_text(LVS)
    programs("lvs", f"cat {tmp_path}/rows")
    programs("vgchange", "")
    programs("lvremove", "[ -e $FOLDER/removable ] || exit 5".replace("$FOLDER", str(tmp_path)))
    programs("lvchange", f"touch {tmp_path}/removable")
    folder = programs(
        "lvcreate", f"echo '  new##u9#/dev/sda(30)#linear#1#1048576#4194304#1048576#-wi-a-----' >> {tmp_path}/rows"
    )
    xml = "<pool type='logical'><name>vg</name><source>{}</source></pool>"

    async def test(storage: HostStorage) -> None:
        found = await storage.connection_find_storage_pool_sources("logical")
        assert re.findall("path='(.*?)'", found) == ["/dev/sda", "/dev/sdb"]
        pool = await storage.connection_define_storage_pool(xml.format("<name>other</name>"))
        with pytest.raises(ConfigUnsupported, match="cannot find logical volume group name 'other'"):
            await storage.storage_pool_create(pool)
        await storage.storage_pool_undefine(pool)
        pool = await storage.connection_define_storage_pool(xml.format("<device path='/dev/sdz'/>"))
        with pytest.raises(ConfigUnsupported, match="cannot find any matching source devices for logical volume group"):
            await storage.storage_pool_create(pool)
        await storage.storage_pool_undefine(pool)
        pool = await storage.connection_define_storage_pool(xml.format(""))
        done(folder)
        await storage.storage_pool_create(pool)
        assert "vgchange -aly vg" in done(folder)
        assert figures(storage, pool) == (10000000, 6000000, 4000000)
        names = {ref.name: ref for ref in storage.storage_pool_list_volumes(pool)}
        assert set(names) == {"root", "two", "snap", "thin"}
        shown = await storage.storage_vol_xml(names["two"])
        assert re.findall("<(device path|extent start)='(.*?)'", shown) == [
            ("device path", "/dev/sda"),
            ("extent start", str(5 * 4194304)),
            ("device path", "/dev/sdb"),
            ("extent start", "0"),
        ]
        assert names["two"].key == "u2"
        shown = await storage.storage_vol_xml(names["snap"])
        assert f"<backingStore>\n    <path>{devices}/root</path>\n    <format type='lvm2'/>" in shown
        with pytest.raises(NoSupport, match="is sparse, volume wipe not supported"):
            await storage.storage_vol_wipe(names["thin"])
        done(folder)
        made = await storage.storage_pool_create_volume(pool, volume("new", MIB, more="<allocation>0</allocation>"))
        assert "lvcreate --yes --name new -L 1K --type snapshot --virtualsize 1024K vg" in done(folder)
        assert made.key == "u9"
        await storage.storage_vol_delete(made)
        assert [line for line in done(folder) if line.startswith("lv")] == [
            f"lvremove -f {devices}/new",
            f"lvchange -aln {devices}/new",
            f"lvremove -f {devices}/new",
        ]
        qcow = "<encryption format='qcow'><secret type='passphrase' usage='u'/></encryption>"
        with pytest.raises(ConfigUnsupported, match="storage pool only supports LUKS encrypted volumes"):
            await storage.storage_pool_create_volume(pool, volume("n2", target=qcow))
        with pytest.raises(VirtError, match="missing capacity element"):
            await storage.storage_pool_create_volume(pool, "<volume><name>n3</name></volume>")
        await storage.storage_pool_destroy(pool)
        assert "vgchange -aln vg" in done(folder)
        programs("vgremove", "")
        programs("pvremove", "exit 5")
        await storage.storage_pool_delete(pool)
        assert done(folder) == ["vgremove -f vg"]

    run(tmp_path / "state", test)


# --------------------------------------------------------------------------------------------------------- SCSI, iSCSI

WWN = ("20000000c9831b4b", "10000000c9831b4b")


@pytest.fixture
def scsi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a SCSI host 3, which is an adapter of fibre channel, and files for devices."""
    root = tmp_path / "host"
    for path, text in {
        "sys/class/scsi_host/host3/scan": "",
        "sys/class/fc_host/host3/node_name": f"0x{WWN[0]}\n",
        "sys/class/fc_host/host3/port_name": f"0x{WWN[1]}\n",
        "sys/class/fc_host/host3/vport_create": "",
        "sys/class/fc_host/host3/vport_delete": "",
        "sys/class/fc_host/host3/max_npiv_vports": "127\n",
        "sys/class/fc_host/host3/npiv_vports_inuse": "1\n",
        "sys/bus/scsi/devices/3:0:0:0/type": "0\n",
        "sys/bus/scsi/devices/3:0:0:0/block/sda/dev": "8:0",
        "sys/bus/scsi/devices/3:0:1:7/type": "5\n",
        "sys/bus/scsi/devices/3:0:1:7/block/sr0/dev": "11:0",
        "sys/bus/scsi/devices/3:0:2:0/type": "1\n",
        "sys/bus/scsi/devices/4:0:0:0/type": "0\n",
        "sys/class/iscsi_session/session9/device/target3:0:0/x": "",
        "sys/class/iscsi_session/session9/device/power/x": "",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    names = tmp_path / "by-id"
    names.mkdir()
    for name in ("sda", "sr0"):
        (names / f"stays-{name}").write_bytes(bytes(MIB))
    monkeypatch.setattr(
        units, "stable_path", lambda folder, device, waits: f"{folder}/stays-{os.path.basename(device)}"
    )
    monkeypatch.setattr(units, "_SCSI_ID", "/nowhere")
    return root


def scsi_pool(adapter: str, folder: Path) -> str:
    return f"<pool type='scsi'><name>s</name><source>{adapter}</source><target><path>{folder}</path></target></pool>"


def host_of(storage: HostStorage, root: Path) -> None:
    storage._host.files = HostFiles(str(root))


def test_a_scsi_host(tmp_path: Path, scsi: Path) -> None:
    async def test(storage: HostStorage) -> None:
        host_of(storage, scsi)
        xml = scsi_pool("<adapter type='scsi_host' name='scsi_host3'/>", tmp_path / "by-id")
        pool = await storage.connection_create_storage_pool(xml)
        assert (scsi / "sys/class/scsi_host/host3/scan").read_text() == "- - -"
        found = {ref.name: ref for ref in storage.storage_pool_list_volumes(pool)}
        assert set(found) == {"unit:0:0:0", "unit:0:1:7"}
        assert storage.storage_vol_path(found["unit:0:1:7"]) == f"{tmp_path}/by-id/stays-sr0"
        assert "<format type='unknown'/>" in await storage.storage_vol_xml(found["unit:0:0:0"])
        assert figures(storage, pool)[0] == 2 * MIB
        with pytest.raises(NoSupport, match="storage pool does not support volume creation"):
            await storage.storage_pool_create_volume(pool, volume())
        await storage.storage_pool_destroy(pool)
        wrong = scsi_pool("<adapter type='scsi_host' name='eth0'/>", tmp_path / "by-id")
        with pytest.raises(InternalError, match="Invalid adapter name 'eth0' for SCSI pool"):
            await storage.connection_create_storage_pool(wrong)

    run(tmp_path / "state", test)


def test_a_virtual_adapter(tmp_path: Path, scsi: Path) -> None:
    adapter = "<adapter type='fc_host' {} wwnn='2000000000000001' wwpn='1000000000000001'/>"

    async def test(storage: HostStorage) -> None:
        host_of(storage, scsi)
        for parent, match in (
            ("parent='scsi_host5'", "parent 'scsi_host5' is not an fc_host for the wwnn/wwpn"),
            (f"parent_wwnn='{WWN[0]}' parent_wwpn='2222222222222222'", "unable to find a parent"),
        ):
            with pytest.raises(VirtError, match=match):
                await storage.connection_create_storage_pool(scsi_pool(adapter.format(parent), tmp_path / "by-id"))
        xml = scsi_pool(adapter.format(f"parent_wwnn='{WWN[0]}' parent_wwpn='{WWN[1]}'"), tmp_path / "by-id")
        with pytest.raises(XMLError, match="Failed to find SCSI host with wwnn='2000000000000001'"):
            await storage.connection_create_storage_pool(xml)  # this kernel makes none
        assert (scsi / "sys/class/fc_host/host3/vport_create").read_text() == "1000000000000001:2000000000000001"
        (scsi / "sys/class/fc_host/host4").mkdir()
        (scsi / "sys/class/scsi_host/host4").mkdir()
        (scsi / "sys/class/scsi_host/host4/scan").touch()
        (scsi / "sys/class/fc_host/host4/node_name").write_text("0x2000000000000001")
        (scsi / "sys/class/fc_host/host4/port_name").write_text("0x1000000000000001")
        pool = await storage.connection_create_storage_pool(xml.replace("type='fc", "managed='yes' type='fc"))
        await storage.storage_pool_destroy(pool)
        assert (scsi / "sys/class/fc_host/host3/vport_delete").read_text() == "1000000000000001:2000000000000001"

    run(tmp_path / "state", test)


ISCSI = """
case "$*" in
  "--mode session") [ -e $F/in ] || exit 21; echo "tcp: [9] 127.0.0.1:3260,1 iqn.x (non-flash)";;
  *--login*) touch $F/in;;
  *--logout*) rm $F/in;;
  "--mode discovery"*) echo "127.0.0.1:3260,1 iqn.x"; echo "127.0.0.1:3260,1 iqn.y";;
  "--mode iface") echo "default tcp,<empty>,<empty>,<empty>,<empty>"; [ ! -e $F/ifaces ] || cat $F/ifaces;;
  *iface.initiatorname*) echo "$4 tcp,<empty>,<empty>,<empty>,${10}" > $F/ifaces;;
esac
"""


def test_a_target_of_iscsi(tmp_path: Path, scsi: Path, programs: Programs) -> None:
    folder = programs("iscsiadm", ISCSI.replace("$F", str(tmp_path)))
    xml = (
        "<pool type='iscsi'><name>i</name><source><host name='127.0.0.1'/><device path='iqn.x'/>{}</source>"
        f"<target><path>{tmp_path}/by-id</path></target></pool>"
    )
    me = "<initiator><iqn name='iqn.me'/></initiator>"

    async def test(storage: HostStorage) -> None:
        host_of(storage, scsi)
        with pytest.raises(InvalidArg, match="hostname must be specified for iscsi sources"):
            await storage.connection_find_storage_pool_sources("iscsi")
        found = await storage.connection_find_storage_pool_sources("iscsi", "<source><host name='127.0.0.1'/></source>")
        assert re.findall("device path='(.*?)'", found) == ["iqn.x", "iqn.y"]
        assert "<host name='127.0.0.1' port='3260'/>" in found
        done(folder)
        pool = await storage.connection_create_storage_pool(xml.format(""))
        node = "iscsiadm --mode node --portal 127.0.0.1:3260,1 --targetname iqn.x"
        assert [line for line in done(folder) if "session" not in line] == [
            "iscsiadm --mode discovery --type sendtargets --portal 127.0.0.1:3260,1",
            f"{node} --op new",
            f"{node} --login",
        ]
        assert [ref.name for ref in storage.storage_pool_list_volumes(pool)] == ["unit:0:0:0", "unit:0:1:7"]
        await storage.storage_pool_refresh(pool)
        assert "iscsiadm --mode session -r 9 -R" in done(folder)
        await storage.storage_pool_destroy(pool)
        assert f"{node} --logout" in done(folder)
        pool = await storage.connection_create_storage_pool(xml.format(me))
        used = [line for line in done(folder) if line.endswith("new") and "iface" in line]
        name = used[0].split()[4]
        assert name.startswith("libvirt-iface-")
        await storage.storage_pool_destroy(pool)
        assert f"{node} --logout --interface {name}" in done(folder)
        ceph = "<auth type='ceph' username='u'><secret usage='x'/></auth>"
        with pytest.raises(XMLError, match="iscsi pool only supports 'chap' auth type"):
            await storage.connection_create_storage_pool(xml.format(ceph))

    run(tmp_path / "state", test)


def test_passwords_of_targets_are_put_where_nobody_reads_them(tmp_path: Path) -> None:
    record = tmp_path / "iqn.x" / "127.0.0.1,3260,1" / "default"
    record.parent.mkdir(parents=True)
    record.write_text("# BEGIN RECORD\nnode.name = iqn.x\nnode.session.auth.authmethod = None\n# END RECORD\n")
    settings = {"node.session.auth.authmethod": "CHAP", "node.session.auth.password": "secret"}
    set_in_records("iqn.x", settings, (str(tmp_path),))
    assert record.read_text().splitlines() == [
        "# BEGIN RECORD",
        "node.name = iqn.x",
        "node.session.auth.authmethod = CHAP",
        "node.session.auth.password = secret",
        "# END RECORD",
    ]
    assert record.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InternalError, match=r"no record of iSCSI target 'iqn\.y' was found"):
        set_in_records("iqn.y", settings, (str(tmp_path),))


# ---------------------------------------------------------------------------------------------------------- the others


def test_devices_with_several_paths(tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    from virt_host.storage.kinds import mpath

    programs("dmsetup", "echo 'No devices found'")
    monkeypatch.setattr(mpath, "examine", lambda path, **_: units.examine(f"{tmp_path}/mpatha", raw=True))
    (tmp_path / "mpatha").write_bytes(bytes(MIB))

    async def test(storage: HostStorage) -> None:
        xml = "<pool type='mpath'><name>m</name><target><path>/dev/mapper</path></target></pool>"
        pool = await storage.connection_create_storage_pool(xml)
        assert storage.storage_pool_list_volumes(pool) == []
        programs("dmsetup", "printf 'mpatha\\t(253:7)\\n'")
        await storage.storage_pool_refresh(pool)
        [ref] = storage.storage_pool_list_volumes(pool)
        assert (ref.name, storage.storage_vol_path(ref)) == ("dm-7", "/dev/mapper/mpatha")
        assert figures(storage, pool)[0] == MIB

    run(tmp_path / "state", test)


def test_volumes_of_zfs(tmp_path: Path, programs: Programs) -> None:
    told = {"health": "ONLINE", "size": "1000", "free": "400", "allocated": "600"}
    (tmp_path / "pool").write_text("".join(f"z\t{name}\t{value}\t-\n" for name, value in told.items()))
    (tmp_path / "rows").write_text("z/one\t1048576\t1048576\n")
    (tmp_path / "new").write_text("z/new\t2097152\t1048576\n")
    programs("zpool", f"[ $1 != get ] || cat {tmp_path}/pool")
    answers = 'case $1 in list) cat "$F/rows";; create) cat "$F/new" >> "$F/rows";; esac'
    folder = programs("zfs", answers.replace("$F", str(tmp_path)))

    async def test(storage: HostStorage) -> None:
        pool = await storage.connection_define_storage_pool(
            "<pool type='zfs'><name>z</name><source><name>z</name><device path='/dev/x'/></source></pool>"
        )
        await storage.storage_pool_build(pool)
        assert done(folder) == ["zpool create z /dev/x"]
        await storage.storage_pool_create(pool)
        assert figures(storage, pool) == (1000, 600, 400)
        [one] = storage.storage_pool_list_volumes(pool)
        assert (one.key, storage.storage_vol_path(one)) == ("z/one", "/dev/zvol/z/one")
        assert tuple(await storage.storage_vol_info(one))[1:] == (MIB, MIB)
        done(folder)
        sparse = volume("new", 2 * MIB, more=f"<allocation>{MIB}</allocation>")
        made = await storage.storage_pool_create_volume(pool, sparse)
        assert "zfs create -s -o refreservation=1024K -V 2048K z/new" in done(folder)
        assert tuple(await storage.storage_vol_info(made))[1:] == (2 * MIB, MIB)
        await storage.storage_vol_delete(made)
        assert "zfs destroy z/new" in done(folder)
        await storage.storage_pool_destroy(pool)
        await storage.storage_pool_delete(pool)
        assert "zpool destroy z" in done(folder)

    run(tmp_path / "state", test)


def test_a_cluster_of_virtuozzo(tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    from virt_host.storage.kinds import vstorage

    target = tmp_path / "mounted"
    state: list[tuple[str, str]] = []
    monkeypatch.setattr(vstorage, "mounted", lambda: state)
    folder = programs("vstorage-mount", "")
    programs("umount", "")

    async def test(storage: HostStorage) -> None:
        where = f"<source><name>c</name></source><target><path>{target}</path></target>"
        xml = f"<pool type='vstorage'><name>c</name>{where}</pool>"
        pool = await storage.connection_define_storage_pool(xml)
        await storage.storage_pool_build(pool)
        await storage.storage_pool_create(pool)
        [mounted] = done(folder)
        assert mounted.startswith(f"vstorage-mount -c c {target} -m 700 -g ")
        state.append(("vstorage://c", str(target)))
        await storage.storage_pool_destroy(pool)
        assert done(folder) == [f"umount {target}"]

    run(tmp_path / "state", test)


class Elsewhere(PoolBackend):
    """A kind of pool that a plugin brings."""

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        return []


def test_plugins_bring_kinds(tmp_path: Path) -> None:
    from virtcore.driver.hooks import hookimpl

    class Plugin:
        @hookimpl
        def virtcore_pool_backend(self, kind: str) -> PoolBackend | None:
            return Elsewhere(StoragePoolType.SHEEPDOG) if kind == "sheepdog" else None

    async def test(storage: HostStorage) -> None:
        xml = "<pool type='sheepdog'><name>s</name><source><host name='h'/><name>s</name></source></pool>"
        pool: StoragePoolRef = await storage.connection_create_storage_pool(xml)
        assert storage.storage_pool_is_active(pool)
        assert "<pool type='sheepdog' supported='yes'>" in await storage.connection_storage_pool_capabilities()

    plugin = Plugin()
    manager().register(plugin)
    try:
        run(tmp_path, test)
    finally:
        manager().unregister(plugin)


def test_building_where_there_is_something(tmp_path: Path, programs: Programs) -> None:
    programs("mkfs", "")
    folder = programs("blkid", 'echo "DEVNAME=x"; echo "TYPE=xfs"')
    device = tmp_path / "device"
    device.touch()
    target = tmp_path / "target"
    xml = (
        f"<pool type='fs'><name>f</name><source><device path='{device}'/><format type='xfs'/></source>"
        f"<target><path>{target}</path></target></pool>"
    )

    async def test(storage: HostStorage) -> None:
        pool = await storage.connection_define_storage_pool(xml)
        with pytest.raises(VirtError, match=f"Device '{device}' already formatted using 'xfs'"):
            await storage.storage_pool_build(pool, Build.NO_OVERWRITE)
        programs("blkid", 'echo "TYPE=ext4"')
        with pytest.raises(VirtError, match="does not match the expected format 'xfs', forced overwrite is necessary"):
            await storage.storage_pool_build(pool, Build.NO_OVERWRITE)
        programs("blkid", "exit 8")
        with pytest.raises(VirtError, match="Found additional probes to run, probing may be incorrect"):
            await storage.storage_pool_build(pool, Build.NO_OVERWRITE)
        done(folder)
        await storage.storage_pool_build(pool, Build.OVERWRITE)
        assert done(folder) == [f"mkfs -t xfs -f {device}"]
        device.unlink()
        with pytest.raises(VirtError, match="Source device does not exist when formatting pool 'f'"):
            await storage.storage_pool_build(pool, Build.OVERWRITE)

    run(tmp_path / "state", test)


def test_programs_that_there_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if find_tool("zpool") is not None:
        pytest.skip("this machine has ZFS")

    async def test(storage: HostStorage) -> None:
        pool = await storage.connection_define_storage_pool(
            "<pool type='zfs'><name>z</name><source><name>z</name></source></pool>"
        )
        with pytest.raises(InternalError, match="Failed to find path for 'zpool' binary"):
            await storage.storage_pool_create(pool)

    run(tmp_path / "state", test)
