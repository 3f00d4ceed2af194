"""One host's side of its guests."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from virt_host.hostdev_manager import HostdevManager
from virt_host.passthrough import DeviceTree
from virt_qemu.block.chain import images_of
from virt_qemu.command.disks import disk_path
from virt_qemu.host_side import disks, displays, filesystems, filters, hostdevs, interfaces, nbdkit, tpms, videos
from virt_qemu.host_side.launch_security import LAUNCH_FILES, write_launch_files
from virt_qemu.host_side.locks import LockSpace, resource_of, resources_of
from virt_qemu.host_side.memory import advised_nodes, memory_folders, prepare_memory, release_memory, wants_advice
from virt_qemu.host_side.order import devices_of
from virt_qemu.host_side.owner import Owner
from virt_qemu.host_side.programs import Programs
from virt_qemu.isolation import ownership
from virt_qemu.isolation.claims import device_claims, domain_claims, image_claims
from virt_qemu.isolation.devices import add_device, device_paths, paths_of, private_devices, remove_device
from virt_qemu.isolation.identity import guest_identity, helper_identity
from virt_qemu.isolation.labels import OwnLabel, add_label, check_models, own_label
from virt_qemu.memory_lock import locked_memory
from virtcore.driver.composition import PlaceServices
from virtcore.errors import SystemError, VirtError
from virtcore.model.domain.disk import Disk
from virtcore.model.domain.filesystem import Filesystem
from virtcore.model.domain.graphics import DBusGraphics, RDPGraphics
from virtcore.model.domain.hostdev import Hostdev
from virtcore.model.domain.interface import Interface
from virtcore.model.domain.memory import MEMORY_UNLIMITED
from virtcore.model.domain.tpm import TPM
from virtcore.model.domain.video import Video
from virtcore.model.storage.source import BlockSource, FileSource
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.command.line import HostSettings
    from virt_qemu.resources import HostResources
    from virt_qemu.settings.table import QemuSettings
    from virtcore.driver.base import Place
    from virtcore.driver.toolkit import StateFolders
    from virtcore.model.domain import Domain
    from virtcore.model.storage.source import Source
    from virtcore.runtime.launcher import Command, Devices, Identity

__all__ = ["HostSide"]

log = logging.getLogger(__name__)

_Prepare: TypeAlias = "Callable[[HostSide, Owner, object, HostResources], Awaitable[None]]"
_Release: TypeAlias = "Callable[[HostSide, Owner, object], Awaitable[None]]"

#: Kind of device -> what prepares and what releases it.
_KINDS: dict[type, tuple[_Prepare, _Release]] = {
    Hostdev: (hostdevs.prepare, hostdevs.release),  # type: ignore[dict-item]  # each takes its own kind
    TPM: (tpms.prepare, tpms.release),  # type: ignore[dict-item]
    Filesystem: (filesystems.prepare, filesystems.release),  # type: ignore[dict-item]
    Interface: (interfaces.prepare, interfaces.release),  # type: ignore[dict-item]
    Video: (videos.prepare, videos.release),  # type: ignore[dict-item]
    DBusGraphics: (displays.prepare, displays.release),  # type: ignore[dict-item]
    RDPGraphics: (displays.prepare, displays.release),  # type: ignore[dict-item]
    Disk: (disks.prepare, disks.release),  # type: ignore[dict-item]
}


class HostSide:
    """What the guests of one root have on the host.

    :param host: how the host is arranged for guests.
    :param place: with which rights, below which root.
    :param isolated: guests run as a user of their own where the settings do not say.
    :ivar ports: of displays that were given out to guests that may not listen yet.
    :ivar kept: what starts programs again that end before their guests.
    :ivar identity: who runs guests that do not say; None: we.
    :ivar tpm_identity: who runs emulated TPMs; None: we.
    """

    def __init__(
        self, settings: QemuSettings, folders: StateFolders, host: HostSettings, place: Place, *, isolated: bool
    ) -> None:
        self.settings = settings
        self.folders = folders
        self.host = host
        self.privileged = place.privileged
        self.devices = DeviceTree()
        self.hostdevs = HostdevManager(folders.run.parent / "hostdevmgr")
        self.hostdevs.adopt(folders.run / "hostdevs")
        self.programs = Programs(folders.log)
        self.services = PlaceServices(place)
        self.locks = LockSpace(folders.run / "locks")
        self.ports: set[int] = set()
        self.kept: dict[str, asyncio.Task[None]] = {}
        self.identity: Identity | None = guest_identity(settings.user, settings.group, isolated=isolated)
        others = self.identity is not None and self.identity.uid != os.geteuid()
        self.tpm_identity: Identity | None = helper_identity(settings.swtpm_user, settings.swtpm_group, isolated=others)
        self.hides_devices = place.privileged and "mount" in (
            settings.namespaces if settings.namespaces is not None else ["mount"] if isolated else []
        )
        if others:
            self._let_pass()

    def _let_pass(self) -> None:
        """Let guests' users come to what is theirs; folders stay unreadable."""
        for folder in (self.folders.run, self.folders.lib):
            for path in (folder, folder.parent):
                if path.is_dir():
                    path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o011)

    # -- devices, for a start as for those that come later

    async def prepare_device(
        self, owner: Owner, device: object, resources: HostResources, *, pid: int | None = None
    ) -> None:
        """Make what a device needs of the host; QEMU is then given what ``resources`` have.

        :param device: complete, with an alias; what is decided here is written into it.
        :param pid: of the guest's QEMU, where that runs already.
        :raises VirtError: it cannot be made; nothing is left of it.
        """
        prepare = next((pair[0] for kind, pair in _KINDS.items() if isinstance(device, kind)), None)
        try:
            if prepare is not None:
                await prepare(self, owner, device, resources)
            if pid is not None and self.keeps_apart:
                await in_thread(self._admit, owner, device, pid)
        except BaseException:
            await self.release_device(owner, device, pid=pid)
            raise

    def _admit(self, owner: Owner, device: object, pid: int) -> None:
        """Let a running guest see and have the files of a device."""
        own = self._label(owner)
        if own is not None:
            self._take(owner, list(device_claims(self, device, own)))
        if self.hides_devices:
            for path in paths_of(self, device):
                add_device(pid, path)

    async def dismiss_image(self, owner: Owner, image: Disk, pid: int | None) -> None:
        """Give the file of an image that a guest does not use any more back. Never raises."""
        if self.keeps_apart:
            try:
                await in_thread(self._dismiss, owner, image, pid)
            except (VirtError, OSError) as error:
                log.warning("domain '%s': an image is not given back: %s", owner.name, error)

    @property
    def keeps_apart(self) -> bool:
        """Whether guests have not got all that we have."""
        return self.identity is not None or self.hides_devices

    async def admit_source(self, owner: Owner, source: Source, pid: int, *, new: bool) -> None:
        """Let a running guest have an image beside those of its disks; it is given back with them.

        :param pid: of the guest's QEMU.
        :param new: it is still to be made: an empty file is, which QEMU may fill.
        :raises VirtError: it cannot be given to it.
        """
        await in_thread(self._admit_source, owner, source, pid, new)

    def _admit_source(self, owner: Owner, source: Source, pid: int, new: bool) -> None:
        if new and isinstance(source, FileSource) and source.file is not None and not os.path.exists(source.file):
            try:
                os.close(os.open(source.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            except OSError as error:
                raise SystemError(f"failed to create image file '{source.file}': {error.strerror}") from None
        own = self._label(owner)
        if own is not None:
            self._take(owner, list(image_claims(source, own, remember=True)))
        if self.hides_devices and isinstance(source, BlockSource) and source.dev is not None:
            add_device(pid, source.dev)

    async def release_device(self, owner: Owner, device: object, *, pid: int | None = None) -> None:
        """Undo what was made for a device, once QEMU has let go of it. Never raises; twice does no harm.

        :param pid: of the guest's QEMU, where that runs on.
        """
        if self.keeps_apart:
            try:
                await in_thread(self._dismiss, owner, device, pid)
            except (VirtError, OSError) as error:
                log.warning("domain '%s': files of a device are not given back: %s", owner.name, error)
        await self._release_kind(owner, device)

    async def _release_kind(self, owner: Owner, device: object) -> None:
        release = next((pair[1] for kind, pair in _KINDS.items() if isinstance(device, kind)), None)
        if release is None:
            return
        try:
            await release(self, owner, device)
        except (VirtError, OSError) as error:
            log.warning("domain '%s': what a device had of the host is left behind: %s", owner.name, error)

    def _dismiss(self, owner: Owner, device: object, pid: int | None) -> None:
        own, kept = self._label(owner), self._images_of_others(owner, device)
        if own is not None:
            ownership.give_back(owner.folder, {claim.path for claim in device_claims(self, device, own)} - kept)
        if pid is not None and self.hides_devices:
            for path in set(paths_of(self, device)) - kept:
                remove_device(pid, path, self.settings.cgroup_device_acl)

    def _images_of_others(self, owner: Owner, device: object) -> set[str | None]:
        """Files that other disks of the guest have."""
        devices = owner.domain.devices if owner.domain is not None else None
        others = [disk for disk in devices.disks if disk is not device] if devices is not None else []
        return {disk_path(link.source) for disk in others for link in images_of(disk)}

    def open_devices(self, domain: Domain, without: object = None) -> list[str]:
        """Device files that a guest's QEMU may open.

        :param without: a device that goes.
        """
        return [*self.settings.cgroup_device_acl, *device_paths(self, domain, without)]

    # -- whole guests

    def decide(self, domain: Domain) -> bool:
        """Write into a starting guest whom it belongs to; returns whether it had not said so itself.

        :raises VirtError: what it says of that itself makes no sense.
        """
        check_models(domain, others=self.identity is not None)
        if self.identity is None:
            return False
        return add_label(domain, self.identity, confined=self.settings.security_default_confined)

    async def prepare(self, owner: Owner, domain: Domain, resources: HostResources) -> None:
        """Make what a guest's devices need of the host.

        :raises VirtError: something cannot be made. What was made before is released with the guest.
        """
        prepare_memory(self, owner, domain)
        write_launch_files(owner.folder, domain)
        for device in devices_of(domain):
            await self.prepare_device(owner, device, resources)

    async def prepare_again(self, owner: Owner, domain: Domain) -> None:
        """See to it that a guest that was found again has what the host may have lost meanwhile. Never raises."""
        assert domain.devices is not None
        for disk in domain.devices.disks:
            nbdkit.serve_images_again(self, owner, disk)
        for interface in domain.devices.interfaces:
            try:
                await interfaces.rejoin(self, owner, interface)
            except VirtError as error:
                log.error("domain '%s': an interface is not in its network: %s", owner.name, error)
            try:
                await filters.filter_again(self, owner, interface)
            except VirtError as error:
                log.error("domain '%s': the traffic of an interface is not filtered: %s", owner.name, error)

    def has_bus(self, owner: Owner) -> bool:
        """Whether a guest's own bus of D-Bus runs."""
        return displays.has_bus(self, owner)

    def lock(self, uuid: str, domain: Domain) -> None:
        """Lock what a guest about to run has for itself.

        :raises ResourceBusy: another guest has it.
        """
        if self.settings.lock_manager == "lockd":
            self.locks.acquire(uuid, resources_of(domain))

    def unlock(self, uuid: str) -> None:
        """Let others have what a guest had for itself; what cannot be let go of is logged."""
        if self.settings.lock_manager != "lockd":
            return
        try:
            self.locks.release(uuid)
        except (VirtError, OSError) as error:
            log.warning("domain %s keeps its locks: %s", uuid, error)

    def lock_device(self, uuid: str, device: object) -> None:
        """Lock what a device gives a running guest for itself.

        :raises ResourceBusy: another guest has it.
        """
        resource = resource_of(device) if self.settings.lock_manager == "lockd" else None
        if resource is not None:
            self.locks.acquire(uuid, [resource])

    def unlock_device(self, uuid: str, device: object, domain: Domain) -> None:
        """Let others have what a device gave a guest, unless another device of the guest has it, too.

        :param domain: what the guest is, with or without the device.
        """
        if self.settings.lock_manager != "lockd":
            return
        assert domain.devices is not None
        others = [one for one in (*domain.devices.leases, *domain.devices.disks) if one is not device]
        try:
            resource, kept = resource_of(device), [resource_of(other) for other in others]
            if resource is not None and resource.key not in [one.key for one in kept if one is not None]:
                self.locks.release(uuid, resource)
        except (VirtError, OSError) as error:
            log.warning("domain '%s' keeps the lock of a device: %s", domain.name, error)

    def runs_as_root(self, owner: Owner) -> bool:
        """Whether a guest runs with the administrator's rights."""
        identity = self.identity_of(owner)
        return identity.uid == 0 if identity is not None else os.geteuid() == 0

    async def host_for(self, domain: Domain) -> HostSettings:
        """How the host is arranged for a guest that is about to run.

        :raises VirtError: it is to say where the guest is put, and does not.
        """
        if wants_advice(domain):
            return replace(self.host, auto_nodeset=await advised_nodes(domain))
        return self.host

    async def confine(self, owner: Owner, domain: Domain, command: Command) -> Command:
        """Give a guest that is about to run its files; returns how it is to be run.

        :raises VirtError: something cannot be given to it.
        """
        limits = self._limits(domain)
        if not self.keeps_apart:
            return replace(command, limits=limits)
        devices = await in_thread(self._hand_over_files, owner, domain)
        identity = self.identity_of(owner)
        return replace(command, limits=limits, identity=identity, capabilities=identity is None, devices=devices)

    def _limits(self, domain: Domain) -> dict[int, int]:
        """Limits of a guest's QEMU: those that the settings name, and of memory that must stay where it is."""
        settings, found = self.settings, {}
        locked = locked_memory(domain)
        if locked:
            found[resource.RLIMIT_MEMLOCK] = resource.RLIM_INFINITY if locked == MEMORY_UNLIMITED else locked
        if settings.max_processes:
            found[resource.RLIMIT_NPROC] = settings.max_processes
        if settings.max_files:
            found[resource.RLIMIT_NOFILE] = settings.max_files
        core = resource.RLIM_INFINITY if settings.max_core == "unlimited" else int(settings.max_core)
        # Who is not the administrator cannot raise it, and need not hear of what nobody asked for.
        if core != resource.RLIM_INFINITY or os.geteuid() == 0:
            found[resource.RLIMIT_CORE] = core
        return found

    def _hand_over_files(self, owner: Owner, domain: Domain) -> Devices | None:
        """Give a guest its files; returns the devices it sees, None for the host's."""
        own = self._label(owner)
        if own is not None:
            claims = list(domain_claims(domain, own))
            for device in devices_of(domain):
                claims += device_claims(self, device, own)
            self._take(owner, claims)
            self._hand_over_folder(owner, own.identity)
        if not self.hides_devices:
            return None
        folder = owner.folder / "dev"
        self.make_folder(str(folder), 0o755)
        return private_devices(str(folder), self.settings.cgroup_device_acl, device_paths(self, domain))

    def _hand_over_folder(self, owner: Owner, identity: Identity) -> None:
        try:
            for path in (owner.folder, *(owner.folder / name for name in ("master-key.aes", *LAUNCH_FILES))):
                if path.exists():
                    os.chown(path, identity.uid, identity.gid)
        except OSError as error:
            raise SystemError(f"unable to set ownership of '{owner.folder}': {error.strerror}") from None

    def _take(self, owner: Owner, claims: list[ownership.Claim]) -> None:
        dynamic = self.settings.dynamic_ownership
        if self.privileged if dynamic is None else dynamic:
            ownership.take(owner.folder, claims, remember=self.settings.remember_owner)

    def _label(self, owner: Owner) -> OwnLabel | None:
        return own_label(owner.domain, self.identity) if owner.domain is not None else None

    def identity_of(self, owner: Owner) -> Identity | None:
        """Who runs a guest; None: we."""
        own = self._label(owner)
        return own.identity if own is not None else None

    def socket_owner(self, owner: Owner) -> tuple[int, int] | None:
        """User and group whose a guest's sockets are; None: ours."""
        own = self._label(owner)
        return (own.identity.uid, own.identity.gid) if own is not None and own.relabel else None

    async def release(self, owner: Owner, domain: Domain) -> None:
        """Undo what was made for a guest that does not run (any more). Never raises; twice does no harm."""
        await asyncio.gather(*(self._release_kind(owner, device) for device in reversed(devices_of(domain))))
        await nbdkit.stop_serving_all(self, owner)
        await displays.stop_bus(self, owner)  # which others may have used as well
        self.unlock(owner.uuid)
        await self.abandon(owner.folder)
        if any(map(os.path.isdir, memory_folders(self, owner))):
            await in_thread(release_memory, self, owner)

    async def abandon(self, folder: Path) -> None:
        """Give back the files of a guest of which no more is left than its folder. Never raises."""
        try:
            await in_thread(ownership.give_back, folder)
        except (VirtError, OSError) as error:
            log.warning("files noted in %s are not given back: %s", folder, error)

    async def close(self) -> None:
        """Let go of the host's services. Guests keep what they have."""
        for task in self.kept.values():
            task.cancel()
        await asyncio.gather(*self.kept.values(), return_exceptions=True)
        await self.services.close()

    # -- for the modules of the kinds

    @property
    def reader(self) -> tuple[int, int]:
        """User and group who read the images of guests."""
        return (self.identity.uid, self.identity.gid) if self.identity is not None else (os.geteuid(), os.getegid())

    def make_folder(self, path: str, mode: int = 0o711) -> None:
        """Make a folder for what guests have, with its parents.

        :raises SystemError: it cannot be made.
        """
        try:
            os.makedirs(path, mode=mode, exist_ok=True)
        except OSError as error:
            raise SystemError(f"Unable to create directory {path}: {error.strerror}") from None

    def guests_folder(self, owner: Owner, kind: str) -> Path:
        """An empty folder in which the guest's user may make sockets, for programs that run beside its QEMU.

        :raises SystemError: it cannot be made.
        """
        folder = self.folders.run / kind / owner.short_name
        if not folder.is_dir():
            self.make_folder(str(folder.parent))
            self.make_folder(str(folder), 0o700)
            self.hand_over(owner, str(folder))
        return folder

    def take_files(self, owner: Owner, paths: list[str]) -> None:
        """Give a guest files that a program beside its QEMU opens, until it ends.

        :raises SystemError: they cannot be given to it.
        """
        own = self._label(owner)
        if own is not None and own.relabel:
            self._take(owner, [ownership.Claim(path, own.identity.uid, own.identity.gid) for path in paths])

    def remove_file(self, path: str) -> None:
        """Remove a file or socket that was made for a guest; without one nothing happens."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def hand_over(self, owner: Owner, path: str) -> None:
        """Let the guest's QEMU have a file or socket that was made for it and goes with it.

        :raises SystemError: it cannot have it.
        """
        identity = self.identity_of(owner)
        if identity is not None:
            try:
                os.chown(path, identity.uid, identity.gid)
            except OSError as error:
                raise SystemError(
                    f"unable to set user and group to '{identity.uid}:{identity.gid}' on '{path}': {error.strerror}"
                ) from None
