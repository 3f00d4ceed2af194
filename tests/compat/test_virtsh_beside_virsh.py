"""The same command lines through the real virsh and ours, on libvirt's test driver and ours: the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtsh_beside import VIRSH, both

pytestmark = pytest.mark.skipif(VIRSH is None, reason="virsh is not installed (Debian: libvirt-clients)")

GUEST = """<domain type='test'>
  <name>second</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <title>a guest</title>
  <memory unit='MiB'>64</memory>
  <os><type>hvm</type></os>
</domain>
"""

NETWORK = """<network>
  <name>second</name>
  <uuid>21111111-2222-3333-4444-555555555555</uuid>
  <bridge name='virbr7'/>
  <ip address='10.7.0.1' prefix='24'/>
</network>
"""

LINES = [
    "list --all",
    "list --all --title --uuid",
    "list --id",
    "list --name --uuid",
    "list --inactive",
    "list --table --name",
    "dominfo test",
    "domstate test --reason",
    "domid test",
    "domname 1",
    "domuuid test",
    "domcontrol test",
    "domblklist test --details",
    "domiflist test",
    "domstats test",
    "domstats --state --list-inactive",
    "dumpxml test",
    "dumpxml test --xpath //disk",
    "dumpxml test --xpath //disk|//interface --wrap",
    "dumpxml test --xpath //nothing",
    "nodeinfo",
    "hostname",
    "uri",
    "maxvcpus",
    "memtune test",
    "suspend test; list; resume test; destroy test; list --all; start test; dominfo test",
    "start test",
    "shutdown test; domstate test",
    "reboot test --mode foo",
    "autostart test; dominfo test",
    "undefine test; list --all",
    "destroy test; undefine test; list --all; domstate test",
    "define @GUEST@; list --all --title; start second; dumpxml second; undefine second; list --all",
    "create @GUEST@; destroy second; list --all",
    "define /nonexistent.xml",
    "domstate nope",
    "domid 1",
    "frobnicate",
    "domstate",
    "list extra",
    "echo 'a  b' --shell; echo --xml '<&>'; echo --split a,,b,c",
    "pwd extra",
    "ttyconsole test",
    "net-list --all; net-info default; net-dumpxml default; net-uuid default",
    "net-list --name --uuid; net-event; net-event --event nope",
    "net-name dd8fe884-6c02-601e-7551-cca97df1c5df; net-start default; net-undefine default",
    "net-destroy default; net-list; net-list --inactive; net-info default; net-start default; net-list",
    "net-define @NETWORK@; net-list --all; net-autostart second; net-start second; net-info second; net-dumpxml second",
    "net-create @NETWORK@; net-list --transient; net-destroy second; net-list --all; net-destroy second",
    (
        "net-update default add-last ip-dhcp-host \"<host mac='52:54:00:00:00:02' ip='192.168.122.9'/>\"; "
        "net-dumpxml default"
    ),
    "net-update default frob ip; net-update default add nope x; net-dumpxml default --xpath //range",
    "net-destroy nope",
    "event --all --list",
    "event --event nope",
    "event",
]


@pytest.mark.parametrize("line", LINES)
def test_virtsh_prints_what_virsh_prints(line: str, tmp_path: Path) -> None:
    guest = tmp_path / "guest.xml"
    guest.write_text(GUEST)
    network = tmp_path / "network.xml"
    network.write_text(NETWORK)
    line = line.replace("@GUEST@", str(guest)).replace("@NETWORK@", str(network))
    theirs, ours = both(line)
    assert ours == theirs
