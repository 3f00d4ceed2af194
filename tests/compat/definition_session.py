"""Run with the system's Python: what libvirt's test driver makes of definitions; reads and prints JSON."""

from __future__ import annotations

import json
import sys

import libvirt


def main(path: str) -> None:
    libvirt.registerErrorHandler(lambda context, error: None, None)
    conn = libvirt.open("test:///default")
    pool = conn.storagePoolLookupByName("default-pool")
    answers = []
    with open(path, encoding="utf-8") as file:
        definitions = json.load(file)
    for kind, xml in definitions:
        try:
            if kind == "volume":
                made = pool.createXML(xml, 0)
                text = made.XMLDesc(0)
                made.delete(0)
            else:
                define = conn.storagePoolDefineXML if kind == "pool" else conn.interfaceDefineXML
                made = define(xml, 0)
                text = made.XMLDesc(0)
                made.undefine()
            answers.append([text, None])
        except libvirt.libvirtError as error:
            answers.append([None, error.get_error_message()])
    print(json.dumps(answers))


main(sys.argv[1])
