"""The program ``virt-xml-validate``: does a document keep to the format that is documented for its kind?

Arguments, output and exit status are those of libvirt's: 1 for wrong arguments or a document that is no XML, 2 for a
file that does not exist, 3 for a root element that has no schema or a document that does not keep to it, 4 for a
schema that does not exist. The schemas follow from the declarations and know the namespaces of the installed plugins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lxml.etree import _ElementTree, _LogEntry

__all__ = ["main"]

#: libvirt's version whose behaviour this program has.
VERSION = "11.3.0"

_HELP = """Usage:
  {program} XML-FILE [SCHEMA-NAME]
  {program} OPTION

Options:
  -h | --help        Display program help
  -V | --version     Display program version
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    :return: its exit status.
    """
    program = sys.argv[0]
    words = list(sys.argv[1:] if arguments is None else arguments)
    first = words[0] if words else ""
    if first in ("-h", *("--help"[:length] for length in range(3, 7))):
        print(_HELP.format(program=program), end="")
        return 0
    if first == "-V" or (len(first) > 2 and "--version".startswith(first)):
        print(f"{program} (libvirt) {VERSION}")
        return 0
    if first == "--":
        words.pop(0)
    elif first.startswith("-") and first != "-":
        print(f"{program}: unrecognized option '{first}'", file=sys.stderr)
        return 1
    path, schema = (*words, "", "")[:2]
    return _validate(program, path, schema)


def _validate(program: str, path: str, schema: str) -> int:
    from lxml import etree

    from virtcore.driver.hooks import manager
    from virtcore.model.schemas import SCHEMAS, document_schema, schema_for_root

    if not path:
        print(f"syntax: {program} XMLFILE [TYPE]", file=sys.stderr)
        return 1
    if path != "-" and not os.path.isfile(path):
        print(f"{program}: document {path} does not exist", file=sys.stderr)
        return 2
    document: _ElementTree | None = None
    mistakes: list[_LogEntry] = []
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        document = etree.parse(sys.stdin.buffer if path == "-" else path, parser)
    except etree.XMLSyntaxError as error:
        mistakes = list(error.error_log)
    if not schema:
        root = etree.QName(document.getroot()).localname if document is not None else ""
        schema = schema_for_root(root) or ""
        if not schema:
            print(f"{program}: cannot determine schema type for {path}", file=sys.stderr)
            return 3
    if schema not in SCHEMAS:
        print(f"{program}: schema {schema}.rng does not exist", file=sys.stderr)
        return 4
    if document is None:
        for entry in mistakes:
            print(f"{path}:{entry.line}: parser error : {entry.message}", file=sys.stderr)
        return 1
    # What plugins hang into documents is part of their format.
    manager()
    grammar = etree.RelaxNG(etree.fromstring(document_schema(schema).encode()))
    if grammar.validate(document):
        print(f"{path} validates", file=sys.stderr)
        return 0
    for entry in grammar.error_log:
        where = (entry.path or "").rpartition("/")[2].partition("[")[0]
        element = f"element {where}: " if where else ""
        print(f"{path}:{entry.line}: {element}Relax-NG validity error : {entry.message}", file=sys.stderr)
    print(f"{path} fails to validate", file=sys.stderr)
    return 3


if __name__ == "__main__":
    sys.exit(main())
