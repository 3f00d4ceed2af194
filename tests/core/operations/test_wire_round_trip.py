"""Whatever has a procedure: arguments go from client to server, values come back, and both are what they were."""

from __future__ import annotations

import functools
import typing
from collections.abc import Sequence
from typing import Any

import pytest

import virtcore
from virtcore.operations.declare import Operation, all_operations
from virtcore.operations.spellings import Spelling, all_spellings, of_function, spellings_of
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.convert import declared, result_type
from virtcore.operations.wire.mapping import ClientCall, ServerCall, client_call, client_operation
from virtcore.types import NetworkRef, NodeDeviceRef
from wire_samples import UUID, sample


def every_call() -> list[Any]:
    found = []
    for operation in all_operations().values():
        for spelling in spellings_of(operation.name):
            try:
                found.append(pytest.param(client_call(operation.name, spelling.function), id=spelling.function))
            except LookupError:
                continue
    return found


def arguments_for(operation: Operation, call: ClientCall) -> list[Any]:
    parameters = list(operation.signature.parameters.values())[1:]
    given = [sample(declared(str(one.annotation)), one.name) for one in parameters]
    for at, value in call._unsaid:
        given[at] = value
    return given


@pytest.mark.parametrize("call", every_call())
def test_a_call_and_its_result_cross_the_wire(call: ClientCall) -> None:
    operation = call.operation
    given = arguments_for(operation, call)
    assert call.serves(tuple(given))
    wire = call.wire(tuple(given))
    server = ServerCall(call.spelling)
    assert server.procedure == call.procedure
    if call.encode is not None and server.decode is not None:
        sent, files = (wire[:-1], wire[-1:]) if call.takes_files else (wire, ())
        body = call.encode(sent)
        wire, end = server.decode(body, 0)
        assert end == len(body)
        wire = (*wire, *files)
    got = list(wire if server.arguments is None else server.arguments(wire))
    assert got == given[: len(got)]
    assert all(
        value == default for value, default in zip(given[len(got) :], defaults(operation, len(got)), strict=True)
    )

    value = sample(result_type(operation))
    files = () if server.files is None else (server.files(value),)
    if files and server.encode is None:
        assert call.value(files) == value
    if call.decode is None or server.encode is None or call.spelling.form == "fields":  # which has a test of its own
        return
    if call.again is not None:  # asked again until it is whole
        for _ in range(3):
            results = transferred(server, call, value, wire)
            more = call.again(wire, results)
            if more is None:
                break
            assert call.encode is not None
            wire = more
    stream = (object(),) if call.procedure.stream is not None else ()
    results = transferred(server, call, value, wire)
    back = call.value((*results, *files, *stream))
    assert back == ((*value[:-1], *stream) if stream else value)
    assert type(back) is type(value)


def defaults(operation: Operation, skip: int) -> list[object]:
    return [one.default for one in list(operation.signature.parameters.values())[1 + skip :]]


def transferred(server: ServerCall, call: ClientCall, value: Any, wire: tuple[Any, ...]) -> tuple[Any, ...]:
    assert server.encode is not None
    assert call.decode is not None
    body = server.encode(value if server.result is None else server.result(value, wire))
    results, end = call.decode(body, 0)
    assert end == len(body)
    return typing.cast("tuple[Any, ...]", results)


ASKABLE = {call.values[0].spelling.function for call in every_call()}
SERVED = [
    spelling for spelling in all_spellings() if spelling.procedure is not None and spelling.function not in ASKABLE
]


def names_on_the_wire(server: ServerCall, count: int) -> Sequence[str]:
    return server.spelling.arguments or list(server.operation.signature.parameters)[1 : count + 1]


def sample_on_the_wire(server: ServerCall, name: str) -> Any:
    """A value of one of the function's arguments."""
    virtual = {"need": 1, "limit": 2, "count": 0, "maplen": 2, "ignored": None}
    if name in virtual:
        return virtual[name]
    if ":" in name:  # one typed parameter, which says nothing
        return 0 if name.endswith("bandwidth") else ""
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
        value = sample(result_type(server.operation), "value")
        assert server.encode(value if server.result is None else server.result(value, wire))


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
