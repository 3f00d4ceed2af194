"""The place of a drop-in for libvirt-python: to come with a later release of virt-libvirt."""

from __future__ import annotations

raise ImportError(
    "virt-libvirt 0.1 reserves the module name 'libvirt' and does not implement it yet: the drop-in for programs "
    "written against libvirt-python is to come; until then use virtcore's own API, or libvirt-python in an "
    "environment without virt-libvirt"
)
