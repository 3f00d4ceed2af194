"""The other way round: our client on the real libvirtd does what libvirt's does there, and prints the same.

virtsh and virsh run the rows of the table of virsh's commands on one libvirtd, one after the other. What is called by
that, operation by operation, is accounted for.
"""

from __future__ import annotations

import fnmatch
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from compat.conftest import uri
from compat.virsh_rows import SEEN, Place, Session, answers, difference, in_one_moment, read_table, same, spellings
from virtcore.operations.declare import all_operations

#: The whole walk takes minutes; every change runs the table of virsh's commands itself.
pytestmark = pytest.mark.deep

RECORDER = Path(__file__).with_name("recording_virtsh.py")

#: What virtsh prints otherwise than virsh 9.0, and why.
DIFFERENT = {
    "iface-list*": "interfaces of the host come and go with what else runs there",
    "cd*": "virsh does not go anywhere when it is not interactive; ours does",
    "help *": "descriptions are our own, and 11.3 has more commands",
    "version*": "virtsh is of version 11.3",
    "*event --list": "11.3 has more events",
    "domstats walk --vcpu": "times are measured",
    "vol-dumpxml one --pool walk": "times of files",
    "qemu-monitor-command walk *": "libvirt numbers commands to QEMU; 11.3 sees that what begins as JSON is none",
    "migrate walk qemu+unix:///nonsense": "11.3 knows the socket below /run",
    "net-port-* walk 7777*": "11.3 tells libvirt's error, too",
}

#: What no row leads to on this libvirtd, and why. ``*`` stands for any part of a name.
NOT_WALKED = {
    "connection_supports_feature": "asked by the client itself, when it opens",
    "connection_is_*": "asked of the connection, not of a daemon; connection tests do",
    "connection_set_identity": "of daemons that call others",
    "connection_recent_stats": "libvirt has not got it",
    "connection_*_with_files": "of containers",
    "domain_create_with_files": "of containers",
    "domain_lxc_open_namespace": "of containers",
    "domain_associate_fds": "11.3's; descriptors are tested on sockets of this host (tests/remote)",
    "connection_node_suspend": "the host would sleep",
    "connection_migrate_*": "phases of migration: tests/qemu migrate from and to a libvirtd",
    "domain_migrate_*": "phases of migration: tests/qemu migrate from and to a libvirtd",
    "domain_*autostart_once": "11.2's",
    "domain_*_throttle_group": "11.2's",
    "domain_graphics_reload": "10.2's",
    "domain_open_*": "streams and descriptors: the console is tested with real guests, graphics in tests/remote",
    "domain_*_peek": "virsh has no command for it",
    "domain_max_memory": "virsh asks for it among other information",
    "domain_qemu_monitor_command_with_files": "descriptors are tested on sockets of this host (tests/remote)",
    "network_port_*": "needs a network that runs, with firewall and dnsmasq",
    "domain_has_managed_save": "virsh has no command for it alone",
    "domain_set_agent_timeout": "7.1's",
    "connection_xml_from_native": "QEMU's driver has it no more",
    "*_is_updated": "virsh has no command for it",
    "network_*metadata": "9.7's",
    "interface_*": "needs interfaces to change: test_libvirtd_services.py has the test driver's",
    "connection_*interface*": "needs interfaces to change: test_libvirtd_services.py has the test driver's",
    "node_device_*": "needs devices to take away from the host: test_libvirtd_services.py has the test driver's",
    "connection_*node_device": "needs devices to make: test_libvirtd_services.py has the test driver's",
    "nwfilter_binding_*": "needs a guest's tap device",
    "*_nwfilter_binding": "needs a guest's tap device",
}

called: set[str] = set()
ran: set[str] = set()


def explained(name: str, table: dict[str, str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in table)


@pytest.mark.parametrize("session", read_table("qemu"), ids=lambda session: session.title)
def test_it_prints_what_virsh_prints(virsh: Any, libvirtd: Path, tmp_path: Path, session: Session) -> None:
    where, told = uri("qemu+unix:///system", libvirtd), tmp_path / "operations"
    recording = (sys.executable, str(RECORDER), str(told))
    # Where the table was verified before, virsh has done its part.
    virsh_here = Place(where, tmp_path / "1", spellings(where))
    virtsh_here = Place(where, tmp_path / "1", spellings(where), program=recording)
    theirs = SEEN.get((where, session.title)) or answers(session, virsh_here)
    ours = answers(session, virtsh_here)
    wrong = []
    for row, *printed in zip(session.rows, theirs, ours, strict=True):
        one, other = in_one_moment(row, (printed[0], printed[1]), (virsh_here, virtsh_here))
        if not same(row, one, other) and not explained(row.line, DIFFERENT):
            wrong.append(f"{row.line}\n{difference(one, other)}")
    called.update(told.read_text().split())
    ran.add(session.title)
    assert not wrong, "\n".join(wrong)


def test_every_operation_is_accounted_for() -> None:
    if ran != {session.title for session in read_table("qemu")}:
        pytest.skip("counts when every session has run before it")
    assert shutil.which("virsh")
    left = {name for name in all_operations() if name not in called and not explained(name, NOT_WALKED)}
    assert sorted(left) == []
    assert len(called) > 150
