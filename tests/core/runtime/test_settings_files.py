"""Settings that are declared as a dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from virtcore.errors import SystemError
from virtcore.runtime.settings import example, read_text, rows


@dataclass
class Toys:
    names: list[str] = field(default_factory=lambda: ["a", "b"], metadata={"doc": "what they are called"})
    loud: bool = field(default=True, metadata={"doc": "whether they are heard"})
    owner: str | None = field(default=None, metadata={"doc": "whose they are"})


def test_they_are_told_with_their_defaults() -> None:
    assert rows(Toys) == [
        ("names", '[ "a", "b" ]', "what they are called"),
        ("loud", "1", "whether they are heard"),
        ("owner", "", "whose they are"),
    ]
    assert example(Toys, "toys.conf: toys").splitlines()[:4] == [
        "# toys.conf: toys. Every setting is there, with its default.",
        "",
        "# What they are called.",
        '#names = [ "a", "b" ]',
    ]


def test_a_file_need_not_be_there_but_be_readable(tmp_path: Path) -> None:
    assert read_text(tmp_path / "toys.conf") is None
    with pytest.raises(SystemError, match=r"Failed to open file '.*toys\.conf': No such file or directory"):
        read_text(tmp_path / "toys.conf", required=True)
    with pytest.raises(SystemError, match="Is a directory"):
        read_text(tmp_path)
