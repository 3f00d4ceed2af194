"""Devices of the host that are given to the guest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from virt_qemu.command.address import device_address, place, scsi_address, virtio
from virt_qemu.command.line import Builder, switch
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.address import UnassignedAddress
from virtcore.model.domain.addresses.pci import spell
from virtcore.model.domain.hostdev import (
    ISCSISource,
    MdevHostdev,
    MdevModel,
    PCIHostdev,
    SCSIAdapterSource,
    SCSIHostdev,
    USBGuestReset,
    USBHostdev,
    VHostSCSIHostdev,
)

if TYPE_CHECKING:
    from virtcore.model.domain.hostdev import Hostdev
    from virtcore.model.domain.interface import Interface

__all__ = ["add_hostdev", "add_hostdevs", "rom"]


def rom(device: Hostdev | Interface) -> dict[str, object]:
    """What is done about a device's expansion ROM."""
    return {
        "rombar": int(device.rom_bar) if device.rom_bar is not None else None,
        "romfile": "" if device.rom_enabled is False else device.rom_file,
    }


def add_hostdevs(builder: Builder, boot: Mapping[int, int]) -> None:
    """Devices of the host.

    :param boot: id of a device -> its place in the boot order.
    """
    devices = builder.domain.devices
    assert devices is not None
    for device in devices.hostdevs:
        add_hostdev(builder, device, boot)


def add_hostdev(builder: Builder, device: Hostdev, boot: Mapping[int, int]) -> None:
    """A device of the host; see :func:`add_hostdevs`."""
    place_ = boot.get(id(device))
    if isinstance(device.address, UnassignedAddress):
        return
    if isinstance(device, PCIHostdev):
        builder.device(_pci(builder, device, place_))
    elif isinstance(device, USBHostdev):
        builder.device(_usb(device, place_) | place(builder, device))
    elif isinstance(device, SCSIHostdev):
        _add_scsi(builder, device, place_)
    elif isinstance(device, VHostSCSIHostdev):
        model = str(device.model) if device.model not in (None, "default") else None
        builder.device(
            virtio("vhost-scsi", device, model)
            | {
                "wwpn": device.source.wwpn if device.source is not None else None,
                "vhostfd": str(builder.resources.vhost_scsi()),
                "id": device.alias,
            }
            | place(builder, device)
        )
    elif isinstance(device, MdevHostdev):
        # QEMU makes its own identifiers on s390 for these.
        builder.device(_mdev(builder, device, place_) | device_address(builder.domain, device))
    else:
        raise ConfigUnsupported("hostdev mode 'capabilities' is not supported in QEMU")


def _pci(builder: Builder, device: PCIHostdev, boot: int | None) -> dict[str, object]:
    if device.source is None or device.source.address is None:
        raise InternalError("a host device was not completed")
    pair = device.teaming.persistent if device.teaming is not None else None
    return (
        {
            "driver": "vfio-pci-nohotplug" if device.ramfb else "vfio-pci",
            "host": spell(device.source.address),
            "id": device.alias,
            "display": switch(device.display),
            "ramfb": True if device.ramfb else None,
            "bootindex": boot,
            "failover_pair_id": pair,
        }
        | place(builder, device)
        | rom(device)
    )


def _usb(device: USBHostdev, boot: int | None) -> dict[str, object]:
    source = device.source
    props: dict[str, object] = {"driver": "usb-host"}
    if source is not None and not source.missing:
        if source.address is None or not (source.address.bus or source.address.device):
            raise InternalError("USB host device is missing bus/device information")
        props["hostdevice"] = f"/dev/bus/usb/{source.address.bus:03d}/{source.address.device:03d}"
    reset = source.guest_reset if source is not None else None
    resets: dict[str, object] = {}
    if reset is USBGuestReset.OFF:
        resets = {"guest-reset": False}
    elif reset is USBGuestReset.UNINITIALIZED:
        resets = {"guest-reset": True, "guest-resets-all": False}
    elif reset is USBGuestReset.ON:
        resets = {"guest-reset": True, "guest-resets-all": True}
    return props | {"id": device.alias, "bootindex": boot} | resets


def _unit(text: str) -> int:
    """The logical unit that an iSCSI name ends with; the first where it ends with none."""
    try:
        return int(text or 0)
    except ValueError:
        raise InternalError(f"cannot parse target for lunStr '{text}'") from None


def _add_scsi(builder: Builder, device: SCSIHostdev, boot: int | None) -> None:
    source = device.source
    node = f"libvirt-{builder.hostdev_nodes[id(device)]}-backend"
    props: dict[str, object]
    if isinstance(source, ISCSISource):
        name, _, unit = (source.name or "").partition("/")
        host = source.hosts[0]
        props = {
            "driver": "iscsi",
            "portal": f"{host.name}:{host.port or 3260}",
            "target": name,
            "lun": _unit(unit),
            "transport": "tcp",
        }
        if source.auth is not None:
            secret = builder.auth_secret(f"{node}-secret0", source.auth)
            props |= {"user": source.auth.username, "password-secret": secret}
        props["initiator-name"] = source.initiator
    else:
        assert isinstance(source, SCSIAdapterSource)
        props = {"driver": "host_device", "filename": f"/dev/{builder.resources.scsi_generic(source)}"}
    builder.json("-blockdev", props | {"node-name": node, "read-only": device.readonly})
    builder.device(
        {
            "driver": "scsi-generic",
            "drive": node,
            "id": device.alias,
            "bootindex": boot,
        }
        | scsi_address(builder, device)
    )


def _mdev(builder: Builder, device: MdevHostdev, boot: int | None) -> dict[str, object]:
    driver = str(device.model)
    if device.model is MdevModel.VFIO_PCI and device.ramfb:
        driver = "vfio-pci-nohotplug"
    return {
        "driver": driver,
        "id": device.alias,
        "sysfsdev": f"/sys/bus/mdev/devices/{device.uuid}",
        "display": switch(device.display),
        "ramfb": True if device.ramfb else None,
        "bootindex": boot,
        "loadparm": builder.loadparm(device.loadparm, boot),
    }
