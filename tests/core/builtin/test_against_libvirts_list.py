"""What libvirt's own test driver has, ours has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from virtcore.builtin.test.driver import TestDriver
from virtcore.operations.declare import all_operations
from virtcore.operations.spellings import of_function

#: Methods of the table that are no operation: the connection itself, and how events are asked for.
NO_OPERATION = {
    "connectOpen",
    "connectClose",
    "connectSupportsFeature",
    "connectDomainEventRegister",
    "connectDomainEventDeregister",
    "connectDomainEventRegisterAny",
    "connectDomainEventDeregisterAny",
    "connectNetworkEventRegisterAny",
    "connectNetworkEventDeregisterAny",
    "connectStoragePoolEventRegisterAny",
    "connectStoragePoolEventDeregisterAny",
    "connectNodeDeviceEventRegisterAny",
    "connectNodeDeviceEventDeregisterAny",
}

#: Table of libvirt's test driver -> how many methods it has.
TABLES = {
    "virHypervisorDriver": 164,
    "virNetworkDriver": 25,
    "virInterfaceDriver": 16,
    "virStorageDriver": 37,
    "virNodeDeviceDriver": 14,
}


@pytest.mark.parametrize("table", TABLES)
def test_every_method_of_libvirts_driver_is_there(shared: Path, table: str) -> None:
    facts = shared / "facts"
    support = json.loads((facts / "driver-support.json").read_text())["drivers"]["test"]["tables"]
    methods = set(support[table]["methods"])
    functions: dict[str, list[str]] = {}
    for function in json.loads((facts / "api.json").read_text())["functions"]:
        for method in function.get("driver_methods", ()):
            functions.setdefault(method, []).append(function["name"])
    found = {
        method: {spelling.operation for spelling in map(of_function, functions.get(method, ())) if spelling is not None}
        for method in methods
    }
    assert {method for method, operations in found.items() if not operations} == NO_OPERATION & methods
    records = all_operations()
    missing = {
        f"{method}: {operation}"
        for method, operations in found.items()
        for operation in operations
        if not TestDriver.implements(records[operation])
    }
    assert len(methods) == TABLES[table]
    assert not missing
