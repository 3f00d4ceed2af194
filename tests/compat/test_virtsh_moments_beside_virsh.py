"""Snapshots, checkpoints and backups of libvirt's test driver and ours, through virsh and virtsh: the same bytes."""

from __future__ import annotations

import pytest

from virtsh_beside import VIRSH, both

pytestmark = pytest.mark.skipif(VIRSH is None, reason="virsh is not installed (Debian: libvirt-clients)")

LINES = [
    "snapshot-create-as test s1 desc1; snapshot-create-as test s2; snapshot-list test; snapshot-list test --parent",
    "snapshot-create-as test b; snapshot-create-as test a; snapshot-list test --topological --name",
    (
        "snapshot-create-as test s1; snapshot-create-as test s2; snapshot-revert test s1; snapshot-create-as test s3; "
        "snapshot-list test --tree; snapshot-list test --tree --from s1; snapshot-list test --from s1; "
        "snapshot-list test --from s1 --descendants; "
        "snapshot-info test s1; snapshot-info test --current; snapshot-parent test s2; snapshot-parent test s1; "
        "snapshot-delete test s1 --children-only; snapshot-list test --tree"
    ),
    "snapshot-info test; snapshot-info test s1 --current; snapshot-current test; snapshot-delete test nope",
    "snapshot-create-as test s1; snapshot-current test s1; snapshot-current test --name; snapshot-delete test s1",
    "snapshot-list test --tree --leaves; snapshot-list test --tree --name; snapshot-list test --descendants",
    "snapshot-list test --roots --current; snapshot-list test --from nope; snapshot-info test --current",
    "snapshot-create-as test --print-xml n d vda,driver=qcow2,stype=block,file=/x,snapshot=no vdb,file=/y",
    "snapshot-create-as test --print-xml --memspec /m,snapshot=external; snapshot-create-as test --memspec x",
    "snapshot-create-as test --diskspec vda,stype=foo; snapshot-create-as test --diskspec vda,foo=bar",
    "snapshot-create test /nonexistent; snapshot-create-as test s1; snapshot-dumpxml test s1 --xpath //state",
    "destroy test; snapshot-create-as test s1; snapshot-list test --inactive; snapshot-revert test s1; list",
    "checkpoint-create-as test c1; checkpoint-create-as test c2 d; checkpoint-list test; checkpoint-list test --parent",
    "checkpoint-create-as test b; checkpoint-create-as test a; checkpoint-list test --topological --name",
    (
        "checkpoint-create-as test c1; checkpoint-create-as test c2; checkpoint-list test --tree; "
        "checkpoint-info test c1; checkpoint-parent test c1; checkpoint-parent test c2; "
        "checkpoint-delete test c1 --children-only; checkpoint-delete test c1; checkpoint-list test"
    ),
    "checkpoint-list test --descendants; checkpoint-info test nope; checkpoint-create test --redefine-validate",
    "checkpoint-create-as test --print-xml n d vda,checkpoint=bitmap,bitmap=b vdb; checkpoint-create-as test x y z,a=b",
    "backup-begin test; backup-dumpxml test",
]


@pytest.mark.parametrize("line", LINES)
def test_virtsh_prints_what_virsh_prints(line: str) -> None:
    theirs, ours = both(line)
    assert ours == theirs
