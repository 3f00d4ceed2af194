"""The service of node devices on a host that is a folder."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from virt_host.nodedev.devices import UeventSource
from virt_host.nodedev.kernel_device import HostFiles
from virt_host.nodedev.kinds import Host
from virt_host.nodedev.mediated import Mdevctl
from virt_host.nodedev.service import HostNodeDevices
from virt_host.nodedev.uevents import Uevent
from virtcore.driver.base import Place
from virtcore.operations.events import NodeDeviceLifecycleEvent, NodeDeviceUpdateEvent

__all__ = ["Events", "FakeNodeDevices"]


class Events:
    """Where events come from: what a test says happens."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._waiting: list[Uevent] | None = []

    def fileno(self) -> int:
        return self._ours.fileno()

    def receive(self) -> list[Uevent] | None:
        self._ours.recv(64)
        found, self._waiting = self._waiting, []
        return found

    def happens(self, *events: Uevent) -> None:
        assert self._waiting is not None
        self._waiting += events
        self._theirs.send(b"x")

    def overflows(self) -> None:
        self._waiting = None
        self._theirs.send(b"x")

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


class FakeNodeDevices(HostNodeDevices):
    """The service on a folder."""

    def __init__(self, root: Path, run: Mdevctl | None = None, *, privileged: bool = True) -> None:
        self.root, self.source, self.run = root, Events(), run
        super().__init__(Place(privileged, str(root / "state")))
        host = self.devices.host
        self.devices.host = Host(
            host.files, privileged, lambda name: [], lambda: "64ad4f80-5dbc-4a2c-8ea9-3ad6f1a7c9be"
        )
        self.told: list[tuple[str, str]] = []

    def files(self) -> HostFiles:
        return HostFiles(str(self.root))

    def mdevctl(self) -> Mdevctl | None:
        return self.run

    def listen(self) -> UeventSource:
        return self.source

    async def open(self) -> None:
        await super().open()
        self.subscribe(self._tell)

    def _tell(self, event: object) -> None:
        if isinstance(event, NodeDeviceLifecycleEvent):
            self.told.append((event.type.name, event.device.name))
        elif isinstance(event, NodeDeviceUpdateEvent):
            self.told.append(("UPDATED", event.device.name))

    def names(self, flags: int = 0, capability: str | None = None) -> list[str]:
        return sorted(ref.name for ref in self.connection_list_node_devices(capability, flags))

    async def settled(self) -> None:
        """Wait until what happened has been looked at."""
        for _ in range(1000):
            await asyncio.sleep(0.005)
            if not self.source._waiting and (self.devices._applying is None or self.devices._applying.done()):
                return
        raise AssertionError("it is still being looked at")
