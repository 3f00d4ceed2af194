"""Validation of one device that is the same for every driver (``virDomainDeviceDefValidateInternal``).

The checks stand in a module per family, imported with the first device that needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.address import UnassignedAddress
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules.context import DomainContext

__all__ = ["validate_device"]

Check = Callable[[object, "Domain"], None]

# Name of the element, and where its check is.
_CHECKS = {
    "channel": "chardev_validate.validate_channel",
    "console": "chardev_validate.validate_port",
    "controller": "controller_validate.validate_controller",
    "disk": "disk_validate.validate_disk",
    "filesystem": "misc_validate.validate_filesystem",
    "graphics": "display_validate.validate_graphics",
    "hostdev": "hostdev_validate.validate_hostdev",
    "input": "display_validate.validate_input",
    "interface": "hostdev_validate.validate_interface",
    "iommu": "misc_validate.validate_iommu_device",
    "memory": "memory_validate.validate_memory_device",
    "parallel": "chardev_validate.validate_port",
    "pstore": "misc_validate.validate_pstore",
    "redirdev": "chardev_validate.validate_redirdev",
    "rng": "chardev_validate.validate_rng",
    "serial": "chardev_validate.validate_port",
    "shmem": "misc_validate.validate_shmem",
    "smartcard": "chardev_validate.validate_smartcard",
    "sound": "display_validate.validate_sound",
    "tpm": "misc_validate.validate_tpm",
    "video": "display_validate.validate_video",
    "vsock": "misc_validate.validate_vsock",
}

_known: dict[type, Check] = {}


def validate_device(device: object, domain: Domain, context: DomainContext) -> None:
    """Refuses a device that no driver could provide.

    :raises VirtError: why; its path is relative to the device.
    """
    check = _known.get(type(device)) or _find(type(device))
    check(device, domain)


def _find(kind: type) -> Check:
    """The check for a class of devices; noted for the next one."""
    name = declaration(kind).name or ""
    own: Check | None = None
    if name in _CHECKS:
        module, _, function = _CHECKS[name].partition(".")
        own = getattr(import_module(f"virtcore.model.domain.rules.{module}"), function)
    if name == "hostdev" and own is not None:
        found = own
    else:

        def found(device: object, domain: Domain) -> None:
            if type(getattr(device, "address", None)) is UnassignedAddress:
                raise ConfigUnsupported(
                    "address of type 'unassigned' is supported only for hostdevs", path="address/@type"
                )
            if own is not None:
                own(device, domain)

    _known[kind] = found
    return found
