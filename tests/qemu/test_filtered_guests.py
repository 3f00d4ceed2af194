"""Guests whose interfaces have network filters, in a network of their own."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import virtcore
from namespaces import NetworkBox, network_box
from support import eventually
from virtcore.enums import DomainCreateFlags
from virtcore.errors import ConfigUnsupported, InternalError, OperationFailed

PAUSED = DomainCreateFlags.START_PAUSED
MAC = "52:54:00:12:34:56"


@pytest.fixture(scope="module")
def box() -> Iterator[NetworkBox]:
    reason = None
    if shutil.which("ebtables", path=f"{os.environ.get('PATH')}:/usr/sbin") is None:
        reason = "ebtables is not installed"
    if reason is None and shutil.which("qemu-system-x86_64") is None:
        reason = "qemu-system-x86_64 is not installed"
    if reason is None and not os.path.exists("/dev/net/tun"):
        reason = "there is no /dev/net/tun"
    if reason is not None:
        pytest.skip(reason)
    with network_box() as made:
        made.run("ip", "link", "add", "br0", "type", "bridge")
        made.run("ip", "link", "set", "br0", "up")
        yield made


@pytest.fixture
def connection(box: NetworkBox) -> Iterator[virtcore.Connection]:
    with virtcore.connect(box.uri) as opened:
        yield opened
        for domain in opened.list_domains():
            domain.destroy()


def interface(reference: str, *, mac: str = MAC, more: str = "") -> str:
    return (
        f"<interface type='bridge'><mac address='{mac}'/><source bridge='br0'/>{more}<model type='virtio'/>"
        f"{reference}</interface>"
    )


def filtered(name: str = "clean-traffic", address: str = "10.0.0.1") -> str:
    return f"<filterref filter='{name}'><parameter name='IP' value='{address}'/></filterref>"


def start(connection: virtcore.Connection, *devices: str) -> virtcore.Domain:
    return connection.create_domain(
        "<domain type='qemu'><name>filtered</name><memory unit='MiB'>32</memory><features><acpi/></features>"
        "<os><type arch='x86_64'>hvm</type></os>"
        f"<devices>{''.join(devices)}</devices></domain>",
        PAUSED,
    )


def target(domain: virtcore.Domain) -> str:
    return domain.xml().partition("<target dev='")[2].partition("'")[0]


def rules(box: NetworkBox) -> str:
    return box.run("ebtables-save")


def bound(connection: virtcore.Connection) -> list[str]:
    return sorted(binding.port_dev for binding in connection.list_nwfilter_bindings())


def guests(box: NetworkBox) -> list[int]:
    """Process numbers of the box's QEMUs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            if os.fsencode(box.root) in command and os.readlink(entry / "exe").endswith("qemu-system-x86_64"):
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended
    return found


def test_as_long_as_the_guest_runs(connection, box):
    domain = start(connection, interface(filtered()))
    name = target(domain)
    assert bound(connection) == [name]
    binding = connection.lookup_nwfilter_binding(name)
    assert f"<name>filtered</name>\n    <uuid>{domain.uuid}</uuid>" in binding.xml()
    assert f"-A I-{name}-arp-ip -p ARP --arp-ip-src 10.0.0.1 -j RETURN" in rules(box)
    domain.destroy()
    assert bound(connection) == []
    assert name not in rules(box)


def test_a_guest_that_ends_by_itself(connection, box):
    domain = start(connection, interface(filtered()))
    name = target(domain)
    (pid,) = guests(box)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: bound(connection) == [] and name not in rules(box))


def test_a_start_that_fails_leaves_nothing(connection, box):
    before = box.links()
    with pytest.raises(InternalError, match="referenced filter 'nope' is missing"):
        start(connection, interface(filtered()), interface(filtered("nope"), mac="52:54:00:12:34:57"))
    eventually(lambda: box.links() == before)
    assert bound(connection) == []
    assert "vnet" not in rules(box)
    with pytest.raises(ConfigUnsupported, match="with virtualport type openvswitch"):
        start(connection, interface(filtered(), more="<virtualport type='openvswitch'/>"))


def test_an_interface_that_comes_changes_and_goes(connection, box):
    domain = start(connection)
    domain.attach_device(interface(filtered()))
    name = target(domain)
    assert "10.0.0.1" in rules(box)
    domain.update_device(interface(filtered(address="10.0.0.2")))
    assert "10.0.0.2" in rules(box)
    assert "10.0.0.1" not in rules(box)
    assert "value='10.0.0.2'" in domain.xml()
    failed = f"failed to add new filter rules to '{name}' - attempting to restore old rules"
    with pytest.raises(OperationFailed, match=failed):
        domain.update_device(interface(filtered("nope")))
    assert "10.0.0.2" in rules(box), "it is as it was"
    assert "nope" not in domain.xml()
    domain.update_device(interface(""))
    assert bound(connection) == []
    assert name not in rules(box)
    domain.update_device(interface(filtered()))
    assert bound(connection) == [name]
    domain.destroy()
    assert bound(connection) == []


def test_a_daemon_that_is_started_again(box):
    with virtcore.connect(box.uri) as connection:
        name = target(start(connection, interface(filtered())))
        before = rules(box)
    box.end(signal.SIGKILL)
    box.run("ebtables", "-t", "nat", "-F")
    (box.root / "run" / "libvirt-sock").unlink(missing_ok=True)
    box.start()
    with virtcore.connect(box.uri) as connection:
        assert bound(connection) == [name]
        eventually(lambda: rules(box).splitlines()[1:-1] == before.splitlines()[1:-1])
        box.run("ebtables", "-t", "nat", "-F")  # as firewalld does; a daemon looks again when it is told to
        assert box.process is not None
        box.process.send_signal(signal.SIGHUP)
        eventually(lambda: rules(box).splitlines()[1:-1] == before.splitlines()[1:-1])
        connection.lookup_nwfilter_binding(name).delete()
        assert name not in rules(box)
        connection.lookup_domain("filtered").destroy()
