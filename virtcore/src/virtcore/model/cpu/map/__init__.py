"""The CPU map: vendors, features and models of an architecture, as text beside this module.

One record a line, in libvirt's order (which is the order features are listed in, and in which models win)::

    vendor Intel GenuineIntel
    feature tsc_adjust 0x7.0x0/ebx 1
    feature invtsc 0x80000007.0x0/edx 8 blocks-migration
    model Nehalem-IBRS vendor=Intel decode=host,guest signatures=6/26,6/30 like=Nehalem +spec-ctrl
    model Nehalem-v2 alias=Nehalem-IBRS decode=host

A blank in a name is written ``%20``. Reading a map only cuts it into lines: what a record means is found out when it is
asked for, by the module of the architecture. ``tools/carry_over_cpu_map.py`` writes the files.
"""

from __future__ import annotations

import functools
import pkgutil

__all__ = ["MapFile", "map_file", "settings"]


class MapFile:
    """The records of a map by name, each as the rest of its line."""

    def __init__(self, text: str) -> None:
        self.vendors: dict[str, str] = {}
        self.features: dict[str, str] = {}
        self.models: dict[str, str] = {}
        kinds = {"vendor": self.vendors, "feature": self.features, "model": self.models}
        for line in text.splitlines():
            kind, _, record = line.partition(" ")
            if kind in kinds:
                name, _, rest = record.partition(" ")
                kinds[kind][name.replace("%20", " ")] = rest


@functools.cache
def map_file(name: str) -> MapFile:
    """The map ``x86``, ``arm`` or ``ppc64``.

    :raises KeyError: there is none of that name.
    """
    data = pkgutil.get_data(__name__, f"{name}.map")
    if data is None:
        raise KeyError(name)
    return MapFile(data.decode("ascii"))


def settings(record: str) -> dict[str, list[str]]:
    """The ``name=value`` words of a record: name -> values in order."""
    found: dict[str, list[str]] = {}
    for word in record.split():
        name, equals, value = word.partition("=")
        if equals:
            found.setdefault(name, []).append(value.replace("%20", " "))
    return found
