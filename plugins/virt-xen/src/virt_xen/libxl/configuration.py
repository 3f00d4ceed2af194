"""All of a domain, as libxl is given it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from virt_xen.libxl import devices
from virt_xen.libxl.build import build_information, creation_information
from virt_xen.libxl.resources import PlainResources
from virtcore.model.domain.domain import LifecycleAction

if TYPE_CHECKING:
    from virt_xen.libxl.resources import JSON, Resources
    from virtcore.model.domain.domain import Domain

__all__ = ["domain_configuration", "format_configuration"]

_ACTIONS = {
    LifecycleAction.DESTROY: "destroy",
    LifecycleAction.RESTART: "restart",
    LifecycleAction.RENAME_RESTART: "rename_restart",
    LifecycleAction.PRESERVE: "preserve",
    LifecycleAction.COREDUMP_DESTROY: "coredump_destroy",
    LifecycleAction.COREDUMP_RESTART: "coredump_restart",
}


def domain_configuration(domain: Domain, resources: Resources | None = None) -> dict[str, JSON]:
    """libxl's ``libxl_domain_config``. Ports that the host chooses are set in the domain, too.

    :param domain: completed by :class:`~virt_xen.rules.XenRules`.
    :param resources: the host it starts on; by default one of which nothing is known.
    :raises VirtError: Xen cannot do what the domain asks for.
    """
    resources = resources or PlainResources()
    disks, nics = devices.disks(domain, resources), devices.nics(domain, resources)
    framebuffers = devices.framebuffers(domain, resources)
    controllers, usb = devices.usb(domain)
    keyboards: list[JSON] = [{"devid": -1} for _ in framebuffers]
    found: dict[str, JSON] = {
        "c_info": creation_information(domain),
        "b_info": build_information(domain, resources, framebuffers),
    }
    lists: dict[str, list[JSON]] = {
        "disks": disks,
        "nics": nics,
        "pcidevs": devices.pci(domain),
        "vfbs": [*framebuffers],
        "vkbs": keyboards,
        "channels": devices.channels(domain),
        "usbctrls": controllers,
        "usbdevs": usb,
    }
    found.update({name: values for name, values in lists.items() if values})
    for name, action in (
        ("on_poweroff", domain.on_poweroff),
        ("on_reboot", domain.on_reboot),
        ("on_crash", domain.on_crash),
    ):
        if action not in (None, LifecycleAction.DESTROY):
            found[name] = _ACTIONS[action]
    return found


def format_configuration(configuration: dict[str, JSON]) -> str:
    """The text libxl writes: four blanks a level, and an empty line in what is empty."""
    return _format(configuration, "") + "\n"


def _format(value: JSON, indent: str) -> str:
    inner = indent + "    "
    if isinstance(value, dict):
        items = [f"{inner}{json.dumps(key)}: {_format(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}" + "}"
    if isinstance(value, list):
        items = [inner + _format(item, inner) for item in value]
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)
