"""Carry the raw wire and function facts over into the project's own form.

Run once per reference version of libvirt, by hand: ``python tools/carry_over_wire.py FACTS_FOLDER``. It reads
``rpc-protocol.json`` and ``api.json`` there and writes ``operations/wire/*.wire`` and ``operations/functions.py``. The
files it writes are the project's source from then on; ``tests/remote/test_wire_facts.py`` compares them with the facts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "virtcore/src/virtcore/operations"

SCALARS = {
    "unsigned int": "uint",
    "unsigned hyper": "uhyper",
    "unsigned char": "uchar",
    "unsigned short": "ushort",
}


def spelled_type(row: dict[str, Any]) -> str:
    """A type as the ``.wire`` files write it: ``uint``, ``opaque[16]``, ``remote_nonnull_domain<16384>``, ``T?``."""
    base: str = SCALARS.get(row["type"], row["type"])
    match row.get("array"):
        case None:
            return base
        case "optional":
            return base + "?"
        case "fixed":
            return f"{base}[{row['max']}]"
        case "variable":
            return f"{base}<{row['max']}>"
        case other:
            raise ValueError(f"unknown array form {other!r}")


def type_line(name: str, row: dict[str, Any]) -> str:
    """The line of one XDR type."""
    match row["kind"]:
        case "typedef":
            return f"type {name} {spelled_type(row)}"
        case "enum":
            return " ".join([f"enum {name}", *(f"{key}={value}" for key, value in row["values"].items())])
        case "struct":
            return " ".join([f"struct {name}", *(f"{field['name']}:{spelled_type(field)}" for field in row["fields"])])
        case "union":
            cases = (f"{case['value']}:{case['name']}:{spelled_type(case)}" for case in row["cases"])
            return " ".join([f"union {name}", *cases])
        case other:
            raise ValueError(f"unknown kind {other!r}")


def permission(row: dict[str, Any], flags: dict[str, int]) -> str:
    """``object:permission`` with ``@set:MASK``, ``@clear:MASK`` or ``@PARAMETER=VALUE`` for the conditional ones."""
    text = f"{row['object']}:{row['permission']}"
    for key, word in (("when_flags_all_set", "set"), ("when_flags_all_clear", "clear")):
        if key in row:
            mask = 0
            for name in row[key]:
                mask |= flags[name]
            text += f"@{word}:{mask}"
    if "when_param" in row:
        text += f"@{row['when_param']}={flags[row['equals']]}"
    return text


def procedure_line(program: str, row: dict[str, Any], flags: dict[str, int]) -> str:
    """The line of one procedure."""
    stem = f"{program}_{row['name'].lower()}"
    words = [row["kind"], str(row["number"]), row["name"]]
    for part in ("args", "ret", "msg"):
        name = row.get(part)
        if name is not None:
            words.append(part if name == f"{stem}_{part}" else f"{part}={name}")
    if "priority" in row:
        words.append(row["priority"])
    for key, word in (("readstream", "read-stream"), ("writestream", "write-stream")):
        if key in row:
            words.append(word)
    if "sparse_flag" in row:
        words.append(f"sparse:{flags[row['sparse_flag']]}")
    words += ["acl=" + permission(entry, flags) for entry in row.get("acl", ())]
    words += ["filter=" + permission(entry, flags) for entry in row.get("aclfilter", ())]
    return " ".join(words)


def write_wire(facts: dict[str, Any], flags: dict[str, int]) -> None:
    """Write ``rpc.wire`` (types of the protocol itself) and one file per program."""
    for program in ("rpc", *facts["programs"]):
        lines = []
        record = facts["programs"].get(program)
        if record is not None:
            lines.append(f"program {program} {record['program']:#x} {record['version']}")
        lines += [type_line(name, row) for name, row in facts["types"].items() if row["program"] == program]
        if record is not None:
            lines += [procedure_line(program, row, flags) for row in record["procedures"]]
        (TARGET / "wire" / f"{program}.wire").write_text("\n".join(lines) + "\n")


def write_functions(facts: dict[str, Any], api: dict[str, Any], flags: dict[str, int]) -> None:
    """Write ``functions.py``: since-version, write facts and procedure of every public function."""
    procedures = {
        row["method"]: f"{program}.{row['name']}"
        for program, record in facts["programs"].items()
        for row in record["procedures"]
        if row.get("method")
    }
    out = [
        '"""libvirt\'s public functions: since when, whether they change something, the procedure that carries them.',
        "",
        "Carried over by tools/carry_over_wire.py from libvirt 11.3.0. ``since`` is the version, ``write`` is True,",
        "False or the mask of flags that make the function need a read-write connection (-1: it depends on more),",
        "``procedure`` is None where no single one belongs to it.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "#: name -> (since, write, procedure)",
        "FUNCTIONS: dict[str, tuple[str, bool | int, str | None]] = {",
    ]
    for row in sorted(api["functions"], key=lambda row: str(row["name"])):
        if row["lib"] == "libvirt-admin":
            continue
        write: bool | int = row.get("needs_write") is True
        if row.get("needs_write_flags"):
            write = 0
            for name in row["needs_write_flags"]:
                write |= flags[name]
        elif row.get("needs_write") == "conditional":
            write = -1
        procedure = next((procedures[m] for m in row.get("driver_methods", ()) if m in procedures), None)
        out.append(f"    {row['name']!r}: ({row['since']!r}, {write!r}, {procedure!r}),".replace("'", '"'))
    out.append("}")
    (TARGET / "functions.py").write_text("\n".join(out) + "\n")


def main() -> None:
    """Read the facts named on the command line and write the project's files."""
    folder = Path(sys.argv[1])
    facts = json.loads((folder / "rpc-protocol.json").read_text())
    api = json.loads((folder / "api.json").read_text())
    flags = {value[0]: value[1] for enum in api["enums"] for value in enum["values"]}
    write_wire(facts, flags)
    write_functions(facts, api, flags)


if __name__ == "__main__":
    main()
