"""Run with the system's Python: the real libvirt binding on a daemon; prints what it saw as JSON."""

from __future__ import annotations

import json
import sys
import threading
import time

import libvirt

XML = "<domain type='test'><name>bound</name><memory>65536</memory><os><type>hvm</type></os></domain>"


def main(uri: str) -> dict:
    libvirt.virEventRegisterDefaultImpl()
    stop = False

    def loop() -> None:
        while not stop:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=loop, daemon=True).start()
    libvirt.registerErrorHandler(lambda context, error: None, None)
    conn = libvirt.open(uri)
    seen: list = []
    conn.domainEventRegisterAny(
        None,
        libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
        lambda c, d, event, detail, o: seen.append([d.name(), event, detail]),
        None,
    )
    out: dict = {"type": conn.getType(), "alive": conn.isAlive(), "secure": conn.isSecure()}
    domain = conn.defineXML(XML)
    out["defined"] = [conn.numOfDefinedDomains(), conn.listDefinedDomains(), domain.isPersistent(), domain.ID()]
    domain.create()
    out["running"] = [conn.numOfDomains(), len(conn.listDomainsID()), domain.isActive(), domain.state()]
    out["lookup"] = [
        conn.lookupByID(domain.ID()).name(),
        conn.lookupByUUIDString(domain.UUIDString()).name(),
        conn.lookupByName("bound").UUIDString() == domain.UUIDString(),
    ]
    out["info"] = domain.info()[:4]
    out["memory"] = sorted(domain.memoryParameters())
    out["max"] = [domain.maxMemory(), domain.maxVcpus(), domain.OSType()]
    out["stats"] = sorted(conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)[0][1])
    out["statistics of one"] = len(conn.domainListGetStats([domain]))
    domain.suspend()
    domain.resume()
    domain.destroy()
    domain.undefine()
    try:
        conn.lookupByName("bound")
    except libvirt.libvirtError as error:
        out["error"] = [error.get_error_code(), error.get_error_message(), error.get_error_level(), error.get_str1()]
    conn.setKeepAlive(1, 60)
    end = time.monotonic() + 60
    while ["bound", libvirt.VIR_DOMAIN_EVENT_UNDEFINED, 0] not in seen and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(1.5)  # longer than until keepalive's first question
    out["still alive"] = conn.isAlive()
    out["events"] = [event for event in seen if event[0] == "bound"]
    conn.close()
    stop = True
    return out


print(json.dumps(main(sys.argv[1])))
