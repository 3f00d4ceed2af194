"""The generated faces: up to date, complete, fully typed."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import virtcore
import virtcore.api.aio
import virtcore.api.migration
import virtcore.api.sync
import virtcore.enums
import virtcore.operations.events
import virtcore.operations.stream
import virtcore.operations.values
import virtcore.types
from support import ROOT
from virtcore.operations.declare import all_operations
from virtcore.operations.families import FAMILIES, Family

FACES = [virtcore.api.sync, virtcore.api.aio]


def test_regeneration_makes_no_difference() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "generate_faces.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def face_class(package: ModuleType, family: Family) -> type:
    prefix = "Async" if package is virtcore.api.aio else ""
    found: type = getattr(package, prefix + family.face)
    return found


@pytest.mark.parametrize("package", FACES)
def test_every_operation_is_there(package: ModuleType) -> None:
    for operation in all_operations().values():
        if operation.internal:
            assert not hasattr(face_class(package, FAMILIES[operation.family]), operation.face_name)
            continue
        method = getattr(face_class(package, FAMILIES[operation.family]), operation.face_name)
        assert inspect.signature(method).parameters["deadline"].kind is inspect.Parameter.KEYWORD_ONLY
        assert method.__doc__


@pytest.mark.parametrize("package", FACES)
def test_every_family_is_there(package: ModuleType) -> None:
    connection = face_class(package, FAMILIES["connection"])
    for family in FAMILIES.values():
        cls = face_class(package, family)
        assert getattr(virtcore, cls.__name__) is cls
        if family.reference is not None:
            reference = getattr(virtcore.types, family.reference)
            assert getattr(virtcore, family.reference) is reference
            assert set(family.fields) == set(reference._fields)
            ref = sample(reference)
            mine, same = getattr(connection, family.name)(None, ref), cls(None, ref)
            assert mine.ref == ref
            assert mine == same
            assert hash(mine) == hash(same)
            assert mine != cls(None, ref._replace(**{family.key[-1].split(".")[0]: "other"}))
            assert repr(mine).startswith(f"<{cls.__name__} ")
            for field, value in zip(reference._fields, ref, strict=True):
                shown = getattr(mine, field)
                assert (shown.ref if isinstance(value, tuple) else shown) == value


def sample(reference: type[Any]) -> Any:
    """A reference whose fields all have a value."""
    hints = typing.get_type_hints(reference)
    values = {str: "text", int: 1}
    return reference(**{field: values.get(hint) or sample(hint) for field, hint in hints.items()})


def test_objects_of_both_faces_are_equal_and_of_different_kinds_are_not() -> None:
    network, filter_ = virtcore.NetworkRef("a", "1"), virtcore.NWFilterRef("a", "1")
    assert virtcore.Network(None, network) == virtcore.AsyncNetwork(None, network)  # type: ignore[arg-type]
    assert virtcore.Network(None, network) != virtcore.NWFilter(None, filter_)  # type: ignore[arg-type]


def public_methods() -> Iterator[tuple[type, str, object]]:
    for package in FACES:
        for family in FAMILIES.values():
            cls = face_class(package, family)
            for name, method in inspect.getmembers(cls, inspect.isfunction):
                if not name.startswith("_"):
                    yield cls, name, method


def test_no_any_in_public_signatures() -> None:
    names = {
        **vars(virtcore.enums),
        **{name: getattr(virtcore.enums, name) for name in dir(virtcore.enums)},
        **{name: getattr(virtcore.operations.values, name) for name in virtcore.operations.values.__all__},
        "ByteStream": virtcore.operations.stream.ByteStream,
        "EventSubject": virtcore.operations.events.EventSubject,
        "MigrationParameters": virtcore.api.migration.MigrationParameters,
        **vars(virtcore.types),
        **{name: getattr(virtcore, name) for name in virtcore.__all__},
    }
    for cls, name, method in public_methods():
        hints = typing.get_type_hints(method, localns=names)
        assert "return" in hints, (cls, name)
        assert not any("typing.Any" in str(hint) for hint in hints.values()), (cls, name, hints)
