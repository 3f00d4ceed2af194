"""Manage virtual machines and containers through one long-term stable API::

    import virtcore

    with virtcore.connect("test:///default") as connection:
        for domain in connection.list_domains():
            print(domain.name, domain.state())

Everything here is imported on first use; ``import virtcore`` alone costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself is too much to import here; checkers know the name
if TYPE_CHECKING:
    from virtcore.api.aio import (
        AsyncConnection,
        AsyncDomain,
        AsyncDomainCheckpoint,
        AsyncDomainSnapshot,
        AsyncInterface,
        AsyncNetwork,
        AsyncNetworkPort,
        AsyncNodeDevice,
        AsyncNWFilter,
        AsyncNWFilterBinding,
        AsyncSecret,
        AsyncStoragePool,
        AsyncStorageVol,
        AsyncStream,
    )
    from virtcore.api.connecting import connect, connect_async
    from virtcore.api.sync import (
        Connection,
        Domain,
        DomainCheckpoint,
        DomainSnapshot,
        Interface,
        Network,
        NetworkPort,
        NodeDevice,
        NWFilter,
        NWFilterBinding,
        Secret,
        StoragePool,
        StorageVol,
        Stream,
    )
    from virtcore.driver.base import Credential
    from virtcore.driver.native import convert
    from virtcore.errors import ErrorCode, ErrorDomain, ErrorLevel, VirtError
    from virtcore.operations.events import DomainLifecycleEvent, DomainRebootEvent, Event, GapEvent
    from virtcore.runtime.jobs import DeadlineExpired, Job
    from virtcore.runtime.methods import DEFAULT
    from virtcore.types import (
        DomainCheckpointRef,
        DomainRef,
        DomainSnapshotRef,
        InterfaceRef,
        NetworkPortRef,
        NetworkRef,
        NodeDeviceRef,
        NWFilterBindingRef,
        NWFilterRef,
        SecretRef,
        StoragePoolRef,
        StorageVolRef,
        TypedParameters,
    )
    from virtcore.uri import ConnectionURI

__all__ = [
    "DEFAULT",
    "LIBVIRT_VERSION",
    "AsyncConnection",
    "AsyncDomain",
    "AsyncDomainCheckpoint",
    "AsyncDomainSnapshot",
    "AsyncInterface",
    "AsyncNWFilter",
    "AsyncNWFilterBinding",
    "AsyncNetwork",
    "AsyncNetworkPort",
    "AsyncNodeDevice",
    "AsyncSecret",
    "AsyncStoragePool",
    "AsyncStorageVol",
    "AsyncStream",
    "Connection",
    "ConnectionURI",
    "Credential",
    "DeadlineExpired",
    "Domain",
    "DomainCheckpoint",
    "DomainCheckpointRef",
    "DomainLifecycleEvent",
    "DomainRebootEvent",
    "DomainRef",
    "DomainSnapshot",
    "DomainSnapshotRef",
    "ErrorCode",
    "ErrorDomain",
    "ErrorLevel",
    "Event",
    "GapEvent",
    "Interface",
    "InterfaceRef",
    "Job",
    "NWFilter",
    "NWFilterBinding",
    "NWFilterBindingRef",
    "NWFilterRef",
    "Network",
    "NetworkPort",
    "NetworkPortRef",
    "NetworkRef",
    "NodeDevice",
    "NodeDeviceRef",
    "Secret",
    "SecretRef",
    "StoragePool",
    "StoragePoolRef",
    "StorageVol",
    "StorageVolRef",
    "Stream",
    "TypedParameters",
    "VirtError",
    "connect",
    "connect_async",
    "convert",
]

__version__ = "0.1.0"

LIBVIRT_VERSION: int = 11003000
"""The version of libvirt whose behaviour this is, as major * 1,000,000 + minor * 1,000 + release."""

_HOMES = {
    "api.aio": (
        "AsyncConnection",
        "AsyncDomain",
        "AsyncDomainCheckpoint",
        "AsyncDomainSnapshot",
        "AsyncInterface",
        "AsyncNetwork",
        "AsyncNetworkPort",
        "AsyncNodeDevice",
        "AsyncNWFilter",
        "AsyncNWFilterBinding",
        "AsyncSecret",
        "AsyncStoragePool",
        "AsyncStorageVol",
        "AsyncStream",
    ),
    "api.connecting": ("connect", "connect_async"),
    "api.sync": (
        "Connection",
        "Domain",
        "DomainCheckpoint",
        "DomainSnapshot",
        "Interface",
        "Network",
        "NetworkPort",
        "NodeDevice",
        "NWFilter",
        "NWFilterBinding",
        "Secret",
        "StoragePool",
        "StorageVol",
        "Stream",
    ),
    "driver.base": ("Credential",),
    "driver.native": ("convert",),
    "errors": ("ErrorCode", "ErrorDomain", "ErrorLevel", "VirtError"),
    "operations.events": ("DomainLifecycleEvent", "DomainRebootEvent", "Event", "GapEvent"),
    "runtime.jobs": ("DeadlineExpired", "Job"),
    "runtime.methods": ("DEFAULT",),
    "types": (
        "DomainCheckpointRef",
        "DomainRef",
        "DomainSnapshotRef",
        "InterfaceRef",
        "NetworkPortRef",
        "NetworkRef",
        "NodeDeviceRef",
        "NWFilterBindingRef",
        "NWFilterRef",
        "SecretRef",
        "StoragePoolRef",
        "StorageVolRef",
        "TypedParameters",
    ),
    "uri": ("ConnectionURI",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            value: object = getattr(import_module(f"virtcore.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
