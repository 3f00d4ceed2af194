"""The devices of a host that does not exist: adapters of a storage network, on which virtual ones can be made; and what
a file describes, of which mediated devices can be parts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtcore.driver.service import DriverService
from virtcore.driver.toolkit.mdevs import MakingNodeDevices, MdevDevices, MdevRefused
from virtcore.driver.toolkit.nodedevs import NodeDeviceObject
from virtcore.errors import InternalError, VirtError
from virtcore.model.nodedev import (
    FCHostCapability,
    MdevCapability,
    MdevType,
    MdevTypesCapability,
    NodeDevice,
    ParentDevice,
    SCSIHostCapability,
    load_node_device,
)
from virtcore.operations.declare import inline
from virtcore.types import NodeDeviceRef

if TYPE_CHECKING:
    from virtcore.builtin.test.driver import TestDriver

__all__ = ["TestDevices", "TestNodeDevices"]

#: What every default host has.
DEFAULT_DEVICES = (
    """\
<device>
  <name>computer</name>
  <capability type='system'>
    <hardware>
      <vendor>Libvirt</vendor>
      <version>Test driver</version>
      <serial>123456</serial>
      <uuid>11111111-2222-3333-4444-555555555555</uuid>
    </hardware>
    <firmware>
      <vendor>Libvirt</vendor>
      <version>Test Driver</version>
      <release_date>01/22/2007</release_date>
    </firmware>
  </capability>
</device>
""",
    """\
<device>
  <name>scsi_host1</name>
  <parent>computer</parent>
  <capability type='scsi_host'>
    <host>1</host>
    <unique_id>0</unique_id>
    <capability type='fc_host'>
      <wwnn>2000000012341234</wwnn>
      <wwpn>1000000012341234</wwpn>
      <fabric_wwn>2000000043214321</fabric_wwn>
    </capability>
    <capability type='vport_ops'/>
  </capability>
</device>
""",
    """\
<device>
  <name>scsi_host2</name>
  <parent>computer</parent>
  <capability type='scsi_host'>
    <host>2</host>
    <unique_id>1</unique_id>
    <capability type='fc_host'>
      <wwnn>2000000056785678</wwnn>
      <wwpn>1000000056785678</wwpn>
      <fabric_wwn>2000000087658765</fabric_wwn>
    </capability>
    <capability type='vport_ops'/>
  </capability>
</device>
""",
    """\
<device>
  <name>scsi_host11</name>
  <parent>scsi_host1</parent>
  <capability type='scsi_host'>
    <host>11</host>
    <unique_id>10</unique_id>
    <capability type='fc_host'>
      <wwnn>2000000034563456</wwnn>
      <wwpn>1000000034563456</wwpn>
      <fabric_wwn>2000000043214321</fabric_wwn>
    </capability>
  </capability>
</device>
""",
)

_SCSI_HOST = re.compile("scsi_host([0-9]{1,9})")


class TestDevices(MdevDevices):
    """The devices of one state of the test driver; nothing of them survives.

    :param documents: those of a host that a file describes; None for the default host's.
    """

    __test__ = False  # no test case, whatever its name

    def __init__(self, documents: Sequence[str] | None) -> None:
        super().__init__()
        for text in DEFAULT_DEVICES if documents is None else documents:
            self.adopt(NodeDeviceObject(load_node_device(text)))

    def create_vport(self, wwnn: str, wwpn: str, parent: ParentDevice | None = None) -> NodeDeviceObject:
        """Make a virtual adapter, as the next SCSI host.

        :param parent: what is said of its parent.
        :raises InternalError: it cannot be made there.
        """
        on = self.vport_parent("new device", parent)
        number = max(self._numbers(), default=-1) + 1
        fabric = None if on.adapter is None else on.adapter.fabric_wwn
        host = SCSIHostCapability(
            # libvirt's driver leaves it the numbers of the SCSI host before.
            host=number - 1,
            unique_id=number - 2 if number > 1 else None,
            capabilities=[FCHostCapability(wwnn=wwnn, wwpn=wwpn, fabric_wwn=fabric)],
        )
        made = NodeDevice(name=f"scsi_host{number}", parent=ParentDevice(name=on.name), capabilities=[host])
        obj = NodeDeviceObject(made, persistent=False)
        self.add(obj)
        return obj

    def _numbers(self) -> list[int]:
        matches = (_SCSI_HOST.fullmatch(obj.name) for obj in self)
        return [int(match[1]) for match in matches if match is not None]

    def remove_vport(self, name: str) -> None:
        """Remove a virtual adapter, if somebody has not done so already."""
        obj = self.find(name)
        if obj is not None:
            self.remove(obj)

    # -- mediated devices: beside the table there are only the instances that their parents have

    async def start_mdev(self, device: NodeDevice, *, defined: bool = False) -> None:
        known = self.find(device.name or "")
        if known is not None and known.active:
            raise MdevRefused(f"'{known.name}' is there already")
        parent, kind = self._kind(device)
        if kind.available_instances < 1:
            raise MdevRefused(f"no more instances of type '{kind.id}'")
        kind.available_instances -= 1
        self.change(parent, parent.device)

    async def stop_mdev(self, device: NodeDevice) -> None:
        parent, kind = self._kind(device)
        kind.available_instances += 1
        self.change(parent, parent.device)

    def _kind(self, device: NodeDevice) -> tuple[NodeDeviceObject, MdevType]:
        """The parent of a mediated device, and what it says of the device's type."""
        mdev = device.capability(MdevCapability)
        assert mdev is not None  # it is a mediated one
        assert device.parent is not None
        parent = self.find(device.parent.name or "")
        if parent is None:
            raise MdevRefused(f"device '{device.parent.name}' has gone")
        for capability in parent.device.capabilities:
            for part in getattr(capability, "capabilities", ()):
                for kind in part.types if isinstance(part, MdevTypesCapability) else ():
                    if kind.id == mdev.type_id:
                        return parent, kind
        raise MdevRefused(f"device '{parent.name}' has no type '{mdev.type_id}'")

    async def define_mdev(self, device: NodeDevice) -> None:
        """There is nothing beside the table."""

    async def undefine_mdev(self, device: NodeDevice) -> None:
        """There is nothing beside the table."""

    async def change_mdev(self, device: NodeDevice) -> None:
        """There is nothing beside the table."""

    async def mark_mdev(self, device: NodeDevice, autostart: bool) -> None:
        """There is nothing beside the table."""


class TestNodeDevices(MakingNodeDevices, DriverService):
    """Devices of the test driver's host, with the refusals of libvirt's."""

    __test__ = False  # no test case, whatever its name

    nodedev_prefix = "test"
    virt_type = "test"
    driver: TestDriver

    @property
    def devices(self) -> TestDevices:  # type: ignore[override]  # shared by the connections of a state
        """The table."""
        return self.driver.state.devices

    @inline
    def node_device_capabilities(self, device: NodeDeviceRef) -> list[str]:
        return [str(kind) for kind in self.device(device).device.kinds(parts=False)]

    def unsupported(self) -> VirtError:
        return InternalError("Device is not a fibre channel HBA")

    async def create_adapter(self, device: NodeDevice) -> NodeDeviceObject:
        adapter = NodeDeviceObject(device).adapter
        if adapter is None:
            raise self.unsupported()
        assert adapter.wwnn is not None  # completion requires both
        assert adapter.wwpn is not None
        return self.devices.create_vport(adapter.wwnn, adapter.wwpn, device.parent)

    async def remove_adapter(self, obj: NodeDeviceObject) -> None:
        if obj.adapter is None:
            raise self.unsupported()
        parent = obj.device.parent
        name = None if parent is None else parent.name
        if name is None or self.devices.find(name) is None:
            raise InternalError(f"cannot find parent '{name or '(null)'}' definition")
        self.devices.remove(obj)
