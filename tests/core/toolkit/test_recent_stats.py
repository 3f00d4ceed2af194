"""Statistics that never wait for a stuck guest."""

from __future__ import annotations

import asyncio

import pytest

import virtcore
from virtcore.builtin.test.driver import TestDriver
from virtcore.driver.loader import registered
from virtcore.enums import DomainStatsTypes
from virtcore.errors import InvalidArg, NoDomain


class Stuck(TestDriver):
    """Its guests answer until they are told not to."""

    stats_patience = 60.0
    stuck = False
    asked = 0

    async def live_stats(self, obj, groups, flags):
        Stuck.asked += 1
        if Stuck.stuck:
            await asyncio.Event().wait()
        return await super().live_stats(obj, groups, flags)


@pytest.fixture
def connection():
    Stuck.stuck, Stuck.asked, Stuck.stats_patience = False, 0, 60.0
    with registered("test", Stuck), virtcore.connect("test:///default") as connection:
        yield connection


def test_values_are_measured_again_only_when_they_are_too_old(connection):
    [first] = connection.recent_stats()
    [second] = connection.recent_stats(max_age=60)
    assert (Stuck.asked, second.params) == (1, first.params)
    assert second.age > 0
    connection.recent_stats(max_age=0)
    assert Stuck.asked == 2


def test_a_stuck_guest_yields_its_last_values_and_their_age(connection):
    [fresh] = connection.recent_stats()
    Stuck.stuck, Stuck.stats_patience = True, 0.05
    [late] = connection.recent_stats()
    assert late.params == fresh.params
    assert late.age >= 0.05


def test_a_guest_that_never_answered_is_told_of_by_what_is_known(connection):
    Stuck.stuck, Stuck.stats_patience = True, 0.05
    domain = connection.lookup_domain(name="test")
    [row] = connection.recent_stats([domain], DomainStatsTypes.STATE)
    assert row.domain.name == "test"
    assert row.params["state.state"] == domain.state().state


def test_inactive_and_unknown_domains(connection):
    domain = connection.lookup_domain(name="test")
    connection.recent_stats([domain])
    domain.destroy()
    [row] = connection.recent_stats([domain], max_age=60)
    assert (row.params["state.state"], row.age) == (domain.state().state, 0.0)
    domain.undefine()
    with pytest.raises(NoDomain):
        connection.recent_stats([domain])
    for nonsense in (-1, float("nan"), "soon"):
        with pytest.raises(InvalidArg, match="max_age"):
            connection.recent_stats(max_age=nonsense)
