"""What QEMU tells of guests' devices becomes libvirt's events, and what is known of the guest."""

from __future__ import annotations

import asyncio
import queue
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import guest_image
import pytest

import virtcore
from support import eventually
from virt_qemu.guest import Guest
from virt_qemu.news import HANDLERS
from virt_qemu.status import DomainStatus
from virt_qemu.taint import messages
from virtcore.enums import (
    DomainEventGraphicsPhase as Phase,
    DomainEventIOErrorAction,
    DomainEventWatchdogAction,
    DomainMessageType,
    DomainState,
)
from virtcore.enums.domain_events import DomainEventGraphicsAddressType as Family
from virtcore.model.domain import Domain
from virtcore.operations.events import (
    DomainBalloonChangeEvent,
    DomainGraphicsEvent,
    DomainIOErrorEvent,
    DomainIOErrorReasonEvent,
    DomainMemoryFailureEvent,
    DomainNICMACChangeEvent,
    DomainPMSuspendDiskEvent,
    DomainRTCChangeEvent,
    DomainWatchdogEvent,
    Event,
    GraphicsAddress,
    GraphicsIdentity,
)
from virtcore.types import DomainRef
from virtcore.xml import parse

_XML = """<domain type='qemu'><name>n</name><clock offset='variable' adjustment='0' basis='utc'/><devices>
<disk type='file'><source file='/images/a'/><target dev='vda'/><alias name='virtio-disk0'/></disk>
<interface type='user'><mac address='52:54:00:00:00:01'/><alias name='net0'/></interface></devices></domain>"""
_REF = DomainRef("n", "u", 1)


class _State:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.life: list[tuple[int, int]] = []
        self.saved = 0
        self.events = SimpleNamespace(emit=self.told.append)

    def state_changed(self, obj: object, guest: object) -> None:
        self.saved += 1

    def paused(self, obj: Any, reason: int, detail: int) -> None:
        obj.state = DomainState.PAUSED
        self.life.append((int(reason), int(detail)))

    def set_state(self, obj: Any, state: DomainState, reason: int) -> None:
        obj.state = state

    def emit(self, obj: object, kind: int, detail: int) -> None:
        self.life.append((int(kind), int(detail)))


class _Obj:
    def __init__(self) -> None:
        self.live = parse(_XML, Domain)
        self.ref, self.name, self.state = _REF, "n", DomainState.RUNNING

    def touch(self) -> None:
        """Nothing is kept."""


def _guest() -> Guest:
    status = DomainStatus(state="running", domain=parse(_XML, Domain))
    return Guest(folder=Path("/nowhere"), log=None, status=status)  # type: ignore[arg-type]


def tell(name: str, data: dict[str, Any], guest: Guest | None = None) -> tuple[_State, _Obj]:
    """Have QEMU tell something."""
    state, obj = _State(), _Obj()
    HANDLERS[name](state, obj, guest or _guest(), data)  # type: ignore[arg-type]
    return state, obj


def test_a_guest_sets_its_clock() -> None:
    state, obj = tell("RTC_CHANGE", {"offset": 78})
    assert state.told == [DomainRTCChangeEvent(_REF, 78)]
    assert obj.live.clock is not None
    assert obj.live.clock.adjustment == 78
    assert state.saved == 1


@pytest.mark.parametrize(
    ("told", "action"),
    [("pause", DomainEventWatchdogAction.PAUSE), ("inject-nmi", DomainEventWatchdogAction.INJECTNMI)],
)
def test_a_watchdog_runs_out(told: str, action: DomainEventWatchdogAction) -> None:
    state, obj = tell("WATCHDOG", {"action": told})
    assert state.told == [DomainWatchdogEvent(_REF, action)]
    assert (obj.state == DomainState.PAUSED) == (told == "pause")


def test_a_disk_fails() -> None:
    guest = _guest()
    data = {
        "device": "", "qom-path": "/machine/peripheral/virtio-disk0/virtio-backend", "operation": "write",
        "action": "stop", "nospace": True, "reason": "No space left on device",
    }  # fmt: skip
    state, obj = tell("BLOCK_IO_ERROR", data, guest)
    action = DomainEventIOErrorAction.PAUSE
    assert state.told == [
        DomainIOErrorEvent(_REF, "/images/a", "virtio-disk0", action),
        DomainIOErrorReasonEvent(_REF, "/images/a", "virtio-disk0", action, "enospc"),
    ]
    assert obj.state == DomainState.PAUSED
    [message] = messages(guest, DomainMessageType.IOERRORS)
    assert message.startswith("I/O error: disk='vda', index='0', path='/images/a', timestamp='")
    assert message.endswith("message='No space left on device'")
    unknown, _ = tell("BLOCK_IO_ERROR", {"device": "x", "action": "report"})
    assert unknown.told[0] == DomainIOErrorEvent(_REF, "", "", DomainEventIOErrorAction.REPORT)


def test_memory_fails() -> None:
    flags = {"action-required": True, "recursive": False}
    state, _ = tell("MEMORY_FAILURE", {"recipient": "guest", "action": "inject", "flags": flags})
    assert state.told == [DomainMemoryFailureEvent(_REF, 1, 1, 1)]  # type: ignore[arg-type]
    assert tell("MEMORY_FAILURE", {"recipient": "nobody", "action": "inject"})[0].told == []


def test_a_guest_sleeps_on_its_disk() -> None:
    state, obj = tell("SUSPEND_DISK", {})
    assert state.told == [DomainPMSuspendDiskEvent(_REF)]
    assert obj.state == DomainState.PMSUSPENDED
    assert [detail for _, detail in state.life] == [1]


def test_who_comes_to_a_display_is_told() -> None:
    data = {
        "server": {"host": "192.0.2.1", "service": "5900", "family": "ipv4", "auth": "vencrypt+x509+sasl"},
        "client": {
            "host": "2001:db8::2",
            "service": "7",
            "family": "ipv6",
            "x509_dname": "CN=a",
            "sasl_username": "ann",
        },
    }
    state, _ = tell("VNC_INITIALIZED", data)
    assert state.told == [
        DomainGraphicsEvent(
            _REF,
            Phase.INITIALIZE,
            GraphicsAddress(Family.IPV4, "192.0.2.1", "5900"),
            GraphicsAddress(Family.IPV6, "2001:db8::2", "7"),
            "vencrypt+x509+sasl",
            [GraphicsIdentity("x509dname", "CN=a"), GraphicsIdentity("saslUsername", "ann")],
        )
    ]
    spice = {end: {"host": "h", "port": "5901", "family": "unix"} for end in ("server", "client")}
    [event] = tell("SPICE_DISCONNECTED", spice)[0].told
    assert isinstance(event, DomainGraphicsEvent)
    assert event.remote == GraphicsAddress(Family.UNIX, "h", "5901")
    assert event.phase is Phase.DISCONNECT


def test_a_guest_changes_an_address() -> None:
    async def run() -> None:
        guest, state, obj = _guest(), _State(), _Obj()

        async def execute(command: str, arguments: object = None) -> object:
            assert (command, arguments) == ("query-rx-filter", {"name": "net0"})
            return [{"name": "net0", "main-mac": "52:54:00:00:00:99"}]

        guest.monitor = SimpleNamespace(connected=True, execute=execute)  # type: ignore[assignment]
        for _ in range(2):
            HANDLERS["NIC_RX_FILTER_CHANGED"](state, obj, guest, {"name": "net0", "path": "/x"})  # type: ignore[arg-type]
            while guest.tasks:
                await asyncio.sleep(0)
        assert state.told == [DomainNICMACChangeEvent(_REF, "net0", "52:54:00:00:00:01", "52:54:00:00:00:99")]
        assert obj.live.devices is not None
        mac = obj.live.devices.interfaces[0].mac
        assert mac is not None
        assert mac.current == "52:54:00:00:00:99"

    asyncio.run(run())


# -- real ones


@pytest.mark.usefixtures("kernel")
def test_a_real_client_of_a_real_display(connection: virtcore.Connection) -> None:
    told: queue.Queue[Event] = queue.Queue()
    connection.on_event(told.put, DomainGraphicsEvent)
    display = "<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/><video><model type='vga'/></video>"
    domain = connection.define_domain(guest_image.idle_xml("shown", display))
    domain.create()
    port = int(domain.xml().partition("type='vnc' port='")[2].partition("'")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=150) as client:
        assert client.recv(12).startswith(b"RFB")
        ours = client.getsockname()
        first = told.get(timeout=150)
        assert isinstance(first, DomainGraphicsEvent)
        assert first.phase is Phase.CONNECT
        assert first.local == GraphicsAddress(Family.IPV4, "127.0.0.1", str(port))
        assert first.remote == GraphicsAddress(Family.IPV4, "127.0.0.1", str(ours[1]))
    last = told.get(timeout=150)
    assert isinstance(last, DomainGraphicsEvent)
    assert last.phase is Phase.DISCONNECT


def test_a_real_balloon_and_a_real_clock(connection: virtcore.Connection, kernel: Path, tmp_path: Path) -> None:
    script = "/bin/busybox mount -t devtmpfs dev /dev; /bin/busybox date -s '2001-02-03 04:05'; /bin/busybox hwclock -w"
    guest_image.write_initramfs(tmp_path / "initrd", kernel, modules=("virtio_pci", "virtio_balloon"), script=script)
    told: queue.Queue[Event] = queue.Queue()
    connection.on_event(told.put, DomainBalloonChangeEvent, DomainRTCChangeEvent)
    domain = connection.define_domain(guest_image.guest_xml("gives", kernel, tmp_path / "initrd"))
    domain.create()
    clock = told.get(timeout=150)
    assert isinstance(clock, DomainRTCChangeEvent)
    assert clock.offset < -300_000_000
    domain.set_memory(96 << 10)
    eventually(lambda: "<currentMemory unit='KiB'>98304</currentMemory>" in domain.xml())
    while told.get(timeout=150) != DomainBalloonChangeEvent(domain.ref, 96 << 10):
        pass  # it goes in steps
    assert domain.info().memory == 96 << 10
