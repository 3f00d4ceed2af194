"""Settings files as text: in VirtualBox's namespace, printed as libvirt prints them."""

from __future__ import annotations

import posixpath
import re

from virt_vbox.settings.machine import VirtualBox
from virtcore.xml import format, parse
from virtcore.xml.document import document

__all__ = ["NAMESPACE", "read_settings", "write_settings"]

NAMESPACE = "http://www.innotek.de/VirtualBox-settings"
"""Name of the XML namespace all of a settings file is in."""

_NAME = "(vbox_settings)"
_ENCODING = "ISO-8859-1"
_WARNING = """WARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE
OVERWRITTEN AND LOST.
Changes to this xml configuration should be made using Virtualbox
or other application using the libvirt API"""
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
# A drive or a server: paths on Windows.
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def read_settings(text: str | bytes, folder: str) -> VirtualBox:
    """Read a settings file.

    :param folder: where the file is; relative paths of disks start there.
    :raises VirtError: the text is malformed, or lacks what every machine has.
    """
    from lxml import etree

    # Text says nothing of bytes any more.
    source = _DECLARATION.sub("", text, count=1) if isinstance(text, str) else text
    root = document(source, _NAME)
    for node in root.iter("{*}*"):
        node.tag = str(node.tag).removeprefix(f"{{{NAMESPACE}}}")
    etree.cleanup_namespaces(root)
    settings = parse(etree.tostring(root), VirtualBox, name=_NAME)
    for disk in settings.machine.media.hard_disks.disks:
        for line in disk.walk():
            if not line[0].location.startswith("/") and _WINDOWS.match(line[0].location) is None:
                line[0].location = posixpath.join(folder, line[0].location)
    return settings


def write_settings(settings: VirtualBox) -> bytes:
    """A settings file, in ISO-8859-1.

    :raises XMLError: a value cannot be printed where it stands.
    """
    from lxml import etree

    root = document(format(settings))
    # An attribute like others, behind those that are there.
    root.set("xmlns", NAMESPACE)
    body = etree.tostring(root, encoding=_ENCODING, xml_declaration=False, pretty_print=True)
    head = f'<?xml version="1.0" encoding="{_ENCODING}"?>\n<!--{_WARNING}-->\n'
    return head.encode(_ENCODING) + body
