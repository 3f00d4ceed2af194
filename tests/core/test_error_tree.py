"""Every error that libvirt has is there under one name, whether or not it was loaded."""

from __future__ import annotations

import pickle

import pytest

from virtcore import _error_classes, errors


def test_the_names_are_those_of_both_modules() -> None:
    here = {
        name
        for module in (errors, _error_classes)
        for name, value in vars(module).items()
        if isinstance(value, type) and not name.startswith("_")
    }
    assert set(errors.__all__) == here | {"ErrorCode", "ErrorDomain", "ErrorLevel"}
    for name in errors.__all__:
        assert getattr(errors, name).__module__ in ("virtcore.errors", "virtcore._error_table")
    with pytest.raises(AttributeError):
        _ = errors.NoSuchError


def test_every_number_has_its_own_class() -> None:
    failures = [code for code in errors.ErrorCode if code.name != "OK" and not code.name.startswith("WARN_")]
    found = {code: errors.VirtError.for_code(code) for code in failures}
    assert [code.name for code, kind in found.items() if kind is errors.VirtError] == []
    for code, kind in found.items():
        assert kind("x").code == code
        assert isinstance(pickle.loads(pickle.dumps(kind("x"))), kind)
