"""The host's devices as a service: what libvirt's node device driver on udev does."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

from virt_host.description.host_uuid import host_uuid
from virt_host.description.program import finish_program
from virt_host.hostdev_manager import HostdevManager
from virt_host.nodedev.devices import HostNodeDeviceTable, UeventSource
from virt_host.nodedev.features import interface_features
from virt_host.nodedev.kernel_device import HostFiles
from virt_host.nodedev.kinds import Host
from virt_host.nodedev.mdevctl import Command
from virt_host.nodedev.mediated import Mdevctl, Said
from virt_host.nodedev.uevents import UeventSocket
from virt_host.nodedev.vports import CREATE, DELETE, find_adapter, manage_vport
from virt_host.passthrough import DeviceTree
from virt_host.tools import find_tool
from virt_host.vfio import driver_for_guests
from virtcore.driver.base import Place
from virtcore.driver.toolkit.checks import check_flags
from virtcore.driver.toolkit.folders import StateFolders
from virtcore.driver.toolkit.mdevs import MakingNodeDevices, address_of
from virtcore.driver.toolkit.nodedevs import NodeDeviceObject
from virtcore.enums.nodedev import NodeDeviceXMLFlags
from virtcore.errors import ArgumentUnsupported, InternalError, InvalidArg, NoNodeDevice
from virtcore.model.nodedev import NodeDevice, PCICapability, SCSIHostCapability
from virtcore.operations.spellings import canonical_function
from virtcore.runtime.threads import in_thread
from virtcore.types import NodeDeviceRef

__all__ = ["HostNodeDevices"]

_ADAPTER_LIMIT = 60.0
"""Seconds the kernel has to make a virtual adapter."""
_LOOK_EVERY = 0.05


class HostNodeDevices(MakingNodeDevices):
    """Every operation on the devices of this host."""

    name = "nodedev"
    nodedev_prefix = "node"
    #: libvirt takes the vendor of the connection's hypervisor; here one service serves them all.
    virt_type = "QEMU"
    devices: HostNodeDeviceTable

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        files = self.files()
        folders = StateFolders.of(place, self.name)
        host = Host(
            files=files,
            privileged=place.privileged and os.geteuid() == 0,
            features=partial(interface_features, files=files),
            uuid=partial(host_uuid, folders.config),
        )
        self.devices = HostNodeDeviceTable(host, self.mdevctl())
        self.manager = HostdevManager(folders.run.parent / "hostdevmgr")

    # -- what tests have otherwise

    def files(self) -> HostFiles:
        """The host's file system."""
        return HostFiles()

    def mdevctl(self) -> Mdevctl | None:
        """What runs mdevctl; None without it."""
        program = find_tool("mdevctl")
        return None if program is None else partial(_run_mdevctl, program)

    def listen(self) -> UeventSource:
        """Where events come from.

        :raises OSError: there are none.
        """
        return UeventSocket()

    async def open(self) -> None:
        try:
            await self.devices.open(self.listen)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self.devices.close()

    # -- what is shown is as it is now

    async def node_device_xml(self, device: NodeDeviceRef, flags: NodeDeviceXMLFlags | int = 0) -> str:
        await self.devices.refreshed(self.device(device))
        return await super().node_device_xml(device, flags)

    async def node_device_capabilities(self, device: NodeDeviceRef) -> list[str]:
        obj = await self.devices.refreshed(self.device(device))
        return [str(kind) for kind in obj.device.kinds()]

    def _check(self, flags: int, supported: int, operation: str) -> None:
        # The names of libvirt's functions begin with a part of what they are about.
        function = canonical_function(operation).replace("virNodeDevice", "virDevice")
        check_flags(flags, supported, operation, self.nodedev_prefix, function)

    # -- for guests

    def tree(self) -> DeviceTree:
        """The kernel's files about devices that leave the host."""
        return DeviceTree(Path(self.devices.files.real("/sys/bus")))

    def _address(self, ref: NodeDeviceRef) -> str:
        """Address of a PCI device.

        :raises InvalidArg: it is none.
        """
        obj = self.device(ref)
        if obj.device.capability(PCICapability) is None:
            raise InvalidArg(f"device {obj.name} is not a PCI device")
        address = address_of(obj.device)
        assert address is not None  # a PCI device has one
        return address

    async def node_device_detach(self, device: NodeDeviceRef, driver: str | None = None, flags: int = 0) -> None:
        self._check(flags, 0, "node_device_detach")
        if driver == "kvm":
            raise ArgumentUnsupported("'legacy KVM' device assignment is no longer supported on this system")
        files = self.devices.files
        if not files.exists("/dev/vfio/vfio") or not files.entries("/sys/kernel/iommu_groups"):
            raise ArgumentUnsupported("VFIO device assignment is currently not supported on this system")
        address, tree = self._address(device), self.tree()
        wanted = None if driver == "vfio" else driver
        if wanted is None and tree.is_for_guests(address):
            wanted = tree.pci_driver(address)
        found = await driver_for_guests(tree, address, wanted)
        await in_thread(self.manager.detach, tree, address, found)

    async def node_device_reattach(self, device: NodeDeviceRef) -> None:
        address = self._address(device)
        await in_thread(self.manager.reattach, self.tree(), address)

    async def node_device_reset(self, device: NodeDeviceRef) -> None:
        address = self._address(device)
        await in_thread(self.manager.reset, self.tree(), address)

    # -- virtual fibre channel adapters

    async def create_adapter(self, device: NodeDevice) -> NodeDeviceObject:
        adapter = NodeDeviceObject(device).adapter
        if adapter is None:
            raise InternalError("Device is not a fibre channel HBA")
        wwnn, wwpn = adapter.wwnn, adapter.wwpn
        assert wwnn is not None  # completion requires both
        assert wwpn is not None
        on = self.devices.vport_parent("new device", device.parent)
        files, host = self.devices.files, on.device.capability(SCSIHostCapability)
        assert host is not None  # it has virtual adapters
        await in_thread(manage_vport, files, host.host or 0, CREATE, wwnn, wwpn)
        try:
            async with asyncio.timeout(_ADAPTER_LIMIT):
                while True:
                    path = await in_thread(find_adapter, files, wwnn, wwpn)
                    made = None if path is None else await self.devices.look(path)
                    if made is not None:
                        return made
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise NoNodeDevice(
                f"no node device for 'new device' with matching wwnn '{wwnn}' and wwpn '{wwpn}'"
            ) from None

    async def remove_adapter(self, obj: NodeDeviceObject) -> None:
        adapter = obj.adapter
        if adapter is None or adapter.wwnn is None or adapter.wwpn is None:
            raise InternalError("Device is not a fibre channel HBA")
        parent = obj.device.parent
        name = None if parent is None else parent.name
        on = None if name is None else self.devices.find(name)
        if on is None:
            raise InternalError(f"cannot find parent '{name or '(null)'}' definition")
        host = on.device.capability(SCSIHostCapability)
        if host is None:
            raise InternalError(f"Invalid adapter name '{name}' for SCSI pool")
        files, path = self.devices.files, obj.device.path
        await in_thread(manage_vport, files, host.host or 0, DELETE, adapter.wwnn, adapter.wwpn)
        if path is not None and not files.exists(path):
            self.devices.gone(path)


async def _run_mdevctl(program: str, command: Command) -> Said:
    arguments = [program, *command.arguments[1:]]
    stdin = None if command.stdin is None else os.memfd_create("stdin")
    try:
        if stdin is None:
            done = await finish_program(arguments)
        else:
            os.write(stdin, (command.stdin or "").encode())
            os.lseek(stdin, 0, os.SEEK_SET)
            done = await finish_program(arguments, fds={0: stdin})
        return Said(done.output, done.errors, done.status)
    finally:
        if stdin is not None:
            os.close(stdin)
