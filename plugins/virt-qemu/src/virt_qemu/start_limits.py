"""What the command line can describe and a start cannot yet bring about on the host: refused at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.line import unsupported
from virt_qemu.command.networks import actual_type
from virtcore.model.domain.interface import Interface, InterfaceType

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["refuse_device", "refuse_unstartable"]


def refuse_unstartable(domain: Domain) -> None:
    """Refuse a guest that needs more of the host than a start prepares.

    :raises ConfigUnsupported: it names what is needed.
    """
    devices = domain.devices
    assert devices is not None
    for device in devices.interfaces:
        refuse_device(device)


def refuse_device(device: object) -> None:
    """Refuse a device that needs more of the host than is prepared, at a start or while the guest runs.

    :raises ConfigUnsupported: it names what is needed.
    """
    if isinstance(device, Interface) and actual_type(device) is InterfaceType.HOSTDEV:
        raise unsupported(f"a network interface of type '{device.type}'")
