"""The lazy names of the domain package are what its modules call public."""

from __future__ import annotations

from importlib import import_module

import pytest

from virtcore.model import capabilities, cpu, domain
from virtcore.model.domain import _devices

TABLES = {**domain._MODULES, **_devices.MODULES}


@pytest.mark.parametrize("module", sorted(TABLES))
def test_every_public_name_is_listed(module: str) -> None:
    public = import_module(f"virtcore.model.domain.{module}").__all__
    assert sorted(TABLES[module]) == sorted(public)
    for name in TABLES[module]:
        assert getattr(domain, name) is not None


@pytest.mark.parametrize("module", sorted(cpu._MODULES))
def test_every_public_name_of_processors_is_listed(module: str) -> None:
    assert sorted(cpu._MODULES[module]) == sorted(import_module(f"virtcore.model.cpu.{module}").__all__)


@pytest.mark.parametrize("module", sorted(capabilities._MODULES))
def test_every_public_name_of_capabilities_is_listed(module: str) -> None:
    public = import_module(f"virtcore.model.capabilities.{module}").__all__
    assert sorted(capabilities._MODULES[module]) == sorted(public)


def test_no_name_twice() -> None:
    names = [name for group in TABLES.values() for name in group]
    assert len(names) == len(set(names))


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sofa'"):
        _ = domain.Sofa
