"""Where the emulator of an architecture is."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Collection

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


def _which(name: str) -> str | None:
    """As :func:`shutil.which`, with which come the modules for every kind of archive."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return next((path for folder in folders if _runnable(path := os.path.join(folder, name))), None)


def find_emulator(arch: Arch, host: Arch | None = None) -> str | None:
    """Path of the emulator of an architecture; None where it is not installed."""
    host = host or host_arch()
    target = _TARGETS.get(arch, str(arch))
    if target is not None:
        found = _which(f"qemu-system-{target}")
        if found is not None:
            return os.path.abspath(found)
    # 64 bit hosts run 32 bit guests on their own emulator where the other one is missing.
    if arch is Arch.I686 and host is Arch.X86_64 and (found := _which("qemu-system-x86_64")) is not None:
        return os.path.abspath(found)
    if _native(host, arch):
        for name in ("qemu-kvm", "kvm"):
            found = _which(name)
            if found is not None:
                return os.path.abspath(found)
        if _runnable("/usr/libexec/qemu-kvm"):
            return "/usr/libexec/qemu-kvm"
    return None


def installed_emulators(host: Arch | None = None) -> dict[Arch, str]:
    """Every architecture an emulator is installed for, in libvirt's order."""
    host = host or host_arch()
    searched = _searched()
    last = _last.get(host)
    if last is None or last[0] != searched:
        found = {arch: path for arch in Arch if (path := find_emulator(arch, host)) is not None}
        last = _last[host] = (searched, found)
    return dict(last[1])


#: What was found last, by host, and in what.
_last: dict[Arch, tuple[object, dict[Arch, str]]] = {}

#: What emulators are called.
_NAMES = frozenset({"qemu-kvm", "kvm", *(f"qemu-system-{_TARGETS.get(arch, str(arch))}" for arch in Arch)})

#: Ns after which a folder's time tells every later change from those before.
_SETTLED = 1_000_000_000


def _searched() -> object:
    """Where emulators are looked for, as it is now: equal as long as looking again finds the same."""
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/libexec"]
    return [(folder, *_look_into(os.path.abspath(folder))) for folder in folders]


def _look_into(folder: str) -> tuple[object, ...]:
    try:
        changed = os.stat(folder).st_mtime_ns
    except OSError:
        return ()
    if not 0 <= changed < time.time_ns() - _SETTLED:
        return (object(),)
    return (changed, *(_runnable(os.path.join(folder, name)) for name in _names_in(folder, changed)))


@functools.lru_cache(maxsize=64)
def _names_in(folder: str, changed: int) -> Collection[str]:
    """Emulators in a folder, which can be seen to be as it was at ``changed``."""
    try:
        return [name for name in os.listdir(folder) if name in _NAMES]
    except OSError:  # it may be searched, not listed
        return _NAMES
