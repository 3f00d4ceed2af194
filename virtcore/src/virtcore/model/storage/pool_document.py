"""From a storage pool document to a complete, valid :class:`StoragePool`, and back."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

from virtcore.errors import ConfigUnsupported, ErrorDomain, NoSupport, XMLDetail, XMLError
from virtcore.model.definition import DefinitionContext, DefinitionRules
from virtcore.model.paths import sanitize_path
from virtcore.model.storage.adapter import settle_adapter, validate_adapter
from virtcore.model.storage.pool import PoolTarget, StoragePool
from virtcore.model.storage.pool_source import (
    Directory,
    DiskPoolSource,
    FileSystemPoolSource,
    GlusterPoolSource,
    Hosts,
    ISCSIDirectPoolSource,
    LogicalPoolSource,
    Named,
    NetFSFormat,
    NetFSPoolSource,
    RBDPoolSource,
    SCSIPoolSource,
    StoragePoolType,
    ZFSPoolSource,
)
from virtcore.model.storage.pool_types import POOL_TYPES
from virtcore.model.storage.secret import AuthType
from virtcore.model.storage.settle import settle_secret
from virtcore.xml import Mode, Stage

__all__ = ["PoolOptions", "StoragePoolRules", "format_storage_pool", "load_storage_pool"]


@runtime_checkable
class PoolOptions(Protocol):
    """An element of a plugin's namespace below ``<pool>``.

    :cvar pool_types: the kinds of pools it is for, by name (a plugin registers its elements with the first connection,
        where the model is not loaded yet); in other pools it is unknown content.
    """

    pool_types: ClassVar[frozenset[str]]


def _source(_rules: StoragePoolRules, pool: StoragePool, context: DefinitionContext) -> None:
    """The source as libvirt's parser leaves it."""
    info = POOL_TYPES[pool.type]
    if pool.source is None:
        # An RBD pool's name is mandatory; without servers it will be refused anyway.
        made = info.source(name=pool.name) if info.source is RBDPoolSource else info.source()
        pool.source = made  # type: ignore[assignment]
    source = pool.source
    assert source is not None
    formatted: Any = source
    if info.default_format is not None and formatted.format is None:
        formatted.format = info.default_format
    if isinstance(source, Directory):
        if source.dir is not None:
            source.dir = sanitize_path(source.dir)
        elif isinstance(source, GlusterPoolSource):
            source.dir = "/"
    if isinstance(source, SCSIPoolSource) and source.adapter is not None:
        settle_adapter(source.adapter)
    if source.auth is not None:
        settle_secret(source.auth.secret)
        if source.auth.type in (None, AuthType.NONE):
            raise ConfigUnsupported("storage pool missing auth type", path="/pool/source/auth/@type")
    if source.protocol_version is not None:
        path = "/pool/source/protocol/@ver"
        if isinstance(source, NetFSPoolSource) and source.format not in (NetFSFormat.AUTO, NetFSFormat.NFS):
            raise ConfigUnsupported(f"storage pool protocol ver unsupported for pool type '{source.format}'", path=path)
        if "," in source.protocol_version:
            raise XMLDetail(
                f"storage pool protocol ver '{source.protocol_version}' must not contain ','",
                path=path,
                value=source.protocol_version,
            )


def _identity(_rules: StoragePoolRules, pool: StoragePool, context: DefinitionContext) -> None:
    """Name and UUID; figures nobody has found out yet."""
    if pool.name is None and isinstance(pool.source, Named):
        pool.name = pool.source.name
    if pool.name is None:
        raise XMLError("missing pool source name element", path="/pool/name")
    if "/" in pool.name:
        raise XMLError(f"name {pool.name} cannot contain '/'", path="/pool/name", value=pool.name)
    if pool.uuid is None:
        pool.uuid = str(context.new_uuid())
    pool.capacity, pool.allocation, pool.available = pool.capacity or 0, pool.allocation or 0, pool.available or 0
    if isinstance(pool.source, Named) and pool.source.name is None:
        pool.source.name = pool.name


def _require(_rules: StoragePoolRules, pool: StoragePool, context: DefinitionContext) -> None:
    """Refuses a pool that lacks what its kind needs."""
    source = pool.source
    if pool.cow is not None and pool.type not in (StoragePoolType.FS, StoragePoolType.DIR):
        raise NoSupport("cow feature may only be used for 'fs' and 'dir' pools", path="/pool/features/cow/@state")
    if isinstance(source, Hosts) and not source.hosts:
        raise XMLError("missing storage pool source host name", path="/pool/source/host")
    if isinstance(source, Directory) and source.dir is None:
        raise XMLError("missing storage pool source path", path="/pool/source/dir/@path")
    if isinstance(source, SCSIPoolSource):
        validate_adapter(source.adapter)
    # Where a device is all there is, it has to be there.
    if isinstance(source, FileSystemPoolSource | DiskPoolSource) and not source.devices:
        raise XMLError("missing storage pool source device name", path="/pool/source/device")


def _target(_rules: StoragePoolRules, pool: StoragePool, context: DefinitionContext) -> None:
    """Where the pool is on the host."""
    if not POOL_TYPES[pool.type].network:
        target = pool.target = pool.target or PoolTarget()
        if isinstance(pool.source, LogicalPoolSource):
            target.path = f"/dev/{pool.source.name}"
        elif isinstance(pool.source, ZFSPoolSource):
            target.path = f"/dev/zvol/{pool.source.name}"
        if target.path is None:
            raise XMLError("missing storage pool target path", path="/pool/target/path")
        target.path = sanitize_path(target.path)
    if isinstance(pool.source, ISCSIDirectPoolSource) and pool.source.initiator is None:
        raise ConfigUnsupported("missing initiator IQN", path="/pool/source/initiator/iqn/@name")


def _options(_rules: StoragePoolRules, pool: StoragePool, context: DefinitionContext) -> None:
    """A namespace belongs to kinds of pools."""
    pool.options = [
        options for options in pool.options if isinstance(options, PoolOptions) and pool.type in options.pool_types
    ]


class StoragePoolRules(DefinitionRules[StoragePool, DefinitionContext]):
    """What makes the definition of a storage pool complete and valid."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.STORAGE
    # libvirt completes and checks in one go; the order decides which message comes first.
    completion = (
        Stage("source", _source),
        Stage("identity", _identity),
        Stage("requirements", _require),
        Stage("target", _target),
        Stage("options", _options),
    )


def load_storage_pool(
    source: str | bytes, *, validate: bool = False, context: DefinitionContext | None = None
) -> StoragePool:
    """Reads the definition of a storage pool, completes and checks it (``virStoragePoolDefineXML``).

    :param validate: the schema is checked first (``VIR_STORAGE_POOL_DEFINE_VALIDATE``).
    :raises VirtError: the document is malformed, or refused by libvirt's parser.
    """
    from virtcore.xml import load

    return load(
        source,
        StoragePool,
        StoragePoolRules(),
        context or DefinitionContext(),
        mode=Mode.INACTIVE,
        validate=validate,
        name="(storage_pool_definition)",
    )


def format_storage_pool(pool: StoragePool) -> str:
    """A storage pool as libvirt prints it."""
    from virtcore.xml import format

    return format(pool)
