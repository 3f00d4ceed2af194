"""Looking things up in QEMU's description of its own protocol (``query-qmp-schema``).

A path names a command or event, then step by step a part of it: ``blockdev-add/arg-type/+file/aio/^io_uring``. A plain
step is a member of an object or a field of a command, ``+x`` the variant ``x`` of a union, ``*x`` a member that has a
default, ``^x`` a value of an enumeration, ``$x`` a feature, ``!x`` the JSON type of a builtin. Arrays are looked
through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from virt_qemu.monitor import JSON

__all__ = ["Schema"]

_Entry = Mapping[str, JSON]


def _objects(entry: _Entry, field: str) -> list[dict[str, JSON]]:
    items = entry.get(field)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _has_feature(entry: _Entry, feature: str) -> bool:
    features = entry.get("features")
    return isinstance(features, list) and feature in features


class Schema:
    """The parsed schema of one emulator.

    :param reply: what ``query-qmp-schema`` returned.
    """

    def __init__(self, reply: JSON) -> None:
        entries = reply if isinstance(reply, list) else []
        self._types = {str(entry["name"]): entry for entry in entries if isinstance(entry, dict)}
        self._steps: dict[str, Callable[[_Entry, Sequence[str]], bool]] = {
            "object": self._object,
            "command": self._command,
            "event": self._command,
            "enum": self._enum,
            "builtin": self._builtin,
            "array": lambda entry, steps: self._walk(entry.get("element-type"), steps),
            "alternate": lambda entry, steps: any(
                self._walk(member.get("type"), steps) for member in _objects(entry, "members")
            ),
        }

    def has(self, path: str) -> bool:
        """Whether the emulator knows what a path names."""
        first, *steps = path.split("/")
        return self._walk(first, steps)

    def _walk(self, name: JSON, steps: Sequence[str]) -> bool:
        entry = self._types.get(name) if isinstance(name, str) else None
        if entry is None:
            return False
        if not steps:
            return True
        step = self._steps.get(str(entry.get("meta-type")))
        return step is not None and step(entry, steps)

    def _object(self, entry: _Entry, steps: Sequence[str]) -> bool:
        step, rest = steps[0], steps[1:]
        if step[0] == "$":
            return _has_feature(entry, step[1:])
        if step[0] == "+":
            found = [variant for variant in _objects(entry, "variants") if variant.get("case") == step[1:]]
        else:
            found = [member for member in _objects(entry, "members") if member.get("name") == step.lstrip("*")]
            if step[0] == "*":
                found = [member for member in found if "default" in member]
        return bool(found) and self._walk(found[0].get("type"), rest)

    def _command(self, entry: _Entry, steps: Sequence[str]) -> bool:
        if steps[0][0] == "$":
            return _has_feature(entry, steps[0][1:])
        return self._walk(entry.get(steps[0]), steps[1:])

    def _enum(self, entry: _Entry, steps: Sequence[str]) -> bool:
        if steps[0][0] != "^":
            return False
        value = steps[0][1:]
        members = _objects(entry, "members")
        if members:
            found = [member for member in members if member.get("name") == value]
            if len(steps) > 1:
                return bool(found) and _has_feature(found[0], steps[1].removeprefix("$"))
            return bool(found)
        values = entry.get("values")
        return len(steps) == 1 and isinstance(values, list) and value in values

    @staticmethod
    def _builtin(entry: _Entry, steps: Sequence[str]) -> bool:
        return steps[0][0] == "!" and entry.get("json-type") == steps[0][1:]
