"""Defines and undefines at random in a folder until it is killed; prints what it begins and what was acknowledged."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import uuid
from pathlib import Path

from virtcore.driver.toolkit import DefinitionStore, DiskWorker, IndexEntry, Marks
from virtcore.errors import XMLError


def describe(text: str) -> IndexEntry:
    raise XMLError("every file has an index entry")


def body(key: str, version: int) -> str:
    """A definition whose every part tells which version it is."""
    return f"<domain>{key} {version}\n" + f"<v>{version}</v>\n" * (version % 700) + f"</domain>{version}\n"


async def main(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    worker = DiskWorker("disk")
    store = DefinitionStore(folder / "definitions", worker, describe)
    marks = Marks(folder / "autostart", worker)
    keys = [str(uuid.UUID(int=number)) for number in range(8)]
    await store.open()
    await marks.open(set(keys))
    version = 0

    def say(*words: object) -> None:
        # One write per line: a line is there whole or not at all.
        os.write(1, (" ".join(map(str, words)) + "\n").encode())

    async def client(key: str) -> None:
        nonlocal version
        while True:
            version += 1
            mine = version
            action = chance.choice(("define", "define", "define", "undefine", "mark", "unmark"))
            say("begin", action, key, mine)
            if action == "define":
                await store.write(key, f"name of {key}", body(key, mine), {"version": mine})
            elif action == "undefine":
                await store.remove(key)
            else:
                await marks.mark(key, action == "mark")
            say("done", action, key, mine)

    say("ready")
    await asyncio.gather(*(client(key) for key in keys))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
