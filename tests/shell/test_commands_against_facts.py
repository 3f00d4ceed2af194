"""Every command of virsh is here, with its group, aliases and options: the same types, required and positional."""

from __future__ import annotations

import json

import pytest

from support import SHARED
from virt_shell.command import Option, all_commands, find_command

FACTS = SHARED / "facts" / "virsh-commands.json"
pytestmark = pytest.mark.skipif(not FACTS.is_file(), reason=f"no {FACTS}")


def facts() -> dict[str, dict[str, object]]:
    if not FACTS.is_file():
        return {}
    return {known["name"]: known for known in json.loads(FACTS.read_text())["virsh"]["commands"]}


def described(option: Option) -> dict[str, object]:
    """An option in the words of the facts."""
    shape: dict[str, object] = {"name": option.name, "type": option.type}
    if option.type == "alias":
        return {**shape, "alias_of": option.alias_of}
    for word in ("required", "positional", "unwanted_positional", "allow_empty"):
        if getattr(option, word):
            shape[word] = True
    return shape


def wanted(command: dict[str, object]) -> list[dict[str, object]]:
    options = command.get("options", [])
    assert isinstance(options, list)
    kept = ("name", "type", "alias_of", "required", "positional", "unwanted_positional", "allow_empty")
    return [{word: option[word] for word in kept if word in option} for option in options]


@pytest.mark.parametrize("name", list(facts()))
def test_a_command_is_virshs(name: str) -> None:
    known = facts()[name]
    found = find_command(name)
    assert found is not None, "there is no such command"
    assert (found.group, found.connects, found.hidden) == (
        known["group"],
        not known.get("no_connect", False),
        known.get("hidden", False),
    )
    assert [described(option) for option in found.options] == wanted(known)
    aliases = known.get("aliases", [])
    assert isinstance(aliases, list)
    for other in aliases:
        assert find_command(other) is found


def test_there_are_no_commands_of_our_own() -> None:
    names = {name for known in facts().values() for name in (known["name"], *known.get("aliases", []))}  # type: ignore[misc]
    assert {known.name for known in all_commands()} - names == set()


def test_every_option_that_names_something_completes() -> None:
    kinds = {
        "domain",
        "network",
        "interface",
        "nwfilter",
        "binding",
        "secret",
        "pool",
        "vol",
        "device",
        "snapshotname",
        "checkpointname",
    }
    missing = [
        f"{known.name} --{option.name}"
        for known in all_commands()
        for option in known.options
        if option.name in kinds and option.type != "bool" and option.completer is None
    ]
    assert missing == []
