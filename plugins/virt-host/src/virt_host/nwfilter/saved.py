"""What a firewall has now, as its programs save it, and a change of it in one go.

``ebtables-save`` and its like print every rule as the words of the command that makes it again; ``ebtables-restore``
takes a batch of commands that are all done, or none.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from virt_host.nwfilter.steps import Layer, PacketChain, Step, frame_chain

__all__ = ["Saved", "batch", "can_be_batched"]

_TABLES = {Layer.FRAMES: "nat", Layer.IPV4: "filter", Layer.IPV6: "filter"}
_UNQUOTED = re.compile(r"[A-Za-z0-9_.:,/!+=@%-]+")


class Saved(NamedTuple):
    """The table that filters are in.

    :ivar chains: their names.
    :ivar rules: chain and line of each, in order.
    """

    chains: frozenset[str]
    rules: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, layer: Layer, text: str) -> Saved:
        """Read what the program of a layer saved."""
        chains, rules, inside = set(), [], False
        for line in text.splitlines():
            if line.startswith("*"):
                inside = line[1:].strip() == _TABLES[layer]
            elif inside and line.startswith(":"):
                chains.add(line[1:].split()[0])
            elif inside and line.startswith("-A "):
                rules.append((line.split(maxsplit=2)[1], line))
        return cls(frozenset(chains), tuple(rules))

    def has(self, chain: str, words: Sequence[str]) -> bool:
        """Whether there is a rule of these words, in whatever order."""
        wanted = sorted(words)
        last = words[-1]
        return any(
            name == chain and line.endswith(last) and sorted(shlex.split(line)[2:]) == wanted
            for name, line in self.rules
        )

    def jumps(self, line: str) -> str | None:
        """The chain of this table that a rule goes to."""
        target = line.rsplit(" ", 1)[-1]
        if target in self.chains and shlex.split(line)[-2] in ("-j", "-g"):
            return target
        return None

    def below(self, roots: Sequence[str]) -> list[str]:
        """Those of the chains that are there, and all that their rules go to."""
        found = [root for root in roots if root in self.chains]
        for chain in found:  # grows
            for name, line in self.rules:
                target = self.jumps(line) if name == chain else None
                if target is not None and target not in found:
                    found.append(target)
        return found


def _roots(layer: Layer, interface: str) -> list[str]:
    """The chains of an interface that rules of all interfaces may go to, lasting and temporary."""
    if layer is Layer.FRAMES:
        return [
            frame_chain(interface, None, incoming=incoming, temporary=temporary)
            for incoming in (True, False)
            for temporary in (False, True)
        ]
    return [kind.of(interface, temporary=temporary) for kind in PacketChain for temporary in (False, True)]


def can_be_batched(steps: Sequence[Step]) -> bool:
    """Whether all words can be told to a restoring program: its lines have one line each."""
    return not any("\n" in word or "\0" in word for step in steps for word in step.words)


def batch(layer: Layer, saved: Saved, interface: str, steps: Sequence[Step]) -> str:
    """The batch that removes the chains of an interface and then does the steps; empty when there is nothing to do.

    :param steps: those of the layer, of which none may fail but those about what is there already.
    """
    lines = list(_lines(saved, saved.below(_roots(layer, interface)), steps))
    return "\n".join([f"*{_TABLES[layer]}", *lines, "COMMIT", ""]) if lines else ""


def _lines(saved: Saved, old: Sequence[str], steps: Sequence[Step]) -> Iterator[str]:
    for chain, line in saved.rules:
        # Of thousands of rules, of other guests, hardly one has to be taken apart.
        if chain not in old and line.rsplit(" ", 1)[-1] in old and saved.jumps(line) is not None:
            yield line.replace("-A", "-D", 1)
    new = {words[1] for words in map(_words, steps) if words[0] == "-N"}
    for chain in old:
        yield f"-F {chain}"
    for chain in reversed(old):
        if chain not in new:
            yield f"-X {chain}"
    for step in steps:
        words = _words(step)
        if _counts(saved, old, step.may_fail, words):
            yield " ".join(map(_quoted, words))


def _words(step: Step) -> tuple[str, ...]:
    """Without the table, which the batch names."""
    return step.words[2:] if step.words[0] == "-t" else step.words


def _counts(saved: Saved, old: Sequence[str], may_fail: bool, words: Sequence[str]) -> bool:
    """Whether there is something for a command to do."""
    command, chain = words[0], words[1]
    if command == "-N":
        return chain not in saved.chains
    if not may_fail:
        return True
    # Chains of the interface itself are gone by now, with all that went to them.
    return command == "-D" and chain not in old and words[-1] not in old and saved.has(chain, words[2:])


def _quoted(word: str) -> str:
    if _UNQUOTED.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
