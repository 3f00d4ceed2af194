"""Everything libvirt has is accounted for: an operation, something else of ours, or nothing, with the reason."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from virtcore.operations.accounts import OBSOLETE, PLUMBING, absence, counterpart
from virtcore.operations.declare import all_operations, services
from virtcore.operations.families import FAMILIES
from virtcore.operations.functions import FUNCTIONS
from virtcore.operations.procedures import procedure, program
from virtcore.operations.spellings import all_spellings, by_procedure, of_function, spellings_of
from virtcore.operations.wire.events import of_procedure


@pytest.fixture(scope="module")
def api(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "facts" / "api.json").read_text())
    return found


def test_every_function_is_accounted_for_once(api: dict[str, Any]) -> None:
    names = [row["name"] for row in api["functions"] if row["lib"] in ("libvirt", "libvirt-qemu", "libvirt-lxc")]
    assert len(names) == 534
    wrong = {}
    for name in names:
        accounts = [of_function(name), counterpart(name), absence(name)]
        if sum(account is not None for account in accounts) != 1:
            wrong[name] = accounts
    assert wrong == {}


def test_no_function_is_spelled_twice() -> None:
    functions = [spelling.function for spelling in all_spellings()]
    assert len(functions) == len(set(functions))


def test_counterparts_exist() -> None:
    for function in FUNCTIONS:
        name = counterpart(function)
        if name is not None:
            assert find(name) is not None, (function, name)


def find(name: str) -> object:
    """What a full name below the package stands for."""
    parts = name.split(".")
    for at in range(len(parts), -1, -1):
        try:
            found: object = import_module(".".join(["virtcore", *parts[:at]]))
        except ModuleNotFoundError:
            continue
        for part in parts[at:]:
            # an attribute of instances is only annotated
            found = getattr(found, part) if hasattr(found, part) else vars(found)["__annotations__"][part]
        return found
    raise AssertionError(name)


def test_every_procedure_is_accounted_for_once() -> None:
    wrong = []
    for name in ("remote", "qemu", "lxc", "keepalive"):
        for row in program(name).procedures():
            full = f"{name}.{row.name}"
            event = row.kind == "event" and of_procedure(name, row.number) is not None
            accounts = [by_procedure(full) is not None, full in PLUMBING, full in OBSOLETE, event]
            if sum(accounts) != 1:
                wrong.append((full, accounts))
    assert wrong == []


def test_plumbing_is_there() -> None:
    for name in PLUMBING:
        assert procedure(name)


def test_permissions_stand_on_procedures_and_versions_on_spellings() -> None:
    open_to_all = set()
    for spelling in all_spellings():
        if spelling.internal:
            assert spelling.write is True, "without facts it fails closed"
        else:
            assert re.fullmatch(r"\d+\.\d+\.\d+", spelling.since), spelling.function
        if spelling.procedure is not None:
            row = procedure(spelling.procedure)
            assert row.priority in ("high", "low")
            if not row.permissions:
                open_to_all.add(spelling.procedure)
    assert open_to_all == {"remote.CONNECT_IS_SECURE"}, "libvirt asks for no right there, and nowhere else"


def test_every_operation_of_a_service_is_one_of_its_objects_or_finds_them() -> None:
    found = services()
    assert set(found) == {"network", "storage", "nodedev", "interface", "nwfilter", "secret"}
    families = {"connection"}
    for name, declared in found.items():
        mine = {record.family for record in declared.operations.values()}
        assert all(record.service == name for record in declared.operations.values())
        assert mine & families <= {"connection"}, "a family belongs to one service"
        families |= mine
    of_services = {family.name for family in FAMILIES.values() if not family.name.startswith("domain")} - {"stream"}
    assert families == of_services


#: What libvirt has no function for.
OUR_OWN = ["connection_recent_stats"]


def test_every_operation_has_a_spelling_or_is_our_own() -> None:
    assert [name for name in all_operations() if not spellings_of(name)] == OUR_OWN
