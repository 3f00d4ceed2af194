"""The command that removes a domain's definition, and its storage with it."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, alias, command, flag, string
from virt_shell.domains import DOMAIN, devices, disk_targets
from virt_shell.shell import Shell
from virt_shell.text import split_list
from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml import etree

    from virtcore.api.sync import Domain, StorageVol

#: option -> name of the DomainUndefineFlags member
_FLAGS = {
    "managed-save": "MANAGED_SAVE",
    "snapshots-metadata": "SNAPSHOTS_METADATA",
    "checkpoints-metadata": "CHECKPOINTS_METADATA",
    "nvram": "NVRAM",
    "keep-nvram": "KEEP_NVRAM",
    "tpm": "TPM",
    "keep-tpm": "KEEP_TPM",
}


class _Volume(NamedTuple):
    target: str
    source: str
    volume: StorageVol


@command(
    "undefine",
    group="domain",
    help="undefine a domain",
    description="Remove the definition of an inactive domain, or make a running one transient.",
    options=[
        DOMAIN,
        flag("managed-save", "remove domain managed state file"),
        string(
            "storage",
            "remove associated storage volumes (comma separated list of targets or source paths) (see domblklist)",
            unwanted_positional=True,
            completer=disk_targets,
        ),
        flag("remove-all-storage", "remove all associated storage volumes (use with caution)"),
        alias("delete-snapshots", "delete-storage-volume-snapshots"),
        flag(
            "delete-storage-volume-snapshots",
            "delete snapshots associated with volume(s), requires --remove-all-storage"
            " (must be supported by storage driver)",
        ),
        flag("wipe-storage", "wipe data on the removed volumes"),
        flag("snapshots-metadata", "remove all domain snapshot metadata (vm must be inactive)"),
        flag("checkpoints-metadata", "remove all domain checkpoint metadata (vm must be inactive)"),
        flag("nvram", "remove nvram file"),
        flag("keep-nvram", "keep nvram file"),
        flag("tpm", "remove TPM state"),
        flag("keep-tpm", "keep TPM state"),
    ],
)
def undefine(shell: Shell, args: Arguments) -> bool:
    args.needs("delete-storage-volume-snapshots", "remove-all-storage")
    args.exclusive("nvram", "keep-nvram")
    args.exclusive("tpm", "keep-tpm")
    chosen = args.get("storage")
    removes = chosen is not None or "remove-all-storage" in args
    if "wipe-storage" in args and not removes:
        raise CommandError("'--wipe-storage' requires '--storage <string>' or '--remove-all-storage'")
    domain, name = shell.domain(args), args.require("domain")
    flags = _flags(args, domain)
    volumes: list[_Volume] = []
    if removes:
        if domain.is_active():
            raise CommandError("Storage volume deletion is supported only on stopped domains")
        if chosen is not None and "remove-all-storage" in args:
            raise CommandError("Specified both --storage and --remove-all-storage")
        volumes = _volumes(shell, domain, None if chosen is None else split_list(chosen))
    with shell.failing(f"Failed to undefine domain '{name}'"):
        domain.undefine(flags)
    shell.extra(f"Domain '{name}' has been undefined\n")
    done = [_remove(shell, args, volume) for volume in volumes]
    return all(done)


def _flags(args: Arguments, domain: Domain) -> int:
    """The flags; without those for what the domain does not have, which its driver may not know."""
    from virtcore.enums import DomainSnapshotListFlags, DomainUndefineFlags
    from virtcore.errors import NoSupport

    flags = args.flags(DomainUndefineFlags, _FLAGS)
    active = domain.is_active()

    def there(count: object) -> bool:
        try:
            return not active and bool(count() if callable(count) else count)
        except NoSupport:
            return False

    if flags & DomainUndefineFlags.MANAGED_SAVE and not there(domain.has_managed_save):
        flags &= ~DomainUndefineFlags.MANAGED_SAVE
    if flags & DomainUndefineFlags.SNAPSHOTS_METADATA and not there(
        lambda: domain.list_snapshots(DomainSnapshotListFlags.METADATA)
    ):
        flags &= ~DomainUndefineFlags.SNAPSHOTS_METADATA
    return flags


def _source(disk: etree._Element) -> tuple[str | None, str | None]:
    """Path or name of a disk's source, and its pool."""
    source = disk.find("source")
    if source is None:
        return None, None
    names = {"file", "dir", "name", "dev", "volume"}
    return next((str(value) for name, value in source.attrib.items() if name in names), None), source.get("pool")


def _volumes(shell: Shell, domain: Domain, chosen: list[str] | None) -> list[_Volume]:
    """The volumes to remove; what cannot be removed is told.

    :param chosen: targets or sources; None for all.
    :raises CommandError: one of these is no disk of the domain.
    """
    from virtcore.errors import VirtError

    left = list(chosen or ())
    found = []
    for disk in devices(domain, "disk"):
        target_element = disk.find("target")
        target = str(target_element.get("dev")) if target_element is not None else ""
        source, pool = _source(disk)
        if source is None:
            continue
        if chosen is not None:
            named = next((word for word in (target, source) if word in left), None)
            if named is None:
                continue
            left.remove(named)
        if pool is not None:
            try:
                storage = shell.connection.lookup_storage_pool(name=pool)
            except VirtError:
                shell.error(f"Storage pool '{pool}' for volume '{target}' not found.")
                continue
        try:
            volume = (
                storage.lookup_volume(source) if pool is not None else shell.connection.lookup_storage_vol(path=source)
            )
        except VirtError:
            text = f"Storage volume '{target}'({source}) is not managed by libvirt. Remove it manually."
            shell.error(f"{text}\n")
            continue
        found.append(_Volume(target, source, volume))
    for word in left:
        shell.error(f"Volume '{word}' was not found in domain's definition.\n")
    if left:
        raise CommandError("")
    return found


def _remove(shell: Shell, args: Arguments, volume: _Volume) -> bool:
    """Wipe and delete a volume."""
    from virtcore.enums import StorageVolDeleteFlags
    from virtcore.errors import VirtError

    shown = f"'{volume.target}'({volume.source})"
    if "wipe-storage" in args:
        shell.extra(f"Wiping volume {shown} ... ")
        try:
            volume.volume.wipe()
        except VirtError as problem:
            shell.error("Failed! Volume not removed.")
            shell.report(problem)
            return False
        shell.extra("Done.\n")
    try:
        volume.volume.delete(args.flags(StorageVolDeleteFlags, {"delete-storage-volume-snapshots": "WITH_SNAPSHOTS"}))
    except VirtError as problem:
        shell.error(f"Failed to remove storage volume {shown}")
        shell.report(problem)
        return False
    shell.extra(f"Volume {shown} removed.\n")
    return True
