"""How ``list`` learns the states of many domains: a driver writes down what it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import pytest

from virt_shell.main import main
from virtcore.driver import Driver, OpenRequest, inline
from virtcore.driver.loader import registered
from virtcore.enums import DomainState, TypedParameterType
from virtcore.operations.values import DomainStats, StateInfo
from virtcore.types import DomainRef, TypedParameters

DOMAINS = [DomainRef(name, f"6695eb01-f6a4-8304-79aa-97f2502e193{at}") for at, name in enumerate("abc")]


class Listing(Driver):
    """Three domains; statistics do not tell of the last, and may not be there at all."""

    name = "Listing"
    asked: ClassVar[list[object]] = []
    forbidden = False

    @classmethod
    async def open(cls, request: OpenRequest) -> Listing:
        return cls()

    async def close(self) -> None:
        pass

    @inline
    def connection_is_alive(self) -> bool:
        return True

    @inline
    def connection_list_domains(self, flags: int = 0) -> list[DomainRef]:
        return DOMAINS

    @inline
    def connection_domain_stats(
        self, domains: Sequence[DomainRef] | None = None, stats: int = 0, flags: int = 0
    ) -> list[DomainStats]:
        self.asked.append(("stats", domains, stats, flags))
        if self.forbidden:
            return []
        paused = TypedParameters([("state.state", TypedParameterType.INT, int(DomainState.PAUSED))])
        others = [DomainStats(DomainRef("new", "6695eb01-f6a4-8304-79aa-97f2502e193f"), paused)]
        return [DomainStats(domain, paused) for domain in DOMAINS[:2]] + others

    @inline
    def domain_state(self, domain: DomainRef, flags: int = 0) -> StateInfo:
        self.asked.append(domain.name)
        return StateInfo(DomainState.SHUTOFF, 0)


@pytest.fixture(autouse=True)
def driver() -> Iterator[None]:
    Listing.asked = []
    with registered("listing", Listing):
        yield


def states(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["-q", "-c", "listing:///", "list", *words]) == 0
    return [" ".join(line.split()[1:]) for line in capsys.readouterr().out.splitlines() if line]


def test_states_are_asked_for_by_the_filters_of_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert states(capsys, "--all", "--persistent") == ["a paused", "b paused", "c shut off"]
    assert Listing.asked == [("stats", None, 1, 7), "c"]


def test_states_of_what_other_filters_let_through_are_asked_for_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert states(capsys, "--all", "--with-snapshot") == ["a paused", "b paused", "c shut off"]
    assert Listing.asked == [("stats", DOMAINS, 1, 0), "c"]


def test_what_statistics_do_not_tell_of_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Listing, "forbidden", True)
    assert states(capsys, "--all") == ["a shut off", "b shut off", "c shut off"]
    assert Listing.asked[1:] == ["a", "b", "c"]
