"""What configurations depend on beside themselves: where a host has its firmware, what its processor can do."""

from __future__ import annotations

from dataclasses import dataclass

from virtcore.model.arch import Arch
from virtcore.model.domain.os import OSType

__all__ = ["DEFAULT", "XenHost", "machine_of"]

_MACHINES = {OSType.HVM: "xenfv", OSType.XENPVH: "xenpvh"}


@dataclass(frozen=True, slots=True, kw_only=True)
class XenHost:
    """A Xen host.

    :param arch: what its guests run on.
    :param loader: firmware of fully virtual guests.
    :param firmware_folder: where Xen has its other firmware.
    :param virtualization: the processor's feature for nested guests, ``vmx`` or ``svm``.
    :param bootloader: what finds a paravirtual guest's kernel when nothing else says so.
    """

    arch: Arch = Arch.X86_64
    loader: str = "/usr/lib/xen/boot/hvmloader"
    firmware_folder: str = "/usr/lib/xen/boot"
    virtualization: str = "vmx"
    bootloader: str = "pygrub"


#: A host of which nothing is known.
DEFAULT = XenHost()


def machine_of(kind: OSType | None) -> str:
    """Xen's machine for a kind of guest."""
    return _MACHINES.get(kind, "xenpv") if kind is not None else "xenpv"
