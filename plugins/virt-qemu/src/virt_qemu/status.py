"""``<domstatus>``: a running guest with all that its driver knows of it, as libvirt writes it into status files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virt_qemu.block_jobs import BlockJobs, ImageDescription
from virt_qemu.migration_parameters import MigrationParameter
from virt_qemu.private_data import NodeName, QemuSecret, SourcePrivate, register
from virt_qemu.volumes import read_volumes
from virtcore.model.backup import Backup
from virtcore.model.cpu.element import GuestCPU
from virtcore.model.domain.disk import Disk
from virtcore.model.domain.domain import Domain
from virtcore.model.domain.hostdev import ISCSISource, SCSIHostdev
from virtcore.model.storage.source import NetProtocol, NetworkSource
from virtcore.xml import (
    HEX,
    INT,
    UINT,
    ULONG,
    YES_NO,
    Mode,
    attribute,
    child,
    children,
    element,
    flag,
    leaf,
    text,
)

if TYPE_CHECKING:
    from virtcore.model.domain.rules import DomainRules
    from virtcore.model.domain.rules.context import DomainContext, ParseFlag

__all__ = ["DomainStatus", "GuestJob", "StatusFolders", "format_status", "load_status", "status_flags"]

_MODE = Mode.SECURE | Mode.STATUS | Mode.ACTUAL_NET | Mode.PCI_ORIG_STATES | Mode.CLOCK_ADJUST | Mode.VOLUME_TRANSLATED
#: Seconds an agent has by default: as long as it takes.
_AGENT_TIMEOUT = -2


@element("taint")
class Taint:
    """Why nobody should rely on the guest."""

    flag: str = attribute(required=True)


@element("monitor")
class MonitorAddress:
    """Where the monitor is."""

    path: str = attribute(required=True, doc="path of the socket")
    type: str | None = attribute(doc="unix")


@element("vcpu")
class VCPUThread:
    """The thread of a virtual CPU."""

    id: int = attribute(codec=UINT, required=True)
    pid: int = attribute(codec=UINT, required=True, doc="of the thread")


@element("disk")
class MigratedDisk:
    """A disk of a guest that is migrated."""

    dev: str = attribute(required=True, doc="its target")
    migrating: bool = attribute(codec=YES_NO, required=True, doc="it is copied along")
    source: ImageDescription | None = child("migrationSource", doc="where the copy goes")


@element("bitmap")
class TemporaryBitmap:
    """A bitmap that only the migration needs."""

    name: str = attribute(required=True)
    node: str = attribute("nodename", required=True, doc="node of the block layer")


@element("job")
class GuestJob:
    """What is being done with the guest."""

    type: str = attribute(required=True, doc="the job that holds the guest")
    async_: str = attribute("async", required=True, doc="the long job")
    phase: str | None = attribute(doc="of the long job")
    flags: int | None = attribute(codec=HEX("0x%x"), doc="flags of the call that began it")
    started: int | None = attribute("asyncStarted", codec=ULONG, doc="when, in ms since 1970")
    disks: list[MigratedDisk] = children("disk")
    bitmaps: list[TemporaryBitmap] = children("bitmap", within="tempBlockDirtyBitmaps")
    parameters: list[MigrationParameter] = children("param", within="migParams")


@element("devices")
class KnownDevices:
    """The devices that QEMU has."""

    aliases: list[str] = attribute("alias", within="device")


@element("numad")
class Placement:
    """Where numad put the guest."""

    nodeset: str | None = attribute(doc="NUMA nodes")
    cpuset: str | None = attribute(doc="CPUs")


@element("qemuCaps", empty="open")
class KnownFlags:
    """What the emulator can do that runs the guest."""

    flags: list[str] = attribute("name", within="flag")


@element("deprecation")
class Deprecation:
    """Something in use that will go away."""

    message: str = text(required=True)


@element("domstatus", root=True)
class DomainStatus:
    """A running guest."""

    state: str = attribute(required=True)
    reason: str | None = attribute(doc="why it is in this state")
    pid: int | None = attribute(codec=INT, doc="of QEMU")
    taints: list[Taint] = children("taint")
    deprecations: list[Deprecation] = children("deprecation")
    monitor: MonitorAddress | None = child()
    dbus_daemon: bool = flag("dbusDaemon", doc="its own bus of D-Bus runs")
    dbus_vmstate: bool = flag("dbusVMState", doc="programs on it are saved and moved with the guest")
    mount_namespace: bool = flag("mount", within="namespaces", doc="QEMU has a mount namespace of its own")
    vcpus: list[VCPUThread] = children("vcpu", within="vcpus")
    capabilities: KnownFlags | None = child()
    lock_state: str | None = leaf("lockstate", doc="of the lock manager")
    job: GuestJob | None = child()
    fake_reboot: bool = flag("fakereboot", doc="powering off is a reboot")
    known_devices: KnownDevices | None = child("devices")
    placement: Placement | None = child()
    lib_folder: str | None = attribute("path", within="libDir", doc="its sockets and files")
    channel_folder: str | None = attribute("path", within="channelTargetDir", doc="sockets of its channels")
    memory_folder: str | None = attribute("path", within="memoryBackingDir", doc="files with its memory")
    original_cpu: GuestCPU | None = child("cpu", doc="its processor as it was asked for")
    logs_through_virtlogd: bool = flag("chardevStdioLogd")
    remember_owner: bool = flag("rememberOwner", doc="owners of files are remembered")
    allow_reboot: bool | None = attribute("value", within="allowReboot", codec=YES_NO)
    pr_daemon: bool = flag("prDaemon", doc="the helper for persistent reservations runs")
    node_index: int | None = attribute("index", within="nodename", codec=ULONG, doc="the last node of the block layer")
    fdset_index: int | None = attribute("index", within="fdset", codec=UINT, doc="the last set of descriptors")
    memory_preallocated: bool = flag("memPrealloc")
    block_jobs: BlockJobs | None = child()
    agent_timeout: int | None = leaf("agentTimeout", codec=INT, doc="seconds the agent has, or how to wait")
    backups: list[Backup] = children("domainbackup", within="backups")
    memlock_before_migration: int | None = leaf("preMigrationMemlock", codec=ULONG, omit=0, doc="in bytes")
    domain: Domain = child("domain", required=True)


@dataclass(frozen=True, slots=True)
class StatusFolders:
    """Where a driver keeps what belongs to guests, for status files that do not say it."""

    lib: str
    channels: str
    memory: str


def status_flags() -> ParseFlag:
    """How the domain of a status file is read."""
    from virtcore.model.domain.rules.context import ParseFlag

    return (
        ParseFlag.STATUS
        | ParseFlag.ACTUAL_NET
        | ParseFlag.PCI_ORIG_STATES
        | ParseFlag.VOLUME_TRANSLATED
        | ParseFlag.SKIP_VALIDATE
    )


def load_status(
    source: str | bytes, rules: DomainRules, context: DomainContext, folders: StatusFolders
) -> DomainStatus:
    """Read a status file: the domain is completed, and what older files lack is filled in.

    :param context: with :func:`status_flags`.
    :param folders: where the driver keeps what belongs to guests.
    :raises VirtError: it is malformed, or its domain is.
    """
    from virtcore.model.domain.document import reading_mode
    from virtcore.xml import load

    register()
    status = load(source, DomainStatus, mode=reading_mode(context.flags), name="(domain_status)")
    rules.complete(status.domain, context)
    if status.domain.devices is not None:
        read_volumes(status.domain.devices.disks)
    _complete(status, folders)
    return status


def format_status(status: DomainStatus) -> str:
    """The file as libvirt writes it."""
    from virtcore.xml import format

    register()
    return format(status, _MODE)


def _complete(status: DomainStatus, folders: StatusFolders) -> None:
    domain = status.domain
    short = f"{domain.id}-{domain.name[:20]}"
    if status.lib_folder is None:
        status.lib_folder = f"{folders.lib}/domain-{domain.name}"
    if status.channel_folder is None:
        status.channel_folder = f"{folders.channels}/domain-{domain.name}"
    if status.memory_folder is None:
        status.memory_folder = f"{folders.memory}/{short}"
    job = status.job
    if job is not None and job.async_ != "none":
        job.flags = job.flags or 0
        job.started = job.started or 0
    status.node_index = status.node_index or 0
    status.fdset_index = status.fdset_index or 0
    status.block_jobs = status.block_jobs if status.block_jobs is not None else BlockJobs(active=False)
    if status.agent_timeout is None:
        status.agent_timeout = _AGENT_TIMEOUT
    assert domain.devices is not None
    for disk in domain.devices.disks:
        _name_objects_of_disk(disk)
    for hostdev in domain.devices.hostdevs:
        if isinstance(hostdev, SCSIHostdev):
            _name_objects_of_hostdev(hostdev)


def _private(owner: object) -> SourcePrivate:
    """The private data of a source, made where there is none."""
    found = getattr(owner, "private_data", None)
    if not isinstance(found, SourcePrivate):
        found = SourcePrivate()
        owner.private_data = found  # type: ignore[attr-defined]
    return found


def _name_secret(private: SourcePrivate, kind: str, alias: str) -> None:
    if not any(secret.type == kind for secret in private.secrets):
        private.secrets.append(QemuSecret(type=kind, alias=alias))


def _name_objects_of_disk(disk: Disk) -> None:
    """Objects had names that follow from the device's before status files told them."""
    source, alias = disk.source, disk.alias
    if source is None or alias is None:
        return
    if source.auth is not None and _has_secret(source):
        _name_secret(_private(source), "auth", f"{alias}-secret0")
    if source.encryption is not None and source.encryption.format == "luks" and source.encryption.secrets:
        _name_secret(_private(source), "encryption", f"{alias}-luks-secret0")
    if isinstance(source, NetworkSource) and source.tls and _private(source).tls is None:
        _private(source).tls = f"obj{alias}_tls0"


def _has_secret(source: object) -> bool:
    return isinstance(source, NetworkSource) and source.protocol in (NetProtocol.ISCSI, NetProtocol.RBD)


def _name_objects_of_hostdev(hostdev: SCSIHostdev) -> None:
    source, alias = hostdev.source, hostdev.alias
    if source is None or alias is None:
        return
    private = _private(source)
    if not any(node.type == "storage" for node in private.nodes):
        private.nodes.append(NodeName(type="storage", name=f"libvirt-{alias}-backend"))
    if isinstance(source, ISCSISource) and source.auth is not None:
        _name_secret(private, "auth", f"{alias}-secret0")
