"""The driver that lends a PCI device to guests: VFIO's own, or the variant that a vendor has for the device."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from virt_host.passthrough import VFIO
from virtcore.errors import InternalError
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_host.passthrough import DeviceTree

__all__ = ["driver_for_guests", "variant_module"]

_MODULES = Path("/lib/modules")
_ALIAS = "alias vfio_pci:"


def variant_module(aliases: Path, device: str) -> str | None:
    """The module of the variant driver that fits a device best; None where none does.

    :param aliases: the file that says which module is for which devices.
    :param device: what the kernel matches modules by, as ``pci:v00008086d...``.
    """
    best: tuple[int, str] | None = None
    try:
        lines = aliases.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(_ALIAS):
            pattern, _, module = line.removeprefix(_ALIAS).partition(" ")
            vague = pattern.count("*")
            # One that says only that it is of VFIO is VFIO's own.
            if module and module != "vfio_pci" and fnmatchcase(device.removeprefix("pci:"), pattern):
                best = min(best or (vague, module), (vague, module))
    return None if best is None else best[1]


async def driver_for_guests(tree: DeviceTree, address: str, wanted: str | None = None) -> str:
    """The driver that lends a device to guests, loaded into the kernel.

    :param wanted: its name; None for the one that fits the device best.
    :raises InternalError: it cannot be loaded.
    """
    if wanted is not None:
        if not tree.has_driver(wanted):
            await _load(wanted)
            if not tree.has_driver(wanted):
                raise InternalError(f"pci driver '{wanted}' supposedly loaded by module '{wanted}' not found in sysfs")
        return wanted
    device = tree.alias(address)
    aliases = _MODULES / os.uname().release / "modules.alias"
    module = None if device is None else await in_thread(variant_module, aliases, device)
    if module is None:
        return await driver_for_guests(tree, address, VFIO)
    if tree.driver_of_module(module) is None:
        await _load(module)
    driver = tree.driver_of_module(module)
    if driver is None:
        raise InternalError(f"module '{module}' does not implement any pci driver")
    return driver


async def _load(module: str) -> None:
    from virt_host.description.program import finish_program
    from virt_host.tools import find_tool

    program = find_tool("modprobe")
    if program is None:
        raise InternalError(f"Failed to load PCI driver module {module}: Cannot find 'modprobe' in path")
    done = await finish_program([program, "-b", "--", module], limit=60)
    if done.status:
        raise InternalError(f"Failed to load PCI driver module {module}: {done.errors.strip()}")
