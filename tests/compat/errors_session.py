"""Run with the system's Python: what goes wrong, and everything libvirt's errors say of it; prints it as JSON."""

from __future__ import annotations

import json
import sys

import libvirt

DOMAIN = "<domain type='{}'><name>wrong</name><memory>65536</memory><os><type>hvm</type></os></domain>"


def main(driver: str, uri: str) -> dict:
    libvirt.registerErrorHandler(lambda context, error: None, None)
    connection = libvirt.open(uri)
    seen: dict = {}

    def attempt(name: str, *arguments: object) -> None:
        owner = domain if name.startswith("domain.") else connection
        try:
            getattr(owner, name.removeprefix("domain."))(*arguments)
        except libvirt.libvirtError as error:
            what = [getattr(error, f"get_error_{part}")() for part in ("code", "domain", "level", "message")]
            seen[f"{name} {arguments}"] = [
                *what,
                *(getattr(error, f"get_{part}")() for part in ("str1", "str2", "str3", "int1", "int2")),
            ]

    domain = connection.defineXML(DOMAIN.format(driver))
    for name in ("lookupByName", "networkLookupByName", "storagePoolLookupByName", "nodeDeviceLookupByName"):
        attempt(name, "nope")
    attempt("interfaceLookupByName", "nope")
    attempt("nwfilterLookupByName", "nope")
    attempt("secretLookupByUUIDString", "6695eb01-f6a4-8304-79aa-97f2502e193f")
    attempt("lookupByUUIDString", "6695eb01-f6a4-8304-79aa-97f2502e193f")
    attempt("lookupByID", 4711)
    attempt("defineXML", f"<domain type='{driver}'><name>x</name></domain>")
    attempt("networkDefineXML", "<network/>")
    attempt("networkDefineXML", "<domain/>")
    attempt("storagePoolDefineXML", "<pool/>", 0)
    attempt("secretDefineXML", "<secret/>", 0)
    attempt("getCPUModelNames", "x")
    for name in ("suspend", "destroy", "shutdown", "reset", "managedSaveRemove"):
        attempt(f"domain.{name}")
    attempt("domain.setMemory", 5)
    attempt("domain.setVcpus", 1)
    attempt("domain.setMetadata", 7, "x", None, None, 0)
    attempt("domain.setMemoryFlags", 1, 64)
    attempt("domain.migrateToURI", "x", 0, None, 0)
    domain.undefine()
    return seen


print(json.dumps(main(*sys.argv[1:])))
