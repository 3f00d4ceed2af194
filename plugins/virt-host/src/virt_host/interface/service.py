"""The network interfaces of a host, as libvirt's udev backend has them: looked at, never changed.

libvirt's other backend, netcf, which changes the host's configuration, is in no distribution any more; what only that
has is refused as it is refused there.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar

from virt_host.interface.tree import NetworkTree
from virtcore.driver.service import ServiceDriver
from virtcore.driver.toolkit.checks import check_flags, select
from virtcore.enums.interface import ConnectListAllInterfacesFlags as ListFlags, InterfaceXMLFlags
from virtcore.errors import MultipleInterfaces, NoInterface
from virtcore.operations.interface import InterfaceService
from virtcore.types import InterfaceRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virt_host.interface.tree import NetworkDevice
    from virtcore.driver.base import Place

__all__ = ["HostInterfaces"]


def _ref(device: NetworkDevice) -> InterfaceRef:
    return InterfaceRef(device.name, device.mac)


_ALL = int(ListFlags.ACTIVE | ListFlags.INACTIVE)
_FILTERS = ((_ALL, lambda device: int(ListFlags.ACTIVE if device.up else ListFlags.INACTIVE)),)


class HostInterfaces(ServiceDriver, InterfaceService):
    """The service ``interface``. Everything is read when it is asked for: the kernel may wait for a driver's answer.

    :ivar tree: where the kernel tells of its devices.
    """

    name: ClassVar[str] = "interface"
    error_domain: ClassVar[str] = "INTERFACE"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.tree = NetworkTree()

    def connection_list_interfaces(self, flags: ListFlags | int = 0) -> Sequence[InterfaceRef]:
        check_flags(flags, _ALL, "connection_list_interfaces", "udev")
        return [_ref(device) for device in select(self.tree, flags, _FILTERS)]

    def connection_lookup_interface(self, name: str | None = None, mac: str | None = None) -> InterfaceRef:
        if name is not None:
            return _ref(self.tree.device(name))
        assert mac is not None
        found = [device for device in self.tree if fnmatchcase(device.mac, mac)]  # udev takes a pattern
        if not found:
            raise NoInterface(f"couldn't find interface with MAC address '{mac}'")
        if len(found) > 1:
            raise MultipleInterfaces(f"the MAC address '{mac}' matches multiple interfaces")
        return _ref(found[0])

    def interface_xml(self, interface: InterfaceRef, flags: InterfaceXMLFlags | int = 0) -> str:
        from virtcore.model.interface.document import format_interface

        check_flags(flags, InterfaceXMLFlags.INACTIVE, "interface_xml", "udev")
        return format_interface(self.tree.interface(interface.name))

    def interface_is_active(self, interface: InterfaceRef) -> bool:
        return self.tree.device(interface.name).up
