"""The test driver beside libvirt's, through the installed virsh (9.0 or newer).

Differences that 11.3 explains: ``cluster_id`` in capabilities (10.1, docs/formatcaps), domain capabilities (9.8).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

import virtcore
from virtcore.enums import DomainXMLFlags

VIRSH = shutil.which("virsh")
pytestmark = pytest.mark.skipif(VIRSH is None, reason="virsh is not installed (Debian: libvirt-clients)")

URI = "test:///default"


def virsh(*command: str) -> str:
    assert VIRSH is not None
    done = subprocess.run([VIRSH, "-q", "-c", URI, *command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n") + "\n"  # some commands end with an empty line


@pytest.fixture
def connection() -> Iterator[virtcore.Connection]:
    with virtcore.connect(URI) as opened:
        yield opened


def test_domain_xml(connection: virtcore.Connection) -> None:
    domain = connection.lookup_domain(name="test")
    assert domain.xml() == virsh("dumpxml", "test")
    assert domain.xml(DomainXMLFlags.INACTIVE) == virsh("dumpxml", "--inactive", "test")
    assert domain.xml(DomainXMLFlags.SECURE) == virsh("dumpxml", "--security-info", "test")
    assert domain.xml(DomainXMLFlags.MIGRATABLE) == virsh("dumpxml", "--migratable", "test")


def test_capabilities(connection: virtcore.Connection) -> None:
    theirs = virsh("capabilities")
    ours = connection.capabilities()
    if "cluster_id" not in theirs:
        ours = ours.replace(" cluster_id='0'", "")
    assert ours == theirs


def test_the_host(connection: virtcore.Connection) -> None:
    assert connection.sysinfo() == virsh("sysinfo")
    assert connection.hostname() == virsh("hostname").strip()
    assert connection.uri() == virsh("uri").strip()
    assert connection.max_vcpus() == int(virsh("maxvcpus"))
    node = connection.node_info()
    rows = dict(line.split(":", 1) for line in virsh("nodeinfo").strip().splitlines())
    shown = [value.split()[0] for value in rows.values()]
    expected = [node.model, node.cpus, node.mhz, node.sockets, node.cores, node.threads, node.nodes, node.memory]
    assert shown == [str(value) for value in expected]
    assert virsh("freecell").strip() == f"Total: {connection.node_free_memory() // 1024} KiB"
