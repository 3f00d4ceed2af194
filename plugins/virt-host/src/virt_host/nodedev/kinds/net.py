"""Network interfaces."""

from __future__ import annotations

from virt_host.nodedev.kernel_device import KernelDevice, digits
from virt_host.nodedev.kinds import Described, Host, NotShown, name_of
from virtcore.model.interface.link import InterfaceLink, LinkState
from virtcore.model.nodedev import NetCapability, NetFeature, NetTechnology

__all__ = ["card"]


def card(device: KernelDevice, host: Host) -> Described:
    name = device.property("INTERFACE")
    if name is None:
        raise NotShown
    address = device.attribute("address")
    capability = NetCapability(
        interface=name,
        address=address,
        link=_link(device),
        features=[NetFeature(name=feature) for feature in host.features(name)],
        technology=NetTechnology.WLAN if device.type == "wlan" else NetTechnology.ETHERNET,
    )
    return Described(name_of(device, address), capability)


def _link(device: KernelDevice) -> InterfaceLink:
    text = device.files.text(f"{device.path}/operstate")
    if text is None:
        raise NotShown
    state = LinkState(text)
    # What a driver says of the speed of a link that is not up is worth nothing.
    speed = device.files.text(f"{device.path}/speed") if state is LinkState.UP else None
    return InterfaceLink(speed=None if speed is None else digits(speed), state=state)
