"""One host's side of its guests."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from virt_qemu.host_side import filesystems, interfaces, tpms
from virt_qemu.host_side.owner import Owner
from virt_qemu.host_side.programs import Programs
from virt_qemu.host_side.services import PlaceServices
from virtcore.errors import SystemError, VirtError
from virtcore.model.domain.filesystem import Filesystem
from virtcore.model.domain.interface import Interface
from virtcore.model.domain.tpm import TPM

if TYPE_CHECKING:
    from virt_qemu.command.line import HostSettings
    from virt_qemu.resources import HostResources
    from virt_qemu.settings.table import QemuSettings
    from virtcore.driver.base import Place
    from virtcore.driver.toolkit import StateFolders
    from virtcore.model.domain import Domain
    from virtcore.runtime.launcher import Identity

__all__ = ["HostSide"]

log = logging.getLogger(__name__)

_Prepare: TypeAlias = "Callable[[HostSide, Owner, object, HostResources], Awaitable[None]]"
_Release: TypeAlias = "Callable[[HostSide, Owner, object], Awaitable[None]]"

#: Kind of device -> what prepares and what releases it.
_KINDS: dict[type, tuple[_Prepare, _Release]] = {
    TPM: (tpms.prepare, tpms.release),  # type: ignore[dict-item]  # each takes its own kind
    Filesystem: (filesystems.prepare, filesystems.release),  # type: ignore[dict-item]
    Interface: (interfaces.prepare, interfaces.release),  # type: ignore[dict-item]
}


class HostSide:
    """What the guests of one root have on the host.

    :param host: how the host is arranged for guests.
    :param place: with which rights, below which root.
    """

    def __init__(self, settings: QemuSettings, folders: StateFolders, host: HostSettings, place: Place) -> None:
        self.settings = settings
        self.folders = folders
        self.host = host
        self.privileged = place.privileged
        self.programs = Programs(folders.log)
        self.services = PlaceServices(place)
        #: Who runs guests; None: we.
        self.identity: Identity | None = None
        #: Who runs emulated TPMs; None: we.
        self.tpm_identity: Identity | None = None

    # -- devices, for a start as for those that come later

    async def prepare_device(self, owner: Owner, device: object, resources: HostResources) -> None:
        """Make what a device needs of the host; QEMU is then given what ``resources`` have.

        :param device: complete, with an alias; what is decided here is written into it.
        :raises VirtError: it cannot be made; nothing is left of it.
        """
        prepare = next((pair[0] for kind, pair in _KINDS.items() if isinstance(device, kind)), None)
        if prepare is not None:
            await prepare(self, owner, device, resources)

    async def release_device(self, owner: Owner, device: object) -> None:
        """Undo what was made for a device, once QEMU has let go of it. Never raises; twice does no harm."""
        release = next((pair[1] for kind, pair in _KINDS.items() if isinstance(device, kind)), None)
        if release is None:
            return
        try:
            await release(self, owner, device)
        except (VirtError, OSError) as error:
            log.warning("domain '%s': what a device had of the host is left behind: %s", owner.name, error)

    # -- whole guests

    async def prepare(self, owner: Owner, domain: Domain, resources: HostResources) -> None:
        """Make what a guest needs of the host.

        :raises VirtError: something cannot be made. What was made before is released with the guest.
        """
        for device in _devices(domain):
            await self.prepare_device(owner, device, resources)

    async def release(self, owner: Owner, domain: Domain) -> None:
        """Undo what was made for a guest that does not run (any more). Never raises; twice does no harm."""
        await asyncio.gather(*(self.release_device(owner, device) for device in reversed(_devices(domain))))

    async def close(self) -> None:
        """Let go of the host's services. Guests keep what they have."""
        await self.services.close()

    # -- for the modules of the kinds

    async def secret(self, uuid: str) -> bytes:
        """The value of a secret that the host keeps.

        :raises VirtError: there is none, or it has no value.
        """
        from virt_qemu.host_secrets import secret_values
        from virtcore.model.storage.secret import SecretReference

        wanted = SecretReference(uuid=uuid)
        return (await secret_values(self.services, [wanted]))(wanted)

    def make_folder(self, path: str, mode: int = 0o711) -> None:
        """Make a folder for what guests have, with its parents.

        :raises SystemError: it cannot be made.
        """
        try:
            os.makedirs(path, mode=mode, exist_ok=True)
        except OSError as error:
            raise SystemError(f"Unable to create directory {path}: {error.strerror}") from None

    def remove_file(self, path: str) -> None:
        """Remove a file or socket that was made for a guest; without one nothing happens."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def hand_over(self, owner: Owner, path: str) -> None:
        """Let the guest's QEMU have a file or socket that was made for it."""


def _devices(domain: Domain) -> list[object]:
    """Devices that may need something of the host, in the order in which they are prepared."""
    devices = domain.devices
    assert devices is not None
    return [*devices.tpms, *devices.filesystems, *devices.interfaces]
