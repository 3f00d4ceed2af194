"""Checks of images, whatever uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.rules.validate.shared import require
from virtcore.errors import ConfigUnsupported
from virtcore.model.storage.secret import EncryptionEngine, EncryptionFormat
from virtcore.model.storage.source import NetProtocol, NetworkSource, StorageFormat, StorageType

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.storage.secret import Encryption
    from virtcore.model.storage.source import Source

__all__ = ["validate_source"]


def validate_source(
    kind: StorageType | None,
    source: Source | None,
    format: StorageFormat | None,
    capabilities: EmulatorCapabilities,
    *,
    encryption: Encryption | None = None,
    readonly: bool = False,
    cache_size: int | None = None,
) -> None:
    """Refuse an image that QEMU cannot open.

    :param encryption: of the image, where it does not stand in its source.
    :param cache_size: bytes that its metadata may take in memory.
    :raises ConfigUnsupported: with libvirt's message.
    """
    _format(kind, format, readonly)
    if source is not None and source.reservations is not None:
        require(capabilities, "pr-manager-helper", "reservations not supported with this QEMU binary")
    if isinstance(source, NetworkSource):
        _network(source)
    if cache_size and format is not StorageFormat.QCOW2:
        raise ConfigUnsupported("metadata cache max size control is supported only with qcow2 images")
    encryption = encryption or (source.encryption if source is not None else None)
    if encryption is not None:
        _encryption(encryption, source, format, capabilities)
    if isinstance(source, NetworkSource) and source.tls_hostname is not None:
        if source.protocol is not NetProtocol.NBD:
            raise ConfigUnsupported("'tlsHostname' field is supported only with NBD disks")
        require(capabilities, "blockdev.nbd.tls-hostname", "'tlsHostname' field is not supported by this QEMU")


def _format(kind: StorageType | None, format: StorageFormat | None, readonly: bool) -> None:
    if format is StorageFormat.COW:
        raise ConfigUnsupported("'cow' storage format is not supported")
    if format is StorageFormat.DIR:
        raise ConfigUnsupported(
            "'directory' storage format is not directly supported by QEMU, use 'dir' disk type instead"
        )
    if format is StorageFormat.ISO:
        raise ConfigUnsupported("storage format 'iso' is not directly supported by QEMU, use 'raw' instead")
    if format is StorageFormat.FAT and kind not in (StorageType.VOLUME, StorageType.DIR):
        raise ConfigUnsupported("storage format 'fat' is supported only with 'dir' storage type")
    if kind is StorageType.DIR:
        if format not in (None, StorageFormat.FAT):
            raise ConfigUnsupported("storage type 'dir' requires use of storage format 'fat'")
        if not readonly:
            raise ConfigUnsupported("virtual FAT storage can't be accessed in read-write mode")


def _network(source: NetworkSource) -> None:
    if source.protocol is not NetProtocol.NFS:
        return
    if len(source.hosts) != 1:
        raise ConfigUnsupported("'nfs' protocol requires the usage of exactly one host")
    host = source.hosts[0]
    if host.transport not in (None, "tcp"):
        raise ConfigUnsupported("'nfs' host must use TCP protocol")
    if host.port:
        raise ConfigUnsupported("port cannot be specified in 'nfs' protocol host")


def _encryption(
    encryption: Encryption,
    source: Source | None,
    format: StorageFormat | None,
    capabilities: EmulatorCapabilities,
) -> None:
    if encryption.format in (EncryptionFormat.QCOW, EncryptionFormat.DEFAULT):
        raise ConfigUnsupported("old qcow/qcow2 encryption is not supported")
    if encryption.engine is EncryptionEngine.QEMU:
        if format not in (StorageFormat.RAW, StorageFormat.QCOW2):
            raise ConfigUnsupported("encryption is supported only with 'raw' and 'qcow2' image format")
        if encryption.format in (EncryptionFormat.LUKS2, EncryptionFormat.LUKS_ANY):
            raise ConfigUnsupported(f"'{encryption.format}' is currently not supported by the qemu encryption engine")
        if len(encryption.secrets) > 1:
            raise ConfigUnsupported("qemu encryption engine expects only a single secret")
    elif encryption.engine is EncryptionEngine.LIBRBD:
        require(capabilities, "rbd-encryption", "librbd encryption is not supported by this QEMU binary")
        if not isinstance(source, NetworkSource) or source.protocol is not NetProtocol.RBD:
            raise ConfigUnsupported("librbd encryption is supported only with RBD backed disks")
        if encryption.format is EncryptionFormat.LUKS_ANY:
            require(capabilities, "rbd-encryption-luks-any", "luks-any encryption is not supported by this QEMU binary")
        if len(encryption.secrets) > 1:
            require(
                capabilities,
                "rbd-encryption-layering",
                "librbd encryption layering is not supported by this QEMU binary",
            )
