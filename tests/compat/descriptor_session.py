"""What libvirt's own Python binding does with descriptors; run with the system's Python: ``SCRIPT URI``."""

from __future__ import annotations

import os
import socket
import sys
import tempfile

import libvirt

connection = libvirt.open(sys.argv[1])
domain = connection.lookupByName("one")


def files(count):
    return [tempfile.TemporaryFile() for _ in range(count)]


def numbers(opened):
    return [file.fileno() for file in opened]


def content(opened):
    return [os.pread(file.fileno(), 100, 0).decode() for file in opened]


opened = files(3)
print("createWithFiles", domain.createWithFiles(numbers(opened)), content(opened))
opened = files(2)
print("createXMLWithFiles", connection.createXMLWithFiles("<domain/>", numbers(opened)).name(), content(opened))
if hasattr(domain, "FDAssociate"):
    opened = files(1)
    print("FDAssociate", domain.FDAssociate("name", numbers(opened)), content(opened))
ours, theirs = socket.socketpair()
print("openGraphics", domain.openGraphics(4, theirs.fileno()), ours.recv(100).decode())
file = domain.openGraphicsFD(6)
print("openGraphicsFD", os.read(file, 100).decode())
os.close(file)
print("again", connection.lookupByName("one").ID())
connection.close()
