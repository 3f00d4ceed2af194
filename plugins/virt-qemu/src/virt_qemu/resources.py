"""What is opened on the host for one guest and handed to its QEMU."""

from __future__ import annotations

import fcntl
import glob
import os
import socket
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from virt_qemu.command.line import unsupported
from virt_qemu.lent import lent
from virtcore.errors import InternalError, SystemError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virt_qemu.lent import Groups
    from virtcore.model.domain.hostdev import SCSIAdapterSource
    from virtcore.model.domain.interface import Interface
    from virtcore.model.storage.secret import SecretReference

__all__ = ["HostResources", "bind_socket", "connect_socket"]

_CDROM_DRIVE_STATUS = 0x5326
_FIRST = 3
"""The first descriptor in QEMU's process that is not one of the standard three."""


def _short(path: str, folder: int) -> str:
    """A name for a socket that fits into the kernel's 107 bytes, however deep the folder is."""
    return f"/proc/self/fd/{folder}/{os.path.basename(path)}"


def bind_socket(path: str) -> socket.socket:
    """Listen on a Unix socket, replacing a stale one.

    :raises SystemError: it cannot be made.
    """
    listening = socket.socket(socket.AF_UNIX)
    try:
        folder = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _remove_stale(os.path.basename(path), folder)
            listening.bind(_short(path, folder))
            os.chmod(_short(path, folder), 0o775)  # who is in the group of guests may connect
        finally:
            os.close(folder)
        listening.listen(1)
    except OSError as error:
        listening.close()
        raise SystemError(f"Unable to bind to UNIX socket path '{path}': {error.strerror}") from None
    return listening


def _remove_stale(name: str, folder: int) -> None:
    """Remove a socket that was left. Whatever else lies there stays, and binding fails."""
    try:
        if stat.S_ISSOCK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def connect_socket(path: str) -> socket.socket:
    """Connect to a Unix socket.

    :raises OSError: nobody listens there.
    """
    connected = socket.socket(socket.AF_UNIX)
    try:
        folder = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connected.setblocking(False)
            connected.connect(_short(path, folder))
        finally:
            os.close(folder)
    except OSError:
        connected.close()
        raise
    return connected


def _unknown_secret(reference: SecretReference) -> bytes:
    raise unsupported("a secret")


class HostResources:
    """Descriptors for one QEMU, numbered as it will see them. Closed on leaving the context: QEMU has its own then."""

    def __init__(self) -> None:
        self.fds: dict[int, int] = {}
        #: The value of a secret the host keeps; those that are needed have been asked for before.
        self.secret: Callable[[SecretReference], bytes] = _unknown_secret
        #: Descriptors that the domain has been lent.
        self.groups: Groups = {}
        #: User and group of the guest, where they are not ours: its sockets are theirs.
        self.owner: tuple[int, int] | None = None
        self._stack = ExitStack()
        self._taps: dict[int, list[int]] = {}
        self._vhosts: dict[int, list[int]] = {}
        self._tpm_sockets: dict[str, str] = {}
        self._scsi: dict[int, str] = {}
        self._gpus: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, descriptor: int) -> int:
        """Take over a descriptor; returns its number in QEMU's process."""
        self._stack.callback(os.close, descriptor)
        number = _FIRST + len(self.fds)
        self.fds[number] = descriptor
        return number

    def listen(self, path: str) -> int:
        """Listen on a Unix socket for one of the guest's devices; returns the descriptor's number."""
        number = self.add(bind_socket(path).detach())
        if self.owner is not None:
            try:
                os.chown(path, *self.owner, follow_symlinks=False)
            except OSError as error:
                raise SystemError(f"unable to set ownership of '{path}': {error.strerror}") from None
        return number

    def output(self, path: str, append: bool) -> int:
        """Open a file for what the guest writes; returns the descriptor's number."""
        mode = os.O_APPEND if append else os.O_TRUNC
        try:
            # A FIFO that nobody reads would hold up the core loop; so it is refused.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | mode, 0o600)
            os.set_blocking(descriptor, True)
        except OSError as error:
            raise SystemError(f"Unable to open file: {path}: {error.strerror}") from None
        return self.add(descriptor)

    def log(self, path: str, append: bool) -> int:
        """Open a file for a copy of what the guest writes; returns the descriptor's number."""
        return self.output(path, append)

    def vhost_scsi(self) -> int:
        """Open the kernel's server of SCSI targets; returns the descriptor's number.

        :raises SystemError: it cannot be opened.
        """
        try:
            return self.add(os.open("/dev/vhost-scsi", os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise SystemError(f"Failed to open vhost interface '/dev/vhost-scsi': {error.strerror}") from None

    def provide_scsi(self, source: SCSIAdapterSource, name: str) -> None:
        """Say what the device file of a SCSI device is called."""
        self._scsi[id(source)] = name

    def scsi_generic(self, source: SCSIAdapterSource) -> str:
        """Name of the device file of a SCSI device."""
        return self._scsi[id(source)]

    def tpm(self, path: str) -> tuple[int, int]:
        """Open a TPM of the host; returns the numbers of it and of what cancels its commands.

        :raises SystemError: it cannot be opened.
        """
        cancel = f"/sys/class/tpm/{os.path.basename(path)}/device/cancel"
        return self.device(path, "TPM device"), self.device(cancel, "TPM device's cancel path", os.O_WRONLY)

    def device(self, path: str, what: str, mode: int = os.O_RDWR) -> int:
        """Open a device file; returns the descriptor's number.

        :param what: the device, as errors call it.
        :raises SystemError: it cannot be opened.
        """
        try:
            return self.add(os.open(path, mode | os.O_CLOEXEC))
        except OSError as error:
            raise SystemError(f"Could not open {what} {path}: {error.strerror}") from None

    def provide_tpm(self, alias: str, path: str) -> None:
        """Say where the emulator of a TPM listens."""
        self._tpm_sockets[alias] = path

    def tpm_socket(self, alias: str) -> str:
        """Where the emulator of a TPM listens."""
        return self._tpm_sockets[alias]

    def provide_taps(self, interface: Interface, descriptors: Sequence[int]) -> None:
        """Take over the descriptors of an interface's tap, one a queue."""
        self._taps[id(interface)] = [self.add(descriptor) for descriptor in descriptors]

    def provide_vhosts(self, interface: Interface, descriptors: Sequence[int]) -> None:
        """Take over the descriptors of the kernel's mover of packets, one a queue; none without it."""
        self._vhosts[id(interface)] = [self.add(descriptor) for descriptor in descriptors]

    def taps(self, interface: Interface, count: int) -> list[int]:
        """The tap of an interface, once a queue."""
        return self._taps[id(interface)]

    def vhost_net(self, interface: Interface, count: int) -> list[int]:
        """The kernel's mover of packets, once a queue; none without it."""
        return self._vhosts[id(interface)]

    def vdpa(self, path: str) -> int:
        """Open a vDPA device.

        :raises SystemError: it cannot be opened.
        """
        try:
            return self.add(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise SystemError(f"Unable to open '{path}' for vdpa device: {error.strerror}") from None

    def lent(self, group: str) -> list[int]:
        """Copy the descriptors of a group that the domain has been lent.

        :raises InvalidArg: there is no such group.
        """
        return [self.add(os.dup(descriptor)) for descriptor in lent(self.groups, group)]

    def provide_slirp(self, interface: Interface, descriptor: int) -> None:
        """Take over the connection to the program that is the network of an interface."""
        self._taps[id(interface)] = [self.add(descriptor)]

    def slirp(self, interface: Interface) -> int:
        """The connection to the program that is the network of an interface."""
        return self._taps[id(interface)][0]

    def provide_gpu(self, alias: str, descriptor: int) -> None:
        """Take over the connection to the program that serves a graphics card."""
        self._gpus[alias] = self.add(descriptor)

    def vhost_user_gpu(self, alias: str) -> int:
        """The connection to the program that serves a graphics card."""
        return self._gpus[alias]

    def render_node(self) -> str:
        """The host's first device file for rendering.

        :raises InternalError: it has none.
        """
        for path in sorted(glob.glob("/dev/dri/renderD*")):
            return path
        raise InternalError("No DRM render nodes available")

    def vsock(self, cid: int | None, auto: bool) -> tuple[int, int]:
        """Take an address for a guest's socket; returns the descriptor's number and the address.

        :raises SystemError: it cannot be had.
        """
        from virt_qemu.vsock import open_vsock

        descriptor, address = open_vsock(cid, auto=auto)
        return self.add(descriptor), address

    def is_cdrom(self, path: str) -> bool:
        """Whether a device of the host is a CD-ROM drive."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            if not stat.S_ISBLK(os.fstat(descriptor).st_mode):
                return False
            fcntl.ioctl(descriptor, _CDROM_DRIVE_STATUS, 0)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True
