"""Disks in a domain's XML: finding one, and writing what changes its medium."""

from __future__ import annotations

from virt_shell.command import CommandError
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml import etree

__all__ = ["changed_medium", "find_disk"]

#: How libvirt indents what stands in a disk.
_INDENT = "\n      "


def find_disk(disks: list[etree._Element], path: str, *, changeable: bool) -> etree._Element:
    """The disk of a target or source path.

    :param changeable: only drives whose medium can be changed.
    :raises CommandError: there is none.
    """
    for disk in disks:
        if changeable and disk.get("device") not in ("cdrom", "floppy"):
            continue
        source, target = disk.find("source"), disk.find("target")
        sources = [source.get(name) for name in ("file", "dev", "dir", "name")] if source is not None else []
        if path in sources or (target is not None and target.get("dev") == path):
            return disk
    raise CommandError(f"No disk found whose source path or target is {path}")


def _remove(element: etree._Element) -> None:
    """Take an element out and leave the white space around it."""
    parent, before = element.getparent(), element.getprevious()
    assert parent is not None
    if before is not None:
        before.tail = (before.tail or "") + (element.tail or "")
    else:
        parent.text = (parent.text or "") + (element.tail or "")
    parent.remove(element)


def changed_medium(disk: etree._Element, path: str | None, verb: str, *, block: bool) -> str:
    """The XML of a drive whose medium is ejected, inserted or updated.

    :param path: the new medium.
    :raises CommandError: there is none to eject, or one already.
    """
    from lxml import etree

    target, source = disk.find("target"), disk.find("source")
    name = target.get("dev") if target is not None else None
    if verb == "eject" or (verb == "update" and path is None):
        if source is None:
            raise CommandError(f"The disk device '{name}' doesn't have media")
        _remove(source)
        return etree.tostring(disk, encoding="unicode", with_tail=False)
    if path is None:
        raise CommandError("New disk media source was not specified")
    policy = None
    if source is not None:
        if verb == "insert" and (source.get("file") or source.get("dev")):
            raise CommandError(f"The disk device '{name}' already has media")
        policy = source.get("startupPolicy")
        _remove(source)
    new = etree.Element("source", {"dev" if block else "file": path})
    if policy is not None:
        new.set("startupPolicy", policy)
    new.tail = _INDENT
    if target is not None:
        target.addprevious(new)
    else:
        disk.append(new)
    disk.set("type", "block" if block else "file")
    return etree.tostring(disk, encoding="unicode", with_tail=False)
