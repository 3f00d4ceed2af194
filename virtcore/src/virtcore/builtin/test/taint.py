"""Warnings about a domain that the test driver reports (``virDomainGetMessages``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtcore.enums.domain import DomainMessageType

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["Messages", "messages"]

DEPRECATED_MODEL = "Deprecated-Test"


class Messages(NamedTuple):
    """Warnings by kind."""

    taints: tuple[str, ...]
    deprecations: tuple[str, ...]

    def select(self, flags: int) -> list[str]:
        """Those of the kinds in ``DomainMessageType`` flags; 0 for all."""
        wanted = flags or ~0
        found = [f"tainted: {text}" for text in self.taints] if wanted & DomainMessageType.TAINTING else []
        if wanted & DomainMessageType.DEPRECATION:
            found += [f"deprecated configuration: {text}" for text in self.deprecations]
        return found


def messages(domain: Domain) -> Messages:
    """What there is to say about a configuration."""
    deprecations: list[str] = []
    if _deprecated_cpu(domain):
        deprecations.append(f"CPU model {DEPRECATED_MODEL}")
    found = (
        ("running with undesirable elevated privileges", _raw_io(domain)),
        ("network configuration using opaque shell scripts", _scripts(domain)),
        ("use of host cdrom passthrough", _cdrom_passthrough(domain)),
        ("custom device tree blob used", domain.os is not None and domain.os.dtb is not None),
        ("use of deprecated configuration settings", bool(deprecations)),
    )
    return Messages(tuple(text for text, true in found if true), tuple(deprecations))


def _deprecated_cpu(domain: Domain) -> bool:
    from virtcore.model.cpu.element import CPUMode

    cpu = domain.cpu
    if cpu is None or cpu.model is None or cpu.mode not in (None, CPUMode.CUSTOM):
        return False
    return cpu.model.name == DEPRECATED_MODEL


def _raw_io(domain: Domain) -> bool:
    if domain.devices is None:
        return False
    return any(disk.rawio for disk in domain.devices.disks) or any(
        getattr(hostdev, "rawio", None) for hostdev in domain.devices.hostdevs
    )


def _scripts(domain: Domain) -> bool:
    return domain.devices is not None and any(interface.script is not None for interface in domain.devices.interfaces)


def _cdrom_passthrough(domain: Domain) -> bool:
    from virtcore.model.domain.disk import DiskDevice
    from virtcore.model.storage.source import StorageType

    return domain.devices is not None and any(
        disk.device is DiskDevice.CDROM and disk.type is StorageType.BLOCK and disk.source is not None
        for disk in domain.devices.disks
    )
