"""Operations that look into a guest, or reach into it past its devices."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from virt_qemu.console import open_socket
from virt_qemu.guest import Guest, guest_of
from virt_qemu.host import QemuState
from virt_qemu.keycodes import qemu_key, set_name
from virt_qemu.monitor import CommandError
from virt_qemu.taint import taint
from virtcore.driver.toolkit import StatefulDriver
from virtcore.driver.toolkit.arguments import invalid_argument, refuse_both, refuse_none
from virtcore.driver.toolkit.streams import Content
from virtcore.enums.domain import DomainChannelFlags
from virtcore.enums.domain_more import (
    DomainGraphicsReloadType,
    DomainMemoryFlags,
    DomainOpenGraphicsFlags,
    KeycodeSet,
)
from virtcore.enums.qemu import DomainQemuMonitorCommandFlags
from virtcore.errors import (
    ArgumentUnsupported,
    InternalError,
    InvalidArg,
    OperationFailed,
    OperationInvalid,
    OperationUnsupported,
)
from virtcore.model.domain.chardev import UnixChardev
from virtcore.model.domain.graphics import DBusGraphics, SpiceGraphics, VNCGraphics
from virtcore.model.domain.launch_security import SEV, SEVSNP
from virtcore.operations.values import MonitorReply, Screenshot
from virtcore.runtime.threads import in_thread
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virt_qemu.monitor import JSON
    from virtcore.driver.base import Subscription
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain
    from virtcore.operations.events import Event
    from virtcore.operations.stream import ByteStream
    from virtcore.types import DomainRef, TypedParameters

__all__ = ["InspectingOperations"]

_MOST_KEYS = 16
_MOST_PEEKED = 4 << 20
_VIRTUAL = ("VIR_MEMORY_VIRTUAL", int(DomainMemoryFlags.VIRTUAL))
_PHYSICAL = ("VIR_MEMORY_PHYSICAL", int(DomainMemoryFlags.PHYSICAL))


class InspectingOperations(StatefulDriver[QemuState]):
    """Pictures, keys, memory, the monitor, displays and channels of QEMU guests."""

    def _inspected(self, obj: DomainObject) -> tuple[Guest, Domain]:
        guest = guest_of(obj)
        if obj.live is None:
            raise OperationInvalid("domain is not running")
        return guest, obj.live

    # -- pictures

    async def domain_screenshot(self, domain: DomainRef, screen: int = 0, flags: int = 0) -> Screenshot[ByteStream]:
        self.check_flags(flags, 0, "domain_screenshot")
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.query("domain_screenshot"):
            guest, config = self._inspected(obj)
            arguments = _find_screen(config, screen)
            png = guest.capabilities is not None and guest.capabilities.has("screenshot-format-png")
            if png:
                arguments["format"] = "png"
            picture = await _written_by_qemu(guest, "screendump", arguments)
        return Screenshot("image/png" if png else "image/x-portable-pixmap", Content(picture))

    # -- keys and interrupts

    async def domain_send_key(
        self, domain: DomainRef, codeset: KeycodeSet | int, holdtime: int, keycodes: Sequence[int], flags: int = 0
    ) -> None:
        refuse_none(keycodes, "nkeycodes", "domain_send_key")
        if codeset not in KeycodeSet.__members__.values():
            raise invalid_argument(f"Unsupported codeset '{int(codeset)}'")
        if len(keycodes) > _MOST_KEYS:
            raise invalid_argument(f"nkeycodes in virDomainSendKey must be <= {_MOST_KEYS}")
        self.check_flags(flags, 0, "domain_send_key")
        codes = KeycodeSet(codeset)
        keys: list[JSON] = []
        for number in keycodes:
            key = qemu_key(codes, number)
            if key is None:
                raise InternalError(f"cannot translate keycode {number} of {set_name(codes)} codeset to qnum keycode")
            keys.append({"type": "number", "data": key})
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.modify("domain_send_key"):
            arguments: dict[str, JSON] = {"keys": keys}
            if holdtime:
                arguments["hold-time"] = holdtime
            await guest_of(obj).channel().execute("send-key", arguments)

    async def domain_inject_nmi(self, domain: DomainRef, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_inject_nmi")
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.modify("domain_inject_nmi"):
            await guest_of(obj).channel().execute("inject-nmi")

    # -- memory

    async def domain_memory_peek(
        self, domain: DomainRef, start: int, size: int, flags: DomainMemoryFlags | int = 0
    ) -> bytes:
        refuse_both(int(flags), _VIRTUAL, _PHYSICAL)
        self.check_flags(flags, _VIRTUAL[1] | _PHYSICAL[1], "domain_memory_peek")
        if not flags:
            raise InvalidArg("flags parameter must be VIR_MEMORY_VIRTUAL or VIR_MEMORY_PHYSICAL")
        if not 0 <= size <= _MOST_PEEKED:
            raise invalid_argument(f"size in virDomainMemoryPeek must be between 0 and {_MOST_PEEKED}")
        obj = self.domain(domain)
        obj.require_active()
        command = "memsave" if int(flags) & _VIRTUAL[1] else "pmemsave"
        async with obj.job.query("domain_memory_peek"):
            content = await _written_by_qemu(guest_of(obj), command, {"val": start, "size": size})
        if len(content) != size:
            raise InternalError(f"QEMU gave {len(content)} bytes of memory instead of {size}")
        return content

    # -- the monitor

    def subscribe_monitor(self, deliver: Callable[[Event], None]) -> Subscription:
        return self.state.monitor_events.subscribe(deliver)

    async def domain_qemu_monitor_command(
        self, domain: DomainRef, cmd: str, flags: DomainQemuMonitorCommandFlags | int = 0
    ) -> str:
        return (await self.domain_qemu_monitor_command_with_files(domain, cmd, (), flags)).result

    async def domain_qemu_monitor_command_with_files(
        self, domain: DomainRef, cmd: str, files: Sequence[int] = (), flags: DomainQemuMonitorCommandFlags | int = 0
    ) -> MonitorReply:
        human = DomainQemuMonitorCommandFlags.HMP
        self.check_flags(flags, human, "domain_qemu_monitor_command_with_files")
        if len(files) > 1:
            raise InvalidArg("at most 1 fd can be passed to qemu along with a command")
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.modify("domain_qemu_monitor_command"):
            guest = guest_of(obj)
            taint(obj, guest, "custom-monitor")
            guest.dirty_rate = True  # whatever was asked for may have begun to measure it
            descriptor = files[0] if files else None
            if int(flags) & human:
                answer = await guest.channel().execute(
                    "human-monitor-command", {"command-line": cmd}, descriptor=descriptor
                )
                return MonitorReply(str(answer), ())
            return MonitorReply(await _as_is(guest, cmd, descriptor), ())

    # -- displays

    async def domain_open_graphics(
        self, domain: DomainRef, idx: int, fd: int, flags: DomainOpenGraphicsFlags | int = 0
    ) -> None:
        self.check_flags(flags, DomainOpenGraphicsFlags.SKIPAUTH, "domain_open_graphics")
        await self._open_graphics(domain, idx, fd, int(flags), "domain_open_graphics")

    async def domain_open_graphics_fd(
        self, domain: DomainRef, idx: int, flags: DomainOpenGraphicsFlags | int = 0
    ) -> int:
        self.check_flags(flags, DomainOpenGraphicsFlags.SKIPAUTH, "domain_open_graphics_fd")
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                await self._open_graphics(domain, idx, theirs.fileno(), int(flags), "domain_open_graphics_fd")
            except BaseException:
                ours.close()
                raise
        return ours.detach()

    async def _open_graphics(self, domain: DomainRef, idx: int, fd: int, flags: int, operation: str) -> None:
        obj = self.domain(domain)
        obj.require_active()
        _, config = self._inspected(obj)
        displays = config.devices.graphics if config.devices is not None else []
        if not 0 <= idx < len(displays):
            raise InternalError(f"No graphics backend with index {idx}")
        display = displays[idx]
        protocol = {VNCGraphics: "vnc", SpiceGraphics: "spice"}.get(type(display))
        if isinstance(display, DBusGraphics) and display.p2p:
            protocol = "@dbus-display"
        if protocol is None:
            [kind, *_] = declaration(type(display)).tags
            raise InternalError(f"Can only open VNC, SPICE or D-Bus p2p graphics backends, not {kind}")
        async with obj.job.modify(operation):
            monitor = guest_of(obj).channel()
            await monitor.give("graphicsfd", fd)
            skip = bool(flags & DomainOpenGraphicsFlags.SKIPAUTH)
            try:
                await monitor.execute("add_client", {"protocol": protocol, "fdname": "graphicsfd", "skipauth": skip})
            except CommandError:
                await monitor.execute("closefd", {"fdname": "graphicsfd"})
                raise

    async def domain_graphics_reload(
        self, domain: DomainRef, type: DomainGraphicsReloadType | int = 0, flags: int = 0
    ) -> None:
        self.check_flags(flags, 0, "domain_graphics_reload")
        if type not in DomainGraphicsReloadType.__members__.values():
            raise InvalidArg(f"unknown graphics reload type {int(type)}")
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.modify("domain_graphics_reload"):
            guest, config = self._inspected(obj)
            for display in config.devices.graphics if config.devices is not None else ():
                if isinstance(display, VNCGraphics):
                    if guest.capabilities is not None and not guest.capabilities.has("display-reload"):
                        raise ArgumentUnsupported("QEMU binary does not support display reload")
                    await guest.channel().execute("display-reload", {"type": "vnc", "tls-certs": True})
                    return
            raise InvalidArg("reload graphics failed: no VNC graphics")

    # -- channels

    async def domain_open_channel(
        self, domain: DomainRef, name: str | None = None, flags: DomainChannelFlags | int = 0
    ) -> ByteStream:
        self.check_flags(flags, DomainChannelFlags.FORCE, "domain_open_channel")
        obj = self.domain(domain)
        obj.require_active()
        guest, config = self._inspected(obj)
        channels = config.devices.channels if config.devices is not None else []
        for channel in channels:
            if name in (None, getattr(channel.target, "name", None), channel.alias):
                break
        else:
            raise InternalError(f"cannot find channel {name or '<null>'}")
        source, alias = channel.source, channel.alias or ""
        if not isinstance(source, UnixChardev) or source.source is None or not source.source.path:
            raise InternalError(f"channel {name or '<null>'} is not using a UNIX socket")
        held = guest.consoles.get(alias)
        if held is not None:
            if not int(flags) & DomainChannelFlags.FORCE:
                raise OperationFailed("Active channel stream exists for this domain")
            await held.abort()

        def forget() -> None:
            guest.consoles.pop(alias, None)

        stream = open_socket(source.source.path, forget)
        guest.consoles[alias] = stream
        return stream

    # -- protection

    async def domain_launch_security_info(self, domain: DomainRef, flags: int = 0) -> TypedParameters:
        from virtcore.operations.parameters import LAUNCH_SECURITY_INFO

        self.check_flags(flags, 0, "domain_launch_security_info")
        obj = self.domain(domain)
        config = self.state.config(obj)
        if not isinstance(config.launch_security, SEV | SEVSNP):
            return LAUNCH_SECURITY_INFO.typed({})
        obj.require_active()
        raise OperationUnsupported("guests with launch security are not started")

    async def domain_set_launch_security_state(
        self, domain: DomainRef, params: TypedParameters, flags: int = 0
    ) -> None:
        from virtcore.operations.parameters import LAUNCH_SECURITY_STATE

        self.check_flags(flags, 0, "domain_set_launch_security_state")
        LAUNCH_SECURITY_STATE.validate(params)
        obj = self.domain(domain)
        if not isinstance(self.state.config(obj).launch_security, SEV | SEVSNP):
            raise OperationUnsupported("setting a launch secret is only supported in SEV-enabled domains")
        obj.require_active()
        raise OperationUnsupported("guests with launch security are not started")


def _find_screen(domain: Domain, screen: int) -> dict[str, JSON]:
    """Which device and head a screen is, screens being counted card by card.

    :raises OperationInvalid: the guest has no card, or its cards have not as many.
    """
    cards = domain.devices.videos if domain.devices is not None else []
    if not cards:
        raise OperationInvalid("no screens to take screenshot from")
    left = screen
    for card in cards:
        heads = (card.model.heads if card.model is not None else None) or 1
        if left < heads:
            # The first screen is the one QEMU itself takes.
            return {"device": card.alias, "head": left} if screen else {}
        left -= heads
    raise OperationInvalid("no such screen ID")


async def _written_by_qemu(guest: Guest, command: str, arguments: dict[str, JSON]) -> bytes:
    """Content of a file that a command has QEMU write."""
    descriptor, name = tempfile.mkstemp(dir=guest.folder, prefix=f"{command}.")
    os.close(descriptor)
    path = Path(name)
    try:
        # QEMU's user may be another one; the folder is only its own.
        os.chown(path, guest.folder.stat().st_uid, -1)
        await guest.channel().execute(command, {**arguments, "filename": name})
        return await in_thread(path.read_bytes)
    finally:
        path.unlink(missing_ok=True)


async def _as_is(guest: Guest, text: str, descriptor: int | None) -> str:
    """QEMU's answer, a refusal included, to a command that somebody has put together.

    :raises InternalError: it is none.
    """
    try:
        question = json.loads(text)
    except ValueError:
        question = None
    if not isinstance(question, dict):
        raise InternalError("failed to parse JSON: unexpected character")
    if "id" in question:
        raise InternalError("Unable to append command 'id' string")
    command, arguments = question.get("execute"), question.get("arguments")
    monitor = guest.channel()
    reply: dict[str, JSON]
    try:
        answer = await monitor.execute(str(command), arguments, descriptor=descriptor)
        reply = {"return": answer, "id": monitor.last_id}
    except CommandError as error:
        refusal: dict[str, JSON] = {"class": error.error_class, "desc": error.reason}
        reply = {"id": monitor.last_id, "error": refusal}
    return json.dumps(reply, separators=(",", ":"))
