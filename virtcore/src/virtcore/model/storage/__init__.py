"""Storage as domains, pools and volumes share it; names resolve on first use."""

from __future__ import annotations

from importlib import import_module

_MODULES = {
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

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
