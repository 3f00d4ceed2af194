"""Commands on domains and hosts through virsh and virtsh: the same bytes, on each one's test driver and libvirtd's."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtsh_beside import VIRSH, both

pytestmark = pytest.mark.skipif(VIRSH is None, reason="virsh is not installed (Debian: libvirt-clients)")

GUEST = """<domain type='test'>
  <name>second</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <memory unit='MiB'>64</memory>
  <os><type>hvm</type></os>
  <devices>
    <disk type='file' device='cdrom'>
      <source file='/a.iso' startupPolicy='optional'/><target dev='hdc'/><readonly/>
    </disk>
    <disk type='file' device='cdrom'><target dev='hdd'/><readonly/></disk>
    <disk type='block' device='disk'><source dev='/dev/sda'/><target dev='vda'/></disk>
    <interface type='network'><source network='a'/><mac address='52:54:00:00:00:01'/></interface>
    <interface type='network'><source network='b'/><mac address='52:54:00:00:00:02'/><link state='down'/></interface>
    <graphics type='vnc' port='5901' autoport='no' listen='127.0.0.1' passwd='secret'/>
    <graphics type='spice' port='5902' tlsPort='5903' autoport='no' listen='0.0.0.0' passwd='a&amp;b'/>
  </devices>
</domain>
"""

#: Where the driver does nothing but give its XML, or the command refuses before it asks.
XML_LINES = [
    "domif-getlink test testnet0; domif-getlink test foo; domif-getlink test aa:bb:cc:dd:ee:FF",
    "domif-getlink test aa:bb:cc:dd:ee:01; domif-setlink test testnet0 foo; domif-setlink test nope up",
    "domif-setlink test testnet0 down --print-xml; detach-interface test network --print-xml",
    "detach-disk test vda --print-xml; detach-disk test vdz; detach-interface test bridge",
    "attach-interface test network default --print-xml --mac 52:54:00:11:22:33 --model virtio --target t0 --alias ua-x",
    "attach-interface test network x --print-xml --inbound 1,2,3 --outbound 4 --script /s",
    (
        "attach-interface test network x --inbound 0 --print-xml; attach-interface test foo x; "
        "attach-interface test user x"
    ),
    "attach-interface test hostdev 0000:01:02.3 --print-xml --managed; attach-interface test hostdev foo --print-xml",
    "attach-interface test vhostuser /x --source-mode server --print-xml; attach-interface test vhostuser /x",
    "attach-device test @FOLDER@/no --persistent --current; attach-device test @FOLDER@/no",
    "attach-disk test /x vda --wwn abc; attach-disk test '' vda --print-xml; attach-disk test /x hda --mode foo",
    "update-memory-device test; update-memory-device test --alias foo; update-memory-device test --node 0 --print-xml",
    (
        "define @GUEST@; change-media second hdc --eject --print-xml; change-media second hdc /b.iso --print-xml; "
        "change-media second hdc /b.iso --insert --print-xml; change-media second hdc /s --update --block --print-xml; "
        "change-media second hdd --eject --print-xml; change-media second hdd --insert --print-xml; "
        "change-media second hdd --insert /c.iso --print-xml; change-media second /a.iso --eject --print-xml; "
        "change-media second vda --eject; change-media second hdc --eject --insert; change-media second hdc"
    ),
    (
        "define @GUEST@; detach-interface second network; "
        "detach-interface second network --mac 52:54:00:00:00:02 --print-xml; "
        "domif-setlink second 52:54:00:00:00:02 up --print-xml; detach-disk second /dev/sda --print-xml"
    ),
    (
        "create @GUEST@; domdisplay second; domdisplay second --all; domdisplay second --include-password; "
        "domdisplay second --type spice --include-password; domdisplay second foo; vncdisplay second"
    ),
    "domdisplay test; vncdisplay test; ttyconsole test",
    "vcpupin test --cpulist 0,1; vcpupin test a 0; setvcpus test 0; setvcpu test 1; guestvcpus test --enable",
    "memtune test --hard-limit x; numatune test --mode foo; blkiotune test --weight 0; memtune test --live --current",
    (
        "blkdeviotune test vda --total-bytes-sec x; domiftune test testnet0 --inbound a; "
        "blkiotune test --device-weights ''"
    ),
    "domiftune test testnet0 --outbound 0,5; domiftune test testnet0 --outbound 1,2,3,4,5",
    "setmem test x; setmaxmem test 1xb; iothreadset test 1; iothreadadd test 0; cpu-stats test --start -1",
    "set-lifecycle-action test foo restart; set-lifecycle-action test poweroff foo",
    "send-key test foo; send-key test --codeset foo 1; send-process-signal test 1 foo; send-process-signal test x 9",
    "dump test /x --format elf; dump test /x --memory-only --format foo; dump test /x --live --crash",
    "save-image-define /x @FOLDER@/no; managedsave-define test @FOLDER@/no; domxml-from-native x @FOLDER@/no",
    "domxml-to-native qemu-argv; domxml-to-native qemu-argv --xml @FOLDER@/no; blockcopy test vda",
    (
        "blockcommit test vda --verbose; blockcopy test vda /x --async; blockpull test vda --verbose; "
        "blockresize test vda x"
    ),
    "blockjob test vda --raw --abort; domjobinfo test --keep-completed; dompmsuspend test foo",
    "domhostname test --source foo; domifaddr test --source foo; domdirtyrate-calc test --mode foo",
    "migrate test x --offline --live; migrate test x --timeout 5; migrate test x --timeout-suspend",
    "migrate test x --timeout-postcopy; migrate test x --tls-destination y; migrate-setmaxdowntime test 0",
    "undefine test --storage vda; undefine test --wipe-storage; undefine test --nvram --keep-nvram",
    (
        "start test --pass-fds x; create @GUEST@ --pass-fds x; console test; shutdown test --mode foo; "
        "set-user-sshkeys test u"
    ),
    (
        "domtime test --now --time 4; dommemstat test --period -1; domblkinfo test; "
        "qemu-agent-command test x --async --block"
    ),
    "freecell --all --cellno 1; freepages; freepages 0; freepages -2 4; freepages 0 4x; allocpages 4 x",
    "nodesuspend foo 60; nodesuspend mem -1; cpu-compare @FOLDER@/no; hypervisor-cpu-baseline",
    "autostart test; autostart test --disable; domrename nope x; qemu-monitor-event",
    "event --domain nope; event --domain nope --event foo; event --event lifecycle --timeout 1",
]

#: What a test driver does.
LINES = [
    "domblkinfo test vda; domblkinfo test --all; domblkinfo test vda --human; domblkinfo test nope; domblkerror test",
    "domifaddr test; domifaddr test testnet0 --full; domifaddr test nope; domifaddr test --source agent",
    "vcpucount test; vcpucount test --live --active; vcpucount test --maximum; vcpucount test --config --live",
    "vcpuinfo test --pretty; vcpupin test; vcpupin test 0; vcpupin test 0 0-1; vcpupin test 0 r; vcpupin test",
    "vcpupin test 0 x; vcpupin test 0 99; emulatorpin test; emulatorpin test 0-1; emulatorpin test; emulatorpin test x",
    "setvcpus test 1; vcpucount test; setvcpus test 3; setvcpus test 3 --config --maximum",
    "cpu-stats test; cpu-stats test --total; cpu-stats test --start 1 --count 1; iothreadinfo test",
    "setmem test 1024; setmem test 1M --config; setmem test 0; setmaxmem test 4G; setmaxmem test 4G --config",
    "memtune test; memtune test --hard-limit 1G; memtune test --hard-limit -1; memtune test",
    "numatune test; numatune test --mode interleave --nodeset 0; numatune test --mode 1; numatune test",
    "blkiotune test; blkiotune test --weight 500; blkiotune test",
    "blkdeviotune test vda; blkdeviotune test nope",
    "domiftune test testnet0; domiftune test testnet0 --inbound 1,2,3; domiftune test testnet0; domiftune test nope",
    "perf test; perf test --enable cmt; perf test --enable foo",
    "destroy test; vcpuinfo test; vcpupin test; vcpucount test; emulatorpin test; vcpucount test --live",
    "destroy test; setvcpus test 1; setvcpus test 1 --live; setmem test 4k --live; vcpupin test 0 0; setmem test 4k",
    "save test @FOLDER@/s; list --all; restore @FOLDER@/s; list; save-image-dumpxml @FOLDER@/s --xpath //name",
    "save-image-dumpxml @FOLDER@/no; restore @FOLDER@/no; save test @FOLDER@/no/x",
    "save test @FOLDER@/s; restore @FOLDER@/s --running --paused; restore @FOLDER@/s; restore @FOLDER@/s",
    "managedsave test; list --all; list --all --managed-save; managedsave-remove test; managedsave-remove test",
    "managedsave test; start test; managedsave test --running --paused; dump test @FOLDER@/c; destroy test",
    "dump test @FOLDER@/no/x; destroy test; dump test @FOLDER@/c; managedsave test",
    "send-key test KEY_A; send-key test 30 31 --codeset linux --holdtime 5; inject-nmi test",
    "send-process-signal test 1 sigkill; send-process-signal test 1 SIGKILL; send-process-signal test 1 9",
    "domfsfreeze test; domfsthaw test; domfsfreeze test /; domfsthaw test /; domfsinfo test; domfstrim test",
    "domhostname test; set-user-password test root x; screenshot test @FOLDER@/shot",
    "desc test; desc test hello world; desc test; desc test --title foo; desc test --title",
    "metadata test http://a; metadata test http://a --key k --set '<x/>'; metadata test http://a",
    "metadata test http://a --remove; metadata test http://a --set '<x/>'; metadata test http://a --edit --remove",
    "domrename test foo; destroy test; domrename test foo; list --all",
    "set-lifecycle-action test poweroff destroy; dumpxml test --xpath //on_poweroff",
    "freecell; freecell --all; freecell 0; freecell 1",
    "nodecpumap; nodecpumap --pretty; nodecpustats; nodecpustats --cpu 1; nodecpustats --percent; nodememstats",
    "node-memory-tune; node-memory-tune 5; cpu-models aarch64; cpu-models foo; maxvcpus --type foo",
]


def prepared(line: str, folder: Path) -> str:
    (folder / "guest.xml").write_text(GUEST)
    return line.replace("@GUEST@", str(folder / "guest.xml")).replace("@FOLDER@", str(folder))


@pytest.mark.parametrize("line", XML_LINES)
def test_what_needs_no_driver_is_virshs(line: str, tmp_path: Path) -> None:
    theirs, ours = both(prepared(line, tmp_path))
    assert ours == theirs


@pytest.mark.parametrize("line", LINES)
def test_on_the_test_driver_of_each(line: str, tmp_path: Path) -> None:
    theirs, ours = both(prepared(line, tmp_path))
    assert ours == theirs


#: libvirtd 9.0's test driver pins only where virsh's oldest call does, which has no flags.
@pytest.mark.parametrize("line", [line for line in LINES if "vcpupin test 0" not in line])
def test_on_the_test_driver_of_libvirtd(line: str, tmp_path: Path, libvirtd: Path) -> None:
    theirs, ours = both(prepared(line, tmp_path), f"test+unix:///default?socket={libvirtd}")
    assert ours == theirs
