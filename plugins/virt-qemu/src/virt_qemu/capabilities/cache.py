"""Capabilities by binary: probed once, kept in memory and on disk as long as the binary is the same."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import hashlib
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from virt_qemu.capabilities.derive import derive
from virt_qemu.capabilities.model import Accelerator, CPUDefinition, CPUExpansion, EmulatorCapabilities, Machine
from virt_qemu.capabilities.probe import probe
from virt_qemu.threads import in_thread
from virtcore.errors import SystemError
from virtcore.model.arch import Arch

__all__ = ["CapabilitiesCache", "kvm_usable"]

_FORMAT = 1
"""Of the files; to be raised whenever what is concluded changes."""

_LOOK_AGAIN = 1.0
"""Seconds that a binary is taken to be the same."""

_KVM_GET_API_VERSION = 0xAE00
_KVM_CREATE_VM = 0xAE01


def kvm_usable() -> bool:
    """Whether this process may create KVM guests."""
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if fcntl.ioctl(device, _KVM_GET_API_VERSION) != 12:
            return False
        os.close(fcntl.ioctl(device, _KVM_CREATE_VM, 0))
    except OSError:
        return False
    finally:
        os.close(device)
    return True


class _Identity(NamedTuple):
    """What tells a binary from a replaced one, and a host from a changed one."""

    path: str
    size: int
    mtime: int
    ctime: int
    kernel: str
    kvm: bool

    @classmethod
    def of(cls, binary: str) -> _Identity:
        """Look at a binary.

        :raises SystemError: it is not there, or cannot be run.
        """
        try:
            found = os.stat(binary)
        except OSError as error:
            raise SystemError(f"Cannot check QEMU binary {binary}: {error.strerror}") from None
        if not os.access(binary, os.X_OK):
            raise SystemError(f"QEMU binary {binary} is not executable: Permission denied")
        kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
        return cls(binary, found.st_size, found.st_mtime_ns, found.st_ctime_ns, os.uname().release, kvm)


class CapabilitiesCache:
    """The capabilities of every emulator asked for.

    :param folder: where files are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[_Identity, EmulatorCapabilities]] = {}
        self._looked: dict[str, float] = {}
        self._probing: dict[_Identity, asyncio.Task[EmulatorCapabilities]] = {}

    def known(self, binary: str) -> EmulatorCapabilities | None:
        """What is known without asking; None when nothing is, or the binary has changed.

        Meant to be called often: it looks at the binary once a second at most.
        """
        found = self._known.get(binary)
        if found is None:
            return None
        now = time.monotonic()
        if now - self._looked.get(binary, -_LOOK_AGAIN) >= _LOOK_AGAIN:
            try:
                if _Identity.of(binary) != found[0]:
                    return None
            except SystemError:
                return None
            self._looked[binary] = now
        return found[1]

    async def get(self, binary: str) -> EmulatorCapabilities:
        """The capabilities of a binary, probing it where need be; one probe at a time per binary.

        :raises SystemError: there is no such binary.
        :raises InternalError: it is no usable QEMU.
        """
        identity = _Identity.of(binary)
        found = self._known.get(binary)
        if found is not None and found[0] == identity:
            return found[1]
        task = self._probing.get(identity)
        if task is None:
            task = self._probing[identity] = asyncio.create_task(self._find(identity))
            task.add_done_callback(lambda _: self._probing.pop(identity, None))
        # Whoever gives up waiting does not end it for the others.
        return await asyncio.shield(task)

    async def _find(self, identity: _Identity) -> EmulatorCapabilities:
        result = await in_thread(self._load, identity)
        if result is None:
            replies = await probe(identity.path)
            result = derive(identity.path, replies)
            if replies.table("query-kvm").get("present") and await in_thread(kvm_usable):
                result = dataclasses.replace(result, flags=result.flags | {"kvm"})
            await in_thread(self._save, identity, result)
        self._known[identity.path] = (identity, result)
        return result

    def _file(self, binary: str) -> Path:
        return self._folder / f"{hashlib.sha256(os.fsencode(binary)).hexdigest()}.json"

    def _load(self, identity: _Identity) -> EmulatorCapabilities | None:
        try:
            stored = json.loads(self._file(identity.path).read_bytes())
            if stored["format"] != _FORMAT or stored["identity"] != list(identity):
                return None
            return _read(stored["capabilities"])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # a cache: what cannot be read is made again

    def _save(self, identity: _Identity, capabilities: EmulatorCapabilities) -> None:
        described = dataclasses.asdict(capabilities) | {"flags": sorted(capabilities.flags)}
        data = json.dumps({"format": _FORMAT, "identity": list(identity), "capabilities": described})
        file = self._file(identity.path)
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(data)
            temporary.replace(file)
        except OSError:
            temporary.unlink(missing_ok=True)  # no room for a cache is no reason to fail


def _read(stored: dict[str, object]) -> EmulatorCapabilities:
    """Capabilities from their stored form; any mistake in it raises."""
    accelerators = stored.pop("accelerators")
    assert isinstance(accelerators, dict)
    made = {}
    for name, row in accelerators.items():
        host = row["host_cpu"]
        made[name] = Accelerator(
            machines=[Machine(**machine) for machine in row["machines"]],
            cpus=[CPUDefinition(**cpu) for cpu in row["cpus"]],
            host_cpu=None if host is None else CPUExpansion(**host),
        )
    flags, arch = stored.pop("flags"), stored.pop("arch")
    assert isinstance(flags, list)
    assert isinstance(arch, str)
    return EmulatorCapabilities(
        flags=frozenset(flags),
        arch=Arch(arch),
        accelerators=made,
        **stored,  # type: ignore[arg-type]
    )
