"""The generic part of stateful drivers, through a driver whose guests are nothing but their state."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from support import comes
from virtcore.driver.base import OpenRequest
from virtcore.driver.toolkit import DomainObject, DriverState, JobLock, StateFolders, StatefulDriver
from virtcore.enums import (
    ConnectListAllDomainsFlags as ListFlags,
    DomainCreateFlags,
    DomainEventType,
    DomainMetadataType,
    DomainPausedReason,
    DomainShutoffReason,
    DomainState,
    DomainStatsTypes,
    DomainUndefineFlags,
    DomainVcpuFlags,
    DomainXMLFlags,
)
from virtcore.errors import (
    ArgumentUnsupported,
    InternalError,
    InvalidArg,
    NoDomain,
    NoDomainMetadata,
    NoName,
    OperationAborted,
    OperationFailed,
    OperationInvalid,
    ResourceBusy,
    SystemError,
    VirtError,
    XMLDetail,
)
from virtcore.model.domain.rules import DomainFeature, DomainRules
from virtcore.operations.events import DomainLifecycleEvent, Event
from virtcore.runtime.calls import wait_again
from virtcore.runtime.loop import CoreLoop
from virtcore.runtime.session import Session
from virtcore.types import DomainRef
from virtcore.uri import ConnectionURI

Body = Callable[["ToyDriver"], Awaitable[None]]


class ToyRules(DomainRules):
    features = DomainFeature.NAME_SLASH


class ToyState(DriverState):
    driver_name = "toy"
    failing = False
    hanging = False
    hangs = False

    def make_rules(self) -> DomainRules:
        return ToyRules()

    async def start_domain(self, obj: DomainObject, flags: DomainCreateFlags) -> None:
        if self.failing:
            raise OperationFailed("no luck")
        if self.hanging:
            self.hangs = True
            await asyncio.Event().wait()
        if flags & DomainCreateFlags.START_PAUSED:
            self.set_state(obj, DomainState.PAUSED, DomainPausedReason.USER)
        else:
            self.running(obj)

    async def stop_domain(self, obj: DomainObject, graceful: bool) -> None:
        pass


class ToyDriver(StatefulDriver[ToyState]):
    name = "TOY"
    function_prefix = "toy"

    @classmethod
    async def open(cls, request: OpenRequest) -> ToyDriver:
        folders = StateFolders.below(request.uri.path, "toy")
        return await cls.attach(request, ("toy", str(folders.config)), lambda: ToyState(folders))


@pytest.fixture
def using(tmp_path: Path) -> Callable[[Body], None]:
    """Run a body with an open driver; every call opens the same folder again."""

    def run(body: Body) -> None:
        async def main() -> None:
            driver = await open_driver(tmp_path)
            try:
                async with asyncio.timeout(60):
                    await body(driver)
            finally:
                await driver.close()

        asyncio.run(main())

    return run


async def open_driver(root: Path) -> ToyDriver:
    return await ToyDriver.open(OpenRequest(ConnectionURI.parse(f"toy://{root}")))


def xml(name: str = "vm", uuid: str | None = None, more: str = "", devices: str = "") -> str:
    identity = f"<uuid>{uuid}</uuid>" if uuid else ""
    return (
        f"<domain type='qemu'><name>{name}</name>{identity}<memory unit='MiB'>64</memory>{more}"
        f"<os><type arch='x86_64'>hvm</type></os><devices>{devices}</devices></domain>"
    )


def shown(driver: ToyDriver, ref: DomainRef, flags: int = 0) -> str:
    """A domain's XML, which is there at once."""
    text = driver.domain_xml(ref, flags)
    assert isinstance(text, str)
    return text


A = "6695eb01-f6a4-8304-79aa-97f2502e193f"
B = "7095eb01-f6a4-8304-79aa-97f2502e193f"
WITH_PASSWORD = "<graphics type='vnc' passwd='geheim'/><video><model type='vga'/></video>"


def test_definitions_survive(using: Callable[[Body], None]) -> None:
    kept: list[str] = []

    async def define(driver: ToyDriver) -> None:
        ref = await driver.connection_define_domain(xml("a/b", A))
        assert ref == DomainRef("a/b", A, -1)
        await driver.domain_set_autostart(ref, True)
        kept.append(shown(driver, ref))

    async def look(driver: ToyDriver) -> None:
        (ref,) = driver.connection_list_domains()
        assert ref == DomainRef("a/b", A, -1)
        assert driver.domain(ref).text is None, "nothing was read but the index"
        assert driver.domain_autostart(ref)
        assert driver.domain_is_persistent(ref)
        assert driver.domain_max_memory(ref) == 64 * 1024
        assert driver.domain_info(ref).memory == 64 * 1024
        assert driver.domain_os_type(ref) == "hvm"
        assert shown(driver, ref) == kept[0]
        await driver.domain_undefine(ref)

    async def gone(driver: ToyDriver) -> None:
        assert not driver.connection_list_domains()

    using(define)
    using(look)
    using(gone)


def test_lists_are_shared_until_something_changes(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        ref = await driver.connection_define_domain(xml("vm", A))
        listed = driver.connection_list_domains()
        whole = ListFlags.ACTIVE | ListFlags.INACTIVE, ListFlags.PERSISTENT | ListFlags.TRANSIENT
        states = ListFlags.RUNNING | ListFlags.PAUSED | ListFlags.SHUTOFF | ListFlags.OTHER
        for flags in (0, *whole, whole[0] | whole[1], states):
            assert driver.connection_list_domains(flags) is listed
        assert list(driver.connection_list_domains(ListFlags.INACTIVE | whole[1])) == [ref]
        assert not driver.connection_list_domains(ListFlags.ACTIVE | whole[1])
        other = await driver.connection_define_domain(xml("other", B))
        assert list(driver.connection_list_domains(whole[0])) == [ref, other]
        running = await driver.domain_create(ref)
        assert list(driver.connection_list_domains()) == [running, other]
        await driver.domain_destroy(running)
        await driver.domain_undefine(ref)
        assert list(driver.connection_list_domains(whole[1])) == [other]

    using(body)


def test_what_is_kept_for_lists_of_domains_follows_definition_and_state(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        async def told() -> tuple[object, ...]:
            (row,) = await driver.connection_domain_stats()
            assert row.params["balloon.maximum"] == driver.domain_info(ref).max_memory
            assert row.params["state.state"] == driver.domain_info(ref).state
            return driver.domain_info(ref)[:2]

        ref = await driver.connection_define_domain(xml("vm", A))
        await asyncio.sleep(0)  # rows are made behind the answer
        assert await told() == (DomainState.SHUTOFF, 64 * 1024)
        assert driver.domain_info(ref) is driver.domain_info(ref)
        larger = xml("vm", A).replace("<memory unit='MiB'>64<", "<memory unit='MiB'>128<")
        assert larger != xml("vm", A)
        await driver.connection_define_domain(larger)
        assert await told() == (DomainState.SHUTOFF, 128 * 1024)
        running = await driver.domain_create(ref)
        assert driver.domain_info(running).state == DomainState.RUNNING
        await driver.connection_define_domain(xml("vm", A))
        assert await told() == (DomainState.RUNNING, 128 * 1024)
        await driver.domain_destroy(running)
        assert await told() == (DomainState.SHUTOFF, 64 * 1024)
        defined = asyncio.ensure_future(driver.connection_define_domain(xml("other", B)))
        await driver.domain_undefine(await defined)  # before anything could be made for it
        assert await told() == (DomainState.SHUTOFF, 64 * 1024)

    using(body)


def test_the_first_document_and_large_ones_are_read_and_printed_beside_the_loop(
    using: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, set[str]] = {}

    def noting(name: str) -> None:
        inherited = getattr(DriverState, name)

        def noted(state: DriverState, *arguments: object) -> object:
            threads.setdefault(name, set()).add(threading.current_thread().name)
            return inherited(state, *arguments)

        monkeypatch.setattr(DriverState, name, noted)

    noting("load")
    noting("_written")

    async def body(driver: ToyDriver) -> None:
        own = threading.current_thread().name
        small = xml("vm", A, devices="<input type='mouse' bus='usb'/>")
        await driver.connection_define_domain(small)
        assert len(threads) == 2
        assert own not in threads["load"] | threads["_written"], "what they need is loaded meanwhile"
        threads.clear()
        await driver.connection_define_domain(small)
        assert threads == {"load": {own}, "_written": {own}}
        threads.clear()
        many = "".join(
            f"<hostdev mode='subsystem' type='usb'><source><address bus='1' device='{one}'/></source></hostdev>"
            for one in range(1, 302)
        )
        ref = await driver.connection_define_domain(xml("vm", A, devices=many))
        assert len(threads) == 2
        assert own not in threads["load"] | threads["_written"]
        assert shown(driver, ref).count("<hostdev ") == 301
        with pytest.raises(XMLDetail):
            await driver.connection_define_domain(xml("vm", A, devices=many).removesuffix("</domain>"))
        assert shown(driver, ref).count("<hostdev ") == 301
        for running in (False, True):
            if running:
                ref = await driver.domain_create(ref)
            threads.clear()
            made, dropped = (driver.domain_xml(ref, DomainXMLFlags.MIGRATABLE) for _ in range(2))
            assert not isinstance(made, str)
            assert not isinstance(dropped, str)
            assert (await made).count("<hostdev ") == 301
            assert own not in threads.pop("load", set())
            assert shown(driver, ref, DomainXMLFlags.MIGRATABLE) == driver.state.xml(driver.domain(ref), 8)
            driver.domain(ref).touch()
            late = driver.domain_xml(ref, DomainXMLFlags.MIGRATABLE)
            assert not isinstance(late, str)
            work = asyncio.ensure_future(late)
            await asyncio.sleep(0)
            driver.domain(ref).touch()
            await work
            assert not driver.domain(ref).texts, "what was made of the former is not kept for the new"
            await dropped

    using(body)


def test_an_inline_method_may_take_long(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        many = "".join(f"<channel type='pty'><target type='virtio' name='c{one}'/></channel>" for one in range(200))
        ref = await driver.connection_define_domain(xml("vm", A, devices=many))
        session = Session(CoreLoop(asyncio.get_running_loop(), threading.get_ident(), None), driver)
        with pytest.raises(InternalError, match="must be awaited"):
            session.call_inline("domain_xml", ref, 8)
        for seconds in (None, 30):
            driver.domain(ref).touch()
            assert (await session.call("domain_xml", ref, 8, deadline=seconds)).count("<channel ") == 200
        driver.domain(ref).touch()
        call = session.begin("domain_xml", (ref, 8))
        assert not call.done
        assert (await wait_again(call)).count("<channel ") == 200

    using(body)


def test_look_up(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        ref = await driver.connection_define_domain(xml("vm", A))
        assert driver.connection_lookup_domain(name="vm") == ref
        assert driver.connection_lookup_domain(uuid=A) == ref
        assert driver.connection_lookup_domain(uuid=A.upper().replace("-", "")) == ref
        with pytest.raises(InvalidArg, match=r"^uuidstr in virDomainLookupByUUIDString must be a valid UUID$"):
            driver.connection_lookup_domain(uuid="vm")
        running = await driver.domain_create(ref)
        assert running.id == 1
        assert driver.connection_lookup_domain(id=1) == running
        await driver.domain_destroy(ref)
        for wanted, message in (
            ({"name": "x"}, "no domain with matching name 'x'"),
            ({"uuid": B}, f"no domain with matching uuid '{B}'"),
            ({"id": 1}, "no domain with matching id 1"),
        ):
            with pytest.raises(NoDomain) as caught:
                driver.connection_lookup_domain(**wanted)  # type: ignore[arg-type]
            assert str(caught.value) == f"Domain not found: {message}"
        with pytest.raises(NoDomain) as caught:
            driver.domain_state(DomainRef("old", B))
        assert str(caught.value) == f"Domain not found: no domain with matching uuid '{B}' (old)"

    using(body)


def test_names_and_uuids_belong_together(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        await driver.connection_define_domain(xml("vm", A))
        with pytest.raises(OperationFailed) as caught:
            await driver.connection_define_domain(xml("vm", B))
        assert str(caught.value) == f"operation failed: domain 'vm' already exists with uuid {A}"
        with pytest.raises(OperationFailed) as caught:
            await driver.connection_create_domain(xml("other", A))
        assert str(caught.value) == f"operation failed: domain 'vm' is already defined with uuid {A}"
        assert len(driver.connection_list_domains()) == 1
        await driver.connection_define_domain(xml("other", B))

    using(body)


@pytest.mark.parametrize(
    ("document", "error"),
    [("", VirtError), ("<domain>", VirtError), (xml("a\nb"), XMLDetail), (xml(""), NoName), ("\0", VirtError)],
)
def test_what_is_refused_changes_nothing(using: Callable[[Body], None], document: str, error: type[VirtError]) -> None:
    async def body(driver: ToyDriver) -> None:
        with pytest.raises(error):
            await driver.connection_define_domain(document)
        with pytest.raises(error):
            await driver.connection_create_domain(document)
        assert not driver.connection_list_domains()
        assert driver.state.folders is not None
        assert not list(driver.state.folders.config.glob("*.xml"))

    using(body)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "..", "x" * 10_000, "-->", "a/../b"])
def test_hostile_names_are_only_names(using: Callable[[Body], None], tmp_path: Path, name: str) -> None:
    async def define(driver: ToyDriver) -> None:
        await driver.connection_define_domain(xml(name.replace(">", "&gt;"), A))

    async def look(driver: ToyDriver) -> None:
        assert driver.connection_lookup_domain(name=name).uuid == A

    using(define)
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"lock", f"{A}.xml"}
    using(look)


def test_life_and_events(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        events: list[Event] = []
        subscription = driver.subscribe(events.append)
        ref = await driver.connection_define_domain(xml("vm", A))
        await driver.connection_define_domain(xml("vm", A, "<title>new</title>"))
        running = await driver.domain_create(ref, DomainCreateFlags.START_PAUSED)
        assert driver.domain_state(ref) == (DomainState.PAUSED, DomainPausedReason.USER)
        assert driver.domain_is_active(ref)
        with pytest.raises(OperationInvalid, match="domain is already running"):
            await driver.domain_create(ref)
        await driver.domain_destroy(running)
        assert driver.domain_state(ref) == (DomainState.SHUTOFF, DomainShutoffReason.DESTROYED)
        with pytest.raises(OperationInvalid) as caught:
            await driver.domain_destroy(ref)
        assert str(caught.value) == "Requested operation is not valid: domain is not running"
        await driver.domain_undefine(ref)
        subscription.cancel()
        await driver.connection_define_domain(xml("vm", A))
        kinds = DomainEventType
        assert [(event.type, event.detail) for event in events if isinstance(event, DomainLifecycleEvent)] == [
            (kinds.DEFINED, 0),
            (kinds.DEFINED, 1),
            (kinds.STARTED, 0),
            (kinds.SUSPENDED, 0),
            (kinds.STOPPED, 1),
            (kinds.UNDEFINED, 0),
        ]

    using(body)


def test_a_transient_domain(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        ref = await driver.connection_create_domain(xml("vm", A))
        assert not driver.domain_is_persistent(ref)
        with pytest.raises(OperationInvalid, match="domain 'vm' is already active"):
            await driver.connection_create_domain(xml("vm", A))
        with pytest.raises(OperationInvalid, match="cannot undefine transient domain"):
            await driver.domain_undefine(ref)
        with pytest.raises(OperationInvalid, match="cannot set autostart for transient domain"):
            await driver.domain_set_autostart(ref, True)
        with pytest.raises(OperationInvalid, match="transient domains do not have any persistent config"):
            driver.domain_vcpus_count(ref, DomainVcpuFlags.CONFIG)
        assert "id='1'" in shown(driver, ref)
        await driver.domain_destroy(ref)
        assert not driver.connection_list_domains()

        ref = await driver.connection_create_domain(xml("vm", A))
        await driver.connection_define_domain(xml("vm", A, "<title>kept</title>"))
        assert driver.domain_is_updated(ref)
        assert "<title>" not in shown(driver, ref)
        assert "<title>kept</title>" in shown(driver, ref, DomainXMLFlags.INACTIVE)
        await driver.domain_undefine(ref)
        assert driver.domain_is_active(ref)
        assert not driver.domain_is_persistent(ref)
        await driver.connection_define_domain(xml("vm", A))
        await driver.domain_destroy(ref)
        assert list(driver.connection_list_domains()) == [DomainRef("vm", A, -1)]

    using(body)


def test_a_failed_start_leaves_no_trace(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        driver.state.failing = True
        with pytest.raises(OperationFailed, match="no luck"):
            await driver.connection_create_domain(xml("vm", A))
        assert not driver.connection_list_domains()
        ref = await driver.connection_define_domain(xml("vm", A))
        with pytest.raises(OperationFailed):
            await driver.domain_create(ref)
        assert driver.domain_state(ref) == (DomainState.SHUTOFF, DomainShutoffReason.FAILED)
        assert driver.domain(ref).live is None

    using(body)


def test_destroy_ends_a_start_that_hangs(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        driver.state.hanging = True
        ref = await driver.connection_define_domain(xml("vm", A))
        starting = asyncio.create_task(driver.domain_create(ref))
        await comes(lambda: driver.state.hangs)
        await driver.domain_destroy(ref)
        with pytest.raises(OperationAborted):
            await starting
        assert not driver.domain_is_active(ref)
        driver.state.hanging = False
        await driver.domain_create(ref)

    using(body)


def test_destroy_ends_the_start_of_a_transient_domain(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        driver.state.hanging = True
        starting = asyncio.create_task(driver.connection_create_domain(xml("vm", A)))
        await comes(lambda: driver.state.hangs)
        await driver.domain_destroy(DomainRef("vm", A))
        with pytest.raises(OperationAborted):
            await starting
        assert not driver.connection_list_domains()

    using(body)


@pytest.mark.parametrize("destroy_first", [False, True])
def test_destroy_and_undefine_at_once(
    using: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch, destroy_first: bool
) -> None:
    real = os.fsync

    def slow(descriptor: int) -> None:
        time.sleep(0.005)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)

    async def body(driver: ToyDriver) -> None:
        for _ in range(10):
            ref = await driver.connection_define_domain(xml("vm", A))
            await driver.domain_create(ref)
            first, second = driver.domain_undefine(ref), driver.domain_destroy(ref)
            calls = (second, first) if destroy_first else (first, second)
            assert await asyncio.gather(*calls, return_exceptions=True) == [None, None]
            assert not driver.connection_list_domains()
            assert driver.state.folders is not None
            assert not list(driver.state.folders.config.glob("*.xml"))

    using(body)


def test_one_of_many_destroys_succeeds(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        ref = await driver.connection_define_domain(xml("vm", A))
        for persistent, gone in ((True, OperationInvalid), (False, NoDomain)):
            await driver.domain_create(ref)
            if not persistent:
                await driver.domain_undefine(ref)
            answers = await asyncio.gather(*(driver.domain_destroy(ref) for _ in range(4)), return_exceptions=True)
            assert answers.count(None) == 1
            assert [type(answer) for answer in answers if answer is not None] == [gone] * 3

    using(body)


def test_a_shared_run_folder_is_noticed(tmp_path: Path) -> None:
    async def main() -> None:
        mine = StateFolders.below(tmp_path / "a", "toy")
        theirs = StateFolders.below(tmp_path / "b", "toy")._replace(run=mine.run)
        first, second = ToyState(mine), ToyState(theirs)
        await first.open()
        with pytest.raises(ResourceBusy, match=f"state folder '{mine.run}' is in use by process"):
            await second.open()
        await first.close()
        await second.open()
        await second.close()

    asyncio.run(main())


def test_a_change_waits_for_the_job(using: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobLock, "limit", 0.02)

    async def body(driver: ToyDriver) -> None:
        ref = await driver.connection_define_domain(xml("vm", A))
        async with driver.domain(ref).job.modify("domain_migrate"):
            with pytest.raises(VirtError) as caught:
                await asyncio.create_task(driver.domain_undefine(ref))
            assert "(held by monitor=domain_migrate)" in str(caught.value)
            # A definition needs no job, and neither do queries of what is known.
            await asyncio.create_task(driver.connection_define_domain(xml("vm", A, "<title>x</title>")))
            assert "<title>x</title>" in shown(driver, ref)

    using(body)


def test_lists_filter_by_group(using: Callable[[Body], None]) -> None:
    flags = ListFlags

    async def body(driver: ToyDriver) -> None:
        a = await driver.connection_define_domain(xml("a", A))
        b = await driver.connection_create_domain(xml("b", B))
        await driver.domain_set_autostart(a, True)

        def names(wanted: int) -> str:
            return "".join(ref.name for ref in driver.connection_list_domains(wanted))

        assert names(0) == "ab"
        assert names(flags.ACTIVE) == "b"
        assert names(flags.INACTIVE) == "a"
        assert names(flags.ACTIVE | flags.INACTIVE) == "ab"
        assert names(flags.ACTIVE | flags.PERSISTENT) == ""
        assert names(flags.INACTIVE | flags.AUTOSTART) == "a"
        assert names(flags.NO_AUTOSTART | flags.TRANSIENT) == "b"
        assert names(flags.RUNNING) == "b"
        assert names(flags.SHUTOFF | flags.OTHER) == "a"
        assert names(flags.PAUSED) == ""
        assert names(flags.HAS_SNAPSHOT) == ""
        assert names(flags.NO_SNAPSHOT | flags.NO_CHECKPOINT | flags.NO_MANAGEDSAVE) == "ab"
        await driver.domain_destroy(b)
        assert names(0) == "a"

    using(body)


def test_secrets_are_shown_on_request_only(using: Callable[[Body], None], tmp_path: Path) -> None:
    async def define(driver: ToyDriver) -> None:
        await driver.connection_define_domain(xml("vm", A, devices=WITH_PASSWORD))

    async def look(driver: ToyDriver) -> None:
        ref = driver.connection_lookup_domain(name="vm")
        assert "geheim" not in shown(driver, ref)
        assert "geheim" in shown(driver, ref, DomainXMLFlags.SECURE)
        await driver.domain_create(ref)
        assert "geheim" not in shown(driver, ref)
        assert "geheim" in shown(driver, ref, DomainXMLFlags.SECURE | DomainXMLFlags.INACTIVE)
        assert "geheim" not in shown(driver, ref, DomainXMLFlags.INACTIVE)

    using(define)
    (path,) = tmp_path.rglob(f"{A}.xml")
    assert path.stat().st_mode & 0o077 == 0
    using(look)


def test_xml_is_kept_until_it_changes(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        ref = await driver.connection_define_domain(xml("vm", A))
        assert shown(driver, ref) is shown(driver, ref)
        await driver.domain_create(ref)
        first = shown(driver, ref)
        assert shown(driver, ref) is first
        obj = driver.domain(ref)
        assert obj.live is not None
        obj.live.title = "changed"
        obj.touch()
        assert "<title>changed</title>" in shown(driver, ref)
        assert "<title>" not in shown(driver, ref, DomainXMLFlags.INACTIVE)

    using(body)


def test_metadata(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        ref = await driver.connection_define_domain(
            xml("vm", A, "<title>T</title><metadata><a:x xmlns:a='urn:a'>1</a:x></metadata>")
        )
        assert driver.domain_metadata(ref, DomainMetadataType.TITLE) == "T"
        assert driver.domain_metadata(ref, DomainMetadataType.ELEMENT, "urn:a") == "<x>1</x>"
        for kind, uri in ((DomainMetadataType.DESCRIPTION, None), (DomainMetadataType.ELEMENT, "urn:b")):
            with pytest.raises(NoDomainMetadata) as caught:
                driver.domain_metadata(ref, kind, uri)
            assert str(caught.value) == "metadata not found: Requested metadata element is not present"
        with pytest.raises(InvalidArg, match="unknown metadata type '7'"):
            driver.domain_metadata(ref, 7)

    using(body)


def test_statistics(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        a = await driver.connection_define_domain(xml("a", A, "<vcpu current='1'>3</vcpu>"))
        b = await driver.connection_create_domain(xml("b", B))
        rows = {row.domain.name: dict(row.params.items()) for row in await driver.connection_domain_stats()}
        assert rows["a"] == {
            "state.state": 5,
            "state.reason": 0,
            "balloon.maximum": 65536,
            "vcpu.current": 1,
            "vcpu.maximum": 3,
        }
        assert rows["b"]["balloon.current"] == 65536
        (row,) = await driver.connection_domain_stats([b, DomainRef("x", A[:-1] + "0")], DomainStatsTypes.STATE)
        assert dict(row.params.items()) == {"state.state": 1, "state.reason": 1}
        assert [row.domain for row in await driver.connection_domain_stats(flags=2)] == [a]
        with pytest.raises(ArgumentUnsupported) as caught:
            await driver.connection_domain_stats(stats=DomainStatsTypes.PERF, flags=1 << 31)
        assert str(caught.value) == "argument unsupported: Stats types bits 0x40 are not supported by this daemon"
        assert driver.domain_vcpus_count(a) == 1
        assert driver.domain_vcpus_count(a, DomainVcpuFlags.CONFIG | DomainVcpuFlags.MAXIMUM) == 3
        with pytest.raises(OperationInvalid, match="domain is not running"):
            driver.domain_vcpus_count(a, DomainVcpuFlags.LIVE)
        assert dict(driver.domain_memory_parameters(a).items())["hard_limit"] == 9007199254740991

    using(body)


def test_what_is_no_document_is_refused_in_words(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        with pytest.raises(TypeError, match="XML is to be str or bytes, not NoneType"):
            await driver.connection_define_domain(None)  # type: ignore[arg-type]

    using(body)


def test_unknown_flags_are_refused(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        ref = await driver.connection_define_domain(xml("vm", A))
        for call in (
            driver.domain_create(ref, 64),
            driver.domain_undefine(ref, DomainUndefineFlags.NVRAM),
            driver.connection_define_domain(xml(), 2),
        ):
            with pytest.raises(
                InvalidArg, match=r"^unsupported flags \(0x[0-9a-f]+\) in function toy(Domain|Connect)\w+$"
            ):
                await call

    using(body)


def test_connections_share_what_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = await asyncio.gather(open_driver(tmp_path), open_driver(tmp_path))
        assert first.state is second.state
        events: list[Event] = []
        second.subscribe(events.append)
        await first.connection_define_domain(xml("vm", A))
        assert len(events) == 1
        await first.close()
        await first.close()
        assert second.connection_lookup_domain(name="vm").uuid == A
        await second.close()
        third = await open_driver(tmp_path)
        assert third.state is not second.state
        assert len(third.connection_list_domains()) == 1
        await third.close()

    asyncio.run(main())


def test_another_process_is_kept_out(tmp_path: Path) -> None:
    async def main(ready: int, done: int) -> None:
        driver = await open_driver(tmp_path)
        os.write(ready, b"x")
        os.read(done, 1)
        await driver.close()

    ready, theirs = os.pipe()
    mine, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        asyncio.run(main(theirs, mine))
        os._exit(0)
    os.read(ready, 1)
    with pytest.raises(ResourceBusy, match=f"process {pid}"):
        asyncio.run(open_driver(tmp_path))
    os.write(done, b"x")
    os.waitpid(pid, 0)
    for descriptor in (ready, theirs, mine, done):
        os.close(descriptor)


def test_a_definition_that_cannot_be_written_is_not_there(
    using: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(driver: ToyDriver) -> None:
        ref = await driver.connection_define_domain(xml("vm", A))

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(SystemError, match="No space"):
                await driver.connection_define_domain(xml("vm", A, "<title>new</title>"))
            with pytest.raises(SystemError, match="No space"):
                await driver.connection_define_domain(xml("other", B))
        assert "<title>" not in shown(driver, ref)
        assert list(driver.connection_list_domains()) == [ref]
        await driver.connection_define_domain(xml("other", B))

    using(body)


def test_many_clients_define_at_once(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        same = (driver.connection_define_domain(xml("same", A, f"<title>{n}</title>")) for n in range(20))
        others = (driver.connection_define_domain(xml(f"vm{n}")) for n in range(50))
        await asyncio.gather(*same, *others)
        assert len(driver.connection_list_domains()) == 51
        assert "<title>19</title>" in shown(driver, DomainRef("same", A))

    using(body)


def test_a_failed_definition_does_not_take_the_next_with_it(
    using: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(driver: ToyDriver) -> None:
        real, calls = os.fsync, 0

        def once(descriptor: int) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise OSError(28, "No space left on device")
            real(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", once)
            first, second = await asyncio.gather(
                *(driver.connection_define_domain(xml("vm", A)) for _ in range(2)), return_exceptions=True
            )
        assert isinstance(first, SystemError)
        assert second == driver.connection_lookup_domain(name="vm")

    using(body)


def test_defining_while_it_is_undefined(using: Callable[[Body], None]) -> None:
    async def body(driver: ToyDriver) -> None:
        ref = await driver.connection_define_domain(xml("vm", A))
        for _ in range(20):
            gone, back, started = await asyncio.gather(
                driver.domain_undefine(ref),
                driver.connection_define_domain(xml("vm", A)),
                driver.domain_create(ref),
                return_exceptions=True,
            )
            assert gone is None
            assert back == ref
            assert isinstance(started, NoDomain)
            assert list(driver.connection_list_domains()) == [ref]
            assert driver.state.folders is not None
            assert (driver.state.folders.config / f"{A}.xml").exists()
            assert driver.domain_is_persistent(ref)

    using(body)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file in the way")
    with pytest.raises(SystemError, match=r"^cannot use state folder '.*/etc': File exists$"):
        asyncio.run(open_driver(tmp_path))


def test_a_definition_that_was_edited_by_hand(using: Callable[[Body], None], tmp_path: Path) -> None:
    async def define(driver: ToyDriver) -> None:
        await driver.connection_define_domain(xml("before", A))

    async def look(driver: ToyDriver) -> None:
        (ref,) = driver.connection_list_domains()
        assert ref.name == "after"
        assert driver.domain_max_memory(ref) == 64 * 1024
        assert "<name>after</name>" in shown(driver, ref)

    using(define)
    (path,) = tmp_path.rglob(f"{A}.xml")
    path.write_text(path.read_text().replace("<name>before</name>", "<name>after</name>"))
    using(look)
