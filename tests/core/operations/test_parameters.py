"""Typed parameters: what is declared is what libvirt has, and what is given is checked in its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from virtcore.enums.common import TypedParameterType as Type
from virtcore.errors import ArgumentUnsupported, ErrorCode, InvalidArg
from virtcore.operations import parameters
from virtcore.operations.declare import all_operations
from virtcore.operations.parameters import (
    BLOCK_IOTUNE,
    DOMAIN_STATS,
    LAUNCH_SECURITY_STATE,
    MEMORY,
    MIGRATION,
    PARAMETERS,
    SCHEDULER,
    ParameterGroup,
)
from virtcore.types import TypedParameters

#: Beginning of libvirt's macros -> the group that has their values.
MACROS = {
    "VIR_CONNECT_IDENTITY_": "IDENTITY",
    "VIR_DOMAIN_BANDWIDTH_": "BANDWIDTH",
    "VIR_DOMAIN_BLKIO_": "BLKIO",
    "VIR_DOMAIN_BLOCK_COPY_": "BLOCK_COPY",
    "VIR_DOMAIN_BLOCK_IOTUNE_": "BLOCK_IOTUNE",
    "VIR_DOMAIN_BLOCK_STATS_": "BLOCK_STATS",
    "VIR_DOMAIN_CPU_STATS_": "CPU_STATS",
    "VIR_DOMAIN_IOTHREAD_": "IOTHREAD",
    "VIR_DOMAIN_JOB_": "JOB",
    "VIR_DOMAIN_LAUNCH_SECURITY_SEV_SECRET": "LAUNCH_SECURITY_STATE",
    "VIR_DOMAIN_LAUNCH_SECURITY_": "LAUNCH_SECURITY_INFO",
    "VIR_DOMAIN_MEMORY_": "MEMORY",
    "VIR_DOMAIN_NUMA_": "NUMA",
    "VIR_DOMAIN_SAVE_PARAM_": "SAVE",
    "VIR_DOMAIN_SCHEDULER_": "SCHEDULER",
    "VIR_DOMAIN_TUNABLE_": "TUNABLE",
    "VIR_MIGRATE_PARAM_": "MIGRATION",
    "VIR_NETWORK_PORT_BANDWIDTH_": "BANDWIDTH",
    "VIR_NODE_CPU_STATS_": "NODE_CPU",
    "VIR_NODE_MEMORY_SHARED_": "NODE_MEMORY",
    "VIR_NODE_MEMORY_STATS_": "NODE_MEMORY_STATS",
    "VIR_NODE_SEV_": "SEV",
    "VIR_PERF_PARAM_": "PERF",
}
GROUPS = {name: value for name, value in vars(parameters).items() if isinstance(value, ParameterGroup)}


@pytest.fixture(scope="module")
def macros(shared: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared / "facts" / "api.json").read_text())["string_macros"]
    return found


def test_every_macro_is_declared_and_nothing_else(macros: list[dict[str, Any]]) -> None:
    seen: dict[str, set[str]] = {name: set() for name in MACROS.values()}
    for macro in macros:
        group = next((group for stem, group in MACROS.items() if macro["name"].startswith(stem)), None)
        if group is None:
            assert macro["name"].startswith(
                ("VIR_DOMAIN_STATS_", "VIR_DOMAIN_GUEST_INFO_", "VIR_CLIENT_", "VIR_SERVER_", "VIR_THREADPOOL_")
            )
            continue
        name = macro["value"].replace("%u", "0")
        parameter = GROUPS[group].get(name)
        assert parameter is not None, macro["name"]
        if macro.get("value_type"):
            assert parameter.type.name == macro["value_type"], macro["name"]
        seen[group].add(parameter.name)
    for group, names in seen.items():
        assert names == {parameter.name for parameter in GROUPS[group]}, group


@pytest.mark.parametrize(
    ("stem", "group"), [("VIR_DOMAIN_STATS_", "DOMAIN_STATS"), ("VIR_DOMAIN_GUEST_INFO_", "GUEST_INFO")]
)
def test_statistics_have_every_name_and_every_ending(macros: list[dict[str, Any]], stem: str, group: str) -> None:
    declared = {parameter.name: parameter.type.name for parameter in GROUPS[group]}
    for macro in macros:
        name = macro["name"].removeprefix(stem)
        if name == macro["name"] or "PREFIX" in name.split("_")[-1] or name.startswith("CUSTOM") or name == "VM_PREFIX":
            continue
        value, kind = macro["value"], macro.get("value_type")
        if "SUFFIX" not in name:
            assert value in declared
        fits = {declared[known] for known in declared if known == value or known.endswith(value)}
        assert fits, macro["name"]
        if kind and group == "DOMAIN_STATS":
            assert kind in fits, macro["name"]


def test_every_operation_with_typed_parameters_says_which() -> None:
    operations = all_operations()
    assert set(PARAMETERS) <= set(operations)
    for name, operation in operations.items():
        texts = [str(one.annotation) for one in operation.signature.parameters.values()]
        if any("TypedParameters" in text for text in [*texts, str(operation.signature.return_annotation)]):
            assert name in PARAMETERS
    for group in GROUPS.values():
        assert group.doc
        assert all(parameter.doc for parameter in group)


def test_secrets_are_marked() -> None:
    assert [parameter.name for parameter in LAUNCH_SECURITY_STATE if parameter.secret] == [
        "sev-secret-header",
        "sev-secret",
    ]
    operations = all_operations()
    assert operations["domain_set_launch_security_state"].secret == {"params"}
    assert operations["secret_set_value"].secret == {"value"}
    assert operations["domain_set_user_password"].secret == {"password"}
    assert operations["domain_qemu_agent_command"].secret == {"cmd"}
    for name, operation in operations.items():
        assert operation.secret <= set(operation.signature.parameters), name
    whole = ("connection_define_domain", "connection_create_domain", "domain_attach_device", "domain_update_device")
    assert all(operations[name].secret == {"xml"} for name in whole), "graphics have passwords"


def test_values_as_typed_parameters() -> None:
    params = MEMORY.typed({"hard_limit": 1 << 20, "soft_limit": 5})
    assert params.rows() == [("hard_limit", Type.ULLONG, 1 << 20), ("soft_limit", Type.ULLONG, 5)]
    disks = MIGRATION.typed({"migrate_disks": ["vda", "vdb"], "migrate_uri": "tcp://there"})
    assert disks.all("migrate_disks") == ["vda", "vdb"]
    with pytest.raises(ArgumentUnsupported, match="parameter 'bogus' not supported"):
        MEMORY.typed({"bogus": 1})
    with pytest.raises(InvalidArg):
        MEMORY.typed({"hard_limit": -1})


def test_what_is_given_is_checked_in_libvirts_words() -> None:
    SCHEDULER.validate(TypedParameters())
    SCHEDULER.validate(SCHEDULER.typed({"vcpu_quota": -1, "cpu_shares": 3}), "cpu_shares", "vcpu_quota")
    with pytest.raises(ArgumentUnsupported) as unknown:
        SCHEDULER.validate(TypedParameters([("zero", Type.INT, 1), ("bogus", Type.INT, 1)]))
    assert str(unknown.value) == "argument unsupported: parameter 'bogus' not supported"
    assert unknown.value.code == ErrorCode.ARGUMENT_UNSUPPORTED
    with pytest.raises(ArgumentUnsupported, match="parameter 'cap' not supported"):
        SCHEDULER.validate(SCHEDULER.typed({"cap": 1}), "cpu_shares")
    with pytest.raises(InvalidArg, match="invalid type 'int' for parameter 'cpu_shares', expected 'ullong'"):
        SCHEDULER.validate(TypedParameters([("cpu_shares", Type.INT, 1)]))
    twice = TypedParameters([("cpu_shares", Type.ULLONG, 1), ("cpu_shares", Type.ULLONG, 2)])
    with pytest.raises(InvalidArg, match="parameter 'cpu_shares' occurs multiple times"):
        SCHEDULER.validate(twice)
    MIGRATION.validate(MIGRATION.typed({"migrate_disks": ["vda", "vdb"]}))


def test_numbers_in_names() -> None:
    found = DOMAIN_STATS.get("block.12.rd.bytes")
    assert found is not None
    assert (found.name, found.unit) == ("block.<n>.rd.bytes", "bytes")
    assert DOMAIN_STATS.get("block.1.2.rd.bytes") is None
    assert DOMAIN_STATS.get("block.rd.bytes") is None
    assert BLOCK_IOTUNE.get("total_bytes_sec_max_length") is not None
