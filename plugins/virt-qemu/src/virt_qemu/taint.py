"""Why nobody should rely on a guest, and which parts of its configuration will not stay (``virDomainGetMessages``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.namespace import QemuCapabilityChanges, QemuCommandLine, QemuOverride, find
from virt_qemu.status import Deprecation, Taint
from virtcore.enums.domain import DomainMessageType as Message
from virtcore.model.cpu.element import CPUMode
from virtcore.model.domain.disk import DiskDevice
from virtcore.model.domain.interface import InterfaceType
from virtcore.model.storage.source import BlockSource

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain

__all__ = ["messages", "taint", "taint_at_start"]

#: What libvirt says of each flag, in its order.
_TEXTS = {
    "custom-argv": "custom configuration parameters specified",
    "custom-monitor": "custom monitor control commands issued",
    "high-privileges": "running with undesirable elevated privileges",
    "shell-scripts": "network configuration using opaque shell scripts",
    "disk-probing": "potentially unsafe disk format probing",
    "external-launch": "managing externally launched configuration",
    "host-cpu": "potentially unsafe use of host CPU passthrough",
    "hook-script": "configuration potentially modified by hook script",
    "cdrom-passthrough": "use of host cdrom passthrough",
    "custom-dtb": "custom device tree blob used",
    "custom-ga-command": "custom guest agent control commands issued",
    "custom-hypervisor-feature": "hypervisor feature autodetection override",
    "deprecated-config": "use of deprecated configuration settings",
    "custom-device": "custom device configuration",
}


def taint(obj: DomainObject, guest: Guest, flag: str) -> None:
    """Note that something was done to a guest after which nobody should rely on it; once."""
    if all(known.flag != flag for known in guest.status.taints):
        guest.status.taints.append(Taint(flag=flag))
        guest.log.note(f"Domain id={obj.id} is tainted: {flag}")


def taint_at_start(obj: DomainObject, guest: Guest, domain: Domain, *, root: bool) -> None:
    """Note what a configuration has that nobody should rely on.

    :param root: QEMU runs with the administrator's rights.
    """
    deprecated = _deprecations(guest, domain)
    guest.status.deprecations = [Deprecation(message=text) for text in deprecated]
    devices = domain.devices
    disks = devices.disks if devices is not None else []
    interfaces = devices.interfaces if devices is not None else []
    hostdevs = devices.hostdevs if devices is not None else []
    raw = any(disk.rawio for disk in disks) or any(getattr(hostdev, "rawio", None) for hostdev in hostdevs)
    for flag, holds in (
        ("high-privileges", root or raw),
        ("custom-hypervisor-feature", find(domain, QemuCapabilityChanges) is not None),
        ("custom-argv", find(domain, QemuCommandLine) is not None),
        ("custom-device", find(domain, QemuOverride) is not None),
        ("host-cpu", domain.cpu is not None and domain.cpu.mode is CPUMode.HOST_PASSTHROUGH),
        ("deprecated-config", bool(deprecated)),
        ("custom-dtb", domain.os is not None and domain.os.dtb is not None),
        (
            "cdrom-passthrough",
            any(
                disk.device is DiskDevice.CDROM and isinstance(disk.source, BlockSource) and disk.source.dev is not None
                for disk in disks
            ),
        ),
        (
            "shell-scripts",
            any(each.type is InterfaceType.ETHERNET and each.script is not None for each in interfaces),
        ),
    ):
        if holds:
            taint(obj, guest, flag)


def _deprecations(guest: Guest, domain: Domain) -> list[str]:
    """Machine type and CPU model that QEMU will not have for ever."""
    found: list[str] = []
    if guest.capabilities is None:
        return found
    kind = str(domain.type.value)
    machine = guest.capabilities.machine(domain.machine or "", kind)
    if machine is not None and machine.deprecated:
        found.append(f"machine type '{domain.machine}'")
    model = domain.cpu.model.name if domain.cpu is not None and domain.cpu.model is not None else None
    if any(cpu.name == model and cpu.deprecated for cpu in guest.capabilities.accelerator(kind).cpus):
        found.append(f"CPU model '{model}'")
    return found


def messages(guest: Guest, flags: int) -> list[str]:
    """Warnings about a running guest.

    :param flags: kinds of ``DomainMessageType``; 0 for all.
    """
    wanted = flags or ~0
    found: list[str] = []
    if wanted & Message.TAINTING:
        known = {each.flag for each in guest.status.taints}
        found += [f"tainted: {text}" for flag, text in _TEXTS.items() if flag in known]
    if wanted & Message.DEPRECATION:
        found += [f"deprecated configuration: {each.message}" for each in guest.status.deprecations]
    if wanted & Message.IOERRORS:
        found += [f"I/O error: {text}" for text in guest.io_errors.values()]
    return found
