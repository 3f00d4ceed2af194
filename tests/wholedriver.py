"""A driver that has every operation, and something to call every procedure with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import virtcore.types
from virtcore.driver.base import Driver, OpenRequest, Subscription
from virtcore.enums.common import TypedParameterType
from virtcore.operations.declare import all_operations
from virtcore.operations.events import Event
from virtcore.operations.procedures import Procedure, program, type_record
from virtcore.operations.wire.convert import result_type
from virtcore.types import (
    DomainRef,
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
from wire_samples import sample

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
OTHER = "11111111-2222-4333-8444-555555555555"
GOOD, SECRET = DomainRef("good", UUID, 1), DomainRef("secret", OTHER, 2)
POOL, VOLUME, NET = StoragePoolRef("pool", UUID), StorageVolRef("pool", "vol", "/vol"), NetworkRef("net", UUID)

#: What a lookup gives, by the name of the operation.
FOUND: dict[str, Any] = {
    "connection_lookup_domain": GOOD,
    "connection_lookup_network": NET,
    "network_lookup_port": NetworkPortRef(NET, UUID),
    "connection_lookup_storage_pool": POOL,
    "storage_pool_lookup_volume": VOLUME,
    "connection_lookup_storage_vol": VOLUME,
    "connection_lookup_secret": SecretRef(UUID, 1, "usage"),
    "connection_lookup_node_device": NodeDeviceRef("device"),
    "connection_lookup_interface": InterfaceRef("eth0", "00:11:22:33:44:55"),
    "connection_lookup_nwfilter": NWFilterRef("filter", UUID),
    "connection_lookup_nwfilter_binding": NWFilterBindingRef("vnet0", "filter"),
    "connection_save_image_xml": f"<domain><name>good</name><uuid>{UUID}</uuid></domain>",
}
DOCUMENT = (
    f"<any name='good'><name>good</name><uuid>{UUID}</uuid><mac address='00:11:22:33:44:55'/><portdev name='vnet0'/>"
    "<filterref filter='filter'/><usage type='volume'><volume>usage</volume></usage></any>"
)


class WholeDriver(Driver):
    """Has every operation, and writes down which were carried out with what."""

    name = "WHOLE"

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.subscribers: list[Callable[[Event], None]] = []

    @classmethod
    async def open(cls, request: OpenRequest) -> Self:
        return cls()

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        self.subscribers.append(deliver)
        return Subscription(lambda: self.subscribers.remove(deliver))

    subscribe_monitor = subscribe

    def changed(self) -> list[str]:
        """What was carried out, beside lookups."""
        return [name for name, _ in self.calls if name not in FOUND]


class EmptyStream:
    """Has nothing to read, and takes everything.

    :ivar open: those that were neither finished nor aborted.
    """

    open: ClassVar[set[EmptyStream]] = set()

    def __init__(self) -> None:
        self.open.add(self)

    async def read(self, size: int) -> bytes:
        return b""

    async def write(self, data: bytes) -> None:
        pass

    async def finish(self) -> None:
        self.open.discard(self)

    async def abort(self) -> None:
        self.open.discard(self)


def _with_stream(value: Any) -> Any:
    """A value with a stream in the place of what stands for one."""
    if type(value) is object:
        return EmptyStream()
    if isinstance(value, tuple) and value and type(value[-1]) is object:
        return value._replace(**{value._fields[-1]: EmptyStream()})  # type: ignore[attr-defined]
    return value


def _method(name: str, result: object) -> Any:
    async def method(self: WholeDriver, *arguments: Any) -> Any:
        self.calls.append((name, arguments))
        if name == "connection_lookup_domain" and {SECRET.name, SECRET.uuid} & set(arguments):
            return SECRET
        return FOUND[name] if name in FOUND else _with_stream(sample(result))

    method.__name__ = name
    return method


for _name, _operation in all_operations().items():
    setattr(WholeDriver, _name, _method(_name, result_type(_operation)))


def every_procedure() -> Iterator[Procedure]:
    for name in ("remote", "qemu", "lxc"):
        yield from (row for row in program(name).procedures() if row.kind == "call")


def value_of(owner: str, field: str, kind: str, flags: int) -> Any:
    """Something to call a procedure with."""
    if kind.endswith("?") or kind in ("remote_string", "remote_domain", "remote_network", "remote_storage_pool"):
        return DOCUMENT if field in ("dom_xml", "dxml") else None
    if kind.endswith(">"):
        return TypedParameters() if "typed_param" in kind else b"" if kind.startswith(("opaque", "char<")) else []
    if kind in ("int", "uint", "hyper", "uhyper", "short", "char"):
        return flags if field == "flags" else 1
    if "string" in kind:
        return DOCUMENT if "xml" in field else "good"
    if "uuid" in kind:
        return UUID
    if kind.startswith("opaque"):
        return b"\0" * int(kind[kind.index("[") + 1 : -1])
    if kind in ("remote_secret", "remote_node_device"):
        return None
    return REFERENCES[kind.removeprefix("remote_nonnull_")]


REFERENCES: dict[str, Any] = {
    "domain": GOOD,
    "network": NET,
    "network_port": NetworkPortRef(NET, UUID),
    "storage_pool": POOL,
    "storage_vol": VOLUME,
    "secret": FOUND["connection_lookup_secret"],
    "node_device": NodeDeviceRef("device"),
    "interface": FOUND["connection_lookup_interface"],
    "nwfilter": FOUND["connection_lookup_nwfilter"],
    "nwfilter_binding": FOUND["connection_lookup_nwfilter_binding"],
    "domain_snapshot": virtcore.types.DomainSnapshotRef(GOOD, "snapshot"),
    "domain_checkpoint": virtcore.types.DomainCheckpointRef(GOOD, "checkpoint"),
}


def arguments_of(row: Procedure, flags: int) -> tuple[Any, ...]:
    if row.args is None:
        return ()
    _, _, *fields = type_record(row.program, row.args).split(" ")
    values = []
    for text in fields:
        field, _, kind = text.partition(":")
        value = value_of(row.program, field, kind, flags)
        if field == "params" and "MIGRATE" in row.name:
            value = TypedParameters(
                [
                    ("destination_xml", TypedParameterType.STRING, DOCUMENT),
                    ("destination_name", TypedParameterType.STRING, "good"),
                ]
            )
        if row.name == "DOMAIN_RESTORE_PARAMS" and field == "params":
            value = TypedParameters([("file", TypedParameterType.STRING, "/image")])
        values.append(value)
    return tuple(values)
