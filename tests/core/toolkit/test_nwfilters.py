"""Filters and bindings that are kept: over restarts, and as they were where a change fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from virtcore.driver.toolkit.disk import DiskWorker
from virtcore.driver.toolkit.nwfilters import Filters
from virtcore.errors import InternalError, OperationInvalid, SystemError
from virtcore.model.nwfilter import FilterBinding, load_nwfilter_binding

UUID = "dd8fe884-6c02-601e-7551-cca97df1c5df"
OTHER = "22222222-6c02-601e-7551-cca97df1c5df"
DROP, ACCEPT = (f"<rule action='{action}' direction='in'/>" for action in ("drop", "accept"))


class Recorded(Filters):
    """Notes what its hooks are told, and fails where it is told to."""

    def __init__(self, folder: Path, disk: DiskWorker, status: Path) -> None:
        super().__init__(folder, disk, status)
        self.told: list[str] = []
        self.fails = 0

    def _note(self, what: str, binding: FilterBinding) -> None:
        actions = [str(entry.action) for entry in self.definition("base").entries]  # type: ignore[union-attr]
        self.told.append(f"{what} {binding.portdev} {actions}")
        if self.fails:
            self.fails -= 1
            raise InternalError("no")

    async def bind(self, binding: FilterBinding) -> None:
        self._note("bind", binding)

    async def rebind(self, bindings: Sequence[FilterBinding]) -> None:
        for binding in bindings:
            self._note("rebind", binding)

    def has_port(self, binding: FilterBinding) -> bool:
        return binding.portdev != "gone"


def base(rule: str) -> str:
    return f"<filter name='base'><uuid>{UUID}</uuid>{rule}</filter>"


def binding(port: str) -> FilterBinding:
    return load_nwfilter_binding(
        f"<filterbinding><owner><name>g</name><uuid>{UUID}</uuid></owner><portdev name='{port}'/>"
        "<mac address='52:54:00:00:00:01'/><filterref filter='user'/></filterbinding>"
    )


def test_a_change_takes_effect_everywhere_or_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        disk = DiskWorker("test")
        filters = Recorded(tmp_path / "config", disk, tmp_path / "status")
        await filters.open()
        first = await filters.define(base(DROP))
        await filters.define(f"<filter name='user'><uuid>{OTHER}</uuid><filterref filter='base'/></filter>")
        for port in ("one", "two", "gone"):
            await filters.create_binding(binding(port))
        filters.told.clear()

        await filters.define(base(DROP))
        assert filters.told == [], "nothing has changed"
        await filters.define(base(ACCEPT))
        assert filters.told == ["rebind one ['accept']", "rebind two ['accept']"]

        filters.told.clear()
        filters.fails = 1
        with pytest.raises(InternalError, match="no"):
            await filters.define(base(DROP))
        assert filters.told == ["rebind one ['drop']", "rebind one ['accept']", "rebind two ['accept']"]

        filters.told.clear()
        assert filters._store is not None

        async def full(*_: object) -> None:
            raise SystemError("disk full")

        with monkeypatch.context() as patched:
            patched.setattr(filters._store, "write", full)
            with pytest.raises(SystemError, match="disk full"):
                await filters.define(base(DROP))
        assert filters.told[-2:] == ["rebind one ['accept']", "rebind two ['accept']"]
        assert [entry.action for entry in first.filter.entries] == ["accept"]  # type: ignore[union-attr]

        with pytest.raises(OperationInvalid, match="nwfilter is in use"):
            await filters.undefine(first)
        for port in ("one", "two"):
            await filters.delete_binding(filters.bindings[port])
        await filters.undefine(first)
        await disk.close()

    asyncio.run(work())


def test_all_is_found_again(tmp_path: Path) -> None:
    async def work() -> None:
        disk = DiskWorker("test")
        filters = Recorded(tmp_path / "config", disk, tmp_path / "status")
        await filters.open()
        await filters.define(base(DROP))
        await filters.define(f"<filter name='user'><uuid>{OTHER}</uuid><filterref filter='base'/></filter>")
        await filters.create_binding(binding("a/../b"))
        filters.fails = 1
        with pytest.raises(InternalError):
            await filters.create_binding(binding("two"))
        with pytest.raises(InternalError, match="referenced filter 'none' is missing"):
            filters.definition("none")

        again = Recorded(tmp_path / "config", disk, tmp_path / "status")
        await again.open()
        assert list(again.bindings) == ["a/../b"]
        assert {obj.name: obj.uuid for obj in again.table} == {"base": UUID, "user": OTHER}
        assert all(obj._document is None for obj in again.table), "nobody has asked what they say"
        assert again.table.by_name("user").uses() == ["base"]
        await again.delete_binding(again.bindings["a/../b"])

        last = Recorded(tmp_path / "config", disk, tmp_path / "status")
        await last.open()
        assert not last.bindings
        await disk.close()

    asyncio.run(work())
