"""A driver that does little, and the daemon's side of a connection without a socket."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from support import comes, eventually, listens
from virt_remote.keepalive import Keepalive
from virt_remote.protocol import BODY, CALL, ERROR, OK, Frames, Message, decode_error, pack, unpack
from virt_remote.server.access import AccessControl
from virt_remote.server.client import Client
from virt_remote.server.identity import Identity
from virt_remote.server.settings import Settings
from virt_remote.server.workers import Workers
from virtcore.driver.base import Driver, OpenRequest, Subscription, inline
from virtcore.enums import DomainBlockJobType, DomainState, IPAddrType, VcpuState
from virtcore.enums.common import TypedParameterType
from virtcore.errors import NoDomain, OperationAborted, OperationInvalid
from virtcore.operations.declare import Result
from virtcore.operations.events import DomainLifecycleEvent, DomainRebootEvent, Event, QemuMonitorEvent
from virtcore.operations.parameters import CPU_STATS
from virtcore.operations.procedures import procedure, program
from virtcore.operations.stream import ByteStream
from virtcore.operations.values import (
    BlockJobInfo,
    DomainInfo,
    DomainInterface,
    DomainIPAddress,
    Screenshot,
    SecurityLabel,
    StateInfo,
    VcpuInfo,
)
from virtcore.operations.wire.codec import codec
from virtcore.runtime.loop import CoreLoop
from virtcore.runtime.session import Session
from virtcore.types import DomainRef, NetworkRef, NodeDeviceRef, StoragePoolRef, StorageVolRef, TypedParameters

FIRST = DomainRef("first", "6695eb01-f6a4-8304-79aa-97f2502e193f", 1)
SECOND = DomainRef("second", "11111111-2222-4333-8444-555555555555", -1)


class EchoStream:
    """Gives back what it is given."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended = ""

    async def read(self, size: int) -> bytes:
        data = await self.queue.get()
        if data == b"fail":
            raise OperationInvalid("the stream broke")
        return b"" if data == b"end" else data

    async def write(self, data: bytes) -> None:
        await self.queue.put(data)

    async def finish(self) -> None:
        self.ended = "finished"

    async def abort(self) -> None:
        self.ended = self.ended or "aborted"


class HoledStream(EchoStream):
    """Carries holes too."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: asyncio.Queue[bytes | int] = asyncio.Queue()

    async def write(self, data: bytes) -> None:
        await self.parts.put(data)

    async def write_hole(self, length: int) -> None:
        await self.parts.put(length)

    async def read(self, size: int) -> bytes:
        part = await self.read_sparse(size)
        return bytes(part) if isinstance(part, int) else part

    async def read_sparse(self, size: int) -> bytes | int:
        return await self.parts.get()


class ToyDriver(Driver):
    """Two domains; methods of all three styles."""

    name = "TOY"
    features = frozenset([13])  # MIGRATION_PARAMS

    def __init__(self) -> None:
        self.subscribers: list[Callable[[Event], None]] = []
        self.monitors: list[Callable[[Event], None]] = []
        self.streams: list[EchoStream] = []
        self.volume = HoledStream()
        self.release = asyncio.Event()
        self.saving = asyncio.Event()
        self.aborted = False
        self.closed = False
        self.domains = [FIRST, SECOND]
        self.calls: list[tuple[object, ...]] = []

    @classmethod
    async def open(cls, request: OpenRequest) -> Self:
        return cls()

    async def close(self) -> None:
        self.closed = True

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        self.subscribers.append(deliver)
        return Subscription(lambda: self.subscribers.remove(deliver))

    def subscribe_monitor(self, deliver: Callable[[Event], None]) -> Subscription:
        self.monitors.append(deliver)
        return Subscription(lambda: self.monitors.remove(deliver))

    def emit(self, event: Event) -> None:
        for deliver in list(self.monitors if isinstance(event, QemuMonitorEvent) else self.subscribers):
            deliver(event)

    @inline
    def connection_list_domains(self, flags: int = 0) -> Sequence[DomainRef]:
        self.calls.append(("list", flags))
        return [domain for domain in self.domains if not flags or flags & (1 if domain.id > 0 else 2)]

    @inline
    def connection_lookup_domain(
        self, name: str | None = None, uuid: str | None = None, id: int | None = None
    ) -> DomainRef:
        for domain in (FIRST, SECOND):
            if domain.name == name or domain.uuid == uuid or (id is not None and domain.id == id):
                return domain
        raise NoDomain(f"no domain with matching name '{name}'")

    @inline
    def domain_state(self, domain: DomainRef, flags: int = 0) -> StateInfo:
        return StateInfo(DomainState.RUNNING, 1)

    def domain_info(self, domain: DomainRef) -> DomainInfo:
        return DomainInfo(DomainState.RUNNING, 4, 3, 2, 1)

    @inline
    def domain_xml(self, domain: DomainRef, flags: int = 0) -> Result[str]:
        text = f"<domain flags='{int(flags)}'/>"
        return self.worked_out(domain, text) if flags & 8 else text

    async def worked_out(self, domain: DomainRef, text: str) -> str:
        await self.release.wait()
        if domain == SECOND:
            raise NoDomain("it went")
        return text

    @inline
    def domain_memory_parameters(self, domain: DomainRef, flags: int = 0) -> TypedParameters:
        self.calls.append(("memory", flags))
        return TypedParameters(
            [("hard_limit", TypedParameterType.ULLONG, 7), ("note", TypedParameterType.STRING, "text")]
        )

    @inline
    def domain_security_labels(self, domain: DomainRef) -> Sequence[SecurityLabel]:
        return [SecurityLabel("label", True)]

    @inline
    def domain_set_autostart(self, domain: DomainRef, autostart: bool) -> None:
        raise ZeroDivisionError("a bug")

    async def domain_create(self, domain: DomainRef, flags: int = 0) -> DomainRef:
        await self.release.wait()
        self.emit(DomainLifecycleEvent(FIRST, 2, 0))  # type: ignore[arg-type]
        return FIRST

    async def domain_reboot(self, domain: DomainRef, flags: int = 0) -> None:
        self.emit(DomainRebootEvent(domain))

    async def domain_open_console(self, domain: DomainRef, device: str | None = None, flags: int = 0) -> EchoStream:
        self.streams.append(EchoStream())
        return self.streams[-1]

    async def domain_screenshot(self, domain: DomainRef, screen: int = 0, flags: int = 0) -> Screenshot[ByteStream]:
        self.streams.append(EchoStream())
        await self.streams[-1].write(b"picture")
        return Screenshot("image/png", self.streams[-1])

    @inline
    def domain_vcpus(self, domain: DomainRef) -> Sequence[VcpuInfo]:
        return [VcpuInfo(at, VcpuState.RUNNING, 5, 1, frozenset([at, 70])) for at in range(300)]

    @inline
    def domain_pin_vcpu(self, domain: DomainRef, vcpu: int, cpumap: frozenset[int], flags: int = 0) -> None:
        self.calls.append(("pin", vcpu, cpumap, flags))

    @inline
    def domain_cpu_stats(
        self, domain: DomainRef, start_cpu: int = -1, ncpus: int = 1, flags: int = 0
    ) -> Sequence[TypedParameters]:
        rows = [CPU_STATS.typed({"cpu_time": at, "vcpu_time": 2 * at}) for at in range(4)]
        return rows[start_cpu : start_cpu + ncpus if ncpus else None] if start_cpu >= 0 else rows[3:]

    @inline
    def domain_block_job_info(self, domain: DomainRef, disk: str, flags: int = 0) -> BlockJobInfo | None:
        return BlockJobInfo(DomainBlockJobType.COPY, 1, 2, 3) if disk == "vda" else None

    @inline
    def domain_rename(self, domain: DomainRef, new_name: str | None, flags: int = 0) -> None:
        self.calls.append(("rename", new_name))

    @inline
    def domain_interface_addresses(
        self, domain: DomainRef, source: int = 0, flags: int = 0
    ) -> Sequence[DomainInterface]:
        return [DomainInterface("vnet0", None, [DomainIPAddress(IPAddrType.IPV6, "::1", 64)])]

    async def domain_save(
        self,
        domain: DomainRef,
        file: str | None = None,
        dxml: str | None = None,
        image_format: str | None = None,
        parallel_channels: int | None = None,
        flags: int = 0,
    ) -> None:
        self.calls.append(("save", file, dxml, image_format, parallel_channels, flags))
        if file == "/long":
            self.saving.clear()
            await self.saving.wait()
            if self.aborted:
                raise OperationAborted("'domain_save' was aborted")

    @inline
    def domain_abort_job(self, domain: DomainRef, flags: int = 0) -> None:
        self.calls.append(("abort", domain.name))
        if domain == SECOND:
            raise OperationInvalid("no job is active on the domain")
        self.aborted = True
        self.saving.set()

    @inline
    def connection_list_node_devices(self, capability: str | None = None, flags: int = 0) -> Sequence[NodeDeviceRef]:
        return [NodeDeviceRef(f"{capability}_{int(flags)}")]

    @inline
    def node_device_xml(self, device: NodeDeviceRef, flags: int = 0) -> str:
        return f"<device>{device.name}</device>"

    @inline
    def network_update(
        self, network: NetworkRef, command: int, section: int, parent_index: int, xml: str, flags: int = 0
    ) -> None:
        self.calls.append(("update", command, section, parent_index, xml))

    @inline
    def node_device_detach(self, device: NodeDeviceRef, driver: str | None = None, flags: int = 0) -> None:
        self.calls.append(("detach", device.name, driver))

    @inline
    def connection_lookup_storage_pool(
        self,
        name: str | None = None,
        uuid: str | None = None,
        target_path: str | None = None,
        volume: StorageVolRef | None = None,
    ) -> StoragePoolRef:
        return StoragePoolRef(name or target_path or (volume.pool if volume is not None else ""), uuid or FIRST.uuid)

    @inline
    def storage_vol_upload(self, volume: StorageVolRef, offset: int = 0, length: int = 0, flags: int = 0) -> EchoStream:
        return self.volume

    @inline
    def storage_vol_download(
        self, volume: StorageVolRef, offset: int = 0, length: int = 0, flags: int = 0
    ) -> EchoStream:
        return self.volume


class FakeTransport(asyncio.Transport):
    """Keeps what is written; plays a client that does not read on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Message] = []
        self.reading = True
        self.ended = ""
        self.unsent = 0
        self._frames = Frames()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += [unpack(frame) for frame in self._frames.feed(bytes(data))]

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.ended = "aborted"

    def close(self) -> None:
        self.ended = "closed"


class FakeEndpoint:
    """Stands for the socket, the server and the daemon."""

    def __init__(self, readonly: bool, driver: ToyDriver) -> None:
        self.readonly = readonly
        self.transport = "unix"
        self.auth = 0
        self.programs = {program(name).number: name for name in ("remote", "qemu", "lxc")}
        self.server = self.daemon = self
        self.settings = Settings(slow_call_log=0)
        self.access: AccessControl | None = None
        self.workers = Workers(1, 100, 5)
        self.max_client_requests = 5
        self.pending_memory = 0
        self.driver = driver
        self.last: list[Coroutine[Any, Any, None]] = []
        self.finishing: list[asyncio.Task[None]] = []
        self.keepalive = Keepalive(0.02, 2)
        self.here: Client | None = None

    async def open_session(self, name: str, readonly: bool) -> Session:
        core = CoreLoop(asyncio.get_running_loop(), threading.get_ident(), None)
        return Session(core, self.driver, readonly=readonly, deadline=None)

    def finish(self, last: Coroutine[Any, Any, None]) -> None:
        self.finishing.append(asyncio.create_task(last))

    def connected(self, client: Client) -> None:
        self.here = client

    def authenticated(self, client: Client) -> None:
        pass

    def disconnected(self, client: Client, last: Coroutine[Any, Any, None]) -> None:
        self.last.append(last)

    def holds(self, client: Client) -> bool:
        return self.here is client


class Peer:
    """A client of the daemon, as the daemon sees one."""

    def __init__(self, readonly: bool = False, access: AccessControl | None = None) -> None:
        self.driver = ToyDriver()
        self.endpoint = FakeEndpoint(readonly, self.driver)
        self.endpoint.access = access
        identity = Identity("unix", pid=1, uid=1000, gid=1000, start_time=1, readonly=readonly)
        self.client = Client(self.endpoint, identity)  # type: ignore[arg-type]
        self.transport = FakeTransport()
        self.client.connection_made(self.transport)
        self.serial = 0

    def send(self, name: str, *arguments: object) -> int:
        """Send a call; gives its serial."""
        row = procedure("remote." + name)
        owner = program("remote")
        body = codec("remote", row.args).encode(arguments) if row.args else b""
        serial, self.serial = self.serial, self.serial + 1
        self.client.data_received(pack(owner.number, owner.version, row.number, CALL, serial, OK, body))
        return serial

    async def reply(self, serial: int) -> Message:
        """The reply to a call."""
        found: list[Message] = []

        def replied() -> bool:
            found.extend(one for one in self.transport.sent if one.serial == serial and one.type == 1)
            return bool(found)

        await comes(replied)
        return found[0]

    async def call(self, name: str, *arguments: object) -> Any:
        """Call; gives the results, or raises :class:`RemoteError`."""
        message = await self.reply(self.send(name, *arguments))
        if message.status == ERROR:
            code, domain, text, _, _, template, detail, *_ = decode_error(message.data)
            raise RemoteError(code, domain, text, template, detail)
        row = procedure("remote." + name)
        return codec("remote", row.ret).decode(message.data, BODY)[0] if row.ret else None

    async def open(self, flags: int = 0) -> Peer:
        await self.call("CONNECT_OPEN", "toy:///", flags)
        return self

    async def leave(self) -> None:
        self.client.connection_lost(None)
        for last in self.endpoint.last:
            await last


class RemoteError(Exception):
    """What an error reply says."""

    def __init__(self, code: int, domain: int, text: str, template: str | None, detail: str | None) -> None:
        super().__init__(text)
        self.code = code
        self.domain = domain
        self.template = template
        self.detail = detail


#: Runs a scenario over a :class:`Peer` to its end.
Play = Callable[[Callable[[Peer], Awaitable[None]]], None]


@pytest.fixture
def play() -> Play:
    """Run a scenario with a client that has opened a connection."""

    def run(
        scenario: Callable[[Peer], Awaitable[None]],
        *,
        readonly: bool = False,
        opened: bool = True,
        access: AccessControl | None = None,
    ) -> None:
        async def main() -> None:
            peer = Peer(readonly, access)
            if opened:
                await peer.open()
            try:
                await asyncio.wait_for(scenario(peer), 100)
            finally:
                await peer.leave()

        asyncio.run(main())

    return run


@pytest.fixture
def serve(tmp_path: Path) -> Any:
    """Run a virtcored with settings: ``with serve("max_clients = 3") as root``. It has to end in order."""

    @contextmanager
    def run(conf: str, *arguments: str, ended: bool = False) -> Iterator[Path]:
        root = tmp_path / "d"
        (root / "etc").mkdir(parents=True, exist_ok=True)
        (root / "etc" / "virtcored.conf").write_text(conf + "\n")
        log = (tmp_path / "stderr").open("wb")
        command = [sys.executable, "-m", "virt_remote", "--root", str(root), *arguments]
        process = subprocess.Popen(command, stderr=log)
        log.close()
        try:
            admin = root / "run" / "libvirt-admin-sock"  # the last one to listen
            eventually(lambda: process.poll() is not None or listens(admin))
            assert process.poll() is None, (tmp_path / "stderr").read_text()
            yield root
            if not ended:
                process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
        assert "Traceback" not in (tmp_path / "stderr").read_text(), (tmp_path / "stderr").read_text()

    return run
