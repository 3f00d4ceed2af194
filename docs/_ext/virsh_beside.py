"""The page about virsh's commands on virtcored and on libvirtd, out of the table that the tests verify."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

from compat.virsh_rows import DRIVERS, EXPLAINED, VERDICTS, Row, commands_of, read_table

__all__ = ["page"]

TEXT = """\
Each command of the real virsh 9.0, on virtcored and on the real libvirtd 9.0 with the same driver: sessions of
command lines, in which guests are defined, started, changed and ended (``tests/compat/virsh_table``). A test runs
them all and compares what is printed; it fails where an answer is not what this table says, unless what was not
there yet has come. Times, process numbers, generated UUIDs and paths of the two daemons do not count.

"""


def summary(rows: list[Row]) -> str:
    """Verdicts and how many rows have each, the usual one first."""
    counts = Counter(row.verdict for row in rows)
    return ", ".join(f"{verdict} {counts[verdict]}" for verdict in VERDICTS if counts[verdict])


def page(heading: Callable[..., str], table: Callable[..., str]) -> str:
    """The page as reST."""
    tables = {driver: commands_of(read_table(driver)) for driver in DRIVERS}
    counts = {driver: Counter(row.verdict for rows in tables[driver].values() for row in rows) for driver in DRIVERS}
    text = heading("virsh on virtcored and on libvirtd") + TEXT
    rows: list[tuple[str, ...]] = [("answer", "meaning", *(f"``{driver}``" for driver in DRIVERS))]
    for verdict, meaning in VERDICTS.items():
        rows.append((verdict, meaning, *(str(counts[driver][verdict]) for driver in DRIVERS)))
    rows.append(("together", "", *(str(sum(counts[driver].values())) for driver in DRIVERS)))
    text += table(*rows) + heading("Commands", "-")
    names = sorted(set().union(*tables.values()))
    rows = [("command", *(f"``{driver}``" for driver in DRIVERS))]
    rows += [(f"``{name}``", *(summary(tables[driver].get(name, [])) for driver in DRIVERS)) for name in names]
    text += table(*rows) + heading("Differences", "-")
    text += "In live documents these are not compared: " + "; ".join(reason for *_, reason in EXPLAINED) + ".\n\n"
    for driver in DRIVERS:
        rows = [("command line", "why")]
        for row in (row for found in tables[driver].values() for row in found if row.reason):
            rows.append((f"``{row.line}``", row.reason if row.verdict == "differs" else f"{row.verdict}: {row.reason}"))
        text += heading(f"{driver}:///", "~") + table(*rows)
    return text
