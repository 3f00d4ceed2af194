"""Access control: what a client may do with what, from the permissions that stand on the procedures.

Each call is checked before it is carried out, on the objects as the driver knows them: the references in a call are
looked up, and what was found is what the operation gets. Where the object is in a document or a saved image, that is
read; where it is what the call looks up, the answer is checked. A permission whose object cannot be made out is denied.
Lists are cut down to what the client may see, events likewise.

Without access drivers nothing is checked, as with libvirt.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import virtcore.types
from virtcore._tuples import NamedTuple
from virtcore.errors import AccessDenied, ErrorDomain, NotFoundError, VirtError
from virtcore.operations.families import FAMILIES
from virtcore.operations.wire.codec import codec
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

if TYPE_CHECKING:
    from virt_remote.server.identity import Identity
    from virtcore.operations.declare import Operation
    from virtcore.operations.procedures import Permission, Procedure
    from virtcore.runtime.session import Session

__all__ = ["AccessControl", "AccessDriver", "Guard", "Reference", "Request"]

log = logging.getLogger("virtcored.access")

Reference = (
    DomainRef
    | NetworkRef
    | NetworkPortRef
    | StoragePoolRef
    | StorageVolRef
    | SecretRef
    | NodeDeviceRef
    | InterfaceRef
    | NWFilterRef
    | NWFilterBindingRef
)

_REFERENCES: Final[dict[type, str]] = {
    getattr(virtcore.types, family.reference): name for name, family in FAMILIES.items() if family.reference is not None
}


class Request(NamedTuple):
    """What a client wants to be allowed."""

    identity: Identity
    #: Name of the driver that the client's connection has, e.g. ``QEMU``.
    driver: str
    #: Kind of object, e.g. ``domain``, and the right.
    object: str
    permission: str
    #: The object; None for the connection.
    subject: Reference | None
    #: The pool of a volume.
    pool: StoragePoolRef | None = None

    def __str__(self) -> str:
        return f"{self.object}:{self.permission}" + ("" if self.subject is None else f" on {self.subject}")


class AccessDriver(Protocol):
    """Decides what clients may do."""

    name: str

    async def allows(self, request: Request) -> bool:
        """Whether the request is granted.

        :raises Exception: it cannot be decided; it is denied then.
        """


class AccessControl:
    """The access drivers of a daemon, all of which have to agree."""

    def __init__(self, drivers: Sequence[AccessDriver]) -> None:
        self.drivers = tuple(drivers)

    async def allows(self, request: Request) -> bool:
        """Whether every driver grants the request.

        :raises AccessDenied: one cannot decide.
        """
        for driver in self.drivers:
            try:
                allowed = await driver.allows(request)
            except Exception as error:  # noqa: BLE001  # who cannot decide denies, and tells only the log why
                log.error("access driver %s: %s for %s: %s", driver.name, request, request.identity, error)
                raise AccessDenied(f"'{request.driver}' denied access", domain=ErrorDomain.ACCESS) from None
            if not allowed:
                log.info("%s is denied %s by %s", request.identity, request, driver.name)
                return False
        return True


class Guard:
    """Access control over one open connection of a client."""

    def __init__(self, control: AccessControl, identity: Identity, session: Session) -> None:
        self._control = control
        self._identity = identity
        self._session = session

    async def admit_connection(self, row: Procedure, wire: Sequence[Any] = ()) -> None:
        """Check a procedure that is about the connection alone.

        :raises AccessDenied: it is not allowed.
        """
        for permission in row.permissions:
            if _applies(permission, row, wire):
                await self._require(permission, [] if permission.object != "connect" else [None])

    async def admit(
        self, row: Procedure, operation: Operation, wire: Sequence[Any], arguments: Sequence[Any]
    ) -> tuple[Any, ...]:
        """Check a call before it is carried out, but for what it looks up.

        :param arguments: the operation's.
        :return: the arguments to carry it out with: references are those that were checked.
        :raises AccessDenied: it is not allowed.
        :raises VirtError: an object is not there.
        """
        found = tuple([await self._canonical(one) if type(one) in _REFERENCES else one for one in arguments])
        for permission in row.permissions:
            if _applies(permission, row, wire) and not _is_looked_up(permission, operation):
                await self._require(permission, await self._subjects(permission.object, operation, found))
        return found

    async def admit_result(self, row: Procedure, operation: Operation, value: Any) -> Any:
        """Check what a call found before it is told, and cut down lists.

        :raises AccessDenied: it is not to be seen.
        """
        for permission in row.permissions:
            if _is_looked_up(permission, operation):
                await self._require(permission, [value])
        if not row.filters:
            return value
        kept = []
        for item in value:
            if await self.may_see(row, item):
                kept.append(item)
        return kept

    async def may_see(self, row: Procedure, item: Any) -> bool:
        """Whether something of a list, or what an event is about, is for the client to see."""
        subject = (
            item if type(item) in _REFERENCES else next((part for part in item if type(part) in _REFERENCES), None)
        )
        try:
            return all([await self._allows(right, _holder(subject, right.object)) for right in row.filters])
        except VirtError:
            return False  # it is gone, or nobody can decide

    async def _require(self, permission: Permission, subjects: Sequence[Reference | None]) -> None:
        if not subjects:
            log.info("%s: no object is known that %s is about", self._identity, permission)
            raise AccessDenied(domain=ErrorDomain.ACCESS)
        for subject in subjects:
            if not await self._allows(permission, subject):
                raise AccessDenied(domain=ErrorDomain.ACCESS)

    async def _allows(self, permission: Permission, subject: Reference | None) -> bool:
        if (subject is None) != (permission.object == "connect"):
            return False
        pool = None
        if isinstance(subject, StorageVolRef):
            pool = await self._look_up("connection_lookup_storage_pool", subject.pool, None)
        driver = str(getattr(self._session.driver, "name", ""))
        return await self._control.allows(
            Request(self._identity, driver, permission.object, permission.permission, subject, pool)
        )

    # -- objects

    async def _look_up(self, operation: str, *arguments: Any) -> Any:
        return await self._session.call(operation, *arguments, deadline=None)

    async def _canonical(self, reference: Any) -> Any:
        """An object as the driver knows it, by what identifies it; everything else in the reference is the client's."""
        match reference:
            case DomainRef(_, key, _):
                return await self._look_up("connection_lookup_domain", None, key, None)
            case DomainSnapshotRef(domain, name):
                return DomainSnapshotRef(await self._canonical(domain), name)
            case DomainCheckpointRef(domain, name):
                return DomainCheckpointRef(await self._canonical(domain), name)
            case NetworkRef(_, key):
                return await self._look_up("connection_lookup_network", None, key)
            case NetworkPortRef(network, key):
                return await self._look_up("network_lookup_port", await self._canonical(network), key)
            case StoragePoolRef(_, key):
                return await self._look_up("connection_lookup_storage_pool", None, key)
            case StorageVolRef(pool, name, _):
                holder = await self._look_up("connection_lookup_storage_pool", pool, None)
                return await self._look_up("storage_pool_lookup_volume", holder, name)
            case SecretRef(key, _, _):
                return await self._look_up("connection_lookup_secret", key)
            case NodeDeviceRef(name):
                return await self._look_up("connection_lookup_node_device", name)
            case InterfaceRef(name, _):
                return await self._look_up("connection_lookup_interface", name)
            case NWFilterRef(_, key):
                return await self._look_up("connection_lookup_nwfilter", None, key)
            case NWFilterBindingRef(port_dev, _):
                return await self._look_up("connection_lookup_nwfilter_binding", port_dev)
        raise AccessDenied(domain=ErrorDomain.ACCESS)

    async def _subjects(self, kind: str, operation: Operation, arguments: Sequence[Any]) -> list[Any]:
        """The objects of a kind that a call is about; empty when that cannot be made out."""
        if kind == "connect":
            return [None]
        given = dict(zip(operation.parameters, arguments, strict=False))
        if operation.name in _IMAGES:
            text = await self._look_up("connection_save_image_xml", given["file"], 0) if given.get("file") else None
            return await self._described(kind, text, None, given) if text else []
        if operation.name.startswith("connection_migrate_"):
            params: TypedParameters = given["params"]
            described = params.get("destination_xml") if operation.name != "connection_migrate_finish" else None
            renamed = params.get("destination_name")
            return await self._described(kind, described, renamed, given)
        if "xml" in given and _produces(operation) == kind:
            return await self._described(kind, given["xml"], None, given)
        held = [_holder(one, kind) for one in arguments if type(one) in _REFERENCES]
        return [one for one in held if one is not None]

    async def _described(self, kind: str, text: Any, renamed: Any, given: dict[str, Any]) -> list[Any]:
        """The objects that a document names, with those that are there under its name or UUID."""
        if isinstance(text, str | bytes):
            from virtcore.xml.document import document

            described = _IDENTITIES[kind](document(text), given)
        elif isinstance(renamed, str):
            described = [DomainRef(renamed, "")]
        else:
            return []
        if isinstance(renamed, str):
            described += [one._replace(name=renamed) for one in described]
        found: list[Any] = [] if text is None else list(described)
        for one in described:
            for operation, arguments in _lookups(one):
                if not self._session.supports(operation):
                    continue
                try:
                    there = await self._look_up(operation, *arguments)
                except NotFoundError:
                    continue
                if there not in found:
                    found.append(there)
        return found


#: Operations about a file that has a domain's document in it.
_IMAGES: Final = frozenset(["connection_restore", "connection_save_image_xml", "connection_save_image_define_xml"])


def _applies(permission: Permission, row: Procedure, wire: Sequence[Any]) -> bool:
    """Whether a permission is needed for a call with these arguments."""
    if not (permission.flags_set or permission.flags_clear or permission.argument):
        return True
    fields = codec(row.program, row.args).fields if row.args else ()
    name = permission.argument[0] if permission.argument is not None else "flags"
    if name not in fields:
        return True
    value = wire[fields.index(name)]
    if permission.argument is not None:
        return bool(value == permission.argument[1])
    if permission.flags_set:
        return bool(value & permission.flags_set == permission.flags_set)
    return not value & permission.flags_clear


def _produces(operation: Operation) -> str | None:
    """The family of the object that an operation gives; None when it gives no single one."""
    for reference, family in _REFERENCES.items():
        if operation.returns == reference.__name__:
            return family
    return None


def _is_looked_up(permission: Permission, operation: Operation) -> bool:
    """Whether a permission is about what an operation looks up."""
    return "_lookup_" in operation.name and _produces(operation) == permission.object


def _holder(reference: Any, kind: str) -> Any:
    """The object of a kind that a reference is of or belongs to; None when there is none."""
    if isinstance(reference, DomainSnapshotRef | DomainCheckpointRef):
        reference = reference.domain
    if _REFERENCES.get(type(reference)) == kind:
        return reference
    return reference.network if isinstance(reference, NetworkPortRef) and kind == "network" else None


# -- what a document says of the object's identity


def _texts(root: Any, name: str) -> list[str]:
    return [(child.text or "").strip() for child in root.iterchildren(name)]


def _uuids(root: Any) -> list[str]:
    """UUIDs that a document gives, as references have them; an empty one where it gives none."""
    import uuid

    found = []
    for text in _texts(root, "uuid"):
        try:
            found.append(str(uuid.UUID(text.replace(" ", ""))))
        except ValueError:
            found.append(text)
    return found or [""]


def _attributes(root: Any, child: str, name: str) -> list[str]:
    return [found.get(name, "") for found in root.iterchildren(child)]


def _named(reference: Any) -> Any:
    def identities(root: Any, given: dict[str, Any]) -> list[Any]:
        return [reference(name, own) for name in _texts(root, "name") for own in _uuids(root)]

    return identities


def _secrets(root: Any, given: dict[str, Any]) -> list[Any]:
    usages = [
        (usage.get("type", "none"), (next(iter(usage.itertext()), "") or "").strip())
        for usage in root.iterchildren("usage")
    ] or [("none", "")]
    return [
        SecretRef(own, _USAGES.index(kind) if kind in _USAGES else 0, name)
        for own in _uuids(root)
        for kind, name in usages
    ]


_USAGES: Final = ("none", "volume", "ceph", "iscsi", "tls", "vtpm")

_IDENTITIES: Final[dict[str, Any]] = {
    "domain": _named(DomainRef),
    "network": _named(NetworkRef),
    "storage_pool": _named(StoragePoolRef),
    "storage_vol": lambda root, given: [StorageVolRef(given["pool"].name, name, "") for name in _texts(root, "name")],
    "network_port": lambda root, given: [NetworkPortRef(given["network"], own) for own in _uuids(root)],
    "secret": _secrets,
    "node_device": lambda root, given: [NodeDeviceRef(name) for name in _texts(root, "name") or [""]],
    "interface": lambda root, given: [
        InterfaceRef(root.get("name", ""), mac) for mac in _attributes(root, "mac", "address") or [""]
    ],
    "nwfilter": lambda root, given: [NWFilterRef(root.get("name", ""), own) for own in _uuids(root)],
    "nwfilter_binding": lambda root, given: [
        NWFilterBindingRef(port, name)
        for port in _attributes(root, "portdev", "name")
        for name in _attributes(root, "filterref", "filter") or [""]
    ],
}


def _lookups(reference: Any) -> list[tuple[str, tuple[Any, ...]]]:
    """What finds an object that is there under a part of an identity."""
    match reference:
        case DomainRef(name, key, _):
            both = [("connection_lookup_domain", (name, None, None)), ("connection_lookup_domain", (None, key, None))]
            return both if key else both[:1]
        case NetworkRef(name, key):
            return _by_name_and_uuid("connection_lookup_network", name, key)
        case StoragePoolRef(name, key):
            return _by_name_and_uuid("connection_lookup_storage_pool", name, key)
        case NWFilterRef(name, key):
            return _by_name_and_uuid("connection_lookup_nwfilter", name, key)
        case SecretRef(key, usage_type, usage_id):
            usage = ("connection_lookup_secret", (None, usage_type, usage_id))
            return ([("connection_lookup_secret", (key,))] if key else []) + ([usage] if usage_id else [])
        case NodeDeviceRef(name) if name:
            return [("connection_lookup_node_device", (name,))]
        case InterfaceRef(name, _):
            return [("connection_lookup_interface", (name,))]
        case NWFilterBindingRef(port, _):
            return [("connection_lookup_nwfilter_binding", (port,))]
    return []


def _by_name_and_uuid(operation: str, name: str, key: str) -> list[tuple[str, tuple[Any, ...]]]:
    by_uuid = [(operation, (None, key))] if key else []
    return [(operation, (name, None)), *by_uuid]
