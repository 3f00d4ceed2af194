"""Mediated devices of the host: what mdevctl keeps, makes and takes away."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from virt_host.nodedev.folder_watch import FolderWatch
from virt_host.nodedev.kernel_device import HostFiles
from virt_host.nodedev.mdevctl import (
    Command,
    ListedDevice,
    Operation,
    autostart_command,
    command,
    list_command,
    listed_devices,
    modify_command,
)
from virtcore.driver.toolkit.mdevs import MdevDevices, MdevRefused, address_of
from virtcore.driver.toolkit.nodedevs import NodeDeviceObject
from virtcore.enums.nodedev import NodeDeviceEventLifecycleType as Kind
from virtcore.errors import VirtError
from virtcore.model.nodedev import MdevCapability, NodeDevice

__all__ = ["MDEVCTL_FOLDER", "Mdevctl", "MediatedDevices", "Said"]

log = logging.getLogger(__name__)

MDEVCTL_FOLDER = "/etc/mdevctl.d"
"""Where mdevctl keeps definitions."""
_DEVICES = "/sys/bus/mdev/devices"


class Said(NamedTuple):
    """What mdevctl has written, and its exit status."""

    output: str
    errors: str
    status: int


#: Runs mdevctl. Raises ``VirtError`` where it cannot be run.
Mdevctl = Callable[[Command], Awaitable[Said]]


def _mdev(device: NodeDevice) -> MdevCapability:
    found = device.capability(MdevCapability)
    assert found is not None  # it is a mediated device
    return found


class MediatedDevices(MdevDevices):
    """The part of the table of devices that has to do with mdevctl.

    :param mdevctl: runs it; None where it is not installed.
    """

    def __init__(self, mdevctl: Mdevctl | None) -> None:
        super().__init__()
        self._mdevctl = mdevctl
        self._watch: FolderWatch | None = None
        self._asking: asyncio.Task[None] | None = None
        self._again = False

    @property
    @abstractmethod
    def files(self) -> HostFiles:
        """The host's."""

    @abstractmethod
    async def look(self, path: str) -> NodeDeviceObject | None:
        """The device of a folder of sysfs, which may have come this moment; None where there is none."""

    @abstractmethod
    def gone(self, path: str) -> None:
        """A device has gone."""

    # -- what mdevctl knows

    async def open_definitions(self) -> None:
        """Learn of definitions, and hear of changes of them from now on."""
        if self._mdevctl is None:
            log.debug("mdevctl not found. Skipping update of mediated devices.")
            return
        try:
            self._watch = FolderWatch(self.files.real(MDEVCTL_FOLDER))
            asyncio.get_running_loop().add_reader(self._watch.fileno(), self._on_change)
        except OSError as error:
            log.warning("Unable to monitor directory: %s", error)
        await self._learn()

    async def close_definitions(self) -> None:
        """Hear no more. Never raises."""
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _on_change(self) -> None:
        assert self._watch is not None  # or nobody would read from it
        try:
            concerns_us = self._watch.changed()
        except OSError as error:
            log.warning("Unable to monitor directory: %s", error)
            concerns_us = True
        if concerns_us:
            self.ask_mdevctl()

    def ask_mdevctl(self) -> None:
        """Learn anew what mdevctl knows, soon."""
        if self._mdevctl is None:
            return
        self._again = True
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        while self._again:
            self._again = False
            async with self.lock:  # not between what a call does and what it takes note of
                await self._learn()

    async def _learn(self) -> None:
        try:
            defined = await self._list(defined=True)
            running = await self._list(defined=False)
        except (MdevRefused, VirtError) as error:
            log.warning("mdevctl failed to update mediated devices: %s", error)
            return
        self._take_definitions(defined)
        for device, _ in running:
            obj = self.find(device.name or "")
            if obj is not None and obj.active:
                self._take_settings(obj, device)

    async def _list(self, *, defined: bool) -> list[ListedDevice]:
        return listed_devices(await self._run(list_command(defined=defined)), self._addresses())

    def _addresses(self) -> dict[str, str]:
        """Addresses of devices that may be parents, by name."""
        found = ((obj.name, address_of(obj.device)) for obj in self)
        return {name: address for name, address in found if address is not None}

    def _take_definitions(self, listed: list[ListedDevice]) -> None:
        names = {each.device.name for each in listed}
        for obj in [obj for obj in self if obj.definition is not None and obj.name not in names]:
            self.undefined(obj)
        for device, autostart in listed:
            device.driver = "vfio_mdev"
            obj = self.find(device.name or "") or NodeDeviceObject(device, active=False)
            _mdev(device).iommu_group = _mdev(obj.device).iommu_group
            if obj.definition is None:
                obj.definition, obj.persistent = device, True
                self.adopt(obj)
                self.tell(obj, Kind.DEFINED)
            elif obj.definition != device:
                obj.definition = device
                self.change(obj, obj.device if obj.active else device)
            obj.autostart = autostart

    def undefined(self, obj: NodeDeviceObject) -> None:
        """A device's definition has gone."""
        obj.definition = None
        obj.persistent = obj.autostart = False
        if not obj.active:
            self.drop(obj)
        self.tell(obj, Kind.UNDEFINED)

    def _take_settings(self, obj: NodeDeviceObject, device: NodeDevice) -> None:
        mdev, settings = _mdev(obj.device), _mdev(device).attributes
        if mdev.attributes != settings:
            mdev.attributes = settings
            self.change(obj, obj.device)

    def keep_settings(self, obj: NodeDeviceObject, now: NodeDevice) -> None:
        """What the kernel does not tell of a mediated device is as it was."""
        mdev = now.capability(MdevCapability)
        if mdev is not None:
            mdev.attributes = list(_mdev(obj.device).attributes)
        if mdev is not None and obj.definition is not None:
            _mdev(obj.definition).iommu_group = mdev.iommu_group  # as libvirt, which has one place for both

    # -- telling mdevctl

    async def _run(self, command: Command) -> str:
        """What mdevctl says.

        :raises MdevRefused: it did not do it.
        """
        if self._mdevctl is None:
            raise MdevRefused("Cannot find 'mdevctl' in path: No such file or directory")
        said = await self._mdevctl(command)
        if said.status:
            raise MdevRefused(said.errors.strip() or "Unknown error")
        return said.output

    async def start_mdev(self, device: NodeDevice, *, defined: bool = False) -> None:
        operation = Operation.START if defined else Operation.CREATE
        await self._run(command(operation, device, self._addresses()))
        await self.look(f"{_DEVICES}/{_mdev(device).uuid}")
        await self._learn()  # its settings, which the kernel does not tell

    async def stop_mdev(self, device: NodeDevice) -> None:
        self._refuse_used(_mdev(device))
        await self._run(command(Operation.STOP, device, {}))
        path = device.path
        if path is not None and not self.files.exists(path):
            self.gone(path)

    def _refuse_used(self, mdev: MdevCapability) -> None:
        """mdevctl would wait until nobody uses it. Only one may have its group open."""
        try:
            descriptor = os.open(self.files.real(f"/dev/vfio/{mdev.iommu_group}"), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise MdevRefused("device in use") from None
        else:
            os.close(descriptor)

    async def define_mdev(self, device: NodeDevice) -> None:
        known = self.find(device.name or "")
        if known is not None and known.definition is not None:
            await self._run(modify_command(device, self._addresses(), defined=True, autostart=known.autostart))
        else:
            await self._run(command(Operation.DEFINE, device, self._addresses()))

    async def undefine_mdev(self, device: NodeDevice) -> None:
        await self._run(command(Operation.UNDEFINE, device, {}))

    async def change_mdev(self, device: NodeDevice) -> None:
        await self._run(modify_command(device, self._addresses(), live=True))

    async def mark_mdev(self, device: NodeDevice, autostart: bool) -> None:
        await self._run(autostart_command(device, autostart))
