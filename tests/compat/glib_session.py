"""Run with the system's Python: libvirt-glib's objects and signals on a daemon. Prints lines."""

from __future__ import annotations

import sys

import gi

gi.require_version("LibvirtGLib", "1.0")
gi.require_version("LibvirtGObject", "1.0")
from gi.repository import GLib, LibvirtGConfig, LibvirtGLib, LibvirtGObject  # noqa: E402  # of these versions

driver, uri = sys.argv[1:]
LibvirtGLib.event_register()
connection = LibvirtGObject.Connection.new(uri)
connection.open(None)
seen: list[str] = []
connection.connect("domain-added", lambda connection, domain: seen.append(f"added {domain.get_name()}"))
connection.connect("domain-removed", lambda connection, domain: seen.append(f"removed {domain.get_name()}"))
connection.fetch_domains(None)
document = f"<domain type='{driver}'><name>glib</name><memory>65536</memory><os><type>hvm</type></os></domain>"
domain = connection.create_domain(LibvirtGConfig.Domain.new_from_xml(document))
for name in ("started", "suspended", "stopped"):
    domain.connect(name, lambda domain, name=name: seen.append(name))
domain.start(0)
domain.suspend()
domain.resume()
info = domain.get_info()
print(info.maxMem, info.nrVirtCpu, info.state.value_nick)
print(domain.get_config(0).get_name(), domain.get_persistent())
domain.stop(0)
domain.delete(0)
loop = GLib.MainLoop()
GLib.timeout_add(20, lambda: "removed glib" not in seen or loop.quit())  # the last one
GLib.timeout_add(60_000, loop.quit)
loop.run()
print(", ".join(dict.fromkeys(seen)))
