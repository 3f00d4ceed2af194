"""Capabilities by binary: probed once, kept in memory and on disk as long as the binary is the same."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virt_host.description.cpu_model import microcode_version
from virt_host.description.tree import HostTree
from virt_qemu.capabilities.derive import derive
from virt_qemu.capabilities.document import format_emulator_capabilities, parse_emulator_capabilities
from virt_qemu.capabilities.probe import probe
from virtcore.errors import SystemError, VirtError
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities

__all__ = ["CapabilitiesCache", "kvm_usable"]

_FORMAT = 2
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


async def _ask(binary: str) -> EmulatorCapabilities:
    """Probe a binary, with KVM and without where guests can have either."""
    main, plain = await probe(binary, kvm=await in_thread(kvm_usable))
    microcode = await in_thread(lambda: microcode_version(HostTree())) if plain is not None else 0
    return await in_thread(derive, binary, main, plain, microcode=microcode)


class CapabilitiesCache:
    """The capabilities of every emulator asked for.

    :param folder: where files are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[_Identity, EmulatorCapabilities]] = {}
        self._looked: dict[str, float] = {}
        self._probing: dict[_Identity, asyncio.Task[EmulatorCapabilities]] = {}
        self._saving: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait until what was found is written down."""
        await asyncio.gather(*self._saving)

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

    def recall(self, binary: str) -> EmulatorCapabilities | None:
        """What is known or was written down; None where neither is so, or the binary has changed since. Reads a file,
        once for each binary."""
        found = self.known(binary)
        if found is None:
            try:
                identity = _Identity.of(binary)
            except SystemError:
                return None
            found = self._load(identity)
            if found is not None:
                self._known[binary] = (identity, found)
        return found

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
            result = await _ask(identity.path)
            saving = asyncio.create_task(in_thread(self._save, identity, result))
            self._saving.add(saving)  # nobody waits for it before the end
            saving.add_done_callback(self._saving.discard)
        self._known[identity.path] = (identity, result)
        return result

    def _prefix(self, binary: str) -> str:
        return hashlib.sha256(os.fsencode(binary)).hexdigest()[:32]

    def _file(self, identity: _Identity) -> Path:
        version = hashlib.sha256(repr((_FORMAT, identity)).encode()).hexdigest()[:32]
        return self._folder / f"{self._prefix(identity.path)}-{version}.xml"

    def _load(self, identity: _Identity) -> EmulatorCapabilities | None:
        try:
            return parse_emulator_capabilities(self._file(identity).read_bytes())
        except (OSError, VirtError):
            return None  # a cache: what cannot be read is made again

    def _save(self, identity: _Identity, capabilities: EmulatorCapabilities) -> None:
        file = self._file(identity)
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(format_emulator_capabilities(capabilities), encoding="utf-8")
            temporary.replace(file)
            for old in self._folder.glob(f"{self._prefix(identity.path)}*"):
                if old != file:
                    old.unlink(missing_ok=True)
        except OSError:
            temporary.unlink(missing_ok=True)  # no room for a cache is no reason to fail
