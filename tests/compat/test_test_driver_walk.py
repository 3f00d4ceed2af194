"""The test driver is libvirt's: random walks over both, through the real library, see the same at every step."""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from compat.conftest import uri

SCRIPT = Path(__file__).with_name("binding_walk.py")


def normal(text: str, folder: Path) -> list[str]:
    """What was seen, less where files are and what errors of the XML parser call the document: 11.3 says it otherwise
    (src/util/virxml.c), as it does without a space at the end of what is wrong with limits of I/O."""
    text = text.replace(str(folder), "FOLDER").replace("_max '", "_max'")
    return [re.sub(r"\((\w+_definition|metadata_xml)\):(\d+): ", r"at line \2: ", line) for line in text.splitlines()]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_random_walks_see_the_same(binding: Any, virtcored: Path, tmp_path: Path, seed: int) -> None:
    seen = []
    for number, where in enumerate(
        ("test:///default", uri("test+unix:///default", virtcored / "run" / "libvirt-sock"))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        seen.append(normal(binding(SCRIPT, where, str(seed), "600", str(folder)), folder))
    theirs, mine = seen
    assert sum(line.startswith("event") for line in theirs) == len(theirs) - 600
    differences = [f"- {one}\n+ {other}" for one, other in zip_longest(theirs, mine) if one != other]
    assert not differences, "\n".join(differences[:10])
