"""Work off the core loop: each has a thread of its own, which the next one takes over."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from virtcore.runtime.threads import in_thread, loaded


def test_threads_are_taken_over_and_never_shared() -> None:
    async def test() -> None:
        first = await in_thread(threading.get_ident)
        assert first != threading.get_ident()
        assert await in_thread(threading.get_ident) == first
        entered, leave = threading.Event(), threading.Event()

        def stuck() -> int:
            entered.set()
            leave.wait()
            return threading.get_ident()

        waiting = asyncio.ensure_future(in_thread(stuck))
        await in_thread(entered.wait)  # beside it
        others = {await in_thread(threading.get_ident) for _ in range(3)}
        leave.set()
        assert await waiting not in others

    asyncio.run(test())


def test_what_it_raises_is_raised_and_the_thread_goes_on() -> None:
    def fails() -> None:
        raise ValueError(threading.get_ident())

    async def test() -> None:
        with pytest.raises(ValueError, match=r"\d") as raised:
            await in_thread(fails)
        assert raised.value.args[0] == await in_thread(threading.get_ident)

    asyncio.run(test())


def test_modules_are_loaded_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "loaded_beside.py").write_text("import threading\nby = threading.get_ident()\n")

    async def test() -> None:
        await loaded("loaded_beside")
        assert sys.modules["loaded_beside"].by != threading.get_ident()
        with pytest.raises(ModuleNotFoundError):
            await loaded("loaded_beside", "loaded_nowhere")

    try:
        asyncio.run(test())
    finally:
        sys.modules.pop("loaded_beside", None)
