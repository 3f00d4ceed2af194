"""Forms of results and arguments where a function of libvirt is not its operation name by name."""

from __future__ import annotations

from typing import Any

import pytest

import virtcore.types
from virtcore.enums.common import TypedParameterType
from virtcore.enums.domain_more import DomainJobType
from virtcore.errors import ArgumentUnsupported, InvalidArg, VirtError
from virtcore.operations.declare import all_operations
from virtcore.operations.spellings import of_function, spellings_of
from virtcore.operations.wire.convert import cpu_bytes, cpu_set, result_type
from virtcore.operations.wire.mapping import ClientCall, ServerCall, client_call, client_operation
from virtcore.types import TypedParameters
from wire_samples import PARAMETERS, sample


def server(function: str) -> ServerCall:
    spelling = of_function(function)
    assert spelling is not None
    return ServerCall(spelling)


def reply(function: str, value: Any, wire: tuple[Any, ...]) -> Any:
    call = server(function)
    assert call.result is not None
    return call.result(value, wire)


def test_sets_of_cpus_are_little_endian_bits() -> None:
    assert cpu_bytes({0, 1, 9}) == b"\x03\x02"
    assert cpu_bytes({0, 9}, 1) == b"\x01"
    assert cpu_bytes((), 3) == b"\0\0\0"
    assert cpu_set(b"\x03\x02\0") == {0, 1, 9}
    with pytest.raises(InvalidArg, match="there is no CPU -1"):
        cpu_bytes([-1])


def test_older_functions_are_operations_with_fixed_arguments() -> None:
    attach = server("virDomainAttachDevice")
    assert attach.arguments is not None
    assert attach.arguments(("dom", "<disk/>")) == ("dom", "<disk/>", 1)
    maximum = server("virDomainSetMaxMemory")
    assert maximum.arguments is not None
    assert maximum.arguments(("dom", 5)) == ("dom", 5, 4)
    pull = server("virDomainBlockPull")
    assert pull.arguments is not None
    assert pull.arguments(("dom", "vda", 3, 64)) == ("dom", "vda", None, 3, 64)


def test_older_functions_give_some_of_the_newer_ones_fields() -> None:
    stats = TypedParameters([("rd_bytes", TypedParameterType.LLONG, 4), ("errs", TypedParameterType.LLONG, 1)])
    assert reply("virDomainBlockStats", stats, ("dom", "vda")) == (-1, 4, -1, -1, 1)
    job = sample(result_type(all_operations()["domain_job_stats"]))
    params = TypedParameters([("data_total", TypedParameterType.ULLONG, 9)])
    assert reply("virDomainGetJobInfo", job._replace(type=1, params=params), ("dom",)) == (1, 0, 0, 9, *[0] * 8)


def test_what_older_functions_give_stands_for_the_newer_ones() -> None:
    stats = client_call("domain_block_stats", "virDomainBlockStats")
    assert stats.value((-1, 4, 0, -1, 1)).rows() == [
        ("rd_bytes", TypedParameterType.LLONG, 4),
        ("wr_operations", TypedParameterType.LLONG, 0),
        ("errs", TypedParameterType.LLONG, 1),
    ]
    job = client_call("domain_job_stats", "virDomainGetJobInfo").value((2, 7, 0, 9, *[0] * 8))
    assert job.type is DomainJobType.UNBOUNDED
    assert job.params.items() == [("time_elapsed", 7), ("data_total", 9)]


def test_what_is_counted_first() -> None:
    rows = [PARAMETERS, PARAMETERS]
    assert reply("virDomainGetCPUStats", rows, ("dom", 0, 0, 0, 4)) == (TypedParameters(), 2)
    assert reply("virDomainGetCPUStats", rows, ("dom", 0, 0, 2, 4)) == (TypedParameters(), 3)
    flat, length = reply("virDomainGetCPUStats", rows, ("dom", 3, 0, 2, 4))
    assert (len(flat), length) == (6, 3)
    assert reply("virDomainGetDiskErrors", [("vda", 1)], ("dom", 0, 0)) == ([], 1)
    assert reply("virNodeGetCPUStats", {"idle": 1, "user": 2}, (-1, 0, 0)) == ((), 2)
    assert reply("virNodeGetCPUStats", {"idle": 1, "user": 2}, (-1, 1, 0)) == ([("idle", 1)], 0)


def test_a_client_asks_again_until_it_has_every_set_of_cpus() -> None:
    call = client_call("domain_vcpu_pin_info", "virDomainGetVcpuPinInfo")
    assert call.again is not None
    wire = call.wire(("dom", 0))
    assert call.again(wire, (b"", wire[1] - 1)) is None
    more = call.again(wire, (b"", wire[1]))
    assert more == (wire[0], wire[1] * 2, *wire[2:])


def test_parameters_of_the_operation_may_be_typed_on_the_wire() -> None:
    save = server("virDomainSaveParams")
    assert save.arguments is not None
    params = TypedParameters(
        [("parallel.channels", TypedParameterType.INT, 4), ("file", TypedParameterType.STRING, "/save")]
    )
    assert save.arguments(("dom", params, 2)) == ("dom", "/save", None, None, 4, 2)
    with pytest.raises(ArgumentUnsupported, match="parameter 'count' not supported"):
        save.arguments(("dom", PARAMETERS, 0))
    newest, *older = client_operation("domain_save").calls(("dom",), {"file": "/save"})
    assert newest[1][1].items() == [("file", "/save")]
    assert [wire for _, wire in older] == [("dom", "/save", None, 0), ("dom", "/save")]
    only_newest = client_operation("domain_save").calls(("dom",), {"file": "/save", "image_format": "sparse"})
    assert [call.spelling.function for call, _ in only_newest] == ["virDomainSaveParams"]


def test_parameters_on_the_wire_may_be_one_of_the_operations_typed_ones() -> None:
    begin = server("virDomainMigrateBegin3")
    assert begin.arguments is not None
    domain, params, flags = begin.arguments(("dom", "<domain/>", 1, None, 8))
    assert (domain, flags) == ("dom", 1)
    assert params.rows() == [
        ("destination_xml", TypedParameterType.STRING, "<domain/>"),
        ("bandwidth", TypedParameterType.ULLONG, 8),
    ]


def test_descriptors_travel_beside_the_call() -> None:
    call = client_operation_of("domain_open_graphics")
    one = virtcore.types.DomainRef("a", "6695eb01-f6a4-8304-79aa-97f2502e193f")
    assert call.wire((one, 1, 7, 0)) == (one, 1, 0, (7,))
    server = ServerCall(call.spelling)
    assert server.takes_one
    assert server.arguments is not None
    assert server.arguments((one, 1, 0, [9])) == (one, 1, 9, 0)


def client_operation_of(name: str) -> ClientCall:
    return client_call(name, spellings_of(name)[0].function)


def test_errors_are_libvirts() -> None:
    with pytest.raises(VirtError, match="too many entries '300' for limit '256'"):
        reply("virDomainGetDiskErrors", [], ("dom", 300, 0))
