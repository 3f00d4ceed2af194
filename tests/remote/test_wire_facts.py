"""The checked-in wire tables say what libvirt's protocol files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from virtcore.operations.declare import all_operations
from virtcore.operations.functions import FUNCTIONS
from virtcore.operations.procedures import PROGRAMS, Permission, procedure, program, type_record
from virtcore.operations.spellings import all_spellings, by_procedure, canonical, needs_write, of_function
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.mapping import ServerCall, client_call


@pytest.fixture(scope="module")
def facts(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "facts" / "rpc-protocol.json").read_text())
    return found


@pytest.fixture(scope="module")
def api(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "facts" / "api.json").read_text())
    return found


def flag_numbers(api: dict[str, Any]) -> dict[str, int]:
    return {value[0]: value[1] for enum in api["enums"] for value in enum["values"]}


def test_every_procedure_is_there(facts: dict[str, Any]) -> None:
    counts = {name: len(program(name).procedures()) for name in PROGRAMS}
    assert counts == {"remote": 453, "qemu": 7, "lxc": 1, "admin": 20, "keepalive": 2}
    for name, record in facts["programs"].items():
        assert (program(name).number, program(name).version) == (record["program"], record["version"])
        for row in record["procedures"]:
            mine = procedure(f"{name}.{row['name']}")
            assert (mine.number, mine.kind, mine.priority) == (row["number"], row["kind"], row.get("priority", "low"))
            assert mine.args == (row.get("args") or row.get("msg"))
            assert mine.ret == row.get("ret")
            assert mine.stream == ("read" if "readstream" in row else "write" if "writestream" in row else None)
            assert program(name).by_number(row["number"]) == mine


def test_every_permission_is_there(facts: dict[str, Any], api: dict[str, Any]) -> None:
    flags = flag_numbers(api)

    def expected(row: dict[str, Any]) -> Permission:
        return Permission(
            row["object"],
            row["permission"],
            sum(flags[name] for name in row.get("when_flags_all_set", ())),
            sum(flags[name] for name in row.get("when_flags_all_clear", ())),
            (row["when_param"], flags[row["equals"]]) if "when_param" in row else None,
        )

    for name, record in facts["programs"].items():
        for row in record["procedures"]:
            mine = procedure(f"{name}.{row['name']}")
            assert mine.permissions == tuple(expected(entry) for entry in row.get("acl", ()))
            assert mine.filters == tuple(expected(entry) for entry in row.get("aclfilter", ()))


def test_every_type_is_there(facts: dict[str, Any]) -> None:
    for name, row in facts["types"].items():
        kind, _, *fields = type_record(row["program"], name).split(" ")
        assert kind == {"typedef": "type"}.get(row["kind"], row["kind"])
        if kind == "struct":
            assert [field.partition(":")[0] for field in fields] == [field["name"] for field in row["fields"]]
            limits = [field.get("max") for field in row["fields"]]
            for field, limit in zip(fields, limits, strict=True):
                if limit is not None:
                    assert field.endswith((f"<{limit}>", f"[{limit}]"))


def test_functions_are_the_public_ones(api: dict[str, Any]) -> None:
    flags = flag_numbers(api)
    public = {row["name"]: row for row in api["functions"] if row["lib"] != "libvirt-admin"}
    assert set(FUNCTIONS) == set(public)
    for name, (since, write, carried_by) in FUNCTIONS.items():
        assert since == public[name]["since"]
        assert (write is True) == (public[name].get("needs_write") is True)
        if write == -1 and write is not True:
            assert public[name]["needs_write"] == "conditional"
        if "needs_write_flags" in public[name]:
            assert write == sum(flags[flag] for flag in public[name]["needs_write_flags"])
        if carried_by is not None:
            assert procedure(carried_by).kind == "call"


def test_every_codec_can_be_made() -> None:
    for name in PROGRAMS:
        for row in program(name).procedures():
            for type_name in (row.args, row.ret):
                if type_name is not None:
                    assert codec(name, type_name).fields


def test_spellings_fit_operations_and_wire() -> None:
    operations = all_operations()
    for spelling in all_spellings():
        assert spelling.operation in operations
        assert (spelling.function in FUNCTIONS) != spelling.internal, "a spelling without facts"
        assert set(spelling.fixed) <= set(operations[spelling.operation].signature.parameters)
        if spelling.procedure is not None:
            ServerCall(spelling)
    for name in operations:
        first = canonical(name)  # none for our own (see test_accounts)
        if first is not None and first.procedure is not None:
            client_call(name, first.function)


def test_fixed_flags_are_the_enumerations() -> None:
    from virtcore.enums import (
        ConnectListAllDomainsFlags,
        DomainInterfaceAddressesSource,
        DomainMemoryModFlags,
        DomainModificationImpact,
        DomainVcpuFlags,
    )

    fixed = {spelling.function: spelling.fixed.get("flags") for spelling in all_spellings()}
    assert fixed["virConnectNumOfDomains"] == ConnectListAllDomainsFlags.ACTIVE
    assert fixed["virConnectListDefinedDomains"] == ConnectListAllDomainsFlags.INACTIVE
    assert fixed["virDomainGetMaxVcpus"] == DomainVcpuFlags.MAXIMUM | DomainModificationImpact.LIVE
    live = ("AttachDevice", "DetachDevice", "SetVcpus", "PinVcpu", "SetMemory")
    assert {fixed[f"virDomain{name}"] for name in live} == {DomainModificationImpact.LIVE}
    assert fixed["virDomainSetMaxMemory"] == DomainMemoryModFlags.MAXIMUM
    addresses = of_function("virDomainInterfaceAddresses")
    assert addresses is not None
    assert (addresses.write_on, addresses.write) == ("source", DomainInterfaceAddressesSource.AGENT)
    vcpus = of_function("virDomainGetVcpusFlags")
    assert vcpus is not None
    assert vcpus.write == DomainVcpuFlags.GUEST


def test_what_needs_a_read_write_connection() -> None:
    assert needs_write("domain_create", {"flags": 0})
    assert not needs_write("domain_state", {"flags": 0})
    assert not needs_write("domain_xml", {"flags": 2})
    assert needs_write("domain_xml", {"flags": 1})
    assert needs_write("domain_vcpus_count", {"flags": 8})
    assert not needs_write("domain_vcpus_count", {"flags": 1})
    assert not needs_write("domain_interface_addresses", {"source": 0, "flags": 0})
    assert needs_write("domain_interface_addresses", {"source": 1, "flags": 0}), "the agent is asked"
    assert not needs_write("domain_interface_addresses", {"source": 2, "flags": 0})
    assert needs_write("nobody_knows_it", {}), "without facts it fails closed"
    secure = of_function("virDomainGetXMLDesc")
    assert secure is not None
    assert secure.refusal == "virDomainGetXMLDesc with secure flag"


def test_several_functions_share_a_procedure() -> None:
    first = by_procedure("remote.DOMAIN_LOOKUP_BY_UUID")
    assert first is not None
    assert first.function == "virDomainLookupByUUID"
    other = of_function("virDomainLookupByUUIDString")
    assert other is not None
    assert other.procedure == first.procedure
