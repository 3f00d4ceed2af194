"""The fixtures that programs test themselves with."""

from __future__ import annotations

import queue

import pytest

import virtcore
from virtcore.enums import DomainCrashedReason, DomainEventType, DomainPausedReason, DomainState
from virtcore.errors import InvalidArg, NoDomain, OperationFailed, OperationInvalid
from virtcore.operations.events import DomainLifecycleEvent
from virtcore.testing.faults import Fault

pytest_plugins = ["virtcore.testing.fixtures"]

GUEST = """<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
  <name>{name}</name><memory>65536</memory><os><type>hvm</type></os>
  <test:runstate>{state}</test:runstate>
</domain>"""


def test_a_described_host(virtcore_test_host):
    uri = virtcore_test_host(GUEST.format(name="up", state=1), GUEST.format(name="down", state=5))
    with virtcore.connect(uri) as connection:
        assert {domain.name: domain.is_active() for domain in connection.list_domains()} == {"up": True, "down": False}
    assert virtcore_test_host() != uri


def test_faults_last_as_long_as_the_test(virtcore_faults):
    hits = virtcore_faults(Fault("domain_suspend", error=OperationFailed("no luck"), times=1))
    with virtcore.connect("test:///default") as connection:
        domain = connection.lookup_domain(name="test")
        with pytest.raises(OperationFailed, match="no luck"):
            domain.suspend()
        domain.suspend()
    assert hits["domain_suspend"] == 1


def test_a_guest_that_crashes_by_itself(virtcore_test_connection, virtcore_state):
    events: queue.SimpleQueue[DomainLifecycleEvent] = queue.SimpleQueue()
    virtcore_test_connection.on_event(events.put, DomainLifecycleEvent)
    domain = virtcore_test_connection.lookup_domain(name="test")
    virtcore_state(domain, DomainState.PAUSED, DomainPausedReason.IOERROR)
    assert domain.state() == (DomainState.PAUSED, DomainPausedReason.IOERROR)
    virtcore_state(domain, DomainState.CRASHED, DomainCrashedReason.PANICKED)
    assert domain.state() == (DomainState.CRASHED, DomainCrashedReason.PANICKED)
    virtcore_state(domain, DomainState.SHUTOFF)
    assert not domain.is_active()
    kinds = [events.get(timeout=60).type for _ in range(3)]
    assert kinds == [DomainEventType.SUSPENDED, DomainEventType.CRASHED, DomainEventType.STOPPED]
    with pytest.raises(OperationInvalid, match="domain is not running"):
        virtcore_state(domain, DomainState.PAUSED)


def test_states_that_nobody_comes_into(virtcore_test_connection, virtcore_state):
    domain = virtcore_test_connection.lookup_domain(name="test")
    with pytest.raises(OperationInvalid):
        virtcore_state(domain, DomainState.NOSTATE)
    gone = virtcore_test_connection.create_domain(
        "<domain type='test'><name>x</name><memory>1</memory><os><type>hvm</type></os></domain>"
    )
    virtcore_state(gone, DomainState.SHUTOFF)
    with pytest.raises(NoDomain):
        gone.state()


def test_only_the_test_hypervisor_has_injected_states(virtcore_state):
    from toydriver import ToyDriver
    from virtcore.driver.loader import registered

    with registered("toy", ToyDriver), virtcore.connect("toy:///") as connection, pytest.raises(InvalidArg):
        virtcore_state(connection.lookup_domain(name="only"), DomainState.PAUSED)
