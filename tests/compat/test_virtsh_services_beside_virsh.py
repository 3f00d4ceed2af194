"""Commands on interfaces, filters, secrets, pools, volumes and node devices through the real virsh and ours: the same
bytes. On libvirt's test driver and ours where that has the service, else both at one libvirtd; a script leaves the
daemon as it found it, so that the second program finds what the first did."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

VIRSH = shutil.which("virsh")
pytestmark = pytest.mark.skipif(VIRSH is None, reason="virsh is not installed (Debian: libvirt-clients)")

UUID = "31111111-2222-3333-4444-555555555555"

FILES = {
    "interface.xml": """<interface type='ethernet' name='eth7'>
  <start mode='onboot'/>
  <mac address='aa:bb:cc:dd:ee:01'/>
  <protocol family='ipv4'><ip address='192.168.0.5' prefix='24'/></protocol>
</interface>
""",
    "secret.xml": f"""<secret ephemeral='no' private='no'>
  <uuid>{UUID}</uuid>
  <usage type='volume'><volume>/x</volume></usage>
</secret>
""",
    "filter.xml": f"<filter name='f1' chain='root'><uuid>{UUID}</uuid><rule action='drop' direction='in'/></filter>",
    "binding.xml": f"""<filterbinding>
  <owner><name>guest</name><uuid>{UUID}</uuid></owner>
  <portdev name='lo9'/>
  <mac address='52:54:00:00:00:01'/>
  <filterref filter='f1'/>
</filterbinding>
""",
    "pool.xml": f"<pool type='dir'><name>pp</name><uuid>{UUID}</uuid><target><path>@FOLDER@/pp</path></target></pool>",
    "volume.xml": (
        "<volume><name>v1</name><capacity unit='MiB'>10</capacity><allocation>4096</allocation>"
        "<target><format type='qcow2'/></target></volume>"
    ),
    "other.xml": "<volume><name>v2</name><capacity unit='MiB'>10</capacity></volume>",
    "value": "plain value",
    "value64": "c2VjcmV0",
    "long": "x" * 1025,
}

#: Scripts, an empty line between them.
TEST_DRIVER = """
iface-list
iface-list --all
iface-list --inactive
iface-dumpxml eth1
iface-dumpxml aa:bb:cc:dd:ee:ff

iface-mac eth1
iface-name aa:bb:cc:dd:ee:ff
iface-mac aa:bb:cc:dd:ee:ff
iface-name eth1
iface-mac nope

iface-name 1:2:3:4:5:6
iface-name 1:2:3:4:5:666
iface-name 0001:2:3:4:5:6
iface-dumpxml eth1 --xpath //ip

iface-define interface.xml
iface-list --all
iface-start eth7
iface-start eth7
iface-destroy aa:bb:cc:dd:ee:01

iface-define interface.xml
iface-destroy eth7
iface-undefine eth7
iface-undefine eth7
iface-define nope.xml

iface-begin
iface-begin
iface-undefine eth1
iface-list --all
iface-rollback
iface-list --all
iface-rollback

iface-begin
iface-commit
iface-commit

iface-bridge eth1 eth1
iface-bridge nope br7
iface-bridge eth1 br0
iface-unbridge br0
iface-unbridge eth1

iface-edit eth1
iface-edit nope

nodedev-list --all --inactive
nodedev-list --tree --cap pci
nodedev-list --tree --inactive
nodedev-list --cap foo
nodedev-list --cap pci,foo

nodedev-detach nope
nodedev-reattach nope
nodedev-reset nope
nodedev-reset a,b
nodedev-destroy nope
nodedev-start nope
nodedev-start a,b
nodedev-autostart nope
nodedev-event --list
nodedev-event
nodedev-event --event update --timeout 1
nodedev-create nope
nodedev-define nope
nodedev-create pool.xml
nodedev-info nope
nodedev-undefine nope
nodedev-info a,b
nodedev-dettach nope
nodedev-dettach
nodedev-destroy --name nope

secret-event --list
secret-event
secret-event --event nope

pool-define-as --print-xml p t H P D N T F
pool-define-as --print-xml p t --source-host H --source-path P --source-dev D
pool-define-as --print-xml p t --auth-type chap --auth-username U --secret-usage SU \\
  --adapter-name AN --source-protocol-ver 4 --source-initiator I
pool-define-as --print-xml p t --auth-type chap --auth-username U --secret-uuid SU \\
  --adapter-wwnn W --adapter-wwpn WP --adapter-parent PA
pool-define-as --print-xml p t --adapter-wwnn W
pool-define-as --print-xml p t --adapter-wwnn W --adapter-wwpn WP --adapter-parent-wwnn X --adapter-parent-wwpn Y
pool-define-as --print-xml p t --adapter-wwnn W --adapter-wwpn WP --adapter-parent-fabric-wwn Y --adapter-parent X
pool-create-as --print-xml p t --adapter-name y --adapter-wwnn W --adapter-wwpn WP --build --overwrite --no-overwrite
pool-define-as --print-xml p t --auth-type x --auth-username y
pool-define-as --print-xml p t --auth-type x --auth-username y --secret-usage u --secret-uuid v
pool-define-as --print-xml p t --source-initiator u
pool-define-as --print-xml p t --source-protocol-ver 3
pool-define-as --print-xml p t --source-name n --source-protocol-ver 3
pool-define-as --print-xml p t --source-format y

pool-define pool.xml
pool-list --all
pool-list --all --details
pool-list --all --name
pool-list --all --uuid
pool-list --all --uuid --name
pool-list --name --details
pool-list --all --type dir,fs
pool-list --all --type fs
pool-list --type foo
pool-list --type dir,,fs
pool-list --inactive
pool-list --transient
pool-list --persistent --autostart --all
pool-undefine pp

pool-define pool.xml
pool-autostart @UUID@
pool-autostart pp --disable
pool-start @UUID@
pool-refresh @UUID@
pool-info @UUID@
pool-info pp --bytes
pool-destroy @UUID@
pool-destroy pp
pool-build @UUID@
pool-delete pp
pool-info pp
pool-undefine @UUID@
pool-info pp

pool-create pool.xml
pool-create pool.xml
pool-dumpxml pp
pool-dumpxml pp --xpath //path
pool-edit pp
pool-uuid @UUID@
pool-uuid pp
pool-name @UUID@
pool-name pp
pool-name 11111111-2222-3333-4444-555555555555
pool-destroy pp
pool-dumpxml pp

find-storage-pool-sources dir
find-storage-pool-sources logical
find-storage-pool-sources-as netfs --host h --port 3 --initiator i
find-storage-pool-sources-as netfs --port 3
find-storage-pool-sources-as iscsi --host h --initiator i
find-storage-pool-sources netfs /nope
find-storage-pool-sources-as netfs
find-storage-pool-sources foo

pool-event --list
pool-event
pool-event --event refresh --timeout 1
pool-create-as a dir
pool-create-as a dir --target /t
pool-define-as b dir --target /t
pool-define-as c foo
pool-create-as d dir --target /t --build --overwrite
pool-create-as e fs --target /t --source-dev /dev/x --overwrite --no-overwrite
pool-build a --overwrite --no-overwrite
pool-destroy nope
pool-define nope
pool-create nope
pool-destroy a

vol-create default-pool volume.xml
vol-list default-pool
vol-list default-pool --details
vol-info v1 default-pool
vol-info v1 default-pool --bytes
vol-info v1
vol-key v1 default-pool
vol-path v1 default-pool
vol-name /default-pool/v1
vol-pool /default-pool/v1
vol-pool /default-pool/v1 --uuid
vol-pool v1
vol-dumpxml v1 default-pool --xpath //path
vol-dumpxml v1 nope
vol-key /default-pool/v1
vol-path v1
vol-dumpxml /default-pool/v1 --xpath //format --wrap
vol-name v1
vol-delete v1 default-pool

vol-create default-pool volume.xml
vol-create default-pool volume.xml
vol-create-as default-pool a 10M --allocation 1k --format raw
vol-create-as default-pool b 10Mx
vol-create-as default-pool b 10M --allocation x
vol-create-as default-pool b 99999999999999999999
vol-create-as default-pool b 99999999E
vol-create-as default-pool b -- -1
vol-create-as --print-xml default-pool b 10GB --allocation 1 --format qcow2 --backing-vol v1 --backing-vol-format raw
vol-create-as --print-xml default-pool b 10GB --backing-vol nope
vol-create-as --print-xml default-pool b 10GB --backing-vol v1
vol-create-as --print-xml nope b 10
vol-create-as --print-xml default-pool b 10 --prealloc-metadata
vol-create-as default-pool c 10 --prealloc-metadata
vol-create-as --print-xml default-pool b 10 --format ''
vol-delete v1 default-pool
vol-delete a default-pool
vol-delete c default-pool

vol-create default-pool volume.xml
vol-clone v1 v9 default-pool
vol-clone v1 v8 --print-xml
vol-clone v1 v9 default-pool --reflink --prealloc-metadata
vol-create-from default-pool other.xml v1
vol-create-from default-pool other.xml v1 --inputpool default-pool
vol-create-from default-pool other.xml /default-pool/v9
vol-list default-pool
vol-delete v9 default-pool
vol-delete v9 default-pool
vol-delete v1 default-pool --delete-snapshots
vol-wipe v2 default-pool --algorithm foo
vol-delete v1 default-pool
vol-delete v2 default-pool
vol-list default-pool

pool-destroy default-pool
vol-list default-pool
vol-dumpxml v1 default-pool
vol-create default-pool volume.xml
vol-create-as default-pool x 10
vol-clone v1 v2 --pool default-pool
vol-create nope volume.xml
vol-create default-pool nope
pool-start default-pool

pool-create pool.xml
vol-create default-pool volume.xml
vol-dumpxml /default-pool/v1 pp
vol-create pp volume.xml
vol-clone /default-pool/v1 vv pp
vol-key /default-pool/v1 pp
vol-create-from pp other.xml v1 default-pool
vol-list pp
vol-delete v1 pp
vol-delete v2 pp
vol-delete v1 default-pool
pool-destroy pp
"""

DAEMON = """
secret-define secret.xml
secret-list
secret-dumpxml @UUID@
secret-dumpxml @UUID@ --xpath //volume
secret-get-value @UUID@
secret-undefine @UUID@
secret-list
secret-dumpxml @UUID@

secret-define secret.xml
secret-list --ephemeral
secret-list --no-ephemeral --no-private
secret-list --private
secret-undefine @UUID@
secret-undefine @UUID@
secret-define nope

secret-define secret.xml
secret-set-value @UUID@
secret-set-value @UUID@ --base64 c2VjcmV0
secret-get-value @UUID@
secret-get-value @UUID@ --plain
secret-set-value @UUID@ 'YQ==Y_g c'
secret-get-value @UUID@
secret-set-value @UUID@ !!!
secret-get-value @UUID@
secret-undefine @UUID@

secret-define secret.xml
secret-set-value @UUID@ --file value64
secret-get-value @UUID@ --plain
secret-set-value @UUID@ --file value --plain
secret-get-value @UUID@ --plain
secret-set-value @UUID@ --file long
secret-set-value @UUID@ --file nope
secret-set-value @UUID@ --base64 ''
secret-set-value @UUID@ --file x --interactive
secret-set-value @UUID@ --base64 x --plain
secret-undefine @UUID@

secret-event --event lifecycle --timeout 1
secret-event --event value-changed --timeout 0

nwfilter-define filter.xml
nwfilter-list
nwfilter-dumpxml f1
nwfilter-dumpxml f1 --xpath //rule
nwfilter-dumpxml @UUID@
nwfilter-edit f1
nwfilter-undefine f1
nwfilter-undefine f1
nwfilter-list

nwfilter-define nope
nwfilter-define binding.xml
nwfilter-dumpxml nope
nwfilter-edit nope

nwfilter-define filter.xml
nwfilter-binding-create binding.xml
nwfilter-binding-list
nwfilter-undefine f1
nwfilter-binding-dumpxml lo9
nwfilter-binding-create binding.xml
nwfilter-binding-delete lo9
nwfilter-binding-delete lo9
nwfilter-binding-dumpxml lo9
nwfilter-binding-create nope
nwfilter-undefine f1
nwfilter-binding-create filter.xml
nwfilter-binding-list

pool-capabilities

pool-define-as store dir --target @FOLDER@/store
pool-build store
pool-start store
vol-create store volume.xml
vol-info v1 store --physical
vol-delete v1 store
pool-destroy store
pool-undefine store

pool-define-as store dir --target @FOLDER@/store
pool-build store
pool-start store
vol-create store other.xml
vol-wipe v2 store
vol-resize v2 20M store
vol-resize v2 20M store --delta
vol-resize v2 store -- -5M
vol-resize v2 --capacity=-5M store
vol-resize v2 --shrink --capacity=-5M store
vol-resize v2 --shrink --delta --capacity=-5M store
vol-resize v2 5X store
vol-resize v2 40M store --allocate
vol-resize v2 1 store
vol-info v2 store
vol-delete v2 store
pool-destroy store
pool-undefine store

pool-define-as store dir --target @FOLDER@/store
pool-build store
pool-start store
vol-create store other.xml
vol-upload v2 nope store
vol-upload v2 volume.xml store
vol-download v2 out store --length 40
vol-upload v2 volume.xml store --offset x
vol-download v2 /nope/x store
vol-upload v2 volume.xml store --offset 10485750
vol-upload v2 volume.xml store --offset 20485750
vol-download nope o store
vol-download v2 out store --offset -1
vol-delete v2 store
pool-destroy store
pool-undefine store

nodedev-dumpxml computer
nodedev-dumpxml nope
nodedev-dumpxml a,b
nodedev-dumpxml a,b,c
nodedev-info computer
nodedev-dumpxml computer --xpath //serial

nodedev-detach computer
nodedev-detach computer --driver vfio
nodedev-reattach computer
nodedev-reset computer
nodedev-undefine computer
nodedev-start computer
nodedev-autostart computer
nodedev-autostart computer --disable
nodedev-dettach computer
nodedev-define pool.xml
nodedev-dumpxml 2000000012341234,1000000012341234

nodedev-list
nodedev-list --tree
nodedev-list --cap pci,net
nodedev-list --all
nodedev-list --inactive
nodedev-info pci_0000_00_03_0
nodedev-dumpxml computer

iface-list
iface-begin
"""


def scripts(text: str) -> list[str]:
    return [script.replace("@UUID@", UUID) for script in text.strip().split("\n\n")]


def run(program: list[str], uri: str, script: str, folder: Path) -> tuple[str, int]:
    """What a program prints in a folder of its own, and its exit status."""
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text.replace("@FOLDER@", str(folder)))
    ran = subprocess.run(
        [*program, "-c", uri, script.replace("@FOLDER@", str(folder))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"LANG": "C", "PATH": "/usr/bin:/bin", "HOME": "/dev/null", "EDITOR": "true"},
        cwd=folder,
        timeout=150,
        check=False,
    )
    printed = os.fsdecode(ran.stdout).replace(str(folder), "FOLDER")
    # Where an error is in a document and the like is ours to say, on lines of their own.
    return re.sub("(?m)^       (at|in|near) .*\n", "", printed), ran.returncode


def compare(uri: str, script: str, folder: Path) -> None:
    assert VIRSH is not None
    expected = run([VIRSH], uri, script, folder / "a")
    assert run([sys.executable, "-m", "virt_shell"], uri, script, folder / "b") == expected


@pytest.mark.parametrize("script", scripts(TEST_DRIVER))
def test_on_the_test_driver(script: str, tmp_path: Path) -> None:
    compare("test:///default", script, tmp_path)


@pytest.mark.parametrize("script", scripts(DAEMON))
def test_at_a_daemon(script: str, libvirtd: Path, tmp_path: Path) -> None:
    compare(f"qemu+unix:///system?socket={libvirtd}", script, tmp_path)


def test_content_keeps_its_holes(libvirtd: Path, tmp_path: Path) -> None:
    assert VIRSH is not None
    with (tmp_path / "sparse").open("wb") as file:
        for offset, text in ((1 << 20, b"x" * 5000), ((2 << 20) + 4096, b"y" * 4096)):
            file.seek(offset)
            file.write(text)
        file.truncate(3 << 20)
    script = f"""pool-create-as store dir --target {tmp_path}
vol-create-as store copy 3M --allocation 0
vol-upload copy {tmp_path}/sparse store --sparse
vol-download copy {tmp_path}/@NAME@ store --sparse
vol-download copy {tmp_path}/@NAME@-part store --offset 1048576 --length 6000
vol-delete copy store
pool-destroy store"""
    for name, program in (("theirs", [VIRSH]), ("ours", [sys.executable, "-m", "virt_shell"])):
        uri = f"qemu+unix:///system?socket={libvirtd}"
        subprocess.run([*program, "-c", uri, script.replace("@NAME@", name)], check=True, timeout=150)
        assert (tmp_path / name).read_bytes() == (tmp_path / "sparse").read_bytes()
        assert (tmp_path / f"{name}-part").read_bytes() == b"x" * 5000 + bytes(1000)
    assert (tmp_path / "ours").stat().st_blocks == (tmp_path / "theirs").stat().st_blocks
