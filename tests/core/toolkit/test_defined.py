"""Objects that are defined and started, with a small kind of their own."""

from __future__ import annotations

import asyncio

import pytest

from virtcore.driver.toolkit import DefinedObject, DefinedObjects, DiskWorker, ObjectTable, Transition
from virtcore.errors import NoNetwork, OperationFailed, OperationInvalid, XMLError

UUIDS = [f"00000000-0000-4000-8000-00000000000{digit}" for digit in range(4)]


class Light(DefinedObject[dict[str, str]]):
    noun = taken_noun = "light"
    missing = NoNetwork


class Lights(DefinedObjects[Light, dict[str, str]]):
    kind = Light

    def __init__(self, folder=None, disk=None, status=None):
        super().__init__(folder, disk, status)
        self.burning = set()
        self.told = []
        self.broken = False

    def load(self, text, *, validate=False):
        words = text.split()
        if len(words) != 3:
            raise XMLError("no light")
        return dict(zip(("name", "uuid", "colour"), words, strict=True))

    def format(self, document):
        return " ".join(document.values())

    def identity(self, document):
        return document["name"], document["uuid"]

    async def start(self, obj):
        if self.broken:
            raise OperationFailed("no current")
        obj.live["colour"] += "!"

    async def recover(self, obj):
        if self.broken:
            raise OperationFailed("no current")
        return obj.name in self.burning

    def tell(self, obj, transition):
        self.told.append((obj.name, transition))


def text(name="red", number=0, colour="#f00"):
    return f"{name} {UUIDS[number]} {colour}"


def test_life():
    async def run():
        lights = Lights()
        obj = await lights.define(text())
        assert (obj.persistent, obj.active, obj.current["colour"]) == (True, False, "#f00")
        await lights.create(obj)
        with pytest.raises(OperationInvalid, match="light 'red' is active"):
            await lights.create(obj)
        await lights.define(text(colour="#e00"))
        assert (obj.current["colour"], obj.updated) == ("#f00!", True)
        await lights.destroy(obj)
        assert obj.current["colour"] == "#e00"
        with pytest.raises(OperationInvalid, match="light 'red' is not active"):
            await lights.destroy(obj)
        await lights.undefine(obj)
        with pytest.raises(NoNetwork, match="no light with matching name 'red'"):
            lights.table.by_name("red")
        kinds = Transition
        expected = [kinds.DEFINED, kinds.STARTED, kinds.DEFINED, kinds.STOPPED, kinds.UNDEFINED]
        assert lights.told == [("red", kind) for kind in expected]

    asyncio.run(run())


def test_transient_ones_go_when_they_stop():
    async def run():
        lights = Lights()
        obj = await lights.create_from(text())
        assert (obj.persistent, obj.active) == (False, True)
        with pytest.raises(OperationInvalid, match="light is already active as 'red'"):
            await lights.create_from(text())
        with pytest.raises(OperationInvalid, match="cannot set autostart for transient light"):
            await lights.set_autostart(obj, True)
        await lights.destroy(obj)
        assert list(lights.table) == []
        obj = await lights.define(text())
        await lights.create(obj)
        await lights.undefine(obj)
        assert lights.table.by_name("red") is obj
        await lights.destroy(obj)
        assert list(lights.table) == []

    asyncio.run(run())


def test_what_cannot_start_leaves_nothing():
    async def run():
        lights = Lights()
        lights.broken = True
        with pytest.raises(OperationFailed, match="no current"):
            await lights.create_from(text())
        assert list(lights.table) == []
        obj = await lights.define(text())
        with pytest.raises(OperationFailed, match="no current"):
            await lights.create(obj)
        assert not obj.active
        assert lights.told == [("red", Transition.DEFINED)]

    asyncio.run(run())


def test_identities_are_unique():
    async def run():
        lights = Lights()
        await lights.define(text())
        with pytest.raises(OperationFailed, match=f"light 'red' already exists with uuid {UUIDS[0]}"):
            await lights.define(text(number=1))
        with pytest.raises(OperationFailed, match=f"light 'red' is already defined with uuid {UUIDS[0]}"):
            await lights.define(text(name="blue"))
        assert [obj.name for obj in lights.table] == ["red"]

    asyncio.run(run())


def test_definitions_survive(tmp_path):
    async def run():
        disk = DiskWorker("lights")
        try:
            lights = Lights(tmp_path, disk)
            await lights.open()
            await lights.set_autostart(await lights.define(text()), True)
            await lights.undefine(await lights.define(text("blue", 1)))
            again = Lights(tmp_path, disk)
            await again.open()
            [obj] = again.table
            assert (obj.name, obj.uuid, obj.autostart, obj.persistent) == ("red", UUIDS[0], True, True)
            assert obj.definition == lights.load(text())
        finally:
            await disk.close()

    asyncio.run(run())


def test_what_is_active_is_found_again(tmp_path, caplog):
    async def run():
        disk = DiskWorker("lights")
        folders = tmp_path / "definitions", disk, tmp_path / "status"
        try:
            lights = Lights(*folders)
            await lights.open()
            await lights.create(await lights.define(text()))
            await lights.create_from(text("blue", 1))
            await lights.create_from(text("green", 2))
            await lights.destroy(await lights.create_from(text("pink", 3)))
            lights.broken = True
            with pytest.raises(OperationFailed):
                await lights.create_from(text("pink", 3))

            again = Lights(*folders)
            again.burning = {"red", "green"}
            await again.open()
            found = {obj.name: (obj.persistent, obj.live and obj.live["colour"]) for obj in again.table}
            assert found == {"red": (True, "#f00!"), "green": (False, "#f00!")}
            assert again.told == []

            last = Lights(*folders)
            last.broken = True
            await last.open()
            assert [(obj.name, obj.active) for obj in last.table] == [("red", False)]
            assert "light 'green' is not active any more: operation failed: no current" in caplog.text
            await last.set_autostart(last.table.by_name("red"), True)
            await last.start_marked()
            assert "light 'red' cannot be started" in caplog.text
            last.broken = False
            await last.start_marked()
            assert last.table.by_name("red").active
        finally:
            await disk.close()

    asyncio.run(run())


def test_a_renamed_object_is_found_by_its_new_name():
    table = ObjectTable(Light)
    obj = table.claim("red", UUIDS[0])
    other = table.claim("blue", UUIDS[1])
    table.publish(obj)
    table.publish(other)
    with pytest.raises(OperationFailed, match="light 'blue' already exists"):
        table.rename(obj, "blue")
    table.rename(obj, "green")
    assert table.by_name("green") is obj
    with pytest.raises(NoNetwork):
        table.by_name("red")
