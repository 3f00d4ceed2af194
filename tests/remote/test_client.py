"""Our client against our daemon's side over real sockets, in one loop."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from remote.conftest import FakeEndpoint, ToyDriver
from support import comes
from virt_remote.client.address import address_of
from virt_remote.client.driver import RemoteDriver
from virt_remote.client.reach import unix_link
from virt_remote.client.wire import Wire
from virt_remote.protocol import BODY, ERROR, HEADER, PING, PONG, REPLY, STREAM_CHUNK
from virt_remote.server.client import Client
from virtcore.driver.base import OpenRequest
from virtcore.enums import (
    ConnectCloseReason,
    DomainBlockJobType,
    DomainState,
    IPAddrType,
    StorageVolDownloadFlags,
    StorageVolUploadFlags,
    VcpuState,
)
from virtcore.errors import (
    RPC,
    AuthUnavailable,
    ErrorDomain,
    InternalError,
    InvalidArg,
    NoDomain,
    NoSupport,
    OperationAborted,
    OperationDenied,
    OperationInvalid,
    SystemError,
)
from virtcore.operations.declare import all_operations
from virtcore.operations.events import (
    ConnectionClosedEvent,
    DomainLifecycleEvent,
    DomainRebootEvent,
    Event,
    QemuMonitorEvent,
)
from virtcore.operations.features import DriverFeature
from virtcore.operations.procedures import procedure
from virtcore.operations.spellings import canonical
from virtcore.operations.stream import SparseStream
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.events import EVENTS
from virtcore.runtime.loop import CoreLoop
from virtcore.runtime.session import Session
from virtcore.types import DomainRef, NetworkRef, NodeDeviceRef, StoragePoolRef, StorageVolRef
from virtcore.uri import ConnectionURI
from wire_samples import sample_event

FIRST = DomainRef("first", "6695eb01-f6a4-8304-79aa-97f2502e193f", 1)
SECOND = DomainRef("second", "11111111-2222-4333-8444-555555555555", -1)


class Ends:
    """Both ends of a connection."""

    def __init__(self, session: Session, driver: ToyDriver, clients: list[Client]) -> None:
        self.session = session
        self.driver = driver
        self.clients = clients

    @property
    def remote(self) -> RemoteDriver:
        assert isinstance(self.session.driver, RemoteDriver)
        return self.session.driver

    async def call(self, name: str, *arguments: Any) -> Any:
        return await self.session.call(name, *arguments)


Scenario = Callable[[Ends], Awaitable[None]]


def play(scenario: Scenario, folder: Path, *, readonly: bool = False, tcp: bool = False) -> None:
    """Run a scenario between a client and a daemon."""

    async def main() -> None:
        driver = ToyDriver()
        endpoint = FakeEndpoint(readonly, driver)
        clients: list[Client] = []

        def serve() -> Client:
            clients.append(Client(endpoint))  # type: ignore[arg-type]
            return clients[-1]

        loop = asyncio.get_running_loop()
        if tcp:
            server: asyncio.Server = await loop.create_server(serve, "127.0.0.1", 0)
            text = f"toy+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        else:
            server = await loop.create_unix_server(serve, str(folder / "sock"))
            text = f"toy+unix:///?socket={folder / 'sock'}"
        request = OpenRequest(uri=ConnectionURI.parse(text), readonly=readonly, auth=None)
        remote = await RemoteDriver.open(request)
        session = Session(CoreLoop(loop, threading.get_ident(), None), remote, deadline=60)
        try:
            await asyncio.wait_for(scenario(Ends(session, driver, clients)), 100)
        finally:
            await session.close()
            server.close()
            await comes(lambda: len(endpoint.last) == len(clients))
            for last in endpoint.last:
                await last

    asyncio.run(main())


@pytest.mark.parametrize("tcp", [False, True])
def test_operations_arrive_as_operations(tmp_path: Path, tcp: bool) -> None:
    async def scenario(ends: Ends) -> None:
        assert await ends.call("domain_state", FIRST) == (DomainState.RUNNING, 1)
        assert isinstance((await ends.call("domain_state", FIRST)).state, DomainState)
        assert await ends.call("domain_info", FIRST) == (DomainState.RUNNING, 4, 3, 2, 1)
        assert await ends.call("connection_list_domains", 2) == [SECOND]
        assert await ends.call("connection_lookup_domain", "second") == SECOND
        assert await ends.call("connection_lookup_domain", None, SECOND.uuid) == SECOND
        assert await ends.session.call("connection_lookup_domain", id=1) == FIRST
        parameters = await ends.call("domain_memory_parameters", FIRST)
        assert dict(parameters.items()) == {"hard_limit": 7, "note": "text"}
        (label,) = await ends.call("domain_security_labels", FIRST)
        assert (label.label, label.enforcing) == ("label", True)
        assert await ends.call("connection_type") == "TOY"
        assert await ends.call("connection_is_alive") is True
        assert (await ends.call("connection_uri")).startswith("toy+")

    play(scenario, tmp_path, tcp=tcp)


def test_errors_keep_their_kind(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        with pytest.raises(NoDomain, match=r"^Domain not found: no domain with matching name 'x'$") as caught:
            await ends.call("connection_lookup_domain", "x")
        assert caught.value.detail == "no domain with matching name 'x'"
        with pytest.raises(NoSupport, match=r"virDomainReset$"):
            await ends.call("domain_reset", FIRST)
        with pytest.raises(RPC, match="Unable to encode message payload"):
            await ends.call("connection_lookup_domain", "nul\0")
        with pytest.raises(TypeError):
            await ends.session.call("domain_state", FIRST, nonsense=1)

    play(scenario, tmp_path)

    async def readonly(ends: Ends) -> None:
        with pytest.raises(OperationDenied, match="read only access prevents virDomainCreateWithFlags"):
            await ends.call("domain_create", FIRST)

    play(readonly, tmp_path / "..", readonly=True, tcp=True)


def test_slow_calls_are_overtaken(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        slow = asyncio.create_task(ends.call("domain_create", FIRST))
        await asyncio.sleep(0)
        assert await ends.call("domain_state", FIRST) == (1, 1)
        assert not slow.done()
        ends.driver.release.set()
        assert await slow == FIRST

    play(scenario, tmp_path)


def test_events(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        seen: list[Event] = []
        ends.driver.release.set()
        registration = ends.session.subscribe(seen.append)
        await ends.call("domain_create", FIRST)
        await ends.call("domain_reboot", SECOND)
        assert seen == [DomainLifecycleEvent(FIRST, 2, 0), DomainRebootEvent(SECOND)]  # type: ignore[arg-type]
        registration.cancel()
        await ends.call("domain_reboot", SECOND)
        await comes(lambda: ends.driver.subscribers == [])  # the daemon was told
        assert len(seen) == 2
        again = ends.session.subscribe(seen.append)
        await ends.call("domain_reboot", SECOND)
        assert len(seen) == 3
        again.cancel()

    play(scenario, tmp_path)


def test_every_kind_of_event(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        seen: list[Event] = []
        everything = ends.session.subscribe(seen.append)
        monitor = ends.session.subscribe(seen.append, kinds=(QemuMonitorEvent,))
        await ends.call("domain_state", FIRST)  # by now the daemon has registered
        assert len(ends.driver.monitors) == 1
        events = [sample_event(row.event) for row in EVENTS]
        for event in events:
            ends.driver.emit(event)
        await ends.call("domain_state", FIRST)
        assert seen == events
        assert [type(event) for event in seen] == [row.event for row in EVENTS]
        everything.cancel()
        monitor.cancel()
        await comes(lambda: ends.driver.subscribers == ends.driver.monitors == [])

    play(scenario, tmp_path)


def test_subscribers_learn_that_the_daemon_has_gone(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        seen: list[Event] = []
        ends.session.subscribe(seen.append, subject=SECOND)
        await ends.call("domain_state", FIRST)
        ends.clients[0].hang_up()
        await comes(lambda: not ends.remote._wire.alive)
        assert seen == [ConnectionClosedEvent(ConnectCloseReason.EOF)]

    play(scenario, tmp_path)


def test_what_is_not_name_by_name(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        picture = await ends.call("domain_screenshot", FIRST)
        assert picture.mime == "image/png"
        assert await picture.stream.read(100) == b"picture"
        await picture.stream.abort()
        vcpus = await ends.call("domain_vcpus", FIRST)
        assert len(vcpus) == 300, "asked for twice: more than at first thought"
        assert vcpus[299] == (299, VcpuState.RUNNING, 5, 1, {299, 70})
        await ends.call("domain_pin_vcpu", FIRST, 3, frozenset([0, 9]), 2)
        await ends.call("domain_rename", FIRST, "other")
        assert ends.driver.calls == [("pin", 3, {0, 9}, 2), ("rename", "other")]
        stats = await ends.call("domain_cpu_stats", FIRST, 1, 0)
        assert [row["vcpu_time"] for row in stats] == [2, 4, 6]
        assert [row["cpu_time"] for row in await ends.call("domain_cpu_stats", FIRST)] == [3]
        assert await ends.call("domain_block_job_info", FIRST, "vda") == (DomainBlockJobType.COPY, 1, 2, 3)
        assert await ends.call("domain_block_job_info", FIRST, "vdb") is None
        (interface,) = await ends.call("domain_interface_addresses", FIRST)
        assert interface == ("vnet0", None, [(IPAddrType.IPV6, "::1", 64)])
        await ends.session.call("domain_save", FIRST, "/save", image_format="sparse", parallel_channels=4)
        assert ends.driver.calls[-1] == ("save", "/save", None, "sparse", 4, 0)

    play(scenario, tmp_path)

    async def readonly(ends: Ends) -> None:
        assert len(await ends.call("domain_interface_addresses", FIRST, 2)) == 1
        with pytest.raises(OperationDenied, match="read only access prevents virDomainInterfaceAddresses"):
            await ends.call("domain_interface_addresses", FIRST, 1)

    play(readonly, tmp_path / "..", readonly=True, tcp=True)


def test_an_abort_reaches_the_daemon(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        save = asyncio.create_task(ends.call("domain_save", FIRST, "/long"))
        await comes(lambda: ends.driver.calls)
        (job,) = ends.session.jobs()
        assert job.abortable
        job.abort()
        with pytest.raises(OperationAborted):
            await save
        assert ends.driver.calls[1:] == [("abort", "first")]
        assert ends.session.jobs() == []

    play(scenario, tmp_path)


def test_what_the_daemon_cannot_abort_goes_on(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        save = asyncio.create_task(ends.call("domain_save", SECOND, "/long"))
        await comes(lambda: ends.driver.calls)
        (job,) = ends.session.jobs()
        for count in (1, 2):
            job.abort()
            await comes(lambda: len(ends.driver.calls) > count)  # noqa: B023
            assert ends.driver.calls[1:] == [("abort", "second")] * count
            assert not job.done, "nothing says that it has ended while it has not"
        ends.driver.saving.set()
        await save

    play(scenario, tmp_path)


def test_a_stream(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        stream = await ends.call("domain_open_console", FIRST)
        await stream.write(b"hello")
        assert await stream.read(3) == b"hel"
        assert await stream.read(100) == b"lo"
        big = bytes(range(256)) * 8192
        sender = asyncio.create_task(stream.write(big))
        got = bytearray()
        while len(got) < len(big):
            got += await stream.read(STREAM_CHUNK)
        await sender
        assert got == big
        await stream.write(b"end")
        assert await stream.read(10) == b""
        await stream.finish()
        assert ends.driver.streams[0].ended == "finished"
        with pytest.raises(OperationInvalid):
            await stream.write(b"after")
        await stream.abort()

        aborted = await ends.call("domain_open_console", FIRST)
        await aborted.abort()
        assert await aborted.read(1) == b""
        failing = await ends.call("domain_open_console", FIRST)
        await failing.write(b"fail")
        with pytest.raises(OperationInvalid, match="the stream broke"):
            await failing.read(1)
        assert await ends.call("domain_state", FIRST) == (1, 1)
        assert ends.driver.streams[1].ended == "aborted"

    play(scenario, tmp_path)


VOLUME = StorageVolRef("pool", "vol", "/pool/vol")


def test_other_objects_than_domains(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        assert await ends.call("connection_list_node_devices", None, 2) == [NodeDeviceRef("None_2")]
        assert await ends.call("connection_list_node_devices", "pci") == [NodeDeviceRef("pci_0")]
        assert await ends.call("node_device_xml", NodeDeviceRef("pci")) == "<device>pci</device>"
        lookup = "connection_lookup_storage_pool"
        assert await ends.session.call(lookup, uuid=SECOND.uuid) == StoragePoolRef("", SECOND.uuid)
        assert (await ends.session.call(lookup, target_path="/x")).name == "/x"
        assert (await ends.session.call(lookup, volume=VOLUME)).name == "pool"

    play(scenario, tmp_path)


def test_an_older_function_stands_in_for_one_that_the_daemon_has_not_got(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(ends: Ends) -> None:
        unknown = {procedure("remote.DOMAIN_REBOOT").number, procedure("remote.NODE_DEVICE_DETACH_FLAGS").number}
        (client,) = ends.clients
        find = client._find
        asked: list[int] = []

        def older(key: tuple[int, int, int]) -> Any:
            asked.append(key[2])
            if key[2] in unknown:
                raise RPC(f"unknown procedure: {key[2]}", domain=ErrorDomain.RPC)
            return find(key)

        monkeypatch.setattr(type(client), "_find", lambda client, key: older(key))
        with pytest.raises(RPC, match="unknown procedure"):
            await ends.call("domain_reboot", FIRST)
        detach = procedure("remote.NODE_DEVICE_DETACH_FLAGS").number
        for _ in range(2):
            await ends.call("node_device_detach", NodeDeviceRef("pci"))
        assert asked.count(detach) == 1
        with pytest.raises(NoSupport, match="virNodeDeviceDetachFlags"):
            await ends.call("node_device_detach", NodeDeviceRef("pci"), "vfio-pci")

    play(scenario, tmp_path)


@pytest.mark.parametrize("old", [False, True])
def test_network_updates_of_old_daemons_are_the_other_way_round(
    tmp_path: Path, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old:
        monkeypatch.setattr("virt_remote.server.procedures.FEATURES", frozenset())

    async def scenario(ends: Ends) -> None:
        await ends.call("network_update", NetworkRef("net", FIRST.uuid), 1, 2, -1, "<x/>")
        assert ends.driver.calls == [("update", *((2, 1) if old else (1, 2)), -1, "<x/>")]

    play(scenario, tmp_path)


def test_what_the_daemon_has_not_got_is_not_claimed_though_a_method_here_stands_for_it(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        assert ends.session.supports("network_update")
        ends.remote._steps._absent.add("virNetworkUpdate")  # as it turned out
        assert not ends.session.supports("network_update")
        assert ends.session.supports("connection_is_alive")

    play(scenario, tmp_path)


def test_the_driver_is_asked_for_its_features(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        assert await ends.call("connection_supports_feature", DriverFeature.MIGRATION_PARAMS) is True
        assert await ends.call("connection_supports_feature", DriverFeature.MIGRATION_OFFLINE) is False

    play(scenario, tmp_path)


def test_a_stream_with_holes(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        upload = await ends.call("storage_vol_upload", VOLUME, 0, 0, StorageVolUploadFlags.SPARSE_STREAM)
        await upload.write(b"data")
        await upload.write_hole(5 * 2**40)
        await upload.write(b"more")
        await upload.finish()
        assert ends.driver.volume.ended == "finished"
        await ends.driver.volume.write(b"")
        download = await ends.call("storage_vol_download", VOLUME, 0, 0, StorageVolDownloadFlags.SPARSE_STREAM)
        assert await download.read_sparse(3) == b"dat"
        assert await download.read_sparse(3) == b"a"
        assert await download.read(2) == bytes(2), "who just reads gets zeros"
        assert await download.read_sparse(3) == 5 * 2**40 - 2
        assert await download.read_sparse(10) == b"more"
        assert await download.read_sparse(10) == b""
        await download.finish()

    play(scenario, tmp_path)


def test_a_stream_without_holes_gets_none(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        for part in (b"data", 3, b""):
            await ends.driver.volume.parts.put(part)
        download = await ends.call("storage_vol_download", VOLUME)
        assert not isinstance(download, SparseStream)
        assert await download.read(10) == b"data"
        assert await download.read(10) == bytes(3)
        await download.finish()

    play(scenario, tmp_path)


def test_the_daemon_goes_away(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        stream = await ends.call("domain_open_console", FIRST)
        slow = asyncio.create_task(ends.call("domain_create", FIRST))
        await asyncio.sleep(0.01)
        ends.clients[0].drop()
        with pytest.raises(SystemError, match="End of file while reading data"):
            await slow
        with pytest.raises(SystemError):
            await stream.read(1)
        with pytest.raises(SystemError):
            await ends.call("domain_state", FIRST)
        assert await ends.call("connection_is_alive") is False
        ends.driver.release.set()

    play(scenario, tmp_path)


def test_the_daemon_asks_whether_we_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(ends: Ends) -> None:
        seen = bytearray()
        feed = ends.clients[0].data_received

        def listen(data: bytes) -> None:
            seen.extend(data)
            feed(data)

        monkeypatch.setattr(type(ends.clients[0]), "data_received", lambda client, data: listen(data))
        ends.clients[0].send(PING)
        await comes(lambda: PONG in bytes(seen))

    play(scenario, tmp_path)


def test_we_ask_whether_the_daemon_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(ends: Ends) -> None:
        assert await ends.call("connection_set_keepalive", 0.03, 2) is True  # type: ignore[arg-type]
        await asyncio.sleep(0.3)
        assert await ends.call("connection_is_alive"), "it answers"
        (client,) = ends.clients
        client.endpoint.daemon.keepalive.remove(client)  # type: ignore[attr-defined]
        monkeypatch.setattr(type(client), "data_received", lambda client, data: None)
        reasons: list[Event] = []
        ends.session.subscribe(reasons.append, (ConnectionClosedEvent,))
        with pytest.raises(InternalError, match="connection closed due to keepalive timeout"):
            await ends.call("connection_hostname")
        assert reasons == [ConnectionClosedEvent(ConnectCloseReason.KEEPALIVE)]
        assert not await ends.call("connection_is_alive")

    play(scenario, tmp_path)


def test_who_asked_no_more_is_not_asked(tmp_path: Path) -> None:
    async def scenario(ends: Ends) -> None:
        await ends.call("connection_set_keepalive", 0.5, 0)
        await ends.call("connection_set_keepalive", 0)
        await asyncio.sleep(0.7)
        assert await ends.call("connection_is_alive")

    play(scenario, tmp_path)


def test_a_daemon_that_wants_what_we_cannot(tmp_path: Path) -> None:
    async def main() -> None:
        endpoint = FakeEndpoint(False, ToyDriver())
        endpoint.auth = 9
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Client(endpoint),  # type: ignore[arg-type]
            str(tmp_path / "sock"),
        )
        uri = ConnectionURI.parse(f"toy+unix:///?socket={tmp_path / 'sock'}")
        with pytest.raises(AuthUnavailable):
            await RemoteDriver.open(OpenRequest(uri=uri, readonly=False, auth=None))
        server.close()
        await comes(lambda: endpoint.last)
        for last in endpoint.last:
            await last

    asyncio.run(main())


def test_a_daemon_that_does_not_read_keeps_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("virt_remote.client.wire.CLOSE_WAIT", 0.05)

    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "sock"))
            listener.listen()
            wire = await Wire.adopt(unix_link(str(tmp_path / "sock")), lambda message: None)
            row = procedure("remote.DOMAIN_DEFINE_XML")
            reply = wire.start(row, codec("remote", row.args or "").encode(("x" * 4_000_000,)))
            await asyncio.wait_for(wire.close(), 60)
            with pytest.raises(InternalError, match="client socket is closed"):
                await reply

    asyncio.run(main())


def test_an_error_that_cannot_be_read_ends_the_call_and_the_connection(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = HEADER.unpack(await reader.readexactly(HEADER.size))
        writer.write(HEADER.pack(BODY + 2, *head[1:4], REPLY, head[5], ERROR) + b"no")
        await reader.read()
        writer.close()

    async def main() -> None:
        async with await asyncio.start_unix_server(answer, str(tmp_path / "sock")):
            wire = await Wire.adopt(unix_link(str(tmp_path / "sock")), lambda message: None)
            async with asyncio.timeout(60):
                with pytest.raises(RPC, match="unreadable error"):
                    await wire.call(procedure("remote.AUTH_LIST"), b"")
                await wire.close()
            assert not wire.alive

    asyncio.run(main())


def test_every_operation_that_has_a_procedure_is_implemented() -> None:
    for operation in all_operations().values():
        spelling = canonical(operation.name)
        if spelling is not None and spelling.procedure is not None:
            assert not hasattr(getattr(RemoteDriver, operation.name), "__operation__"), operation.name


def test_what_cannot_cross_the_wire_is_not_claimed() -> None:
    record = all_operations()["connection_recent_stats"]
    assert not RemoteDriver.implements(record)


@pytest.mark.parametrize(
    ("uri", "path", "name"),
    [
        ("qemu+unix:///system?socket=/x/sock", "/x/sock", "qemu:///system"),
        ("qemu+unix:///embed?root=/r&socket=/x/sock&mode=legacy", "/x/sock", "qemu:///embed?root=%2Fr"),
        ("test+unix:///default?socket=/s&name=qemu:///session", "/s", "qemu:///session"),
        ("remote+unix:///?socket=/s", "/s", ""),
        ("QEMU+UNIX:///system?SOCKET=/s", "/s", "QEMU:///system"),
    ],
)
def test_local_addresses(uri: str, path: str, name: str) -> None:
    address = address_of(ConnectionURI.parse(uri), False)
    assert (address.path, address.name) == (path, name)


def test_other_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    tcp = address_of(ConnectionURI.parse("qemu+tcp://h/system"), False)
    assert (tcp.path, tcp.host, tcp.port, tcp.name) == (None, "h", 16509, "qemu:///system")
    numbered = address_of(ConnectionURI.parse("qemu+tcp://[::1]:99/system"), False)
    assert (numbered.host, numbered.port) == ("::1", 99)
    with pytest.raises(InvalidArg, match="using unix socket and remote server 'h' is not supported"):
        address_of(ConnectionURI.parse("qemu+unix://h/system"), False)
    with pytest.raises(InvalidArg, match="Unknown remote mode 'odd'"):
        address_of(ConnectionURI.parse("qemu+unix:///system?mode=odd"), False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    legacy = "?mode=legacy"
    session = address_of(ConnectionURI.parse("qemu+unix:///session" + legacy), True)
    assert session.path == "/run/user/1000/libvirt/libvirt-sock"
    system = address_of(ConnectionURI.parse("qemu+unix:///system" + legacy), True)
    assert system.path == "/run/libvirt/libvirt-sock-ro"
    direct = address_of(ConnectionURI.parse("qemu+unix:///system?mode=direct"), False)
    assert direct.path == "/run/libvirt/virtqemud-sock"
