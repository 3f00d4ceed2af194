"""The host's devices as a service keeps them: their table, and the operations that look at them.

Devices come and go by themselves; a service adds and removes them as it learns of it. What can be made is in
:mod:`~virtcore.driver.toolkit.mdevs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar, TypeVar

from virtcore.driver.service import ServiceDriver
from virtcore.driver.toolkit.checks import check_flags, select
from virtcore.driver.toolkit.events import EventHub
from virtcore.enums.nodedev import (
    ConnectListAllNodeDeviceFlags as ListFlags,
    NodeDeviceEventLifecycleType,
    NodeDeviceXMLFlags,
)
from virtcore.errors import InternalError, NoNodeDevice, OperationInvalid
from virtcore.model.nodedev import CapabilityType, FCHostCapability, SCSIHostCapability, VportOpsCapability
from virtcore.operations.declare import Result, inline
from virtcore.operations.events import NodeDeviceLifecycleEvent, NodeDeviceUpdateEvent
from virtcore.operations.nodedev import NodeDeviceService
from virtcore.types import NodeDeviceRef

if TYPE_CHECKING:
    from virtcore.driver.base import Subscription
    from virtcore.model.nodedev import NodeDevice, ParentDevice
    from virtcore.operations.events import Event

__all__ = ["NodeDeviceObject", "NodeDevices", "StatefulNodeDevices"]

T = TypeVar("T")


class NodeDeviceObject:
    """One device.

    :ivar device: what it is.
    :ivar active: it is there, not only defined.
    :ivar persistent: it stays, or comes back, by itself.
    :ivar autostart: it comes with the host or its parent.
    :ivar definition: what it will be when it is made anew; None for what is not made from a definition.
    """

    __slots__ = ("active", "autostart", "definition", "device", "persistent")

    def __init__(self, device: NodeDevice, *, active: bool = True, persistent: bool = True) -> None:
        self.device = device
        self.active = active
        self.persistent = persistent
        self.autostart = False
        self.definition: NodeDevice | None = None

    @property
    def name(self) -> str:
        """Unique on its host."""
        assert self.device.name is not None  # completion requires one
        return self.device.name

    @property
    def ref(self) -> NodeDeviceRef:
        """Its reference."""
        return NodeDeviceRef(self.name)

    @property
    def adapter(self) -> FCHostCapability | None:
        """What it is as a fibre channel adapter; None where it is none."""
        return self._of_host(FCHostCapability)

    @property
    def vports(self) -> VportOpsCapability | None:
        """What it is as a parent of virtual adapters; None where it cannot be one."""
        return self._of_host(VportOpsCapability)

    def _of_host(self, kind: type[T]) -> T | None:
        host = self.device.capability(SCSIHostCapability)
        parts = () if host is None else host.capabilities
        return next((part for part in parts if isinstance(part, kind)), None)


class NodeDevices:
    """The devices of one place, by name. Lives in the core loop."""

    def __init__(self) -> None:
        self.events = EventHub()
        self._devices: dict[str, NodeDeviceObject] = {}

    def __iter__(self) -> Iterator[NodeDeviceObject]:
        return iter(self._devices.values())

    def find(self, name: str) -> NodeDeviceObject | None:
        """The device of a name; None when there is none."""
        return self._devices.get(name)

    def by_name(self, name: str) -> NodeDeviceObject:
        """The device of a name.

        :raises NoNodeDevice: there is none.
        """
        found = self._devices.get(name)
        if found is None:
            raise NoNodeDevice(f"no node device with matching name '{name}'")
        return found

    def by_wwn(self, wwnn: str, wwpn: str) -> NodeDeviceObject | None:
        """The SCSI host of a world wide node and port name; None when there is none."""
        for obj in self:
            adapter = obj.adapter
            if adapter is not None and (adapter.wwnn, adapter.wwpn) == (wwnn, wwpn):
                return obj
        return None

    # -- coming and going

    def adopt(self, obj: NodeDeviceObject) -> None:
        """Take over a device that is there already, telling nobody."""
        self._devices[obj.name] = obj

    def add(self, obj: NodeDeviceObject) -> None:
        """A device has come."""
        self.adopt(obj)
        self.tell(obj, NodeDeviceEventLifecycleType.CREATED)

    def remove(self, obj: NodeDeviceObject) -> None:
        """A device has gone."""
        self.drop(obj)
        self.tell(obj, NodeDeviceEventLifecycleType.DELETED)

    def drop(self, obj: NodeDeviceObject) -> None:
        """Forget a device, telling nobody."""
        del self._devices[obj.name]

    def change(self, obj: NodeDeviceObject, device: NodeDevice) -> None:
        """A device is something else now."""
        obj.device = device
        self.events.emit(NodeDeviceUpdateEvent(obj.ref))

    def tell(self, obj: NodeDeviceObject, type: NodeDeviceEventLifecycleType) -> None:
        """Tell of a device's life."""
        self.events.emit(NodeDeviceLifecycleEvent(obj.ref, type))

    # -- virtual fibre channel adapters

    def vport_parent(self, name: str, parent: ParentDevice | None) -> NodeDeviceObject:
        """The adapter on which a virtual one is to be made.

        :param name: of the virtual one, for messages.
        :param parent: what is said of it: its name, its world wide names or its fabric; None takes any.
        :raises InternalError: there is none, or no virtual one can be made on it.
        """
        found: NodeDeviceObject | None
        if parent is not None and parent.name is not None:
            found = self.find(parent.name)
        elif parent is not None and parent.wwnn is not None and parent.wwpn is not None:
            found = self.by_wwn(parent.wwnn, parent.wwpn)
            found = found if found is not None and found.vports else None
        elif parent is not None and parent.fabric_wwn is not None:
            fabric = parent.fabric_wwn
            found = next((obj for obj in self if obj.vports and obj.adapter and obj.adapter.fabric_wwn == fabric), None)
        else:
            found = next((obj for obj in self if obj.vports), None)
            if found is None:
                raise InternalError("Could not find any vport capable device")
        if found is None:
            raise InternalError(f"Could not find parent device for '{name}'")
        if found.vports is None:
            raise InternalError(f"Parent device {found.name} is not capable of vport operations")
        return found


def _kinds(obj: NodeDeviceObject) -> int:
    # The flags are in the order of the kinds.
    order = list(CapabilityType)
    return sum(1 << order.index(kind) for kind in set(obj.device.kinds()))


def _activity(obj: NodeDeviceObject) -> int:
    return ListFlags.ACTIVE if obj.active else ListFlags.INACTIVE


def _persistence(obj: NodeDeviceObject) -> int:
    return ListFlags.PERSISTENT if obj.persistent else ListFlags.TRANSIENT


#: Per group of filter flags: all its bits, and which of them an object has.
_FILTERS = (
    (sum(flag for flag in ListFlags if flag < ListFlags.PERSISTENT), _kinds),
    (ListFlags.ACTIVE | ListFlags.INACTIVE, _activity),
    (ListFlags.PERSISTENT | ListFlags.TRANSIENT, _persistence),
)

_ALL_FILTERS = sum(ListFlags)


class StatefulNodeDevices(ServiceDriver, NodeDeviceService):
    """The operations that look at devices, over :attr:`devices`."""

    #: What libvirt's driver has before its functions' names; occurs in messages.
    nodedev_prefix: ClassVar[str] = "vir"
    devices: NodeDevices

    def device(self, ref: NodeDeviceRef) -> NodeDeviceObject:
        """The object behind a reference.

        :raises NoNodeDevice: it is not (any more) known.
        """
        return self.devices.by_name(ref.name)

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        return self.devices.events.subscribe(deliver)

    def _check(self, flags: int, supported: int, operation: str) -> None:
        check_flags(flags, supported, operation, self.nodedev_prefix)

    @inline
    def connection_list_node_devices(
        self, capability: str | None = None, flags: ListFlags | int = 0
    ) -> list[NodeDeviceRef]:
        self._check(flags, _ALL_FILTERS, "connection_list_node_devices")
        found = select(self.devices, flags, _FILTERS)
        return [obj.ref for obj in found if capability is None or capability in obj.device.kinds()]

    @inline
    def connection_lookup_node_device(
        self, name: str | None = None, wwnn: str | None = None, wwpn: str | None = None, flags: int = 0
    ) -> NodeDeviceRef:
        self._check(flags, 0, "connection_lookup_node_device")
        if name is not None:
            return self.devices.by_name(name).ref
        assert wwnn is not None
        assert wwpn is not None
        found = self.devices.by_wwn(wwnn, wwpn)
        if found is None:
            raise NoNodeDevice
        return found.ref

    async def node_device_xml(self, device: NodeDeviceRef, flags: NodeDeviceXMLFlags | int = 0) -> str:
        from virtcore.model.nodedev import format_node_device

        self._check(flags, NodeDeviceXMLFlags.INACTIVE, "node_device_xml")
        obj = self.device(device)
        if flags & NodeDeviceXMLFlags.INACTIVE:
            if not obj.persistent:
                raise OperationInvalid(f"node device '{obj.name}' is not persistent")
            return format_node_device(obj.definition or obj.device, inactive=True)
        return format_node_device(obj.device, inactive=not obj.active)

    @inline
    def node_device_parent(self, device: NodeDeviceRef) -> str | None:
        parent = self.device(device).device.parent
        return None if parent is None else parent.name

    @inline
    def node_device_capabilities(self, device: NodeDeviceRef) -> Result[list[str]]:
        return [str(kind) for kind in self.device(device).device.kinds()]

    @inline
    def node_device_is_active(self, device: NodeDeviceRef) -> bool:
        return self.device(device).active

    @inline
    def node_device_is_persistent(self, device: NodeDeviceRef) -> bool:
        return self.device(device).persistent

    @inline
    def node_device_autostart(self, device: NodeDeviceRef) -> bool:
        return self.device(device).autostart
