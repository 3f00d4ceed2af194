"""Every command of the real virsh prints on virtcored what it prints on libvirtd, or the table says why not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.conftest import private_libvirtd, uri
from compat.virsh_rows import DRIVERS, Place, Session, commands_of, difference, judge, read_table, run_beside, spellings
from namespaces import network_box

SESSIONS = [(driver, session) for driver in DRIVERS for session in read_table(driver)]
PATHS = {"test": "/default", "qemu": "/system"}


#: Sessions whose daemons are in networks of their own: what they start is not the machine's, and not each other's.
APART = ("networks",)


@pytest.fixture
def sockets(request: pytest.FixtureRequest, driver: str, session: Session) -> Iterator[tuple[Path, Path]]:
    """Sockets of libvirtd and virtcored."""
    if driver != "qemu" or session.title not in APART:
        yield request.getfixturevalue("libvirtd"), request.getfixturevalue("virtcored") / "run" / "libvirt-sock"
        return
    with network_box() as ours, private_libvirtd(ours.root / "theirs", inside=ours.neighbour().inside()) as theirs:
        yield theirs, ours.root / "run" / "libvirt-sock"


@pytest.mark.parametrize(
    ("driver", "session"), SESSIONS, ids=[f"{driver}-{session.title}" for driver, session in SESSIONS]
)
def test_it_is_as_the_table_says(
    virsh: Any, sockets: tuple[Path, Path], tmp_path: Path, driver: str, session: Session
) -> None:
    places = []
    for name, socket in zip(("1", "2"), sockets, strict=True):
        where = uri(f"{driver}+unix://{PATHS[driver]}", socket)
        places.append(Place(where, tmp_path / name, spellings(where)))
    wrong = []
    for row, theirs, ours in run_beside(session, *places):
        found = judge(row, theirs, ours)
        if row.verdict == "not yet" and found in ("same", "refused"):
            continue  # better than the table says: mark_virsh_rows.py writes it down
        if found != row.verdict:
            wrong.append(
                f"{driver}.rows:{row.number}: {row.line}: {row.verdict}, found {found}\n{difference(theirs, ours)}"
            )
    assert not wrong, "\n".join(wrong)


def known_commands(virsh: Any) -> set[str]:
    listed = virsh("test:///default", "help").stdout
    return set(re.findall(r"(?m)^    ([a-z][a-z0-9-]+) ", listed))


@pytest.mark.parametrize("driver", DRIVERS)
def test_no_command_is_left_out(virsh: Any, driver: str) -> None:
    known = known_commands(virsh)
    assert len(known) > 260
    assert known - set(commands_of(read_table(driver))) == set()


def test_every_difference_has_a_reason() -> None:
    for driver, session in SESSIONS:
        for row in session.rows:
            assert row.reason or row.verdict != "differs", (driver, row)


def test_a_difference_is_seen(virsh: Any) -> None:
    (row,) = (row for session in read_table("test") for row in session.rows if row.line == "list")
    assert judge(row, "a", "b") == "fails"
    assert judge(row, "error: a", "error: a") == "refused"
    counts = Counter(judge(row, text, text) for text in ("1", "error: no"))
    assert counts == {"same": 1, "refused": 1}
