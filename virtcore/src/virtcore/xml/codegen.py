"""What the generated readers and writers have in common: source text that is compiled once and known to linecache."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

__all__ = ["Memo", "Source"]


class Memo(dict[Any, Any]):
    """Remembers a pure conversion of small values (numbers and their spellings); full, it goes on computing."""

    __slots__ = ("convert",)

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        self.convert = convert

    def __missing__(self, key: Any) -> Any:
        value = self.convert(key)
        if len(self) < 2048:
            self[key] = value
        return value


class Source:
    """A function's source while it is being written, with the names it refers to."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title
        self.lines: list[str] = []
        self.level = 0
        self.names: dict[str, Any] = {}
        self._count = 0

    def __call__(self, line: str) -> None:
        self.lines.append("    " * self.level + line)

    def indent(self, line: str) -> None:
        """A line that opens a block."""
        self(line)
        self.level += 1

    def dedent(self) -> None:
        self.level -= 1

    def bind(self, prefix: str, value: object) -> str:
        """A name for an object the code refers to."""
        self._count += 1
        name = f"{prefix}{self._count}"
        self.names[name] = value
        return name

    def later(self, prefix: str, make: Callable[[], Callable[..., Any]]) -> str:
        """A name for a function that is made on its first call."""
        name = self.bind(prefix, None)
        names = self.names

        def first(*arguments: Any) -> Any:
            function = names[name] = make()
            return function(*arguments)

        names[name] = first
        return name

    def branch(self, variable: str, cases: list[tuple[str, Callable[[], None]]], otherwise: Callable[[], None]) -> None:
        """Dispatches on a string: a chain of comparisons, or for many cases an index and a binary tree."""
        if len(cases) <= 5:
            word = "if"
            for text, body in cases:
                self.indent(f"{word} {variable} == {text!r}:")
                body()
                self.dedent()
                word = "elif"
            if cases:
                self.indent("else:")
            otherwise()
            if cases:
                self.dedent()
            return
        index = self.bind("i", {text: n for n, (text, _) in enumerate(cases)})
        self(f"n = {index}.get({variable}, -1)")

        def split(low: int, high: int) -> None:
            if high - low == 1:
                cases[low][1]()
                return
            middle = (low + high) // 2
            self.indent(f"if n < {middle}:")
            split(low, middle)
            self.dedent()
            self.indent("else:")
            split(middle, high)
            self.dedent()

        self.indent("if n < 0:")
        otherwise()
        self.dedent()
        self.indent("else:")
        split(0, len(cases))
        self.dedent()

    def compile(self) -> Callable[..., Any]:
        """The function; its source shows in tracebacks."""
        text = "\n".join(self.lines) + "\n"
        file = f"<virtcore.xml {self.title}>"
        exec(compile(text, file, "exec"), self.names)
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        function: Callable[..., Any] = self.names[self.name]
        return function
