"""Our client on the real libvirtd."""

from __future__ import annotations

from pathlib import Path

import pytest

import virtcore
from compat.conftest import uri
from support import eventually
from virtcore.errors import NoDomain, OperationDenied, SystemError
from virtcore.operations.events import DomainLifecycleEvent, Event

XML = "<domain type='{kind}'><name>ours</name><memory>65536</memory><os><type>hvm</type></os></domain>"


@pytest.mark.parametrize("which", ["libvirtd", "virtcored"])
def test_the_test_driver(which: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(which)
    path = folder if which == "libvirtd" else folder / "run" / "libvirt-sock"
    with virtcore.connect(uri("test+unix:///default", path)) as connection:
        assert connection.type() == "TEST"
        assert connection.is_alive()
        assert connection.is_secure()
        assert not connection.is_encrypted()
        assert "test" in [domain.name for domain in connection.list_domains()]
        seen: list[Event] = []
        subscription = connection.on_event(seen.append, DomainLifecycleEvent)
        try:
            domain = connection.define_domain(XML.format(kind="test"))
            assert not domain.is_active()
            domain.create()
            assert domain.state().state == 1
            assert domain.info().vcpus == 1
            assert domain.memory_parameters().get("hard_limit") is not None
            assert "<name>ours</name>" in domain.xml()
            assert sorted(row.domain.name for row in connection.domain_stats()) == ["ours", "test"]
            domain.destroy()
            domain.undefine()
            eventually(lambda: len(seen) >= 4)
        finally:
            subscription.cancel()
        kinds = [(event.type.name, event.detail) for event in seen if isinstance(event, DomainLifecycleEvent)]
        assert kinds == [("DEFINED", 0), ("STARTED", 0), ("STOPPED", 1), ("UNDEFINED", 0)]
        with pytest.raises(NoDomain):
            connection.lookup_domain("ours")
    with (
        virtcore.connect(uri("test+unix:///default", path), readonly=True) as connection,
        pytest.raises(OperationDenied, match="read only access prevents virDomainSuspend"),
    ):
        connection.lookup_domain("test").suspend()


def test_the_qemu_driver(libvirtd: Path) -> None:
    with virtcore.connect(uri("qemu+unix:///system", libvirtd)) as connection:
        assert connection.type() == "QEMU"
        assert connection.lib_version() >= 9000000
        assert "<capabilities>" in connection.capabilities()
        assert connection.node_info().cpus >= 1
        domain = connection.define_domain(XML.format(kind="qemu"))
        try:
            assert domain.state().state == 5
            assert domain.is_persistent()
            assert "<domain type='qemu'>" in domain.xml()
            assert domain.has_managed_save() is False
        finally:
            domain.undefine()


def test_nobody_listens(tmp_path: Path) -> None:
    nowhere = tmp_path / "nobody"
    with pytest.raises(SystemError, match=f"Failed to connect socket to '{nowhere}': No such file or directory"):
        virtcore.connect(uri("test+unix:///default", nowhere))
