"""Which pools would be made of the same storage: two of those cannot be on one host."""

from __future__ import annotations

import re

from virtcore.model.storage.adapter import AdapterType, StorageAdapter
from virtcore.model.storage.pool import StoragePool
from virtcore.model.storage.pool_source import (
    Devices,
    Directory,
    GlusterPoolSource,
    Hosts,
    ISCSIPoolSource,
    NetFSPoolSource,
    SCSIPoolSource,
    SheepdogPoolSource,
    StoragePoolType,
    VStoragePoolSource,
)

__all__ = ["same_source"]

_SCSI_HOST = re.compile("(?:scsi_|fc_)?host([0-9]+)")
#: Kinds whose devices nobody else may have.
_DEVICE_KINDS = (
    StoragePoolType.ISCSI,
    StoragePoolType.FS,
    StoragePoolType.LOGICAL,
    StoragePoolType.DISK,
    StoragePoolType.ZFS,
)


def same_source(known: StoragePool, new: StoragePool) -> bool:
    """Whether a new pool would take the storage of a known one."""
    if known.type in _DEVICE_KINDS:
        return new.type in _DEVICE_KINDS and _same_devices(known, new)
    if known.type is not new.type:
        return False
    one, other = known.source, new.source
    if known.type is StoragePoolType.DIR:
        assert known.target is not None  # completion requires both
        assert new.target is not None
        return known.target.path == new.target.path
    if known.type is StoragePoolType.MPATH:
        return True  # a host has one
    if isinstance(one, NetFSPoolSource) and isinstance(other, NetFSPoolSource):
        return _same_directory(one, other) and _same_server(one, other)
    if isinstance(one, GlusterPoolSource) and isinstance(other, GlusterPoolSource):
        return one.name == other.name and _same_directory(one, other) and _same_server(one, other)
    if isinstance(one, SheepdogPoolSource) and isinstance(other, SheepdogPoolSource):
        return _same_server(one, other)
    if isinstance(one, VStoragePoolSource) and isinstance(other, VStoragePoolSource):
        return one.name == other.name
    if isinstance(one, SCSIPoolSource) and isinstance(other, SCSIPoolSource):
        return one.adapter is not None and other.adapter is not None and _same_adapter(one.adapter, other.adapter)
    return False


def _same_directory(one: Directory, other: Directory) -> bool:
    return one.dir == other.dir


def _same_server(known: Hosts, new: Hosts) -> bool:
    if len(known.hosts) != 1 and len(new.hosts) != 1:
        return False
    one, other = known.hosts[0], new.hosts[0]
    return one.name == other.name and (not other.port or one.port == other.port)


def _same_devices(known: StoragePool, new: StoragePool) -> bool:
    one, other = known.source, new.source
    if not isinstance(one, Devices) or not isinstance(other, Devices):
        return False
    if isinstance(one, ISCSIPoolSource) or isinstance(other, ISCSIPoolSource):
        if not isinstance(one, ISCSIPoolSource) or not isinstance(other, ISCSIPoolSource):
            return False
        if one.initiator != other.initiator:
            return False
    return not {device.path for device in one.devices}.isdisjoint(device.path for device in other.devices)


def _same_adapter(known: StorageAdapter, new: StorageAdapter) -> bool:
    if known.type is AdapterType.FC_HOST and new.type is AdapterType.FC_HOST:
        return (known.wwnn, known.wwpn) == (new.wwnn, new.wwpn)
    if known.type is AdapterType.SCSI_HOST and new.type is AdapterType.SCSI_HOST:
        if known.parent_address is not None and new.parent_address is not None:
            return known.parent_address == new.parent_address
        number = _number(known.name)
        return number is not None and number == _number(new.name)
    virtual, real = (known, new) if known.type is AdapterType.FC_HOST else (new, known)
    number = _number(virtual.parent)
    return number is not None and number == _number(real.name)


def _number(name: str | None) -> int | None:
    """Number of a SCSI host: names of pools and of devices differ."""
    found = _SCSI_HOST.fullmatch(name or "")
    return int(found[1]) if found else None
