"""How devices join a running guest."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from virt_qemu.command import characters, controllers, devices as small, hostdevs, memory, networks, peripherals
from virt_qemu.command.filesystems import add_filesystem
from virt_qemu.hotplug import disks
from virt_qemu.hotplug.find import find
from virt_qemu.hotplug.join import Add, join
from virt_qemu.hotplug.plan import Step
from virt_qemu.hotplug.session import kind_of
from virt_qemu.live_status import take_devices
from virtcore.driver.toolkit.configuration.devices import (
    LoadedDevice,
    check_alias,
    check_boot_order,
    same_device,
)
from virtcore.errors import (
    ConfigUnsupported,
    DeviceMissing,
    OperationFailed,
    OperationInvalid,
    OperationUnsupported,
    VirtError,
)
from virtcore.model.domain.addresses.pci import spell
from virtcore.model.domain.chardev import Channel, Console, ConsoleTargetType, HostPath, Parallel, PTYChardev, Serial
from virtcore.model.domain.controller import SCSIController
from virtcore.model.domain.filesystem import FilesystemDriverType
from virtcore.model.domain.hostdev import (
    HostdevMode,
    MdevHostdev,
    PCIHostdev,
    SCSIAdapterSource,
    SCSIHostdev,
    USBHostdev,
)
from virtcore.model.domain.input import EvdevInputSource, InputBus
from virtcore.model.domain.interface import InterfaceType
from virtcore.model.domain.memory_device import SGXEPC
from virtcore.model.domain.watchdog import WatchdogModel

if TYPE_CHECKING:
    from virt_qemu.hotplug.builder import PlanBuilder
    from virt_qemu.hotplug.session import Session

__all__ = ["plug", "refresh_devices"]

log = logging.getLogger(__name__)


async def plug(session: Session, loaded: LoadedDevice) -> None:
    """Let a device join a guest (``qemuDomainAttachDeviceLive``).

    :param loaded: as it was read, completed and checked.
    :raises VirtError: it is refused, here or by QEMU; the guest is as it was.
    """
    from virtcore.operations.events import DomainDeviceAddedEvent

    way = _WAYS.get(loaded.kind)
    if way is None:
        raise OperationUnsupported(f"live attach of device '{loaded.kind}' is not supported")
    check_boot_order(session.domain, loaded.device)
    check_alias(session.domain, loaded.device)
    name = await way(session, loaded)
    if name is not None:
        session.tell(DomainDeviceAddedEvent(session.obj.ref, name))


async def refresh_devices(session: Session) -> None:
    """Note which devices QEMU has. What has gone has gone, though QEMU does not say so."""
    try:
        found = await session.monitor.execute("qom-list", {"path": "/machine/peripheral"})
    except VirtError as error:
        log.warning("%s: %s", session.obj.name, error)
    else:
        take_devices(session.guest.status, found)


def _plain(add: Callable[[PlanBuilder, Any], None]) -> Callable[[Session, LoadedDevice], Awaitable[str | None]]:
    """The way of devices that need nothing but being added."""

    async def way(session: Session, loaded: LoadedDevice) -> str | None:
        await join(session, loaded, lambda builder, device, boot: add(builder, device))
        return loaded.alias

    return way


def _bootable(add: Add) -> Callable[[Session, LoadedDevice], Awaitable[str | None]]:
    """The same of those that guests boot from."""

    async def way(session: Session, loaded: LoadedDevice) -> str | None:
        await join(session, loaded, add)
        return loaded.alias

    return way


async def _controller(session: Session, loaded: LoadedDevice) -> str | None:
    device = loaded.device
    if not isinstance(device, SCSIController):
        raise OperationUnsupported(f"'{kind_of(device)}' controller cannot be hot plugged.")
    present = [one.index or 0 for one in session.devices.controllers if isinstance(one, SCSIController)]
    if device.index is None:
        device.index = next(index for index in range(len(present) + 1) if index not in present)
    if device.index in present:
        raise OperationFailed(f"target scsi:{device.index} already exists")
    await join(session, loaded, lambda builder, device, boot: controllers.add_controller(builder, device))
    return loaded.alias


#: What interfaces can be connected to while a guest runs.
_INTERFACES = (
    InterfaceType.BRIDGE,
    InterfaceType.NETWORK,
    InterfaceType.DIRECT,
    InterfaceType.ETHERNET,
    InterfaceType.VHOSTUSER,
    InterfaceType.USER,
    InterfaceType.VDPA,
)


async def _interface(session: Session, loaded: LoadedDevice) -> str | None:
    def add(builder: PlanBuilder, device: Any, boot: dict[int, int]) -> None:
        # Only the network knows what one that is in it is connected to: it was asked meanwhile.
        kind = networks.actual_type(device) or InterfaceType.USER
        if kind is InterfaceType.HOSTDEV:
            networks.add_host_function(builder, device, boot)
            return
        if kind not in _INTERFACES:
            raise OperationUnsupported(f"hotplug of interface type of {kind} is not implemented yet")
        networks.add_interface(builder, device, boot)
        if device.link == "down":
            builder.plan.devices.append(Step("set_link", {"name": device.alias, "up": False}))

    await join(session, loaded, add)
    return loaded.alias


def _what(device: Any) -> str:
    """A device of the host, as errors call it."""
    if isinstance(device, MdevHostdev):
        return f"mediated device {device.uuid}"
    where = device.source.address if device.source is not None and hasattr(device.source, "address") else None
    if isinstance(device, PCIHostdev):
        return f"PCI device {spell(where)}" if where is not None else "PCI device"
    if isinstance(device, USBHostdev):
        return f"USB device {where.bus:03}:{where.device:03}" if where is not None else "USB device"
    if isinstance(device.source, SCSIAdapterSource) and where is not None:
        host = (device.source.adapter or "").removeprefix("scsi_host")
        return f"SCSI device {host}:{where.bus}:{where.target}:{where.unit}"
    return "device"


async def _hostdev(session: Session, loaded: LoadedDevice) -> str | None:
    device = loaded.device
    mode = kind_of(device)
    if mode != HostdevMode.SUBSYSTEM:
        raise ConfigUnsupported(f"hotplug is not supported for hostdev mode '{mode}'")
    try:
        find(session, loaded)
    except DeviceMissing:
        pass
    else:
        raise OperationInvalid(f"{_what(device)} is in use by driver QEMU, domain {session.obj.name}")
    if not isinstance(device, SCSIHostdev):
        await join(session, loaded, hostdevs.add_hostdev)
        return loaded.alias
    await disks.add_missing_controllers(session, device)
    disks.number_hostdev(session, device)

    def add(builder: PlanBuilder, device: Any, boot: dict[int, int]) -> None:
        builder.hostdev_nodes = {id(device): disks.hostdev_number(device)}
        hostdevs.add_hostdev(builder, device, boot)

    await join(session, loaded, add)
    return loaded.alias


_PORTS: dict[type, Callable[[PlanBuilder, Any], None]] = {
    Serial: characters.add_serial,
    Parallel: characters.add_parallel,
    Console: characters.add_console,
    Channel: characters.add_channel,
}


async def _character_device(session: Session, loaded: LoadedDevice) -> str | None:
    device = loaded.device
    if isinstance(device, Console) and (device.target is None or device.target.type is ConsoleTargetType.SERIAL):
        raise ConfigUnsupported("unsupported console target type serial")
    if any(same_device(one, device) for one in getattr(session.devices, loaded.field)):
        raise OperationInvalid("chardev already exists")
    add = _PORTS[type(device)]
    told = await join(session, loaded, lambda builder, device, boot: add(builder, device))
    answer = told.get("chardev-add")
    path = answer.get("pty") if isinstance(answer, dict) else None
    if isinstance(path, str) and isinstance(device.source, PTYChardev | None):
        device.source = device.source or PTYChardev()
        device.source.source = HostPath(path=path)
    session.obj.touch()
    return loaded.alias


async def _memory(session: Session, loaded: LoadedDevice) -> str | None:
    from virt_qemu.hotplug.memory import grown, refresh_memory, room_for

    device, domain = loaded.device, session.domain
    if isinstance(device, SGXEPC):
        raise ConfigUnsupported("memory device of model 'sgx-epc' cannot be hotplugged")
    memory.align_module(domain, device)
    room_for(domain, device)
    await join(session, loaded, lambda builder, device, boot: memory.add_module(builder, device))
    grown(domain, device.target.size or 0)
    await refresh_memory(session)
    return f"mem{device.alias}"  # libvirt tells the name of what is behind it


async def _watchdog(session: Session, loaded: LoadedDevice) -> str | None:
    device, present = loaded.device, session.devices.watchdogs
    if device.model is not WatchdogModel.I6300ESB:
        raise OperationUnsupported(f"hotplug of watchdog model '{device.model}' is not supported")

    def add(builder: PlanBuilder, device: Any, boot: dict[int, int]) -> None:
        if not present:
            # All watchdogs of a guest do the same: what that is was settled with the first.
            action = small.watchdog_action(device)
            if session.capabilities.has("set-action"):
                builder.plan.backend.append(Step("set-action", {"watchdog": action}))
            else:
                builder.plan.backend.append(Step("watchdog-set-action", {"action": action}))
        small.add_watchdog(builder, device)

    await join(session, loaded, add)
    return loaded.alias


async def _input(session: Session, loaded: LoadedDevice) -> str | None:
    device = loaded.device
    if device.bus not in (InputBus.USB, InputBus.VIRTIO) and not isinstance(device.source, EvdevInputSource):
        raise OperationUnsupported(f"input device on bus '{device.bus}' cannot be hot plugged.")
    await join(session, loaded, lambda builder, device, boot: small.add_input(builder, device))
    return loaded.alias


async def _vsock(session: Session, loaded: LoadedDevice) -> str | None:
    if session.devices.vsock is not None:
        raise OperationUnsupported("the domain already has a vsock device")
    await join(session, loaded, lambda builder, device, boot: peripherals.add_vsock(builder))
    return loaded.alias


async def _filesystem(session: Session, loaded: LoadedDevice) -> str | None:
    device = loaded.device
    if device.driver is None or device.driver.type is not FilesystemDriverType.VIRTIOFS:
        raise OperationUnsupported("only virtiofs filesystems can be hotplugged")
    await join(session, loaded, add_filesystem)
    return loaded.alias


async def _lease(session: Session, loaded: LoadedDevice) -> str | None:
    with session.host.open() as opened:
        await session.host.prepare(session.guest, session.joined(loaded), loaded.device, opened)
    session.devices.leases.append(loaded.device)
    session.obj.touch()
    return None


#: What messages call a kind of device -> how such devices join; returns the name that the event tells.
_WAYS: dict[str, Callable[[Session, LoadedDevice], Awaitable[str | None]]] = {
    "disk": disks.plug_disk,
    "controller": _controller,
    "lease": _lease,
    "interface": _interface,
    "hostdev": _hostdev,
    "redirdev": _bootable(peripherals.add_redirdev),
    "chr": _character_device,
    "rng": _plain(small.add_rng),
    "memory": _memory,
    "shmem": _plain(peripherals.add_shmem),
    "watchdog": _watchdog,
    "input": _input,
    "vsock": _vsock,
    "filesystem": _filesystem,
}
