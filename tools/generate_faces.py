"""Generate the sync and async objects (virtcore/api/sync.py, aio.py) from the operation declarations.

Usage: python tools/generate_faces.py [--check]
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

from virtcore.operations.declare import Operation, all_operations

SOURCE = Path(__file__).resolve().parent.parent / "virtcore" / "src" / "virtcore"
FAMILIES = ("connection", "domain")
WIDTH = 120

#: Declared type -> (type the face shows, expression that turns ``value`` into what the driver takes).
ARGUMENTS = {
    "Sequence[DomainRef] | None": (
        "Sequence[{p}Domain] | None",
        "None if {name} is None else [domain.ref for domain in {name}]",
    ),
}


class Face:
    """One of the two modules."""

    def __init__(self, asynchronous: bool) -> None:
        self.asynchronous = asynchronous
        self.prefix = "Async" if asynchronous else ""
        self.base = "Async" if asynchronous else "Sync"
        self.home = "virtcore.api.async_base" if asynchronous else "virtcore.api.base"
        self.names: set[str] = set()

    def result(self, operation: Operation) -> tuple[str, list[str]]:
        """The face's return type, and the statements after the call, which is left in ``{call}``."""
        declared = _unwrapped(str(operation.signature.return_annotation))
        await_ = "await " if self.asynchronous else ""
        call = f"{await_}self._call({{call}})"
        connection = "self" if operation.family == "connection" else "self.connection"
        if declared == "None":
            return "None", [call]
        if declared == "DomainRef" and operation.family == "domain":
            self.names.add("DomainRef")
            return "None", [f"ref: DomainRef = {call}", "self._ref = ref"]
        if declared == "DomainRef":
            return f"{self.prefix}Domain", [f"return {self.prefix}Domain({connection}, {call})"]
        if declared == "Sequence[DomainRef]":
            return f"list[{self.prefix}Domain]", [
                f"return [{self.prefix}Domain({connection}, ref) for ref in {call}]",
            ]
        if declared == "ByteStream":
            stream = f"{self.prefix}Stream"
            return stream, [f"return {stream}({connection}, {call})"]
        self.names.update(_names_in(declared))
        return declared, [f"result: {declared} = {call}", "return result"]

    def method(self, operation: Operation) -> list[str]:
        """The lines of a method."""
        parameters, values = ["self"], []
        skip = 1 if operation.family == "connection" else 2  # self, and the object itself
        for parameter in list(operation.signature.parameters.values())[skip:]:
            declared = str(parameter.annotation)
            shown, value = ARGUMENTS.get(declared, ("{declared}", "{name}"))
            shown = shown.format(p=self.prefix, declared=declared)
            self.names.update(_names_in(shown) - {f"{self.prefix}Domain"})
            default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
            parameters.append(f"{parameter.name}: {shown}{default}")
            values.append(value.format(name=parameter.name))
        parameters += ["*", "deadline: Deadline = DEFAULT"]
        returns, body = self.result(operation)
        arguments = f"({values[0]},)" if len(values) == 1 else f"({', '.join(values)})"
        call = [f'"{operation.name}"', arguments, "deadline"]
        lines = _definition("async def" if self.asynchronous else "def", operation.face_name, parameters, returns)
        lines += _docstring(operation)
        for line in body:
            lines += _folded("        " + line, call)
        return lines

    def text(self) -> str:
        """The module."""
        classes: list[str] = []
        operations = all_operations().values()
        for family in reversed(FAMILIES):  # a domain first: connections make them
            name = f"{self.prefix}{family.capitalize()}"
            base = f"{self.base}{family.capitalize()}Base"
            summary = {"domain": "A domain", "connection": "An open connection"}[family]
            libvirt = {"domain": "virDomainPtr", "connection": "virConnectPtr"}[family]
            classes += ["", "", f"class {name}({base}):"]
            classes += [f'    """{summary} (``{libvirt}``); see :class:`~{self.home}.{base}`."""', ""]
            if family == "domain":
                classes += ["    __slots__ = ()", ""]
            else:
                classes += [
                    f"    def domain(self, ref: DomainRef) -> {self.prefix}Domain:",
                    '        """The domain of a reference, as events and statistics carry it; nothing is looked up."""',
                    f"        return {self.prefix}Domain(self, ref)",
                    "",
                ]
                self.names.add("DomainRef")
            for operation in operations:
                if operation.family == family:
                    classes += [*self.method(operation), ""]
            classes.pop()
        return "\n".join([*self.head(), *classes]) + "\n"

    def head(self) -> list[str]:
        """Docstring and imports."""
        kind = "coroutines" if self.asynchronous else "threads"
        bases = [f"{self.base}ConnectionBase", f"{self.base}DomainBase"]
        imports = _imports()
        modules: dict[str, list[str]] = {}
        for name in sorted(self.names):
            if name in imports:
                modules.setdefault(imports[name], []).append(name)
        exported = sorted([f"{self.prefix}Connection", f"{self.prefix}Domain", f"{self.prefix}Stream"])
        lines = [
            f'"""Connections and domains for {kind}. Generated by tools/generate_faces.py; do not edit."""',
            "",
            "from __future__ import annotations",
            "",
        ]
        if "collections.abc" in modules:
            lines += [f"from collections.abc import {', '.join(modules.pop('collections.abc'))}"]
        lines += ["from typing import TYPE_CHECKING", ""]
        base_names = sorted(["DEFAULT", "Deadline", *bases], key=lambda name: (not name.isupper(), name))
        lines += [
            f"from {self.home} import {', '.join(base_names)}",
            f"from virtcore.api.streams import {self.prefix}Stream",
            "",
            "if TYPE_CHECKING:",
        ]
        for module in sorted(modules):
            line = f"    from {module} import {', '.join(modules[module])}"
            if len(line) > WIDTH:
                line = "\n".join(
                    [f"    from {module} import (", *[f"        {name}," for name in modules[module]], "    )"]
                )
            lines.append(line)
        names = ", ".join(f'"{name}"' for name in exported)
        return [*lines, "", f"__all__ = [{names}]"]


def _unwrapped(annotation: str) -> str:
    return annotation.removeprefix("Result[").removesuffix("]") if annotation.startswith("Result[") else annotation


def _names_in(annotation: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(annotation)) if isinstance(node, ast.Name)}


def _imports() -> dict[str, str]:
    """Name to the module that the declarations import it from."""
    found = {}
    for family in FAMILIES:
        tree = ast.parse((SOURCE / "operations" / f"{family}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                found.update({alias.name: node.module for alias in node.names})
    return found


def _definition(keyword: str, name: str, parameters: list[str], returns: str) -> list[str]:
    line = f"    {keyword} {name}({', '.join(parameters)}) -> {returns}:"
    if len(line) <= WIDTH:
        return [line]
    folded = f"        {', '.join(parameters)}"
    if len(folded) <= WIDTH:
        return [f"    {keyword} {name}(", folded, f"    ) -> {returns}:"]
    return [f"    {keyword} {name}(", *[f"        {parameter}," for parameter in parameters], f"    ) -> {returns}:"]


def _docstring(operation: Operation) -> list[str]:
    text = inspect.cleandoc(operation.function.__doc__ or "")
    rows = [f"        {row}".rstrip() for row in text.splitlines()]
    rows[0] = f'        """{rows[0].strip()}'
    if len(rows) == 1:
        return [rows[0] + '"""']
    return [*rows, '        """']


def _folded(statement: str, call: list[str]) -> list[str]:
    """A statement with the arguments of its call, on lines of their own where it is too long."""
    arguments = ", ".join(call)
    line = statement.replace("{call}", arguments)
    if len(line) <= WIDTH:
        return [line]
    before, _, after = statement.partition("{call}")
    inner = " " * 12
    if len(inner + arguments) <= WIDTH:
        return [before, inner + arguments, f"        {after}"]
    return [before, *[f"{inner}{argument}," for argument in call], f"        {after}"]


def main() -> int:
    """Write both modules, or with --check compare them."""
    stale = []
    for name, asynchronous in (("sync", False), ("aio", True)):
        path = SOURCE / "api" / f"{name}.py"
        text = Face(asynchronous).text()
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            stale.append(path)
    for path in stale:
        print(f"{path} differs: run python tools/generate_faces.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
