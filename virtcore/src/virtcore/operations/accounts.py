"""What becomes of libvirt's functions and procedures that are no operation.

Together with the spellings these tables account for all of the main, qemu and lxc libraries and of the programs
``remote``, ``qemu``, ``lxc`` and ``keepalive``: a function is an operation under a spelling, or something else of ours
(:func:`counterpart`), or something that virtcore has no use for (:func:`absence`).
"""

from __future__ import annotations

from virtcore._typing import Final
from virtcore.operations.families import FAMILIES, Family

__all__ = ["OBSOLETE", "PLUMBING", "absence", "counterpart"]

#: Function -> what it is in virtcore, by its full name below the package.
_COUNTERPARTS: Final = {
    # -- connections
    "virConnectOpen": "api.connecting.connect",
    "virConnectOpenAuth": "api.connecting.connect",
    "virConnectOpenReadOnly": "api.connecting.connect",
    "virConnectClose": "api.base.SyncConnectionBase.close",
    "virGetVersion": "LIBVIRT_VERSION",
    # -- migration
    **dict.fromkeys(
        ["virDomainMigrate", "virDomainMigrate2", "virDomainMigrate3"], "api.migration.SyncDomainBase.migrate"
    ),
    **dict.fromkeys(
        ["virDomainMigrateToURI", "virDomainMigrateToURI2", "virDomainMigrateToURI3"],
        "api.migration.SyncDomainBase.migrate_to_uri",
    ),
    # -- errors
    "virGetLastErrorCode": "errors.VirtError.code",
    "virGetLastErrorDomain": "errors.VirtError.domain",
    "virGetLastErrorMessage": "errors.VirtError",
    # -- typed parameters
    "virTypedParamsGet": "types.TypedParameters.type_of",
    **{
        f"virTypedParamsGet{kind}": "types.TypedParameters.get"
        for kind in ("Boolean", "Double", "Int", "LLong", "String", "UInt", "ULLong")
    },
    **{
        f"virTypedParamsAdd{kind}": "types.TypedParameters.add"
        for kind in ("Boolean", "Double", "FromString", "Int", "LLong", "String", "StringList", "UInt", "ULLong")
    },
    # -- streams
    "virStreamNew": "api.streams.Stream",
    "virStreamRecv": "api.streams.Stream.read",
    "virStreamRecvFlags": "api.streams.Stream.read_sparse",
    "virStreamRecvHole": "api.streams.Stream.read_sparse",
    "virStreamRecvAll": "api.streams.Stream.__iter__",
    "virStreamSparseRecvAll": "api.streams.Stream.read_sparse",
    "virStreamSend": "api.streams.Stream.write",
    "virStreamSendAll": "api.streams.Stream.write",
    "virStreamSendHole": "api.streams.Stream.write_hole",
    "virStreamSparseSendAll": "api.streams.Stream.write_hole",
    "virStreamFinish": "api.streams.Stream.finish",
    "virStreamAbort": "api.streams.Stream.abort",
    "virStreamEventAddCallback": "api.streams.AsyncStream.read",
    "virStreamEventUpdateCallback": "api.streams.AsyncStream.read",
    "virStreamEventRemoveCallback": "api.streams.AsyncStream.read",
    # -- events
    **{
        f"virConnect{family}Event{act}": target
        for family in ("Domain", "Network", "StoragePool", "NodeDevice", "Secret")
        for act, target in (
            ("RegisterAny", "api.base.SyncConnectionBase.on_event"),
            ("DeregisterAny", "api.events.EventSubscription.cancel"),
        )
    },
    "virConnectDomainEventRegister": "api.base.SyncConnectionBase.on_event",
    "virConnectDomainEventDeregister": "api.events.EventSubscription.cancel",
    "virConnectDomainQemuMonitorEventRegister": "api.base.SyncConnectionBase.on_event",
    "virConnectDomainQemuMonitorEventDeregister": "api.events.EventSubscription.cancel",
    "virConnectRegisterCloseCallback": "api.base.SyncConnectionBase.on_event",
    "virConnectUnregisterCloseCallback": "api.events.EventSubscription.cancel",
}

#: What a function's name has after its family's for a field of the reference.
_FIELDS: Final = {
    "Name": "name",
    "UUID": "uuid",
    "UUIDString": "uuid",
    "ID": "id",
    "Key": "key",
    "MACString": "mac",
    "PortDev": "port_dev",
    "FilterName": "filter_name",
    "UsageType": "usage_type",
    "UsageID": "usage_id",
    "Domain": "domain",
    "Network": "network",
}

_COUNTED = "objects are counted by Python"
_MEMORY = "memory is freed by Python"
_RAISED = "errors are raised, not kept for a thread or a connection"
_LOOP = "events come from virtcore's own loop; a C program's loop has no part in it"

_ENTERING = "it changes the calling process, which has threads of virtcore; domain_lxc_open_namespace opens the way"

#: Function -> why virtcore has nothing for it.
_ABSENT: Final = {
    "virInitialize": "there is nothing to initialize before the first call",
    "virConnectRef": _COUNTED,
    "virFreeError": _MEMORY,
    "virTypedParamsClear": _MEMORY,
    "virTypedParamsFree": _MEMORY,
    "virNetworkDHCPLeaseFree": _MEMORY,
    "virDomainFSInfoFree": _MEMORY,
    "virDomainIOThreadInfoFree": _MEMORY,
    "virDomainInterfaceFree": _MEMORY,
    "virDomainStatsRecordListFree": _MEMORY,
    **dict.fromkeys(
        [
            "virConnCopyLastError",
            "virConnGetLastError",
            "virConnResetLastError",
            "virConnSetErrorFunc",
            "virCopyLastError",
            "virDefaultErrorFunc",
            "virGetLastError",
            "virResetError",
            "virResetLastError",
            "virSaveLastError",
            "virSetErrorFunc",
        ],
        _RAISED,
    ),
    **dict.fromkeys(
        [
            "virEventAddHandle",
            "virEventAddTimeout",
            "virEventRegisterDefaultImpl",
            "virEventRegisterImpl",
            "virEventRemoveHandle",
            "virEventRemoveTimeout",
            "virEventRunDefaultImpl",
            "virEventUpdateHandle",
            "virEventUpdateTimeout",
        ],
        _LOOP,
    ),
    **dict.fromkeys(
        ["virDomainLxcEnterCGroup", "virDomainLxcEnterNamespace", "virDomainLxcEnterSecurityLabel"], _ENTERING
    ),
}

_EVENT_GROUPS = (
    "DOMAIN_EVENT",
    "DOMAIN_EVENT_CALLBACK",
    "NETWORK_EVENT",
    "STORAGE_POOL_EVENT",
    "NODE_DEVICE_EVENT",
    "SECRET_EVENT",
)

#: Procedures that belong to the connection itself, and what for.
PLUMBING: Final = {
    "remote.CONNECT_OPEN": "opening",
    "remote.CONNECT_CLOSE": "closing",
    "remote.CONNECT_SUPPORTS_FEATURE": "agreeing on the protocol",
    **{f"remote.AUTH_{step}": "authentication" for step in ("LIST", "SASL_INIT", "SASL_START", "SASL_STEP", "POLKIT")},
    "keepalive.PING": "noticing a dead peer",
    "keepalive.PONG": "noticing a dead peer",
    "remote.CONNECT_DOMAIN_EVENT_REGISTER": "subscribing",
    "remote.CONNECT_DOMAIN_EVENT_DEREGISTER": "subscribing",
    **{
        f"remote.CONNECT_{family}_{act}_ANY": "subscribing"
        for family in _EVENT_GROUPS
        for act in ("REGISTER", "DEREGISTER")
    },
    "qemu.CONNECT_DOMAIN_MONITOR_EVENT_REGISTER": "subscribing",
    "qemu.CONNECT_DOMAIN_MONITOR_EVENT_DEREGISTER": "subscribing",
    "remote.CONNECT_REGISTER_CLOSE_CALLBACK": "subscribing",
    "remote.CONNECT_UNREGISTER_CLOSE_CALLBACK": "subscribing",
}

#: Procedures that nobody has called for long, and what took their place.
OBSOLETE: Final = dict.fromkeys(
    [
        "remote.DOMAIN_MIGRATE_PREPARE",
        "remote.DOMAIN_MIGRATE_PERFORM",
        "remote.DOMAIN_MIGRATE_FINISH",
        "remote.DOMAIN_MIGRATE_PREPARE2",
        "remote.DOMAIN_MIGRATE_FINISH2",
        "remote.DOMAIN_MIGRATE_PREPARE_TUNNEL",
    ],
    "version 3 of migration, since libvirt 0.9.2",
)


def _of_family(function: str) -> tuple[Family, str] | None:
    """The family of a function that every family has, and the rest of its name."""
    for family in FAMILIES.values():
        rest = function.removeprefix(family.pointer.removesuffix("Ptr"))
        if rest in ("Ref", "Free", "GetConnect") or rest.removeprefix("Get") in _FIELDS:
            return family, rest
    return None


def counterpart(function: str) -> str | None:
    """What a function that is no operation is in virtcore: its full name below the package. None where nothing is."""
    known = _COUNTERPARTS.get(function)
    found = _of_family(function)
    if known is not None or found is None:
        return known
    family, rest = found
    if family.reference is None or rest in ("Ref", "Free"):
        return None
    if rest == "GetConnect":
        return "api.base.SyncObjectBase.connection"
    return f"types.{family.reference}.{_FIELDS[rest.removeprefix('Get')]}"


def absence(function: str) -> str | None:
    """Why virtcore has nothing for a function; None where it has something."""
    found = _of_family(function)
    if found is not None and found[1] in ("Ref", "Free"):
        return _COUNTED
    return _ABSENT.get(function)
