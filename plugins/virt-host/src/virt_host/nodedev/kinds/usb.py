"""USB devices and their interfaces."""

from __future__ import annotations

from virt_host.nodedev.kernel_device import KernelDevice, digits
from virt_host.nodedev.kinds import Described, Host, NotShown, name_of
from virtcore.model.nodedev import USBDeviceCapability, USBInterfaceCapability, USBProduct, USBVendor

__all__ = ["device", "interface"]


def _known(device: KernelDevice, key: str, base: int) -> int:
    text = device.property(key)
    if text is None:
        raise NotShown
    return digits(text, base)


def device(device: KernelDevice, host: Host) -> Described:
    bus, number = _known(device, "BUSNUM", 10), _known(device, "DEVNUM", 10)
    vendor, product = _known(device, "ID_VENDOR_ID", 16), _known(device, "ID_MODEL_ID", 16)
    capability = USBDeviceCapability(
        bus=bus,
        device=number,
        product=USBProduct(id=product, name=device.property("ID_MODEL_FROM_DATABASE") or device.attribute("product")),
        vendor=USBVendor(
            id=vendor, name=device.property("ID_VENDOR_FROM_DATABASE") or device.attribute("manufacturer")
        ),
    )
    return Described(name_of(device), capability)


def interface(device: KernelDevice, host: Host) -> Described:
    names = ("bInterfaceNumber", "bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol")
    number, class_, subclass, protocol = (device.number(name, 16) or 0 for name in names)
    capability = USBInterfaceCapability(number=number, class_=class_, subclass=subclass, protocol=protocol)
    return Described(name_of(device), capability)
