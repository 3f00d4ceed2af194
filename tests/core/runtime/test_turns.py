"""A lock between tasks that needs no loop until somebody waits."""

from __future__ import annotations

import asyncio

import pytest

from virtcore.runtime.turns import Turns


async def _hold(turns: Turns, name: str, told: list[str], rest: int = 1) -> None:
    async with turns:
        told.append(f"{name} has it")
        for _ in range(rest):
            await asyncio.sleep(0)
        told.append(f"{name} leaves")


def test_it_is_given_in_the_order_of_asking() -> None:
    told: list[str] = []

    async def all_of_them() -> None:
        turns = Turns()
        await asyncio.gather(*(_hold(turns, name, told) for name in "abc"))
        assert not turns.locked()

    asyncio.run(all_of_them())
    assert told == [f"{name} {does}" for name in "abc" for does in ("has it", "leaves")]


@pytest.mark.parametrize("moment", ["while it waits", "when it had just been its turn"])
def test_who_gives_up_keeps_nobody_waiting(moment: str) -> None:
    told: list[str] = []

    async def all_of_them() -> None:
        turns = Turns()
        async with turns:
            patient = [asyncio.ensure_future(_hold(turns, name, told)) for name in "ab"]
            await asyncio.sleep(0)
            if moment == "while it waits":
                patient[0].cancel()
        patient[0].cancel()
        assert isinstance((await asyncio.gather(*patient, return_exceptions=True))[0], asyncio.CancelledError)
        assert not turns.locked()

    asyncio.run(all_of_them())
    assert told == ["b has it", "b leaves"]


def test_nobody_waiting_means_no_loop() -> None:
    work = _hold(Turns(), "a", [], rest=0)
    with pytest.raises(StopIteration):
        work.send(None)


def test_an_error_gives_it_back() -> None:
    async def fail(turns: Turns) -> None:
        async with turns:
            raise KeyError

    async def all_of_them() -> None:
        turns = Turns()
        with pytest.raises(KeyError):
            await fail(turns)
        assert not turns.locked()

    asyncio.run(all_of_them())
