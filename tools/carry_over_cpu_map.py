"""Carry the CPU map of the facts over into the project's own form.

Run once per reference version of libvirt, by hand: ``python tools/carry_over_cpu_map.py FACTS_FOLDER``. It reads
``cpu-map.json`` there and writes ``model/cpu/map/*.map`` (see ``virtcore.model.cpu.map`` for the form). The files it
writes are the project's source from then on; ``tests/core/model/test_cpu_map.py`` compares them with the facts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "virtcore/src/virtcore/model/cpu/map"

REGISTERS = ("eax", "ebx", "ecx", "edx")

HEADER = "# CPU models of {arch}, libvirt {version}. Written by tools/carry_over_cpu_map.py; not edited by hand.\n"


def spelled(name: str) -> str:
    """A name as one word."""
    return name.replace(" ", "%20")


def feature_line(row: dict[str, Any]) -> str:
    """``feature NAME [WORD BIT] [blocks-migration]``; a word is ``LEAF.SUBLEAF/REGISTER``."""
    words = ["feature", spelled(row["name"])]
    bits = []
    for kind in ("cpuid", "msr"):
        for place in row.get(kind, ()):
            for register in REGISTERS:
                mask = int(place.get(register, "0"), 16)
                if mask:
                    index = int(place["leaf" if kind == "cpuid" else "index"], 16)
                    word = f"msr.{index:#x}" if kind == "msr" else f"{index:#x}.{int(place.get('subleaf', '0'), 16):#x}"
                    bits.append((f"{word}/{register}", mask))
    if len(bits) > 1 or any(mask & (mask - 1) for _, mask in bits):
        raise ValueError(f"feature {row['name']} is not a single bit: the form has no room for that")
    for word, mask in bits:
        words += [word, str(mask.bit_length() - 1)]
    if row.get("migratable") is False:
        words.append("blocks-migration")
    return " ".join(words)


def lists(row: dict[str, Any]) -> dict[str, list[str]]:
    """The lists of features a model has: its own, and those taken away from or given to it in later versions."""
    return {
        "": [*row.get("features", ()), *row.get("vmx_features", ())],
        "removed:": row.get("removed", []),
        "added:": row.get("added", []),
    }


def changes(row: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What turns the lists of another model into those of this one."""
    words = []
    theirs = lists(other)
    for prefix, mine in lists(row).items():
        words += [f"{prefix}-{spelled(name)}" for name in theirs[prefix] if name not in mine]
        words += [f"{prefix}+{spelled(name)}" for name in mine if name not in theirs[prefix]]
    return words


def signature(row: dict[str, Any]) -> str:
    """``FAMILY/MODEL[/FIRST-LAST[+FIRST-LAST]]``: without steppings it is any."""
    text = f"{row['family']}/{row['model']}"
    if "stepping" in row:
        text += "/" + "+".join(f"{first}-{last}" for first, last in row["stepping"])
    return text


def model_line(name: str, row: dict[str, Any], earlier: dict[str, dict[str, Any]]) -> str:
    """``model NAME [alias=MODEL | like=MODEL] ...``: features as what differs from the most similar earlier model."""
    words = ["model", spelled(name)]
    if "base" in row:
        if row.keys() - {"base", "decode"}:
            raise ValueError(f"{name} adds to {row['base']}: the form has room for plain aliases only")
        words.append(f"alias={spelled(row['base'])}")
    if "vendor" in row:
        words.append(f"vendor={row['vendor']}")
    decode = [kind for kind in ("host", "guest") if row.get("decode", {}).get(kind)]
    if decode:
        words.append(f"decode={','.join(decode)}")
    if row.get("check"):
        words.append(f"check={row['check']['partial']}")
    if "signatures" in row:
        words.append(f"signatures={','.join(signature(each) for each in row['signatures'])}")
    for pvr in row.get("pvr", ()):
        words.append(f"pvr={pvr['value']}" + (f"/{pvr['mask']}" if "mask" in pvr else ""))
    if "features" in row:
        best = min(
            ((changes(row, other), other_name) for other_name, other in earlier.items()),
            key=lambda pair: len(pair[0]),
            default=None,
        )
        plain = changes(row, {})
        if best is not None and len(best[0]) + 1 < len(plain):
            words += [f"like={spelled(best[1])}", *best[0]]
        else:
            words += plain
    return " ".join(words)


def text_of(arch: str, rows: dict[str, Any], version: str) -> str:
    """The whole file of an architecture."""
    lines = []
    for vendor in rows["vendors"]:
        extra = vendor.get("string") or vendor.get("value")
        lines.append(f"vendor {vendor['name']}" + (f" {extra}" if extra else ""))
    lines += [feature_line(row) for row in rows["features"]]
    earlier: dict[str, dict[str, Any]] = {}
    for name, row in rows["models"].items():
        lines.append(model_line(name, row, earlier))
        if "features" in row:
            earlier[name] = row
    return HEADER.format(arch=arch, version=version) + "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    facts = json.loads((folder / "cpu-map.json").read_text())
    for arch, rows in facts["arches"].items():
        (TARGET / f"{arch}.map").write_text(text_of(arch, rows, facts["source"]["version"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
