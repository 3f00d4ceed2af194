"""Network interfaces that are functions of a card of the host (SR-IOV)."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from virt_qemu.host_side.hostdevs import give_pci, guest_driver, take_pci
from virtcore.errors import ConfigUnsupported, InternalError, VirtError
from virtcore.model.domain.addresses.pci import spell
from virtcore.model.domain.interface import HostdevInterfaceSource, InterfacePCIAddress

if TYPE_CHECKING:
    from pathlib import Path

    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virtcore.model.domain.interface import Interface

__all__ = ["function_address", "function_driver", "give_function", "take_function"]

log = logging.getLogger(__name__)


def function_address(interface: Interface) -> str | None:
    """Address of the PCI device that an interface is; None of one that is none."""
    source = interface.actual.source if interface.actual is not None else interface.source
    if isinstance(source, HostdevInterfaceSource) and isinstance(source.address, InterfacePCIAddress):
        return spell(source.address)
    return None


def _note(owner: Owner, address: str) -> Path:
    """Where the former settings of a function are kept while a guest has it."""
    return owner.folder / f"function-{address}"


async def function_driver(side: HostSide, interface: Interface) -> str | None:
    """The driver that an interface's function is to be given to (see :func:`guest_driver`)."""
    address = function_address(interface)
    managed = interface.actual.managed if interface.actual is not None else interface.managed
    return None if address is None else await guest_driver(side, address, bool(managed))


def take_function(side: HostSide, owner: Owner, interface: Interface, driver: str | None) -> None:
    """Give a function to a guest, with the guest's MAC address and VLAN. Blocks.

    :param driver: of the host that lends it to guests; None: one has it already.

    :raises VirtError: it is none of SR-IOV, in use, or stays with the host.
    """
    from virt_host.links import netlink

    address = function_address(interface)
    if interface.mac is None or interface.mac.address is None:
        raise InternalError("a network interface was not completed")
    place = side.devices.virtual_function(address) if address is not None else None
    if place is None or address is None:
        raise ConfigUnsupported("Interface type hostdev is currently supported on SR-IOV Virtual Functions only")
    vlan = interface.actual.vlan if interface.actual is not None and interface.actual.vlan else interface.vlan
    if vlan is not None and (vlan.trunk or len(vlan.tags) != 1):
        raise ConfigUnsupported("vlan trunking is not supported by SR-IOV network devices")
    take_pci(side, owner, address, driver)
    before = netlink.function_settings(*place)
    _note(owner, address).write_text(json.dumps([*place, *before]))
    netlink.set_function(*place, interface.mac.address, vlan.tags[0].id if vlan is not None else 0)


def give_function(side: HostSide, owner: Owner, interface: Interface) -> None:
    """Give a function back, with the settings it had. Blocks."""
    from virt_host.links import netlink

    address = function_address(interface)
    if address is None:
        return
    note = _note(owner, address)
    try:
        card, number, mac, vlan = json.loads(note.read_text())
        netlink.set_function(card, number, mac, vlan)
    except FileNotFoundError:
        pass  # nothing was changed
    except (ValueError, VirtError) as error:
        log.warning("the settings of %s are not what they were: %s", address, error)
    note.unlink(missing_ok=True)
    managed = interface.actual.managed if interface.actual is not None else interface.managed
    give_pci(side, owner, address, bool(managed))
