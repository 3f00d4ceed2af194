"""What cannot be migrated, or not without danger; and what flags cannot be together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.disks import disk_path, is_empty
from virt_qemu.migration.control import MigrationControl
from virt_qemu.migration.shared import is_cluster_file, is_shared_file
from virt_qemu.private_data import InterfacePrivate
from virtcore.enums.domain import DomainPausedReason, DomainState
from virtcore.enums.domain_more import DomainMigrateFlags as Flags
from virtcore.errors import (
    ArgumentUnsupported,
    InvalidArg,
    MigrateUnsafe,
    OperationInvalid,
    OperationUnsupported,
    SystemError,
)
from virtcore.model.domain.address import DIMMAddress
from virtcore.model.domain.disk import DiskCache
from virtcore.model.domain.filesystem import FilesystemDriverType
from virtcore.model.domain.hostdev import HostdevMode, PCIHostdev, USBHostdev
from virtcore.model.domain.memory_device import DIMM
from virtcore.model.domain.shmem import ShmemRole
from virtcore.model.storage.source import FileSource, NetworkSource, NVMeSource
from virtcore.xml.declare import declaration

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.guest import Guest
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk
    from virtcore.types import TypedParameters

__all__ = [
    "COPY",
    "check_devices",
    "check_flags_together",
    "check_guest",
    "check_offline",
    "check_safe",
    "check_state",
    "copied",
    "wanted_disks",
]

COPY = Flags.NON_SHARED_DISK | Flags.NON_SHARED_INC


def check_offline(flags: int, *, tunnelled: bool) -> None:
    """Refuse what makes no sense for a guest that does not run.

    :raises OperationInvalid: there is such.
    """
    if not flags & Flags.OFFLINE:
        return
    if flags & COPY:
        raise OperationInvalid("offline migration cannot handle non-shared storage")
    if not flags & Flags.PERSIST_DEST:
        raise OperationInvalid("offline migration must be specified with the persistent flag set")
    if tunnelled:
        raise OperationInvalid("tunnelled offline migration does not make sense")


def check_flags_together(flags: int, *, force_tls: bool) -> None:
    """Refuse what does not go together, at either side.

    :param force_tls: this host migrates encrypted only (``migrate_tls_force``).
    :raises VirtError: there is such.
    """
    if force_tls and not flags & (Flags.TUNNELLED | Flags.TLS):
        raise OperationInvalid("this libvirtd instance allows migration only with VIR_MIGRATE_TLS flag")
    if flags & Flags.POSTCOPY:
        if not flags & Flags.LIVE or flags & Flags.PAUSED:
            raise ArgumentUnsupported("post-copy migration is not supported with non-live or paused migration")
        if flags & Flags.TUNNELLED:
            raise ArgumentUnsupported("post-copy is not supported with tunnelled migration")


def wanted_disks(domain: Domain, params: TypedParameters, flags: int) -> list[str]:
    """Targets of the disks that the caller names to be copied; none for all that are not shared.

    :raises InvalidArg: there is no such disk.
    :raises OperationUnsupported: disks are named, and none are to be copied.
    """
    names = [str(each) for each in params.all("migrate_disks")]
    if not flags & COPY:
        if names:
            raise OperationUnsupported(
                "use of 'VIR_MIGRATE_PARAM_MIGRATE_DISKS' requires use of 'VIR_MIGRATE_NON_SHARED_DISK' or "
                "'VIR_MIGRATE_NON_SHARED_INC' flag"
            )
        return []
    if flags & Flags.TUNNELLED:
        raise OperationUnsupported(
            "migration of non-shared storage is not supported with tunnelled migration and this QEMU"
        )
    assert domain.devices is not None
    known = [disk.target.dev for disk in domain.devices.disks if disk.target is not None]
    for name in names:
        if name not in known:
            raise InvalidArg(f"disk target {name} not found")
    return names


def copied(domain: Domain, names: Sequence[str]) -> list[Disk]:
    """The disks that are copied: those named, or all that only this host has and that can change."""
    assert domain.devices is not None
    if names:
        return [disk for disk in domain.devices.disks if disk.target is not None and disk.target.dev in names]
    return [
        disk for disk in domain.devices.disks if not disk.shareable and not disk.readonly and not is_empty(disk.source)
    ]


async def check_guest(guest: Guest) -> None:
    """Refuse a running guest whose state cannot leave its QEMU, be it for another one or for a file.

    :raises VirtError: it says why.
    """
    status, capabilities = guest.status, guest.capabilities
    if status.block_jobs is not None and status.block_jobs.jobs:
        raise OperationInvalid("domain has active block job")
    blockers: list[str] = []
    if capabilities is not None and capabilities.has("migration.blocked-reasons"):
        blockers = (await MigrationControl(guest).progress()).blockers
    check_devices(status.domain, capabilities, blockers)


def check_devices(domain: Domain, capabilities: EmulatorCapabilities | None, blockers: Sequence[str]) -> None:
    """Refuse a running guest that cannot be moved because of what it has.

    :param blockers: what QEMU says against it.
    :raises VirtError: it says why.
    """
    asked = capabilities is not None and capabilities.has("migration.blocked-reasons")
    if asked:
        if blockers:
            raise OperationInvalid(f"cannot migrate domain: {'; '.join(blockers)}")
    else:
        _check_hostdevs(domain)
    _check_tsc(domain)
    assert domain.devices is not None
    for module in domain.devices.memory:
        if isinstance(module, DIMM) and not isinstance(module.address, DIMMAddress):
            raise OperationInvalid("domain's dimm info lacks slot ID or base address")
    for shmem in domain.devices.shmems:
        if shmem.role is not ShmemRole.MASTER:
            raise OperationInvalid(
                f"shmem device '{shmem.name}' cannot be migrated, only shmem with role='master' can be migrated"
            )
    for interface in domain.devices.interfaces:
        if not asked and interface.type == "vdpa":
            raise OperationInvalid("vDPA devices cannot be migrated")
        if isinstance(interface.private_data, InterfacePrivate) and interface.private_data.slirp:
            raise OperationInvalid("a slirp-helper cannot be migrated")
    for share in domain.devices.filesystems:
        if share.driver is not None and share.driver.type is FilesystemDriverType.VIRTIOFS:
            raise OperationInvalid("migration with virtiofs device is not supported")
    if any(disk.transient is not None for disk in domain.devices.disks):
        raise OperationInvalid("migration with transient disk is not supported")


def _check_hostdevs(domain: Domain) -> None:
    assert domain.devices is not None
    for device in domain.devices.hostdevs:
        tag = declaration(type(device)).tag
        assert isinstance(tag, tuple)
        mode, kind = tag
        if mode == HostdevMode.CAPABILITIES:
            raise OperationUnsupported("cannot migrate a domain with <hostdev mode='capabilities'>")
        # What the guest has a substitute for, QEMU unplugs meanwhile.
        substituted = isinstance(device, PCIHostdev) and device.teaming is not None
        if not isinstance(device, USBHostdev) and not substituted:
            raise OperationUnsupported(f"cannot migrate a domain with <hostdev mode='subsystem' type='{kind}'>")
    for interface in domain.devices.interfaces:
        if interface.type == "hostdev" and interface.teaming is None:
            raise OperationUnsupported(f"cannot migrate a domain with <interface type='{interface.type}'>")


def _check_tsc(domain: Domain) -> None:
    """QEMU needs to know a clock's rate that is to stay the same."""
    cpu = domain.cpu
    if cpu is None or not any(
        each.name == "invtsc" and each.policy in (None, "require", "force") for each in cpu.features
    ):
        return
    timers = domain.clock.timers if domain.clock is not None else []
    if not any(timer.name == "tsc" and getattr(timer, "frequency", None) for timer in timers):
        raise OperationInvalid("domain has 'invtsc' CPU feature but TSC frequency is not specified")


def check_state(obj: DomainObject, flags: int) -> None:
    """Refuse a guest that cannot go to another host because of the state it is in.

    :raises OperationInvalid: it says why.
    """
    if obj.snapshots:
        raise OperationInvalid(f"cannot migrate domain with {obj.snapshots} snapshots")
    if flags & Flags.OFFLINE:
        return
    broken = obj.state == DomainState.PAUSED and obj.reason == DomainPausedReason.IOERROR
    if flags & Flags.ABORT_ON_ERROR and broken:
        raise OperationInvalid("cannot migrate domain with I/O error")
    if obj.owner is not None:
        raise OperationInvalid("domain is marked for auto destroy")


def check_safe(
    domain: Domain,
    capabilities: EmulatorCapabilities | None,
    names: Sequence[str],
    flags: int,
    shared_folders: Collection[str] = (),
) -> None:
    """Refuse a guest whose disks the other host does not have, or might see old contents of.

    :param names: see :func:`wanted_disks`.
    :param shared_folders: those that other hosts have, too.
    :raises MigrateUnsafe: there is such a disk.
    """
    assert domain.devices is not None
    moved = copied(domain, names) if flags & COPY else []
    for disk in domain.devices.disks:
        if is_empty(disk.source) or disk.readonly or any(disk is each for each in moved):
            continue
        source = disk.source
        if isinstance(source, NetworkSource):
            continue
        unsafe = isinstance(source, NVMeSource)
        if isinstance(source, FileSource):
            path = disk_path(source) or ""
            try:
                unsafe = not is_shared_file(path, shared_folders)
                if not unsafe and is_cluster_file(path):
                    continue
            except OSError as error:
                raise SystemError(f"cannot determine filesystem for '{path}': {error.strerror}") from None
        if unsafe:
            raise MigrateUnsafe("Migration without shared storage is unsafe")
        cache = disk.driver.cache if disk.driver is not None else None
        if disk.shareable or cache in (DiskCache.NONE, DiskCache.DIRECTSYNC):
            continue
        if capabilities is None or not capabilities.has("migration-file-drop-cache"):
            raise MigrateUnsafe(
                "Migration may lead to data corruption if disks use cache other than none or directsync"
            )
