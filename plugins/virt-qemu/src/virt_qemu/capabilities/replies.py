"""What a QEMU answered to a probe: command and arguments -> value or refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping

from virt_qemu.monitor import JSON

__all__ = ["Replies"]


def _key(command: str, arguments: Mapping[str, JSON] | None) -> str:
    return command if not arguments else f"{command} {json.dumps(arguments, sort_keys=True)}"


class Replies:
    """Answers by question. What was refused, or never asked, has no value."""

    def __init__(self) -> None:
        self._values: dict[str, JSON] = {}

    def keep(self, command: str, arguments: Mapping[str, JSON] | None, value: JSON) -> None:
        """Keep an answer; of several to the same question the first one counts."""
        self._values.setdefault(_key(command, arguments), value)

    def get(self, command: str, arguments: Mapping[str, JSON] | None = None) -> JSON:
        """The answer to a command; None when there is none."""
        return self._values.get(_key(command, arguments))

    def rows(self, command: str, arguments: Mapping[str, JSON] | None = None) -> list[dict[str, JSON]]:
        """The answer to a command that lists objects; empty when there is none."""
        value = self.get(command, arguments)
        return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []

    def table(self, command: str, arguments: Mapping[str, JSON] | None = None) -> dict[str, JSON]:
        """The answer to a command that returns one object; empty when there is none."""
        value = self.get(command, arguments)
        return value if isinstance(value, dict) else {}

    @classmethod
    def recorded(cls, text: str) -> list[Replies]:
        """Read a recording: JSON documents, commands and replies in turn; ``qmp_capabilities`` begins a probe."""
        decoder = json.JSONDecoder()
        documents: list[dict[str, JSON]] = []
        position = 0
        while position < len(text):
            if text[position].isspace():
                position += 1
                continue
            document, position = decoder.raw_decode(text, position)
            documents.append(document)
        probes: list[Replies] = []
        for command, reply in zip(documents[::2], documents[1::2], strict=True):
            if command["execute"] == "qmp_capabilities":
                probes.append(cls())
            elif "return" in reply:
                arguments = command.get("arguments")
                assert arguments is None or isinstance(arguments, dict)
                probes[-1].keep(str(command["execute"]), arguments, reply["return"])
        return probes
