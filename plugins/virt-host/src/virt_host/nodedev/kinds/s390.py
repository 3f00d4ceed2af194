"""Devices of s390: channel devices and subchannels, groups of them, crypto cards."""

from __future__ import annotations

import re

from virt_host.nodedev.kernel_device import KernelDevice
from virt_host.nodedev.kinds import Described, Host, NotShown, name_of, node_name
from virt_host.nodedev.kinds.mdev import mdev_types
from virtcore.model.nodedev import (
    APCardCapability,
    APMatrixCapability,
    APQueueCapability,
    CCWCapability,
    CCWDeviceReference,
    CCWGroupCapability,
    CCWGroupMemberCapability,
    CCWGroupType,
    CCWState,
    ChannelDeviceAddress,
    CSSCapability,
    QethCapability,
)

__all__ = ["ap_card", "ap_matrix", "ap_queue", "ccw", "ccwgroup", "css"]

_ADDRESS = re.compile(r"([0-9a-f]+)\.([0-9a-f]+)\.([0-9a-f]+)", re.IGNORECASE)
_STATES = {0: CCWState.OFFLINE, 1: CCWState.ONLINE}
#: Drivers of subchannels of which something can be made; others serve the channel subsystem itself.
_SUBCHANNEL_DRIVERS = ("io_subchannel", "vfio_ccw")


def _address(text: str) -> tuple[int, int, int]:
    """Channel subsystem, subchannel set and number of a device."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise NotShown
    cssid, ssid, devno = (int(part, 16) for part in found.groups())
    return cssid, ssid, devno


def _state(device: KernelDevice) -> CCWState:
    online = device.number("online")
    if online not in _STATES:
        raise NotShown
    return _STATES[online]


def ccw(device: KernelDevice, host: Host) -> Described:
    cssid, ssid, devno = _address(device.name)
    capability = CCWCapability(state=_state(device), cssid=cssid, ssid=ssid, devno=devno)
    group = device.files.link(f"{device.path}/group_device")
    if group is not None:
        capability.capabilities = [CCWGroupMemberCapability(group_device=node_name(f"ccwgroup_{group}"))]
    return Described(name_of(device), capability)


def css(device: KernelDevice, host: Host) -> Described:
    if device.property("DRIVER") not in _SUBCHANNEL_DRIVERS:
        raise NotShown
    behind = device.attribute("dev_busid")
    cssid, ssid, devno = _address(device.name)
    capability = CSSCapability(cssid=cssid, ssid=ssid, devno=devno)
    if behind is not None and _ADDRESS.fullmatch(behind):  # "none" without a device
        cssid, ssid, devno = _address(behind)
        capability.channel_dev_addr = ChannelDeviceAddress(cssid=cssid, ssid=ssid, devno=devno)
    types = mdev_types(device)
    capability.capabilities = [] if types is None else [types]
    return Described(name_of(device), capability)


def ccwgroup(device: KernelDevice, host: Host) -> Described:
    members = [
        CCWDeviceReference(ref=name, name=node_name(f"ccw_{member}"))
        for name in sorted(device.files.entries(device.path))
        if re.fullmatch(r"cdev\d+", name) and (member := device.files.link(f"{device.path}/{name}")) is not None
    ]
    card = QethCapability(
        type=CCWGroupType(device.type or ""),
        card_type=device.attribute("card_type"),
        chpid=device.attribute("chpid"),
    )
    cssid, ssid, devno = _address(device.name)
    capability = CCWGroupCapability(state=_state(device), cssid=cssid, ssid=ssid, devno=devno)
    capability.members, capability.capabilities = members, [card]
    return Described(name_of(device), capability)


def ap_card(device: KernelDevice, host: Host) -> Described:
    found = re.fullmatch(r"card([0-9a-f]+)", device.name)
    if found is None:
        raise NotShown
    return Described(name_of(device), APCardCapability(adapter=int(found[1], 16)))


def ap_queue(device: KernelDevice, host: Host) -> Described:
    found = re.fullmatch(r"([0-9a-f]+)\.([0-9a-f]+)", device.name)
    if found is None:
        raise NotShown
    return Described(name_of(device), APQueueCapability(adapter=int(found[1], 16), domain=int(found[2], 16)))


def ap_matrix(device: KernelDevice, host: Host) -> Described:
    types = mdev_types(device)
    return Described("ap_matrix", APMatrixCapability(capabilities=[] if types is None else [types]))
