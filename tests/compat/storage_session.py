"""Run with the system's Python: random changes of pools and volumes through the real libvirt binding; prints what came
of each as JSON.

Left out is what libvirt's test driver counts wrong (a pool that is defined anew while it has volumes) or forgets (the
definition of a pool that is created from XML): no known pool is made again.
"""

from __future__ import annotations

import json
import random
import sys

import libvirt

UUIDS = [f"41111111-2222-4333-8444-55555555555{digit}" for digit in range(3)]
KINDS = ("dir", "dir", "netfs", "logical", "fs", "disk", "scsi", "mpath", "iscsi")
FILTERS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 2 | 64, 1 | 256, 512 | 1024, 4096 | 8192, 1 << 25)
STEPS = 150


class Session:
    def __init__(self, uri: str, seed: int) -> None:
        self.connection = libvirt.open(uri)
        self.choose = random.Random(seed)
        self.seen: list = []

    def told(self, what: str, function, *arguments) -> None:
        try:
            found = self.plain(function(*arguments))
        except libvirt.libvirtError as error:
            found = [error.get_error_code(), str(error)]
        self.seen.append([what, found])

    def plain(self, value):
        if isinstance(value, (list, tuple)):
            found = [self.plain(each) for each in value]
            return sorted(found) if all(isinstance(each, str) for each in found) else found
        return value.name() if hasattr(value, "name") else value

    def known(self, name: str, uuid: str) -> bool:
        try:
            return self.connection.storagePoolLookupByUUIDString(uuid).name() == name
        except libvirt.libvirtError:
            return False

    def pool_xml(self, name: str, number: int) -> str | None:
        choice = self.choose.choice
        kind = choice(KINDS)
        device = f"<source><device path='/dev/{choice('ab')}'/></source>"
        sources = {
            "netfs": f"<source><host name='{choice('hi')}'/><dir path='/{choice('de')}'/></source>",
            "logical": f"<source><name>{choice('vw')}</name><device path='/dev/{choice('ab')}'/></source>",
            "fs": device,
            "disk": device,
            "scsi": f"<source><adapter type='scsi_host' name='{choice(('host5', 'scsi_host5', 'host6'))}'/></source>",
            "iscsi": f"<source><host name='h'/><device path='iqn.{choice('ab')}'/></source>",
        }
        uuid = UUIDS[number] if self.choose.random() < 0.9 else choice(UUIDS)
        if self.known(name, uuid):
            return None
        target = "" if self.choose.random() < 0.05 else f"<target><path>/t{choice('123')}</path></target>"
        return f"<pool type='{kind}'><name>{name}</name><uuid>{uuid}</uuid>{sources.get(kind, '')}{target}</pool>"

    def volume_xml(self) -> str:
        choice = self.choose.choice
        name = choice(("v1", "v2", "v3", "v4"))
        allocation = choice(("", f"<allocation unit='M'>{choice(range(50))}</allocation>"))
        format = choice(("", "<format type='raw'/>", "<format type='qcow2'/>", "<format type='nope'/>"))
        capacity = f"<capacity unit='{choice('bKMGG')}'>{choice(range(1, 90))}</capacity>"
        return f"<volume><name>{name}</name>{capacity}{allocation}<target>{format}</target></volume>"

    def volume(self, pool):
        name = self.choose.choice(("v1", "v2", "v3"))
        try:
            return pool.storageVolLookupByName(name)
        except libvirt.libvirtError as error:
            self.seen.append(["look-up", [error.get_error_code(), str(error)]])
            return None

    def step(self) -> None:
        number = self.choose.randrange(3)
        name = f"p{number}"
        connection, choose = self.connection, self.choose
        try:
            pool = connection.storagePoolLookupByName(name)
        except libvirt.libvirtError:
            make = choose.choice((connection.storagePoolDefineXML, connection.storagePoolCreateXML))
            xml = self.pool_xml(choose.choice((name, name, name, "p0")), number)
            if xml is not None:
                self.told("make", make, xml)
            return
        action = choose.choice((*"sdubrvvvclkifax", "V", "D"))
        if action in "sdubr":
            changes = {"s": pool.create, "d": pool.destroy, "u": pool.undefine, "b": pool.build, "r": pool.refresh}
            self.told(action, changes[action])
        elif action == "v":
            self.told("volume", pool.createXML, self.volume_xml())
        elif action in "cVD":
            volume = self.volume(pool)
            if volume is None:
                return
            if action == "c":
                self.told("clone", pool.createXMLFrom, self.volume_xml(), volume)
            for query in (volume.XMLDesc, volume.info, volume.path, volume.key):
                self.told("volume", query)
            if action == "D":
                self.told("delete", volume.delete)
        elif action == "l":
            self.told("list", connection.listAllStoragePools, choose.choice(FILTERS))
        elif action == "k":
            path = f"/t{choose.choice('123')}/v1"
            self.told("key", connection.storageVolLookupByKey, path)
            self.told("path", connection.storageVolLookupByPath, path)
        elif action == "i":
            self.told("info", pool.info)
            self.told("active", pool.isActive)
            self.told("persistent", pool.isPersistent)
        elif action == "f":
            self.told("volumes", pool.listAllVolumes)
        elif action == "a":
            self.told("set", pool.setAutostart, choose.randrange(2))
            self.told("autostart", pool.autostart)
        else:
            self.told("xml", pool.XMLDesc)


def main(uri: str) -> list:
    libvirt.registerErrorHandler(lambda context, error: None, None)
    seen = []
    for seed in range(6):
        session = Session(uri, seed)
        for _ in range(STEPS):
            session.step()
        seen.append(session.seen)
        session.connection.close()
    return seen


print(json.dumps(main(sys.argv[1])))
