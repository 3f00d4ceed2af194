"""From a storage volume document to a complete, valid :class:`Volume`, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtcore.errors import ConfigUnsupported, ErrorDomain, XMLError
from virtcore.model.definition import DefinitionContext, DefinitionRules
from virtcore.model.storage.pool_source import StoragePoolType
from virtcore.model.storage.pool_types import POOL_TYPES
from virtcore.model.storage.settle import settle_encryption
from virtcore.model.storage.volume import (
    COMPAT,
    Volume,
    VolumeBackingStore,
    VolumeParseFlag,
    VolumeTarget,
    VolumeType,
)
from virtcore.xml import Mode, Stage

if TYPE_CHECKING:
    from virtcore.model.storage.pool import StoragePool

__all__ = ["VolumeContext", "VolumeRules", "format_storage_vol", "load_storage_vol"]

_COMPAT_WITH_FEATURES = "1.1"


@dataclass(slots=True, kw_only=True)
class VolumeContext(DefinitionContext):
    """Where a volume belongs and how its document is read.

    :param pool_type: kind of its pool.
    :param flags: how the document is read.
    """

    pool_type: StoragePoolType
    flags: VolumeParseFlag = VolumeParseFlag.NONE


def _sizes(_rules: VolumeRules, volume: Volume, context: VolumeContext) -> None:
    if volume.type is None:
        volume.type = VolumeType.FILE
    if volume.backing_store is not None and volume.backing_store.path is None:
        volume.backing_store = None
    if volume.capacity is None:
        optional = VolumeParseFlag.OPT_CAPACITY in context.flags and volume.backing_store is not None
        if VolumeParseFlag.NO_CAPACITY not in context.flags and not optional:
            raise XMLError("missing capacity element", path="/volume/capacity")
        volume.capacity = 0
    if volume.allocation is None:
        volume.allocation = volume.capacity


def _formats(_rules: VolumeRules, volume: Volume, context: VolumeContext) -> None:
    """Formats are those the pool's kind knows."""
    if volume.target is None:
        volume.target = VolumeTarget()
    formats = POOL_TYPES[context.pool_type].volumes
    images: tuple[tuple[VolumeTarget | VolumeBackingStore | None, str], ...] = (
        (volume.backing_store, "backingStore"),
        (volume.target, "target"),
    )
    for image, name in images:
        if image is None:
            continue
        if formats is None:
            image.format = None
        elif image.format is None:
            image.format = formats.default
        elif image.format in formats.formats:
            image.format = formats.formats[image.format]
        else:
            raise ConfigUnsupported(
                f"unknown volume format type {image.format}",
                path=f"/volume/{name}/format/@type",
                value=image.format,
            )


def _target(_rules: VolumeRules, volume: Volume, context: VolumeContext) -> None:
    target = volume.target
    assert target is not None
    if target.encryption is not None:
        settle_encryption(target.encryption)
    if target.compat is not None and not COMPAT.fullmatch(target.compat):
        raise XMLError("forbidden characters in 'compat' attribute", path="/volume/target/compat", value=target.compat)
    if target.features is not None and target.compat is None:
        target.compat = _COMPAT_WITH_FEATURES


class VolumeRules(DefinitionRules[Volume, VolumeContext]):
    """What makes the definition of a volume complete and valid."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.STORAGE
    completion = (Stage("sizes", _sizes), Stage("formats", _formats), Stage("target", _target))


def load_storage_vol(
    source: str | bytes,
    pool: StoragePool | StoragePoolType,
    *,
    flags: VolumeParseFlag = VolumeParseFlag.NONE,
    validate: bool = False,
) -> Volume:
    """Reads the definition of a volume, completes and checks it (``virStorageVolCreateXML``).

    :param pool: the pool it belongs to, or that pool's kind: it decides on the formats.
    :param flags: whether the capacity may be absent.
    :param validate: the schema is checked first (``VIR_STORAGE_VOL_CREATE_VALIDATE``).
    :raises VirtError: the document is malformed, or refused by libvirt's parser.
    """
    from virtcore.xml import load

    kind = pool if isinstance(pool, StoragePoolType) else pool.type
    return load(
        source,
        Volume,
        VolumeRules(),
        VolumeContext(pool_type=kind, flags=flags),
        mode=Mode.INACTIVE,
        validate=validate,
        name="(storage_volume_definition)",
    )


def format_storage_vol(volume: Volume) -> str:
    """A storage volume as libvirt prints it."""
    from virtcore.xml import format

    return format(volume)
