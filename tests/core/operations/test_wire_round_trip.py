"""Whatever has a procedure: arguments go from client to server, values come back, and both are what they were."""

from __future__ import annotations

import enum
import functools
import typing
from collections.abc import Sequence
from typing import Any

import pytest

import virtcore.enums
import virtcore.types
from virtcore.enums.common import TypedParameterType
from virtcore.operations import stream, values
from virtcore.operations.declare import Operation, all_operations
from virtcore.operations.procedures import procedure
from virtcore.operations.spellings import Spelling, all_spellings, of_function
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.mapping import ClientCall, ServerCall, client_call, client_operation
from virtcore.types import NetworkRef, NodeDeviceRef, TypedParameters

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
SPELLINGS = [spelling for spelling in all_spellings() if spelling.procedure is not None]
NAMES: dict[str, Any] = {
    **{name: getattr(virtcore.enums, name) for name in dir(virtcore.enums)},
    **{name: getattr(values, name) for name in values.__all__},
    **vars(virtcore.types),
    "ByteStream": stream.ByteStream,
    "Sequence": Sequence,
    "Result": typing.Union,
}


def declared(text: str) -> Any:
    """The type that an annotation of a declaration stands for."""
    return eval(text.removeprefix("Result[").removesuffix("]") if text.startswith("Result[") else text, dict(NAMES))


def sample(kind: Any, name: str) -> Any:
    """A value of a declared type that is no default."""
    origin = typing.get_origin(kind)
    if origin is Sequence:
        return [sample(typing.get_args(kind)[0], name)]
    if origin is not None:  # a union: what is not None, and of flags and numbers the number
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        return sample(members[-1], name)
    if kind is str:
        return UUID if name == "uuid" else f"{name} ü"
    if kind is TypedParameters:
        return TypedParameters([("a", TypedParameterType.STRING, "b"), ("n", TypedParameterType.ULLONG, 2**63)])
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return list(kind)[-1]
    if hasattr(kind, "_fields"):
        hints = typing.get_type_hints(kind)
        return kind(*(sample(hints[field], field) for field in kind._fields))
    simple: dict[Any, Any] = {int: 3, bool: True, bytes: b"\0\xff", float: 0.5}
    return simple[kind]


def arguments_of(operation: Operation, spelling: Spelling) -> tuple[Any, ...]:
    """Arguments that the spelling can say, none of them a default where it can say others."""
    parameters = list(operation.signature.parameters.values())[1:]
    row = procedure(spelling.procedure or "")
    count = len(codec(row.program, row.args).fields) if row.args else 0
    names = spelling.arguments if spelling.arguments is not None else [item.name for item in parameters[:count]]
    said = {name.partition(".")[0] for name in names}
    return tuple(
        sample(declared(str(parameter.annotation)), parameter.name)
        if parameter.name in said
        else spelling.fixed.get(parameter.name, parameter.default)
        for parameter in parameters
    )


def askable(spelling: Spelling) -> bool:
    """Whether a client may send it in place of its operation."""
    try:
        client_call(spelling.operation, spelling.function)
    except LookupError:
        return False
    return True


ASKABLE = [spelling for spelling in SPELLINGS if askable(spelling)]
SERVED = [spelling for spelling in SPELLINGS if not askable(spelling)]


def names_on_the_wire(server: ServerCall, count: int) -> Sequence[str]:
    return server.spelling.arguments or list(server.operation.signature.parameters)[1 : count + 1]


def sample_on_the_wire(server: ServerCall, name: str) -> Any:
    """A value of one of the function's arguments."""
    virtual = {"need": 1, "limit": 2, "count": 0}
    if name in virtual:
        return virtual[name]
    base, _, field = name.partition(".")
    value = sample(declared(str(server.operation.signature.parameters[base].annotation)), base)
    return getattr(value, field) if field else value


@pytest.mark.parametrize("spelling", SERVED, ids=lambda spelling: spelling.function)
def test_what_only_a_server_knows(spelling: Spelling) -> None:
    """Older functions that tell less than their operation: it can be called for them, and its value be told."""
    server = ServerCall(spelling)
    row = server.procedure
    wire: tuple[Any, ...] = ()
    if server.decode is not None and row.args is not None:
        body = codec(row.program, row.args)
        wire = tuple(map(functools.partial(sample_on_the_wire, server), names_on_the_wire(server, len(body.fields))))
        assert server.decode(body.encode(wire), 0)[0] == wire
    arrived = wire if server.arguments is None else server.arguments(wire)
    server.operation.signature.bind(None, *arrived)
    if server.encode is not None:
        value = sample(declared(str(server.operation.signature.return_annotation)), "value")
        assert server.encode(value if server.result is None else server.result(value, wire))


@pytest.mark.parametrize("spelling", ASKABLE, ids=lambda spelling: spelling.function)
def test_arguments_arrive(spelling: Spelling) -> None:
    client, server = client_call(spelling.operation, spelling.function), ServerCall(spelling)
    given = arguments_of(client.operation, spelling)
    assert client.serves(given)
    wire = client.wire(given)
    if server.decode is not None and client.encode is not None:
        data = client.encode(wire)
        wire, end = server.decode(data, 0)
        assert end == len(data)
    arrived = tuple(wire) if server.arguments is None else server.arguments(wire)
    defaults = [parameter.default for parameter in list(client.operation.signature.parameters.values())[1:]]
    assert (*arrived, *defaults[len(arrived) :]) == given


@pytest.mark.parametrize("spelling", ASKABLE, ids=lambda spelling: spelling.function)
def test_values_return(spelling: Spelling) -> None:
    client, server = client_call(spelling.operation, spelling.function), ServerCall(spelling)
    kind = str(client.operation.signature.return_annotation)
    if server.encode is None or client.decode is None:
        assert kind in ("Result[None]", "Result[ByteStream]")
        assert server.encode is client.decode is None
        return
    value = sample(declared(kind), "value")
    wire = client.wire(arguments_of(client.operation, spelling))
    if client.repeat is not None:  # first how many there are, then they
        results = round_trip(server, client, value, wire)
        wire = tuple(results[-1] if at == client.repeat else item for at, item in enumerate(wire))
    returned = client.value(round_trip(server, client, value, wire))
    assert returned == value
    assert type(returned) is type(value)


def round_trip(server: ServerCall, client: ClientCall, value: Any, wire: Any) -> Any:
    results = value if server.result is None else server.result(value, wire)
    assert server.encode is not None
    assert client.decode is not None
    data = server.encode(results)
    decoded, end = client.decode(data, 0)
    assert end == len(data)
    return decoded


def server(function: str) -> ServerCall:
    spelling = of_function(function)
    assert spelling is not None
    return ServerCall(spelling)


def test_old_functions_answer_from_the_list() -> None:
    networks = [NetworkRef("a", UUID), NetworkRef("b", UUID)]
    names, count = server("virConnectListNetworks"), server("virConnectNumOfNetworks")
    assert names.arguments is not None
    assert names.arguments((16,)) == (2,)
    assert names.result is not None
    assert names.result(networks, (1,)) == (["a"],)
    assert names.result(networks, (16384,)) == (["a", "b"],)
    with pytest.raises(virtcore.errors.InternalError, match="too many entries '16385' for limit '16384'"):
        names.result(networks, (16385,))
    assert count.result is not None
    assert count.result(networks, ()) == (2,)


def test_a_client_sends_the_function_that_can_say_it() -> None:
    def calls(operation: str, *arguments: object, **named: object) -> list[tuple[str, tuple[object, ...]]]:
        found = client_operation(operation).calls(arguments, named)
        return [(call.spelling.function, wire) for call, wire in found]

    lookup = "connection_lookup_storage_pool"
    assert calls(lookup, "pool") == [("virStoragePoolLookupByName", ("pool",))]
    assert calls(lookup, target_path="/x") == [("virStoragePoolLookupByTargetPath", ("/x",))]
    assert calls("node_device_detach", NodeDeviceRef("pci")) == [
        ("virNodeDeviceDetachFlags", ("pci", None, 0)),
        ("virNodeDeviceDettach", ("pci",)),
    ]
    assert calls("node_device_detach", NodeDeviceRef("pci"), "vfio-pci") == [
        ("virNodeDeviceDetachFlags", ("pci", "vfio-pci", 0))
    ]
    assert calls("connection_list_node_devices", "pci") == [("virNodeListDevices", ("pci", 65536, 0))]
    assert client_call("connection_list_node_devices", "virNodeListDevices").value((["a"],)) == [NodeDeviceRef("a")]
    with pytest.raises(virtcore.errors.InvalidArg, match="virStoragePoolLookupByName cannot have these arguments"):
        calls(lookup, "pool", UUID)
    with pytest.raises(TypeError):
        calls(lookup, nonsense=1)


def test_enumerations_of_fixed_flags() -> None:
    """The tables name flags by number, to be cheap; here are their names."""
    for kind in ("Networks", "StoragePools", "Interfaces"):
        flags = getattr(virtcore.enums, f"ConnectListAll{kind}Flags")
        for function, flag in (("virConnectNumOf", flags.ACTIVE), ("virConnectNumOfDefined", flags.INACTIVE)):
            spelling = of_function(function + kind)
            assert spelling is not None
            assert spelling.fixed["flags"] == flag
    assert all_operations()["secret_set_value"].secret == {"value"}
