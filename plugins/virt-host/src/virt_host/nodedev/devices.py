"""The devices of a Linux host: found once, then kept as the kernel tells of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from virt_host.nodedev.kernel_device import HostFiles, KernelDevice
from virt_host.nodedev.kinds import Host, NotShown, describer
from virt_host.nodedev.kinds.system import ROOT, computer
from virt_host.nodedev.mediated import Mdevctl, MediatedDevices
from virt_host.nodedev.uevents import Uevent
from virtcore.driver.toolkit.disk import DiskWorker
from virtcore.driver.toolkit.nodedevs import NodeDeviceObject
from virtcore.enums.nodedev import NodeDeviceEventLifecycleType as Kind
from virtcore.errors import VirtError
from virtcore.model.nodedev import Devnode, DevnodeType, NodeDevice, ParentDevice

__all__ = ["HostNodeDeviceTable", "UeventSource"]

log = logging.getLogger(__name__)

_MDEV_TRIES = 100
"""How often, a millisecond apart, it is looked whether the kernel has finished a mediated device it told of."""


class UeventSource(Protocol):
    """Where events come from, as :class:`~virt_host.nodedev.uevents.UeventSocket`."""

    def fileno(self) -> int:
        """Becomes readable when something happened."""

    def receive(self) -> list[Uevent] | None:
        """What happened since the last call; None when more happened than could be kept."""

    def close(self) -> None:
        """Hear no more."""


class HostNodeDeviceTable(MediatedDevices):
    """The devices there are. Lives in the core loop; what asks the kernel is done in a thread.

    :param host: whose devices.
    :param mdevctl: runs mdevctl; None where there is none.
    """

    def __init__(self, host: Host, mdevctl: Mdevctl | None) -> None:
        super().__init__(mdevctl)
        self.host = host
        self._worker = DiskWorker("virtcore-nodedev")
        self._by_path: dict[str, NodeDeviceObject] = {}
        self._source: UeventSource | None = None
        self._events: deque[Uevent | None] = deque()
        self._applying: asyncio.Task[None] | None = None

    async def open(self, listen: Callable[[], UeventSource]) -> None:
        """Find every device, and hear of changes from now on.

        :param listen: opens where events come from; raises ``OSError`` where there are none.
        """
        try:
            # Before the search: what comes meanwhile is not missed, what is found twice is the same.
            self._source = listen()
        except OSError as error:
            log.warning("the kernel does not tell of devices that come and go: %s", error)
        root = NodeDeviceObject(await self._worker.run(lambda: computer(self.host)))
        root.autostart = True
        self.adopt(root)
        for device in await self._worker.run(self._search):
            self._place_in_tree(device)
            self.adopt(NodeDeviceObject(device, persistent=False))
        if self._source is not None:  # after the search: what has gone meanwhile is known when that is heard
            asyncio.get_running_loop().add_reader(self._source.fileno(), self._on_events)
        await self.open_definitions()

    async def close(self) -> None:
        """Hear no more. Never raises."""
        if self._source is not None:
            asyncio.get_running_loop().remove_reader(self._source.fileno())
            self._source.close()
            self._source = None
        if self._applying is not None:
            self._applying.cancel()
            await asyncio.gather(self._applying, return_exceptions=True)
        await self.close_definitions()
        await self._worker.close()

    # -- the table

    def adopt(self, obj: NodeDeviceObject) -> None:
        super().adopt(obj)
        if obj.device.path is not None:
            self._by_path[obj.device.path] = obj

    def drop(self, obj: NodeDeviceObject) -> None:
        super().drop(obj)
        self._forget_path(obj)

    def _forget_path(self, obj: NodeDeviceObject) -> None:
        path = obj.device.path
        if path is not None and self._by_path.get(path) is obj:
            del self._by_path[path]

    def _place_in_tree(self, device: NodeDevice) -> None:
        """Find what a device is on: the nearest that is known."""
        assert device.path is not None  # it is the kernel's
        above = (self._by_path.get(path) for path in KernelDevice(self.host.files, device.path).parents())
        parent = next((obj for obj in above if obj is not None), None)
        device.parent = ParentDevice(name=ROOT if parent is None else parent.name)

    # -- describing; in a thread

    def _search(self) -> list[NodeDevice]:
        found = (self._describe(device) for device in self.host.files.devices())
        return [device for device in found if device is not None]

    def _describe(self, device: KernelDevice) -> NodeDevice | None:
        """A device of the kernel as a node device, without its parent; None for one that is not shown."""
        describe = describer(device)
        if describe is None:
            return None
        try:
            name, capability = describe(device, self.host)
        except (NotShown, ValueError, OSError, VirtError) as reason:
            log.debug("%s is not shown: %s", device.path, reason)
            return None
        nodes = [] if device.node is None else [Devnode(type=DevnodeType.DEV, path=device.node)]
        nodes += [Devnode(type=DevnodeType.LINK, path=link) for link in device.links]
        return NodeDevice(name=name, path=device.path, devnodes=nodes, driver=device.driver, capabilities=[capability])

    def _look_at(self, path: str) -> NodeDevice | None:
        device = self.host.files.device(path)
        return None if device is None else self._describe(device)

    def _look_at_new(self, event: Uevent) -> NodeDevice | None:
        found = self._look_at(event.path)
        tries = _MDEV_TRIES if event.subsystem == "mdev" and found is None else 0
        while found is None and tries and self.host.files.exists(event.path):
            time.sleep(0.001)  # the kernel tells of it before its files are all there
            found, tries = self._look_at(event.path), tries - 1
        return found

    async def refreshed(self, obj: NodeDeviceObject) -> NodeDeviceObject:
        """A device, known as it is now; nobody is told of what is different."""
        path = obj.device.path
        if not obj.active or path is None:
            return obj
        now = await self._worker.run(lambda: self._look_at(path))
        if now is not None and now.name == obj.name and self.find(obj.name) is obj and obj.active:
            now.parent = obj.device.parent
            self.keep_settings(obj, now)
            obj.device = now
        return obj

    # -- coming and going

    def _on_events(self) -> None:
        assert self._source is not None  # or nobody would read from it
        events = self._source.receive()
        if events is None:
            log.warning("more happened to devices than was heard of: they are looked for anew")
            self._events.clear()
            self._events.append(None)
        else:
            self._events.extend(events)
        if self._events and (self._applying is None or self._applying.done()):
            self._applying = asyncio.get_running_loop().create_task(self._apply())

    async def _apply(self) -> None:
        while self._events:
            event = self._events.popleft()
            if event is None:
                await self._search_anew()
            elif event.action == "remove":
                self.gone(event.path)
            elif event.action in ("add", "change", "move"):
                if event.old_path is not None:
                    self.gone(event.old_path)
                device = await self._worker.run(lambda: self._look_at_new(event))  # noqa: B023  # awaited at once
                if device is not None:
                    self.seen(device, told=event.action == "change")
            if event is None or event.subsystem == "mdev":
                self.ask_mdevctl()

    async def _search_anew(self) -> None:
        found = await self._worker.run(self._search)
        paths = {device.path for device in found}
        for path in [path for path in self._by_path if path not in paths]:
            self.gone(path)
        for device in found:
            self.seen(device, told=False)

    def seen(self, device: NodeDevice, *, told: bool) -> NodeDeviceObject:
        """A device is there.

        :param told: the kernel says that it changed; else it is only news if it is another than it was.
        """
        self._place_in_tree(device)
        assert device.name is not None
        obj = self.find(device.name)
        if obj is None:
            obj = NodeDeviceObject(device, persistent=False)
            self.add(obj)
            return obj
        self.keep_settings(obj, device)
        same = obj.device == device
        self._forget_path(obj)
        if not obj.active:
            obj.device, obj.active = device, True
            self.add(obj)
        elif told or not same:
            self.change(obj, device)
        self.adopt(obj)
        return obj

    def gone(self, path: str) -> None:
        """A device has gone, and with it what is on it."""
        below = sorted((known for known in self._by_path if known.startswith(f"{path}/")), reverse=True)
        for known in [*below, path]:
            obj = self._by_path.get(known)
            if obj is None:
                continue
            if obj.definition is None:
                self.remove(obj)
                continue
            self._forget_path(obj)
            obj.device, obj.active = obj.definition, False
            self.tell(obj, Kind.DELETED)

    async def look(self, path: str) -> NodeDeviceObject | None:
        """The device of a folder of sysfs, which may have come this moment; None where there is none."""
        device = await self._worker.run(lambda: self._look_at_new(Uevent("add", path, subsystem="mdev")))
        return None if device is None else self.seen(device, told=False)

    @property
    def files(self) -> HostFiles:
        """The host's."""
        return self.host.files
