"""Looking into guests, and reaching into them past their devices."""

from __future__ import annotations

import json
import os
import queue
import socket
import struct
from pathlib import Path

import guest_image
import pytest
from guest_image import MARKER

import virtcore
from support import eventually
from virt_qemu.keycodes import qemu_key
from virtcore import errors
from virtcore.enums import DomainCreateFlags, DomainMemoryFlags, KeycodeSet
from virtcore.enums.qemu import DomainQemuMonitorCommandFlags
from virtcore.operations.events import DomainRebootEvent, Event, QemuMonitorEvent

_DEVICES = """<graphics type='vnc' port='-1' autoport='yes'/>
<video><model type='vga' primary='yes'/></video>
<channel type='unix'><target type='virtio' name='org.test.0'/></channel>"""


@pytest.fixture
def guest(connection: virtcore.Connection, kernel: Path) -> virtcore.Domain:
    """A running guest without a system."""
    domain = connection.define_domain(guest_image.idle_xml("seen", _DEVICES))
    domain.create()
    return domain


def test_a_key_is_the_same_key_in_every_set() -> None:
    enter = {
        KeycodeSet.LINUX: 28, KeycodeSet.XT: 28, KeycodeSet.ATSET1: 28, KeycodeSet.ATSET2: 0x5A,
        KeycodeSet.ATSET3: 0x5A, KeycodeSet.OSX: 0x24, KeycodeSet.XT_KBD: 28, KeycodeSet.USB: 40,
        KeycodeSet.WIN32: 0x0D, KeycodeSet.QNUM: 28,
    }  # fmt: skip
    assert {qemu_key(codes, number) for codes, number in enter.items()} == {28}
    # The right Control key has a prefix.
    assert qemu_key(KeycodeSet.LINUX, 97) == qemu_key(KeycodeSet.XT_KBD, 0x11D) == 0x9D
    assert qemu_key(KeycodeSet.USB, 228) == qemu_key(KeycodeSet.QNUM, 0x9D) == 0x9D
    assert qemu_key(KeycodeSet.USB, 2800) is None


def test_pictures(guest: virtcore.Domain) -> None:
    found = guest.screenshot()
    with found.stream as stream:
        picture = b"".join(stream)
    if found.mime == "image/png":
        width, height = struct.unpack(">II", picture[16:24])
        assert picture.startswith(b"\x89PNG")
        assert width > 100
        assert height > 100
    else:
        assert picture.startswith(b"P6")
    with pytest.raises(errors.OperationInvalid, match="no such screen ID"):
        guest.screenshot(5)


def test_keys_interrupts_memory(guest: virtcore.Domain) -> None:
    guest.send_key(KeycodeSet.LINUX, 10, [28])
    with pytest.raises(errors.InternalError, match="cannot translate keycode 2800 of usb codeset to qnum keycode"):
        guest.send_key(KeycodeSet.USB, 10, [40, 2800])
    with pytest.raises(errors.InvalidArg, match="Unsupported codeset '99'"):
        guest.send_key(99, 10, [28])
    guest.inject_nmi()
    # The interrupt vectors of a PC are at 0.
    assert len(guest.memory_peek(0, 1 << 10, DomainMemoryFlags.PHYSICAL)) == 1 << 10
    eventually(lambda: any(guest.memory_peek(0, 1 << 10, DomainMemoryFlags.PHYSICAL)))
    assert len(guest.memory_peek(0xFFFF0, 16, DomainMemoryFlags.VIRTUAL)) == 16
    with pytest.raises(errors.InvalidArg, match="flags parameter must be VIR_MEMORY_VIRTUAL or VIR_MEMORY_PHYSICAL"):
        guest.memory_peek(0, 16)


def test_the_monitor_answers_as_libvirts(guest: virtcore.Domain) -> None:
    assert guest.messages() == ["tainted: running with undesirable elevated privileges"] * (os.geteuid() == 0)
    told = json.loads(guest.qemu_monitor_command('{"execute":"query-status"}'))
    assert told["return"]["status"] == "running"
    assert told["id"].startswith("libvirt-")
    refused = json.loads(guest.qemu_monitor_command('{"execute":"nonsense"}'))
    assert refused["error"]["class"] == "CommandNotFound"
    human = guest.qemu_monitor_command("info status", DomainQemuMonitorCommandFlags.HMP)
    assert human == "VM status: running\r\n"
    with pytest.raises(errors.InternalError, match="Unable to append command 'id' string"):
        guest.qemu_monitor_command('{"execute":"query-status","id":"x"}')
    with pytest.raises(errors.InternalError, match="failed to parse JSON"):
        guest.qemu_monitor_command("info status")
    with pytest.raises(errors.InvalidArg, match="at most 1 fd can be passed to qemu"):
        guest.qemu_monitor_command_with_files("{}", [0, 1])
    with open(os.devnull, "rb") as file:
        answer = guest.qemu_monitor_command_with_files(
            '{"execute":"getfd","arguments":{"fdname":"x"}}', [file.fileno()]
        )
    assert json.loads(answer.result)["return"] == {}
    assert "tainted: custom monitor control commands issued" in guest.messages()


def test_what_qemu_says_is_for_those_who_ask(connection: virtcore.Connection, guest: virtcore.Domain) -> None:
    told: queue.Queue[Event] = queue.Queue()
    others: queue.Queue[Event] = queue.Queue()
    connection.on_event(told.put, QemuMonitorEvent)
    connection.on_event(others.put)
    guest.reset()
    event = told.get(timeout=150)
    assert isinstance(event, QemuMonitorEvent)
    assert event.event == "RESET"
    assert json.loads(event.details or "")["guest"] is False
    assert event.seconds > 1_600_000_000
    assert isinstance(others.get(timeout=150), DomainRebootEvent)


def test_displays_and_channels(guest: virtcore.Domain) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        guest.open_graphics(0, theirs.fileno())
        ours.settimeout(150)
        assert ours.recv(4) == b"RFB "
    with socket.socket(fileno=guest.open_graphics_fd(0)) as opened:
        opened.settimeout(150)
        assert opened.recv(4) == b"RFB "
    with pytest.raises(errors.InternalError, match="No graphics backend with index 7"):
        guest.open_graphics_fd(7)
    with pytest.raises(errors.InternalError, match="unable to execute QEMU command 'display-reload'"):
        guest.graphics_reload()  # this one has no certificates
    with pytest.raises(errors.InvalidArg, match="unknown graphics reload type 9"):
        guest.graphics_reload(9)
    with pytest.raises(errors.InternalError, match="cannot find channel nope"):
        guest.open_channel("nope")
    channel = guest.open_channel("org.test.0")
    with pytest.raises(errors.OperationFailed, match="Active channel stream exists for this domain"):
        guest.open_channel("org.test.0")
    guest.open_channel("org.test.0", 1).abort()
    with pytest.raises(errors.VirtError):
        channel.read(1)


def test_nothing_protects_an_ordinary_guest(guest: virtcore.Domain) -> None:
    from virtcore.operations.parameters import LAUNCH_SECURITY_STATE

    assert guest.launch_security_info().rows() == []
    secret = {"sev-secret": "a", "sev-secret-header": "b"}
    with pytest.raises(errors.OperationUnsupported, match="only supported in SEV-enabled domains"):
        guest.set_launch_security_state(LAUNCH_SECURITY_STATE.typed(secret))


def test_a_key_reaches_the_guest(connection: virtcore.Connection, boot: tuple[Path, Path]) -> None:
    """The power key of the keyboard is a key like others: here, Enter at the console of a real system."""
    domain = connection.define_domain(
        guest_image.guest_xml("typed", *boot, devices="<serial type='pty'/><video><model type='vga'/></video>")
    )
    domain.create(DomainCreateFlags.START_PAUSED)
    console = domain.open_console()  # what it says while nobody listens is lost
    domain.resume()
    seen = b""
    while MARKER.encode() not in seen:
        seen += console.read(4096)
    # Alt+SysRq+b boots at once.
    told: queue.Queue[Event] = queue.Queue()
    connection.on_event(told.put, DomainRebootEvent)
    domain.send_key(KeycodeSet.LINUX, 100, [56, 99, 48])
    assert told.get(timeout=150).domain == domain.ref  # type: ignore[union-attr]
    console.abort()
