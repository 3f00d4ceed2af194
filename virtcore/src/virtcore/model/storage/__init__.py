"""Storage as domains, pools and volumes share it; names resolve on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.storage.location import is_empty as is_empty, source_path as source_path
    from virtcore.model.storage.secret import (
        Auth as Auth,
        AuthType as AuthType,
        Cipher as Cipher,
        Encryption as Encryption,
        EncryptionEngine as EncryptionEngine,
        EncryptionFormat as EncryptionFormat,
        IVGenerator as IVGenerator,
        SecretReference as SecretReference,
    )
    from virtcore.model.storage.source import (
        BlockSource as BlockSource,
        DataStore as DataStore,
        DeviceSeclabel as DeviceSeclabel,
        DirSource as DirSource,
        FileSource as FileSource,
        HostTransport as HostTransport,
        HTTPCookie as HTTPCookie,
        NetProtocol as NetProtocol,
        NetworkHost as NetworkHost,
        NetworkSource as NetworkSource,
        NFSIdentity as NFSIdentity,
        NVMeSource as NVMeSource,
        PoolSourceMode as PoolSourceMode,
        Reconnect as Reconnect,
        Reservations as Reservations,
        ReservationsSource as ReservationsSource,
        Slice as Slice,
        Source as Source,
        SourcePCIAddress as SourcePCIAddress,
        SSHIdentity as SSHIdentity,
        StartupPolicy as StartupPolicy,
        StorageFormat as StorageFormat,
        StorageType as StorageType,
        VhostUserSource as VhostUserSource,
        VhostVDPASource as VhostVDPASource,
        VolumeSource as VolumeSource,
    )

_MODULES = {
    "location": ("is_empty", "source_path"),
    "source": (
        "BlockSource",
        "DataStore",
        "DeviceSeclabel",
        "DirSource",
        "FileSource",
        "HTTPCookie",
        "HostTransport",
        "NFSIdentity",
        "NVMeSource",
        "NetProtocol",
        "NetworkHost",
        "NetworkSource",
        "PoolSourceMode",
        "Reconnect",
        "Reservations",
        "ReservationsSource",
        "SSHIdentity",
        "Slice",
        "Source",
        "SourcePCIAddress",
        "StartupPolicy",
        "StorageFormat",
        "StorageType",
        "VhostUserSource",
        "VhostVDPASource",
        "VolumeSource",
    ),
    "secret": (
        "Auth",
        "AuthType",
        "Cipher",
        "Encryption",
        "EncryptionEngine",
        "EncryptionFormat",
        "IVGenerator",
        "SecretReference",
    ),
}

_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Auth",
    "AuthType",
    "BlockSource",
    "Cipher",
    "DataStore",
    "DeviceSeclabel",
    "DirSource",
    "Encryption",
    "EncryptionEngine",
    "EncryptionFormat",
    "FileSource",
    "HTTPCookie",
    "HostTransport",
    "IVGenerator",
    "NFSIdentity",
    "NVMeSource",
    "NetProtocol",
    "NetworkHost",
    "NetworkSource",
    "PoolSourceMode",
    "Reconnect",
    "Reservations",
    "ReservationsSource",
    "SSHIdentity",
    "SecretReference",
    "Slice",
    "Source",
    "SourcePCIAddress",
    "StartupPolicy",
    "StorageFormat",
    "StorageType",
    "VhostUserSource",
    "VhostVDPASource",
    "VolumeSource",
    "is_empty",
    "source_path",
]


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
