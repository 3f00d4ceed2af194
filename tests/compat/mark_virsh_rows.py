"""Write what daemons answer now into the table of virsh's commands.

``mark_virsh_rows.py DRIVER THEIRS OURS [TITLE ...] [--pending]`` with the URIs of the two. Says what has changed, and
what fails, which it leaves to people (with ``--pending`` it notes that); ``differs`` is theirs, too.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from compat.virsh_rows import TABLE, Place, Row, difference, judge, read_table, run_beside, spellings


def mark(path: Path, found: dict[int, str]) -> None:
    """Rewrite the verdicts of rows, by their lines' numbers."""
    lines = path.read_text().splitlines()
    for number in sorted(found, reverse=True):
        while number < len(lines) and lines[number].startswith("    ") and not lines[number].strip().startswith("less"):
            del lines[number]
        if found[number] != "same":
            lines.insert(number, f"    {found[number]}")
    path.write_text("\n".join(lines) + "\n")


def main(driver: str, theirs: str, ours: str, *titles: str) -> None:
    pending = "--pending" in titles
    titles = tuple(title for title in titles if title != "--pending")
    counts: Counter[str] = Counter()
    changed: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        places = [Place(uri, Path(folder) / name, spellings(uri)) for uri, name in ((theirs, "1"), (ours, "2"))]
        for session in read_table(driver):
            if titles and not any(title in session.title for title in titles):
                continue
            print(f"[{session.title}]")
            for row, one, other in run_beside(session, *places):
                verdict = judge(row, one, other)
                counts[verdict] += 1
                if verdict != row.verdict:
                    tell(row, verdict, one, other)
                    if verdict == "fails" and pending:
                        verdict = "not yet: something before it is"
                    if verdict != "fails":
                        changed[row.number] = verdict
    mark(TABLE / f"{driver}.rows", changed)
    print(counts)


def tell(row: Row, verdict: str, theirs: str, ours: str) -> None:
    print(f"{row.number}: {row.line}: {row.verdict} -> {verdict}")
    if theirs == ours:
        print(ours[:600])
    else:
        print(difference(theirs, ours)[:2500])


if __name__ == "__main__":
    main(*sys.argv[1:])
