"""Programs that load a guest's kernel before bhyve runs it: bhyveload, grub-bhyve or one of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virt_bhyve.capabilities import GrubCapability
from virt_bhyve.command import disk_path, guest_name, megabytes, null_modem
from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.disk import DiskDevice
from virtcore.model.domain.os import BootDevice
from virtcore.model.domain.rules.device_list import devices_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virt_bhyve.capabilities import BhyveCapabilities
    from virt_bhyve.command import Resources
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.domain import Domain

__all__ = ["LoaderCommand", "loader_command"]

_DISK_DEVICES = {BootDevice.CDROM: DiskDevice.CDROM, BootDevice.HD: DiskDevice.DISK}


class LoaderCommand(NamedTuple):
    """How a guest is loaded.

    :param argv: the program and its arguments.
    :param device_map: content of the file that grub-bhyve finds its disks in; None for other loaders.
    """

    argv: list[str]
    device_map: str | None = None


def loader_command(
    domain: Domain, capabilities: BhyveCapabilities, resources: Resources, device_map: str
) -> LoaderCommand | None:
    """The words that load a guest; None for a guest that firmware loads.

    :param device_map: path of the file with grub's disks.
    :raises ConfigUnsupported: nothing, or more than one thing, can be booted.
    """
    assert domain.os is not None
    if domain.bootloader is None:
        return None if domain.os.loader is not None else _bhyveload(domain, resources)
    if "grub-bhyve" in domain.bootloader and domain.bootloader_args is None:
        return _grub(domain, capabilities, resources, device_map)
    if domain.bootloader_args is None:
        raise ConfigUnsupported("Custom loader requires explicit bootloader_args configuration")
    return LoaderCommand([domain.bootloader, *domain.bootloader_args.split(" ")])


def _bhyveload(domain: Domain, resources: Resources) -> LoaderCommand:
    disk = _boot_disk(domain, resources)
    if domain.bootloader_args is not None:
        return LoaderCommand(["bhyveload", *domain.bootloader_args.split(" ")])
    path = disk_path(disk, resources)
    if path is None:
        raise ConfigUnsupported("unsupported disk type")
    return LoaderCommand(["bhyveload", "-m", str(megabytes(domain)), "-d", path, guest_name(domain)])


def _grub(domain: Domain, capabilities: BhyveCapabilities, resources: Resources, device_map: str) -> LoaderCommand:
    assert domain.bootloader is not None
    usable = list(_usable(domain, resources))
    ordered = [disk for disk in usable if disk.boot_order]
    if ordered:
        chosen = [min(ordered, key=lambda disk: disk.boot_order or 0)]
    else:
        # The first of each kind; from a CD, if there is one, it boots.
        chosen = [disk for disk in usable if not _is_cd(disk)][:1] + [disk for disk in usable if _is_cd(disk)][:1]
    root = "cd" if chosen and _is_cd(chosen[-1]) else "hd0,msdos1"
    words = [domain.bootloader, "--root", root, "--device-map", device_map, "--memory", str(megabytes(domain))]
    if GrubCapability.CONSDEV in capabilities.grub:
        console = null_modem(domain)
        if console is not None:
            words += ["--cons-dev", console]
    lines = [f"({'cd' if _is_cd(disk) else 'hd0'}) {disk_path(disk, resources) or ''}\n" for disk in chosen]
    return LoaderCommand([*words, guest_name(domain)], "".join(lines))


def _is_cd(disk: Disk) -> bool:
    return disk.device is DiskDevice.CDROM


def _usable(domain: Domain, resources: Resources) -> Iterator[Disk]:
    """The disks a guest can be loaded from."""
    for disk in devices_of(domain).disks:
        if disk.device in (None, DiskDevice.DISK, DiskDevice.CDROM) and _has_path(disk, resources):
            yield disk


def _has_path(disk: Disk, resources: Resources) -> bool:
    try:
        disk_path(disk, resources)
    except ConfigUnsupported:
        # What bhyve itself says to it, it says when it is run.
        return False
    return True


def _boot_disk(domain: Domain, resources: Resources) -> Disk:
    assert domain.os is not None
    if not devices_of(domain).disks:
        raise ConfigUnsupported("Domain should have at least one disk defined")
    boot = domain.os.boot
    if len(boot) > 1:
        raise ConfigUnsupported("Only one boot device is supported")
    usable = list(_usable(domain, resources))
    if boot:
        if boot[0] not in _DISK_DEVICES:
            raise ConfigUnsupported(f"Cannot boot from device {boot[0]}")
        wanted = _DISK_DEVICES[boot[0]]
        found = next((disk for disk in usable if (disk.device or DiskDevice.DISK) is wanted), None)
        if found is None:
            raise ConfigUnsupported(f"Cannot find boot device of requested type {boot[0]}")
        return found
    ordered = [disk for disk in usable if disk.boot_order]
    if len(ordered) > 1:
        raise ConfigUnsupported("Only one boot device is supported")
    if not usable:
        raise ConfigUnsupported("Domain should have at least one disk defined")
    return ordered[0] if ordered else usable[-1]
