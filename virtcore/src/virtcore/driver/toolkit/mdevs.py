"""Making devices of the host: virtual fibre channel adapters, and mediated devices, which may have definitions."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

from virtcore.driver.toolkit.nodedevs import NodeDeviceObject, NodeDevices, StatefulNodeDevices
from virtcore.enums.nodedev import (
    NodeDeviceCreateXMLFlags,
    NodeDeviceDefineXMLFlags,
    NodeDeviceEventLifecycleType as Kind,
    NodeDeviceUpdateFlags,
)
from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    OperationInvalid,
    OperationUnsupported,
    ParseFailed,
    VirtError,
)
from virtcore.model.nodedev import (
    APMatrixCapability,
    CapabilityType,
    CSSCapability,
    MdevCapability,
    NodeDevice,
    NodeDeviceContext,
    PartialCapability,
    PCICapability,
    SCSIHostCapability,
    load_node_device,
)
from virtcore.types import NodeDeviceRef

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["MakingNodeDevices", "MdevDevices", "MdevRefused", "address_of"]

_NO_NAME = re.compile("[^0-9A-Za-z]")


class MdevRefused(Exception):
    """The host did not do what was asked of it; the text says why."""


def address_of(device: NodeDevice) -> str | None:
    """How mediated devices name the device they are part of; None where it cannot be one's parent."""
    for capability in device.capabilities:
        if isinstance(capability, PCICapability):
            domain, bus, slot, function = capability.domain, capability.bus, capability.slot, capability.function
            return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
        if isinstance(capability, CSSCapability):
            return f"{capability.cssid:x}.{capability.ssid:x}.{capability.devno:04x}"
        if isinstance(capability, APMatrixCapability):
            return "matrix"
        if isinstance(capability, PartialCapability) and capability.type is CapabilityType.MDEV_TYPES:
            return None if device.path is None else device.path.rpartition("/")[2]
    return None


def _mdev(device: NodeDevice) -> MdevCapability:
    found = device.capability(MdevCapability)
    assert found is not None  # the caller has looked
    return found


class MdevDevices(NodeDevices):
    """Devices of which some are mediated. Hooks tell the host; when they return, it has done it."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = asyncio.Lock()

    async def start_mdev(self, device: NodeDevice, *, defined: bool = False) -> None:
        """Hook: make a mediated device.

        :param defined: as its definition says.
        :raises MdevRefused: the host did not.
        """
        raise MdevRefused("there are no mediated devices here")

    async def stop_mdev(self, device: NodeDevice) -> None:
        """Hook: take a mediated device away. As :meth:`start_mdev`."""
        raise MdevRefused("there are no mediated devices here")

    async def define_mdev(self, device: NodeDevice) -> None:
        """Hook: keep a definition, or replace one. As :meth:`start_mdev`."""
        raise MdevRefused("there are no mediated devices here")

    async def undefine_mdev(self, device: NodeDevice) -> None:
        """Hook: forget a definition. As :meth:`start_mdev`."""
        raise MdevRefused("there are no mediated devices here")

    async def change_mdev(self, device: NodeDevice) -> None:
        """Hook: change the settings of a device that is there. As :meth:`start_mdev`."""
        raise MdevRefused("there are no mediated devices here")

    async def mark_mdev(self, device: NodeDevice, autostart: bool) -> None:
        """Hook: keep whether a device comes with its parent. As :meth:`start_mdev`."""
        raise MdevRefused("there are no mediated devices here")

    def place(self, device: NodeDevice) -> None:
        """Find the parent of a mediated device.

        :raises VirtError: there is none that can be one.
        """
        parent = None if device.parent is None else device.parent.name
        if parent is None:
            raise ConfigUnsupported("missing parent device")
        found = self.find(parent)
        if found is None:
            raise ConfigUnsupported(f"invalid parent device '{parent}'")
        address = address_of(found.device)
        if address is None:
            raise ParseFailed(f"Unable to find address for parent device '{parent}'")
        _mdev(device).parent_addr = address

    def named(self, device: NodeDevice) -> None:
        """Give a mediated device its name, and a UUID where it has none."""
        mdev = _mdev(device)
        mdev.uuid = mdev.uuid or str(uuid4())
        device.name = _NO_NAME.sub("_", f"mdev_{mdev.uuid}_{mdev.parent_addr}")
        device.driver = "vfio_mdev"


async def _asked(work: Awaitable[None], complaint: str) -> None:
    try:
        await work
    except MdevRefused as refusal:
        raise InternalError(f"{complaint}: {refusal}") from None


class MakingNodeDevices(StatefulNodeDevices):
    """Every operation on devices, over :attr:`devices`."""

    #: Whose vendor the world wide names are of that are made up; None: they must be given.
    virt_type: ClassVar[str | None] = None
    devices: MdevDevices

    async def create_adapter(self, device: NodeDevice) -> NodeDeviceObject:
        """Hook: make a virtual fibre channel adapter."""
        raise self.unsupported()

    async def remove_adapter(self, obj: NodeDeviceObject) -> None:
        """Hook: remove a virtual fibre channel adapter."""
        raise self.unsupported()

    def unsupported(self) -> VirtError:
        """The error that says that there is no making or removing such a device."""
        return ConfigUnsupported("Unsupported device type")

    def _load(self, xml: str, validate: bool) -> NodeDevice:
        device = load_node_device(
            xml, validate=validate, context=NodeDeviceContext(create=True, virt_type=self.virt_type)
        )
        if device.capability(MdevCapability) is not None:
            self.devices.place(device)
        return device

    # -- making and removing

    async def connection_create_node_device(self, xml: str, flags: NodeDeviceCreateXMLFlags | int = 0) -> NodeDeviceRef:
        self._check(flags, NodeDeviceCreateXMLFlags.VALIDATE, "connection_create_node_device")
        device = self._load(xml, bool(flags))
        if device.capability(SCSIHostCapability) is not None:
            return (await self.create_adapter(device)).ref
        if device.capability(MdevCapability) is None:
            raise self.unsupported()
        devices = self.devices
        async with devices.lock:
            devices.named(device)
            await _asked(devices.start_mdev(device), "Unable to start mediated device")
            return self._come(device).ref

    def _come(self, device: NodeDevice) -> NodeDeviceObject:
        """A device that was made is there; the host may have told of it already."""
        obj = self.devices.find(device.name or "") or NodeDeviceObject(device, active=False, persistent=False)
        if obj.active:
            return obj
        obj.device = device
        obj.active = True
        self.devices.add(obj)
        return obj

    async def node_device_destroy(self, device: NodeDeviceRef) -> None:
        obj = self.device(device)
        if obj.device.capability(SCSIHostCapability) is not None:
            await self.remove_adapter(obj)
            return
        if obj.device.capability(MdevCapability) is None:
            raise self.unsupported()
        devices = self.devices
        async with devices.lock:
            obj = self.device(device)
            if not obj.active:
                raise OperationInvalid(f"Device '{obj.name}' is not active")
            await _asked(devices.stop_mdev(obj.device), f"Unable to destroy '{obj.name}'")
            if devices.find(obj.name) is not obj or not obj.active:
                return  # the host has told already
            if obj.definition is None:
                devices.remove(obj)
            else:
                obj.active = False
                obj.device = obj.definition
                devices.tell(obj, Kind.DELETED)

    async def node_device_create(self, device: NodeDeviceRef, flags: int = 0) -> None:
        from copy import deepcopy

        self._check(flags, 0, "node_device_create")
        devices = self.devices
        async with devices.lock:
            obj = self.device(device)
            if obj.active:
                raise OperationInvalid("Device is already active")
            assert obj.definition is not None  # or it would not be known
            live = deepcopy(obj.definition)
            await _asked(devices.start_mdev(live, defined=True), "Unable to create mediated device")
            self._come(live)

    # -- definitions

    async def connection_define_node_device(self, xml: str, flags: NodeDeviceDefineXMLFlags | int = 0) -> NodeDeviceRef:
        self._check(flags, NodeDeviceDefineXMLFlags.VALIDATE, "connection_define_node_device")
        device = self._load(xml, bool(flags))
        if device.capability(MdevCapability) is None:
            raise ConfigUnsupported("Unsupported device type")
        devices = self.devices
        async with devices.lock:
            devices.named(device)
            known = devices.find(device.name or "")
            defined = known is not None and known.persistent
            complaint = "Unable to modify mediated device" if defined else "Unable to define mediated device"
            await _asked(devices.define_mdev(device), complaint)
            obj = known or NodeDeviceObject(device, active=False)
            self._define(obj, device)
            devices.adopt(obj)
            if not defined:
                devices.tell(obj, Kind.DEFINED)
            return obj.ref

    def _define(self, obj: NodeDeviceObject, device: NodeDevice) -> None:
        changed = obj.definition is not None and obj.definition != device
        obj.definition = device
        obj.persistent = True
        if not obj.active:
            obj.device = device
        if changed:
            self.devices.change(obj, obj.device)

    async def node_device_undefine(self, device: NodeDeviceRef, flags: int = 0) -> None:
        self._check(flags, 0, "node_device_undefine")
        devices = self.devices
        async with devices.lock:
            obj = self.device(device)
            if not obj.persistent:
                raise OperationInvalid(f"Node device '{obj.name}' is not defined")
            if obj.definition is None:
                raise ConfigUnsupported("Unsupported device type")
            await _asked(devices.undefine_mdev(obj.definition), "Unable to undefine mediated device")
            obj.definition = None
            obj.persistent = obj.autostart = False
            if not obj.active:
                devices.drop(obj)
            devices.tell(obj, Kind.UNDEFINED)

    async def node_device_set_autostart(self, device: NodeDeviceRef, autostart: bool) -> None:
        devices = self.devices
        async with devices.lock:
            obj = self.device(device)
            if obj.device.capability(MdevCapability) is None:
                raise OperationUnsupported("Unsupported device type")
            if not obj.persistent:
                raise OperationInvalid("cannot set autostart for transient device")
            if obj.autostart != autostart:
                await _asked(devices.mark_mdev(obj.device, autostart), f"Unable to set autostart on '{obj.name}'")
                obj.autostart = autostart

    async def node_device_update(self, device: NodeDeviceRef, xml: str, flags: NodeDeviceUpdateFlags | int = 0) -> None:
        self._check(flags, NodeDeviceUpdateFlags.LIVE | NodeDeviceUpdateFlags.CONFIG, "node_device_update")
        self.device(device)
        new = load_node_device(xml, validate=True)
        if new.capability(MdevCapability) is not None:
            self.devices.place(new)
        devices = self.devices
        async with devices.lock:
            obj = self.device(device)
            if new.capability(MdevCapability) is None or obj.device.capability(MdevCapability) is None:
                raise ConfigUnsupported("Unsupported device type")
            live, config = bool(flags & NodeDeviceUpdateFlags.LIVE), bool(flags & NodeDeviceUpdateFlags.CONFIG)
            if not (live or config):
                live, config = obj.active, not obj.active
            if live and not obj.active:
                raise OperationInvalid("node device is not active")
            if config and not obj.persistent:
                raise OperationInvalid("transient node devices do not have any persistent config")
            self._compare(obj, new, live)
            new.name, new.driver = obj.name, obj.device.driver
            if config:
                await _asked(devices.define_mdev(new), "Unable to modify mediated device")
                self._define(obj, new)
            if live:
                await _asked(devices.change_mdev(new), "Unable to modify mediated device")
                _mdev(obj.device).attributes = list(_mdev(new).attributes)
                devices.change(obj, obj.device)

    def _compare(self, obj: NodeDeviceObject, new: NodeDevice, live: bool) -> None:
        """Refuse to make another device of one."""
        old, mdev = _mdev(obj.device), _mdev(new)
        if old.uuid != mdev.uuid:
            # One quote is missing in libvirt's words.
            raise ConfigUnsupported(f"Cannot update device '{obj.name}, uuid mismatch (current uuid '{old.uuid}')")
        if live and old.type_id != mdev.type_id:
            raise ConfigUnsupported(f"Cannot update device '{obj.name}', type mismatch (current type '{old.type_id}')")
        if old.parent_addr != mdev.parent_addr:
            raise ConfigUnsupported(
                f"Cannot update device '{obj.name}', parent address mismatch (current parent address "
                f"'{old.parent_addr}')"
            )
