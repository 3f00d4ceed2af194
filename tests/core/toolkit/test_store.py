from __future__ import annotations

import asyncio
import logging
import os
import threading
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from support import costs_less_than
from virtcore.driver.toolkit import DefinitionStore, DiskWorker, IndexEntry, Marks, disk
from virtcore.driver.toolkit.store import _encode
from virtcore.errors import InternalError, SystemError, XMLError

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
OTHER = "7095eb01-f6a4-8304-79aa-97f2502e193f"


def describe(text: str) -> IndexEntry:
    """Reads `<x uuid name/>` the slow way."""
    if not text.startswith("<x "):
        raise XMLError("no x")
    _, found, name = text.rstrip("/>\n").split(" ", 2)
    return IndexEntry(found, name, {"described": True})


def using(folder: Path, test: Callable[[DefinitionStore], Awaitable[None]]) -> None:
    async def main() -> None:
        worker = DiskWorker("test-disk")
        try:
            async with asyncio.timeout(60):
                await test(DefinitionStore(folder, worker, describe))
        finally:
            await worker.close()

    asyncio.run(main())


def test_round_trip(tmp_path: Path) -> None:
    async def test(store: DefinitionStore) -> None:
        assert await store.open() == []
        await store.write(UUID, "na--me ü\n", "<x/>\n", {"memory": 1, "os": "h--v--m", "none": None})
        assert store.read(UUID) == "<x/>\n"
        assert await store.open() == [IndexEntry(UUID, "na--me ü\n", {"memory": 1, "os": "h--v--m", "none": None})]
        await store.write(UUID, "a", "<y/>")
        assert store.read(UUID) == "<y/>"
        await store.remove(UUID)
        await store.remove(UUID)
        assert await store.open() == []

    using(tmp_path / "new", test)


def test_files_are_private_and_well_formed(tmp_path: Path) -> None:
    from lxml import etree

    async def test(store: DefinitionStore) -> None:
        await store.open()
        await store.write(UUID, "--><x>" + "-" * 7, "<x/>\n")
        path = tmp_path / f"{UUID}.xml"
        assert path.stat().st_mode & 0o777 == 0o600
        assert etree.fromstring(path.read_bytes()).tag == "x"
        assert (await store.open())[0].name == "--><x>" + "-" * 7

    using(tmp_path, test)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a\nb", "..", "\0", "n" * 10_000, "-->"])
def test_no_name_reaches_a_path(tmp_path: Path, name: str) -> None:
    async def test(store: DefinitionStore) -> None:
        await store.open()
        await store.write(UUID, name, "<x/>")
        assert [path.name for path in tmp_path.iterdir()] == [f"{UUID}.xml"]
        assert (await store.open())[0].name == name

    using(tmp_path, test)


@pytest.mark.parametrize("key", ["../x", "", UUID.upper(), UUID + "/", UUID + "\n"])
def test_only_uuids_are_keys(tmp_path: Path, key: str) -> None:
    async def test(store: DefinitionStore) -> None:
        await store.open()
        with pytest.raises(InternalError):
            await store.write(key, "a", "<x/>")
        with pytest.raises(InternalError):
            store.read(key)

    using(tmp_path, test)


def test_an_edited_file_is_described_afresh(tmp_path: Path) -> None:
    (tmp_path / f"{UUID}.xml").write_bytes(_encode("old", f"<x {UUID} old/>", {}).replace(b" old/", b" new/"))
    (tmp_path / f"{OTHER}.xml").write_text(f"<x {OTHER} by hand/>\n")

    async def test(store: DefinitionStore) -> None:
        assert [(entry.name, entry.facts) for entry in await store.open()] == [
            ("by hand", {"described": True}),
            ("new", {"described": True}),
        ]

    using(tmp_path, test)


def test_what_cannot_be_used_is_reported_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = uuid.uuid4()
    files = {
        f"{UUID}.xml": b"\0\xff garbage",
        f"{OTHER}.xml": f"<x {UUID} wrong uuid/>".encode(),
        f"{good}.xml": f"<x {good} good/>".encode(),
        f"{uuid.uuid4()}.xml": b"",
        "notes.txt": b"mine",
        "vm.xml": b"mine too",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    os.symlink("/etc/passwd", tmp_path / f"{uuid.uuid4()}.xml")

    async def test(store: DefinitionStore) -> None:
        with caplog.at_level(logging.ERROR):
            assert [entry.name for entry in await store.open()] == ["good"]
        assert len(caplog.records) == 4
        assert len(list(tmp_path.iterdir())) == len(files) + 1

    using(tmp_path, test)


def test_a_name_that_occurs_twice_is_used_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for key in (UUID, OTHER):
        (tmp_path / f"{key}.xml").write_text(f"<x {key} same/>")

    async def test(store: DefinitionStore) -> None:
        with caplog.at_level(logging.ERROR):
            assert len(await store.open()) == 1
        assert "name 'same' is taken" in caplog.text

    using(tmp_path, test)


def test_temporary_files_of_a_crash_are_removed(tmp_path: Path) -> None:
    (tmp_path / f".{UUID}.xml.tmp").write_text("half")

    async def test(store: DefinitionStore) -> None:
        assert await store.open() == []
        assert list(tmp_path.iterdir()) == []

    using(tmp_path, test)


def test_a_failed_write_leaves_the_former_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if b"second" in bytes(data):
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", full)

    async def test(store: DefinitionStore) -> None:
        await store.open()
        await store.write(UUID, "a", "first")
        with pytest.raises(SystemError, match=f"^cannot write data to file '.*/{UUID}.xml': No space left on device$"):
            await store.write(UUID, "a", "second")
        assert store.read(UUID) == "first"
        assert [path.name for path in tmp_path.iterdir()] == [f"{UUID}.xml"]

    using(tmp_path, test)


def test_order_is_kept_and_the_loop_is_not_stalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, waiting = os.fsync, set()

    def slow(descriptor: int) -> None:
        waiting.add(threading.get_ident())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)

    async def test(store: DefinitionStore) -> None:
        await store.open()
        await asyncio.gather(*(store.write(UUID, "a", f"text {number}") for number in range(10)))
        assert store.read(UUID) == "text 9"
        assert waiting
        assert threading.get_ident() not in waiting, "another thread waits for the disk"

    using(tmp_path, test)


def test_writes_that_wait_together_share_the_sync_of_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    all_wait = threading.Event()

    def count(folder: Path) -> None:
        synced.append(folder)
        assert all_wait.wait(60)

    monkeypatch.setattr(disk, "sync_folder", count)

    async def test(store: DefinitionStore) -> None:
        await store.open()
        writes = [
            asyncio.create_task(store.write(str(uuid.UUID(int=number)), f"vm{number}", "<x/>")) for number in range(40)
        ]
        await asyncio.sleep(0)
        all_wait.set()
        await asyncio.gather(*writes)
        assert 1 <= len(synced) <= 2, "the first may have been alone"
        assert len(await store.open()) == 40

    using(tmp_path, test)


def test_what_means_nothing_without_the_host_waits_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("synced")

    async def main() -> None:
        worker = DiskWorker("test-disk")
        store = DefinitionStore(tmp_path, worker, describe, lasting=False)
        await store.open()
        monkeypatch.setattr(disk, "sync_folder", refuse)
        monkeypatch.setattr(os, "fsync", refuse)
        await store.write(UUID, "a", "<x/>")
        await store.write(UUID, "a", "<y/>")
        assert store.read(UUID) == "<y/>"
        await store.remove(UUID)
        assert await store.open() == []
        await worker.close()

    asyncio.run(main())


def test_what_is_prepared_may_come_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        worker = DiskWorker("test-disk")
        store = DefinitionStore(tmp_path, worker, describe, lasting=False)
        await store.open()
        await store.write(UUID, "a", "<old/>")
        prepared = store.prepare(UUID, "a", "<new/>", {"memory": 1})
        await prepared.done
        assert store.read(UUID) == "<old/>"
        await store.put(prepared)
        assert store.read(UUID) == "<new/>"
        assert await store.open() == [IndexEntry(UUID, "a", {"memory": 1})]
        # What was begun before comes before, what is begun later after.
        writing = asyncio.create_task(store.write(UUID, "a", "<before/>"))
        await asyncio.sleep(0)
        await store.put(store.prepare(UUID, "a", "<now/>"))
        await writing
        assert store.read(UUID) == "<now/>"
        store.prepare(UUID, "a", "<never/>")
        await store.remove(UUID)
        assert list(tmp_path.iterdir()) == []
        prepared = store.prepare(UUID, "a", "<left/>")
        await prepared.done
        assert await store.open() == []
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(SystemError, match="No such file"):
            await store.put(prepared)
        await worker.close()

    asyncio.run(main())


def test_a_folder_that_cannot_be_synced_fails_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    async def test(store: DefinitionStore) -> None:
        await store.open()
        with monkeypatch.context() as patch:
            patch.setattr(disk, "sync_folder", fail)
            with pytest.raises(SystemError, match="Input/output error"):
                await store.write(UUID, "a", "text")
        await store.write(UUID, "a", "text")

    using(tmp_path, test)


def test_a_cancelled_waiter_does_not_stop_the_write(tmp_path: Path) -> None:
    async def test(store: DefinitionStore) -> None:
        await store.open()
        task = asyncio.create_task(store.write(UUID, "a", "text"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await store.open()  # behind it in the queue
        assert store.read(UUID) == "text"

    using(tmp_path, test)


def test_opening_many_parses_none(tmp_path: Path) -> None:
    for number in range(1000):
        key = str(uuid.UUID(int=number))
        (tmp_path / f"{key}.xml").write_bytes(_encode(f"vm{number}", "<x>" + "y" * 5000 + "</x>", {"memory": 1}))

    async def test(store: DefinitionStore) -> None:
        store._describe = lambda text: pytest.fail("a definition was looked into")
        with costs_less_than(0.5):  # 0.02 s on the machine this was written on
            assert len(await store.open()) == 1000

    using(tmp_path, test)


def test_marks(tmp_path: Path) -> None:
    async def main() -> None:
        worker = DiskWorker("test-disk")
        marks = Marks(tmp_path / "autostart", worker)
        assert await marks.open({UUID}) == set()
        await marks.mark(UUID, True)
        await marks.mark(OTHER, True)
        assert await marks.open({UUID}) == {UUID}
        assert await marks.open({UUID, OTHER}) == {UUID}  # the other was nobody's
        await marks.mark(UUID, False)
        await marks.mark(UUID, False)
        assert await marks.open({UUID}) == set()
        await worker.close()

    asyncio.run(main())
