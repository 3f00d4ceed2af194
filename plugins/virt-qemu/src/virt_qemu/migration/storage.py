"""Disks that are copied along: the destination serves them by NBD, the source mirrors its own to them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.block.running import NamedNodes, disk_images, rows_of
from virt_qemu.command.disks import is_empty
from virt_qemu.monitor import JSON
from virtcore.enums.domain_more import DomainMigrateFlags as Flags
from virtcore.errors import InternalError, InvalidArg, OperationFailed, OperationUnsupported, VirtError
from virtcore.model.moment import target_of
from virtcore.uri import URI

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from virt_qemu.guest import Guest
    from virt_qemu.monitor import EventQueue
    from virtcore.model.domain.disk import Disk

__all__ = ["DiskServer", "MirrorPlace", "Mirrors", "capacities", "server_of"]

log = logging.getLogger(__name__)

#: Seconds between two looks at jobs that tell nothing.
_LOOK = 2.0
_GONE = ("concluded", "null")


class MirrorPlace(NamedTuple):
    """Where disks are copied to: a path, or an address and a port."""

    path: str | None
    host: str
    port: int

    def address(self) -> dict[str, JSON]:
        """As QEMU has it."""
        if self.path is not None:
            return {"type": "unix", "path": self.path}
        return {"type": "inet", "host": self.host, "port": str(self.port)}


def server_of(uri: str | None, host: str, port: int) -> MirrorPlace:
    """Where disks are copied to.

    :param uri: what the caller says of it (``disks_uri``).
    :param host: used where it says none; so is ``port``.
    :raises InvalidArg: it says nothing that can be used.
    """
    if uri is None:
        if not 0 <= port <= 0xFFFF:
            raise InvalidArg("nbd port must be in range 0-65535")
        return MirrorPlace(None, host, port)
    parsed = URI.parse(uri)
    if not parsed.scheme:
        raise InvalidArg(f"No URI scheme specified: {uri}")
    if parsed.scheme == "unix":
        if not parsed.path:
            raise InvalidArg("UNIX disks URI does not include path")
        return MirrorPlace(parsed.path, "", 0)
    if parsed.scheme != "tcp":
        raise InvalidArg(f"Unsupported scheme in disks URI: {parsed.scheme}")
    if not parsed.server:
        raise InvalidArg(f"URI with tcp scheme did not provide a server part: {uri}")
    return MirrorPlace(None, parsed.server, parsed.port or port)


def _top_node(guest: Guest, disk: Disk) -> str:
    """The node of the block layer that a disk's device uses."""
    return disk_images(guest, disk)[0].top()


def _export(disk: Disk) -> str:
    """A disk's name among the exports, and of the job that copies it."""
    return f"drive-{disk.alias}"


def _node(disk: Disk) -> str:
    """The source's node of the destination's disk."""
    return f"migration-{target_of(disk)}-storage"


async def capacities(guest: Guest, disks: Sequence[Disk]) -> list[tuple[str, int]]:
    """Targets of disks, and their sizes in bytes."""
    known = await NamedNodes.ask(guest.channel())
    return [(target_of(disk), known.capacity(_top_node(guest, disk))) for disk in disks]


class DiskServer:
    """The destination's server of disks.

    :ivar place: where it listens; None while it does not.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.place: MirrorPlace | None = None

    async def start(self, place: MirrorPlace, disks: Sequence[Disk], certificates: str | None) -> None:
        """Serve disks, to be written.

        :param certificates: id of the object with this host's; None for no encryption.
        :raises VirtError: one cannot be written, or QEMU refused it.
        """
        for disk in disks:
            if disk.readonly or is_empty(disk.source):
                raise OperationUnsupported(f"Cannot migrate empty or read-only disk {target_of(disk)}")
        channel = self._guest.channel()
        data = place.address()
        arguments: dict[str, JSON] = {"addr": {"type": data.pop("type"), "data": data}}
        if certificates is not None:
            arguments["tls-creds"] = certificates
        await channel.execute("nbd-server-start", arguments)
        self.place = place
        for disk in disks:
            node = _top_node(self._guest, disk)
            exported: dict[str, JSON] = {
                "type": "nbd",
                "id": f"libvirt-nbd-{node}",
                "node-name": node,
                "writable": True,
                "name": _export(disk),
            }
            await channel.execute("block-export-add", exported)

    async def stop(self) -> None:
        """Serve no more. What QEMU does not stop is logged."""
        if self.place is None:
            return
        self.place = None
        try:
            await self._guest.channel().execute("nbd-server-stop")
        except VirtError as error:
            log.warning("Unable to stop NBD server: %s", error)


class Mirrors:
    """The source's copies of disks to the destination.

    :param speed: bytes a second; 0 for no limit.
    """

    def __init__(self, guest: Guest, flags: int, speed: int = 0) -> None:
        self._guest = guest
        self._flags = flags
        self._speed = speed
        self._running: dict[str, Disk] = {}
        self._nodes: list[str] = []

    @classmethod
    def left_over(cls, guest: Guest, flags: int, disks: Sequence[Disk]) -> Mirrors:
        """Copies that were begun by a process that has gone."""
        mirrors = cls(guest, flags)
        mirrors._running = {_export(disk): disk for disk in disks}
        mirrors._nodes = [_node(disk) for disk in disks]
        return mirrors

    @property
    def disks(self) -> list[Disk]:
        """Those that are being copied."""
        return list(self._running.values())

    async def begin(self, disk: Disk, place: MirrorPlace, certificates: str | None, hostname: str | None) -> None:
        """Begin to copy a disk.

        :param certificates: id of the object with this host's; None for no encryption.
        :param hostname: the name that the destination's certificate has to have.
        """
        channel = self._guest.channel()
        node = _node(disk)
        props: dict[str, JSON] = {
            "driver": "nbd",
            "server": place.address(),
            "export": _export(disk),
            "node-name": node,
            "read-only": False,
            "discard": "unmap",
        }
        if certificates is not None:
            props["tls-creds"] = certificates
            known = self._guest.capabilities is not None and self._guest.capabilities.has("blockdev.nbd.tls-hostname")
            if hostname and known:
                props["tls-hostname"] = hostname
        await channel.execute("blockdev-add", props)
        self._nodes.append(node)
        arguments: dict[str, JSON] = {
            "job-id": _export(disk),
            "device": _top_node(self._guest, disk),
            "target": node,
            "sync": "top" if self._flags & Flags.NON_SHARED_INC else "full",
            "auto-finalize": True,
            "auto-dismiss": False,
        }
        if self._speed:
            arguments["speed"] = self._speed
        if self._flags & Flags.NON_SHARED_SYNCHRONOUS_WRITES:
            arguments["copy-mode"] = "write-blocking"
        await channel.execute("blockdev-mirror", arguments)
        self._running[_export(disk)] = disk

    async def _jobs(self) -> dict[str, dict[str, JSON]]:
        rows = rows_of(await self._guest.channel().execute("query-jobs"))
        return {str(row.get("id")): row for row in rows if row.get("id") in self._running}

    async def progress(self) -> tuple[int, int]:
        """Bytes that are copied, and of all."""
        copied = whole = 0
        for row in (await self._jobs()).values():
            done, total = row.get("current-progress"), row.get("total-progress")
            copied += done if isinstance(done, int) else 0
            whole += total if isinstance(total, int) else 0
        return copied, whole

    async def check(self) -> bool:
        """Whether every copy has caught up with its disk.

        :raises OperationFailed: one has failed.
        :raises InternalError: one is not there.
        """
        jobs = await self._jobs()
        for name, disk in self._running.items():
            row = jobs.get(name)
            if row is None:
                raise InternalError(f"missing block job data for disk '{target_of(disk)}'")
            if row.get("status") in _GONE:
                raise _failure(disk, row)
        return all(row.get("status") == "ready" for row in jobs.values())

    async def wait(self, events: EventQueue, alive: Callable[[], Awaitable[None]]) -> None:
        """Wait until every copy has caught up.

        :param events: of ``JOB_STATUS_CHANGE``.
        :param alive: raises when it is of no use to wait.
        :raises OperationFailed: one has failed.
        """
        while not await self.check():
            await alive()
            await events.next(_LOOK)

    async def finish(self, *, give_up: bool) -> None:
        """End every copy, and forget the destination's disks.

        :param give_up: what the destination has need not be whole.
        :raises OperationFailed: one has failed, and is not given up; all are ended.
        """
        failure: VirtError | None = None
        channel = self._guest.channel()
        with channel.events("JOB_STATUS_CHANGE") as events:
            for name in self._running:
                try:
                    await channel.execute("block-job-cancel", {"device": name, "force": give_up})
                except VirtError as error:
                    log.debug("'%s' has ended: %s", name, error)
            while self._running:
                jobs = await self._jobs()
                for name, disk in list(self._running.items()):
                    row = jobs.get(name)
                    if row is not None and row.get("status") not in _GONE:
                        continue
                    del self._running[name]
                    if row is not None and row.get("error") and not give_up:
                        failure = failure or _failure(disk, row)
                    if row is not None:
                        await self._quietly("job-dismiss", {"id": name})
                if self._running:
                    await events.next(_LOOK)
        for node in self._nodes:
            await self._quietly("blockdev-del", {"node-name": node})
        self._nodes.clear()
        if failure is not None:
            raise failure

    async def _quietly(self, command: str, arguments: dict[str, JSON]) -> None:
        try:
            await self._guest.channel().execute(command, arguments)
        except VirtError as error:
            log.warning("%s", error)


def _failure(disk: Disk, row: dict[str, JSON]) -> OperationFailed:
    told = row.get("error")
    return OperationFailed(f"migration of disk {target_of(disk)} failed{f': {told}' if told else ''}")
