"""Which devices of the host are given away, and to whom: what all drivers and the service of node devices share.

It is kept in files, which outlast every process and are gone after a reboot, as all that they say.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virtcore.driver.toolkit.folders import make_folder
from virtcore.errors import InternalError, OperationInvalid, SystemError

if TYPE_CHECKING:
    from virt_host.passthrough import DeviceTree

__all__ = ["Holder", "HostdevManager"]

_LOCK = "lock"


class Holder(NamedTuple):
    """The guest that has a device.

    :ivar driver: the driver whose guest it is, as messages have it.
    """

    uuid: str
    domain: str
    driver: str = "QEMU"


class HostdevManager:
    """Devices that guests have, and PCI devices that were taken from the host's drivers for guests to come.

    :param folder: where the files are; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def adopt(self, former: Path) -> None:
        """Take over what an older version noted in a folder of its driver."""
        if not former.is_dir():
            return
        make_folder(self.folder)
        for file in former.iterdir():
            file.rename(self.folder / file.name)
        former.rmdir()

    # -- devices that guests have; `kind` tells apart what could have the same name

    def holder(self, kind: str, name: str) -> Holder | None:
        """The guest that has a device."""
        try:
            return Holder(*json.loads((self.folder / f"{kind}-{name}").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def claim(self, kind: str, name: str, holder: Holder, what: str) -> None:
        """Note that a guest has a device.

        :param what: the device, for messages.
        :raises OperationInvalid: another has it.
        """
        path = self.folder / f"{kind}-{name}"
        try:
            make_folder(self.folder)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            known = self.holder(kind, name)
            if known is not None and known.uuid == holder.uuid:
                return
            raise OperationInvalid(self._in_use(what, known)) from None
        except OSError as error:
            raise SystemError(f"cannot write {path}: {error.strerror}") from None
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(holder))

    def disclaim(self, kind: str, name: str, uuid: str) -> None:
        """A guest has not got a device any more."""
        known = self.holder(kind, name)
        if known is not None and known.uuid == uuid:
            (self.folder / f"{kind}-{name}").unlink(missing_ok=True)

    @staticmethod
    def _in_use(what: str, holder: Holder | None) -> str:
        return f"{what} is in use" + (f" by driver {holder.driver}, domain {holder.domain}" if holder else "")

    # -- PCI devices

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one who changes the drivers of devices. Blocks."""
        try:
            make_folder(self.folder)
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SystemError(f"cannot write {self.folder / _LOCK}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def is_detached(self, address: str) -> bool:
        """Whether a device was taken from the host for guests to come."""
        return (self.folder / f"detached-{address}").exists()

    def _refuse_used(self, address: str) -> None:
        if (self.folder / f"pci-{address}").exists():
            raise OperationInvalid(self._in_use(f"PCI device {address}", self.holder("pci", address)))

    def detach(self, tree: DeviceTree, address: str, driver: str) -> None:
        """Take a device from the host and give it to a driver for guests, until it is given back. Blocks.

        :raises VirtError: a guest has it, it is not there, or stays with its driver.
        """
        with self.turn():
            self._refuse_used(address)
            tree.detach(address, driver)
            (self.folder / f"detached-{address}").write_text(driver)

    def reattach(self, tree: DeviceTree, address: str) -> None:
        """Give a device back to the host. Blocks.

        :raises VirtError: a guest has it, or the kernel refuses.
        """
        with self.turn():
            self._refuse_used(address)
            tree.reattach(address)
            (self.folder / f"detached-{address}").unlink(missing_ok=True)

    def reset(self, tree: DeviceTree, address: str) -> None:
        """Reset a device. Blocks.

        :raises VirtError: a guest has it, or nothing resets only what nobody uses.
        """
        from virt_host.pci_reset import reset_device

        with self.turn():
            if (self.folder / f"pci-{address}").exists():
                raise InternalError(f"Not resetting active device {address}")
            reset_device(tree, address, self.is_detached)
