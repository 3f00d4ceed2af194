"""Where the emulator of an architecture is."""

from __future__ import annotations

import os
import shutil

from virtcore.model.arch import Arch, host_arch

__all__ = ["find_emulator", "installed_emulators"]

# QEMU's names of architectures, where they are not libvirt's; no name: QEMU has no emulator for it.
_TARGETS: dict[Arch, str | None] = {
    Arch.I686: "i386",
    Arch.ARMV6L: "arm",
    Arch.ARMV7L: "arm",
    Arch.ARMV7B: "arm",
    Arch.OPENRISC: "or1k",
    Arch.PPC64LE: "ppc64",
    Arch.PPCLE: "ppc",
    Arch.IA64: None,
    Arch.PARISC: None,
    Arch.PARISC64: None,
    Arch.S390: None,
}


def _native(host: Arch, guest: Arch) -> bool:
    return guest == host or (host is Arch.X86_64 and guest is Arch.I686)


def _runnable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def find_emulator(arch: Arch, host: Arch | None = None) -> str | None:
    """Path of the emulator of an architecture; None where it is not installed."""
    host = host or host_arch()
    target = _TARGETS.get(arch, str(arch))
    if target is not None:
        found = shutil.which(f"qemu-system-{target}")
        if found is not None:
            return os.path.abspath(found)
    # 64 bit hosts run 32 bit guests on their own emulator where the other one is missing.
    if arch is Arch.I686 and host is Arch.X86_64 and (found := shutil.which("qemu-system-x86_64")) is not None:
        return os.path.abspath(found)
    if _native(host, arch):
        for name in ("qemu-kvm", "kvm"):
            found = shutil.which(name)
            if found is not None:
                return os.path.abspath(found)
        if _runnable("/usr/libexec/qemu-kvm"):
            return "/usr/libexec/qemu-kvm"
    return None


def installed_emulators(host: Arch | None = None) -> dict[Arch, str]:
    """Every architecture an emulator is installed for, in libvirt's order."""
    host = host or host_arch()
    found = {}
    for arch in Arch:
        path = find_emulator(arch, host)
        if path is not None:
            found[arch] = path
    return found
