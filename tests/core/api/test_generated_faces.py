"""The generated faces: up to date, complete, fully typed."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator

import pytest

import virtcore
import virtcore.enums
import virtcore.operations.values
import virtcore.types
from support import ROOT
from virtcore.operations.declare import all_operations

FACES = [(virtcore.Connection, virtcore.Domain), (virtcore.AsyncConnection, virtcore.AsyncDomain)]


def test_regeneration_makes_no_difference() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "generate_faces.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("face", FACES)
def test_every_operation_is_there(face: tuple[type, type]) -> None:
    classes = dict(zip(("connection", "domain"), face, strict=True))
    for operation in all_operations().values():
        if operation.family in classes:
            method = getattr(classes[operation.family], operation.face_name)
            assert inspect.signature(method).parameters["deadline"].kind is inspect.Parameter.KEYWORD_ONLY
            assert method.__doc__


def public_methods() -> Iterator[tuple[type, str, object]]:
    for pair in FACES:
        for cls in (*pair, virtcore.Stream, virtcore.AsyncStream):
            for name, method in inspect.getmembers(cls, inspect.isfunction):
                if not name.startswith("_"):
                    yield cls, name, method


def test_no_any_in_public_signatures() -> None:
    names = {
        **vars(virtcore.enums),
        **{name: getattr(virtcore.enums, name) for name in dir(virtcore.enums)},
        **vars(virtcore.operations.values),
        **vars(virtcore.types),
        **{name: getattr(virtcore, name) for name in virtcore.__all__},
    }
    for cls, name, method in public_methods():
        hints = typing.get_type_hints(method, localns=names)
        assert "return" in hints, (cls, name)
        assert not any("typing.Any" in str(hint) for hint in hints.values()), (cls, name, hints)
