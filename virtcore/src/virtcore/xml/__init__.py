"""The XML engine: an element is declared once, as a class; parsing, formatting, schema, reference, comparison follow
from it.

.. code-block:: python

    @element("disk")
    class Disk:
        type: DiskType = attribute(required=True)
        driver: DiskDriver | None = child()
        source: FileSource | BlockSource | None = union(tag="type")
        readonly: bool = flag()
        extra: Extras = extras()

    disk = parse("<disk type='file'/>", Disk)
    text = format(disk)

Declaring costs next to nothing; codecs are generated on the first use of a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy
from virtcore.xml.declare import Declaration, declaration, element
from virtcore.xml.fields import (
    Field,
    attribute,
    child,
    children,
    extras,
    flag,
    flags,
    inherited,
    inline,
    leaf,
    namespaces,
    printed,
    private,
    text,
    union,
    verbatim,
)
from virtcore.xml.modes import Mode
from virtcore.xml.namespace import Namespace, register_namespace, register_private
from virtcore.xml.scalars import (
    CPU_SET,
    HEX,
    INT,
    LONG,
    MAC,
    OCTAL,
    ON_OFF,
    STRING,
    TRUE_FALSE,
    UINT,
    UINT_ANY,
    ULONG,
    ULONG_ANY,
    UUID,
    YES_NO,
    Codec,
    CpuSet,
    Size,
    choice,
    cpuset,
    number,
    pretty_size,
    scaled,
)

if TYPE_CHECKING:
    from virtcore.xml.changes import Change as Change, diff as diff
    from virtcore.xml.extra import Extra as Extra, Extras as Extras
    from virtcore.xml.reader import parse as parse, parse_part as parse_part
    from virtcore.xml.reference import describe as describe
    from virtcore.xml.relaxng import schema as schema
    from virtcore.xml.rules import Rulebook as Rulebook, Rules as Rules, Stage as Stage, load as load
    from virtcore.xml.writer import format as format, format_part as format_part, format_whole as format_whole

_MODULES = {
    "changes": ("Change", "diff"),
    "extra": ("Extra", "Extras"),
    "reader": ("parse", "parse_part"),
    "reference": ("describe",),
    "relaxng": ("schema",),
    "rules": ("Rulebook", "Rules", "Stage", "load"),
    "writer": ("format", "format_part", "format_whole"),
}

__all__ = [
    "CPU_SET",
    "HEX",
    "INT",
    "LONG",
    "MAC",
    "OCTAL",
    "ON_OFF",
    "STRING",
    "TRUE_FALSE",
    "UINT",
    "UINT_ANY",
    "ULONG",
    "ULONG_ANY",
    "UUID",
    "YES_NO",
    "Change",
    "Codec",
    "CpuSet",
    "Declaration",
    "Extra",
    "Extras",
    "Field",
    "Mode",
    "Namespace",
    "Rulebook",
    "Rules",
    "Size",
    "Stage",
    "attribute",
    "child",
    "children",
    "choice",
    "cpuset",
    "declaration",
    "describe",
    "diff",
    "element",
    "extras",
    "flag",
    "flags",
    "format",
    "format_part",
    "format_whole",
    "inherited",
    "inline",
    "leaf",
    "load",
    "namespaces",
    "number",
    "parse",
    "parse_part",
    "pretty_size",
    "printed",
    "private",
    "register_namespace",
    "register_private",
    "scaled",
    "schema",
    "text",
    "union",
    "verbatim",
]


__getattr__, __dir__ = lazy(__name__, _MODULES)
