"""Snapshots and checkpoints of the test driver's domain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import virtcore
from virtcore.builtin.test.driver import TestDriver
from virtcore.builtin.test.state import TestState
from virtcore.driver.base import OpenRequest
from virtcore.driver.toolkit.domains import DomainObject
from virtcore.enums import (
    DomainCheckpointCreateFlags,
    DomainCheckpointXMLFlags,
    DomainSnapshotCreateFlags as Create,
    DomainSnapshotDeleteFlags as Delete,
    DomainSnapshotListFlags as List,
    DomainSnapshotRevertFlags as Revert,
    DomainState,
    DomainUndefineFlags,
)
from virtcore.errors import (
    InvalidArg,
    NoDomainSnapshot,
    OperationFailed,
    OperationInvalid,
    OperationUnsupported,
    SnapshotRevertRisky,
    VirtError,
)
from virtcore.operations.events import DomainLifecycleEvent, Event
from virtcore.types import DomainRef, DomainSnapshotRef
from virtcore.uri import ConnectionURI


class Host:
    """A connection to the default host, its domain and what its subscribers were told."""

    def __init__(self, driver: TestDriver) -> None:
        self.driver = driver
        self.state = driver.state
        self.obj: DomainObject = driver.state.domains.by_name("test")
        self.told: list[str] = []
        driver.subscribe(self._tell)

    def _tell(self, event: Event) -> None:
        if isinstance(event, DomainLifecycleEvent):
            self.told.append(f"{event.type.name} {event.detail}")

    @property
    def ref(self) -> DomainRef:
        return self.obj.ref

    async def take(self, name: str, flags: int = 0, content: str = "") -> DomainSnapshotRef:
        text = f"<domainsnapshot><name>{name}</name>{content}</domainsnapshot>"
        return await self.driver.domain_create_snapshot(self.ref, text, flags)

    def names(self, flags: int = 0) -> list[str]:
        return [found.name for found in self.driver.domain_list_snapshots(self.ref, flags)]


def on_host(test: Callable[[Host], Awaitable[None]]) -> None:
    async def main() -> None:
        state = TestState()
        await state.open()
        request = OpenRequest(uri=ConnectionURI.parse("test:///default"))
        try:
            await test(Host(TestDriver(request, state, ("test",))))
        finally:
            await state.close()

    asyncio.run(main())


def test_a_chain_of_snapshots() -> None:
    async def test(host: Host) -> None:
        driver = host.driver
        assert not driver.domain_has_current_snapshot(host.ref)
        with pytest.raises(NoDomainSnapshot, match="the domain does not have a current snapshot"):
            driver.domain_current_snapshot(host.ref)
        first = await host.take("a", content="<description>d</description>")
        second = await host.take("b")
        assert host.names() == ["a", "b"]
        assert host.names(List.ROOTS) == ["a"]
        assert driver.domain_current_snapshot(host.ref) == second
        assert driver.domain_snapshot_parent(second) == first
        assert driver.domain_snapshot_list_children(first) == [second]
        assert driver.domain_snapshot_is_current(second)
        assert driver.domain_snapshot_has_metadata(first)
        text = await driver.domain_snapshot_xml(second)
        assert text.startswith("<domainsnapshot>\n  <name>b</name>\n  <state>running</state>\n  <parent>\n")
        assert "  <memory snapshot='internal'/>\n  <disks>\n    <disk name='vda' snapshot='internal'/>\n" in text
        assert "  <domain type='test'>\n    <name>test</name>\n" in text
        assert host.obj.snapshots == 2
        with pytest.raises(OperationFailed, match="domain moment a already exists"):
            await host.take("a")
        with pytest.raises(InvalidArg, match=r"unsupported flags \(0x10\) in function testDomainSnapshotCreateXML"):
            await host.take("c", Create.DISK_ONLY)
        await driver.domain_snapshot_delete(first)
        assert driver.domain_lookup_snapshot(host.ref, "b") == second
        assert "<parent>" not in await driver.domain_snapshot_xml(second)
        with pytest.raises(NoDomainSnapshot, match="no domain snapshot with matching name 'a'"):
            await driver.domain_snapshot_delete(first)
        await driver.domain_snapshot_delete(second, Delete.CHILDREN)
        assert host.obj.snapshots == 0

    on_host(test)


def test_a_redefinition_keeps_the_domain_that_it_does_not_repeat() -> None:
    async def test(host: Host) -> None:
        made = await host.take("a")
        content = "<state>paused</state><creationTime>7</creationTime>"
        await host.take("a", Create.REDEFINE, content)
        text = await host.driver.domain_snapshot_xml(made)
        assert "<state>paused</state>\n  <creationTime>7</creationTime>\n" in text
        assert "<domain type='test'>" in text
        with pytest.raises(InvalidArg, match="cannot change between online and offline snapshot state"):
            await host.take("a", Create.REDEFINE, content.replace("paused", "shutoff"))
        with pytest.raises(InvalidArg, match="parent q for moment b not found"):
            await host.take("b", Create.REDEFINE, content + "<parent><name>q</name></parent>")
        with pytest.raises(VirtError, match="missing domain in snapshot"):
            await host.take("b", Create.REDEFINE, content)
        assert host.names() == ["a"]

    on_host(test)


def test_there_and_back() -> None:
    async def test(host: Host) -> None:
        running = await host.take("running")
        host.state.suspend(host.obj)
        paused = await host.take("paused")
        halted = await host.take("halted", Create.HALT)
        assert (host.obj.state, host.obj.reason) == (DomainState.SHUTOFF, 7)
        off = await host.take("off")
        assert "<memory snapshot='no'/>" in await host.driver.domain_snapshot_xml(off)
        host.told.clear()
        revert = host.driver.domain_snapshot_revert
        await revert(running)
        assert (host.obj.state, host.told) == (DomainState.RUNNING, ["STARTED 3"])
        assert host.driver.domain_current_snapshot(host.ref).name == "running"
        await revert(paused)
        await revert(running)
        await revert(running, Revert.PAUSED)
        assert (host.obj.state, host.told[1:]) == (DomainState.PAUSED, ["SUSPENDED 5", "RESUMED 2", "SUSPENDED 5"])
        host.told.clear()
        await revert(off)
        assert (host.obj.state, host.told) == (DomainState.SHUTOFF, ["STOPPED 6"])
        await revert(off, Revert.PAUSED)
        assert (host.obj.state, host.told[1:]) == (DomainState.PAUSED, ["STARTED 3", "SUSPENDED 5"])
        with pytest.raises(SnapshotRevertRisky, match="must respawn guest to start inactive snapshot"):
            await revert(off, Revert.RUNNING)
        assert halted.name == "halted"

    on_host(test)


def test_snapshots_hold_back_who_would_undefine() -> None:
    async def test(host: Host) -> None:
        await host.take("a", Create.HALT)
        with pytest.raises(OperationInvalid, match="cannot delete inactive domain with 1 snapshots"):
            await host.driver.domain_undefine(host.ref)
        await host.driver.domain_undefine(host.ref, DomainUndefineFlags.SNAPSHOTS_METADATA)
        assert not list(host.state.domains)

    on_host(test)


def test_checkpoints() -> None:
    async def test(host: Host) -> None:
        driver = host.driver

        async def make(name: str, flags: int = 0, content: str = "") -> None:
            text = f"<domaincheckpoint><name>{name}</name>{content}</domaincheckpoint>"
            await driver.domain_create_checkpoint(host.ref, text, flags)

        await make("a")
        await make("b")
        with pytest.raises(OperationUnsupported, match="cannot create snapshot while checkpoint exists"):
            await host.take("s")
        one, two = driver.domain_list_checkpoints(host.ref)
        assert (one.name, two.name, driver.domain_checkpoint_parent(two)) == ("a", "b", one)
        assert driver.domain_checkpoint_list_children(one) == [two]
        text = await driver.domain_checkpoint_xml(
            two, DomainCheckpointXMLFlags.SIZE | DomainCheckpointXMLFlags.NO_DOMAIN
        )
        assert "    <disk name='vda' checkpoint='bitmap' bitmap='b' size='1024'/>\n" in text
        assert "<domain " not in text
        assert "size=" not in await driver.domain_checkpoint_xml(two)
        await make("a", DomainCheckpointCreateFlags.REDEFINE, "<creationTime>7</creationTime>")
        assert driver.domain_checkpoint_list_children(one) == [two]
        assert "<creationTime>7<" in await driver.domain_checkpoint_xml(driver.domain_lookup_checkpoint(host.ref, "a"))
        await driver.domain_checkpoint_delete(one)
        assert [found.name for found in driver.domain_list_checkpoints(host.ref)] == ["b"]
        await host.state.destroy(host.obj)
        with pytest.raises(OperationInvalid, match="domain is not running"):
            await driver.domain_checkpoint_xml(two, DomainCheckpointXMLFlags.SIZE)
        with pytest.raises(OperationUnsupported, match="cannot create checkpoint for inactive domain"):
            await make("c")

    on_host(test)


def test_through_the_objects_of_the_api() -> None:
    with virtcore.connect("test:///default") as connection:
        assert connection.supports("domain_create_snapshot")
        domain = connection.lookup_domain(name="test")
        made = domain.create_snapshot("<domainsnapshot><name>a</name></domainsnapshot>")
        assert domain.current_snapshot().name == "a"
        assert [found.name for found in domain.list_snapshots(List.LEAVES)] == ["a"]
        assert "<name>a</name>" in made.xml()
        made.revert(Revert.PAUSED)
        made.delete()
        assert not domain.has_current_snapshot()


def test_snapshots_of_a_described_host(tmp_path: Path) -> None:
    def snapshot(name: str, parent: str, active: int) -> str:
        above = f"<parent><name>{parent}</name></parent>" if parent else ""
        return (
            f"<name>{name}</name>{above}<creationTime>1</creationTime><state>running</state><active>{active}</active>"
        )

    def describe(*contents: str) -> str:
        inside = "".join(f"<test:domainsnapshot>{content}</test:domainsnapshot>" for content in contents)
        path = tmp_path / "host.xml"
        path.write_text(
            "<node><domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>guest</name>"
            f"<memory>4096</memory><os><type>hvm</type></os>{inside}<test:domainsnapshot file='s.xml'/></domain></node>"
        )
        return f"test://{path}"

    (tmp_path / "s.xml").write_text(f"<domainsnapshot>{snapshot('a', '', 0)}</domainsnapshot>")
    with virtcore.connect(describe(snapshot("b", "a", 1))) as connection:
        domain = connection.lookup_domain(name="guest")
        assert [found.name for found in domain.list_snapshots(List.TOPOLOGICAL)] == ["a", "b"]
        assert domain.current_snapshot().name == "b"
        assert "<active>" not in domain.current_snapshot().xml()
    for contents, message in (
        ((snapshot("b", "q", 0),), "Snapshots have inconsistent relations for domain guest"),
        ((snapshot("b", "a", 1), snapshot("c", "a", 1)), "more than one snapshot claims to be active"),
        ((snapshot("a", "", 0),), "domain moment a already exists"),
        (("<name>b</name>",), "missing creationTime from existing snapshot"),
    ):
        with pytest.raises(VirtError, match=message):
            virtcore.connect(describe(*contents))
